package clustertool

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"redoubt/internal/tools/client"
)

// FailoverMode is how a replica takes over.
type FailoverMode string

// The modes of CLUSTER FAILOVER: with the primary, which hands over without the loss of
// a write; without it, by the votes of the other primaries; without anybody's consent.
const (
	HandOver FailoverMode = ""
	Force    FailoverMode = "FORCE"
	TakeOver FailoverMode = "TAKEOVER"
)

// failoverAgain is how long a failover may take before it is asked for again. A primary
// waits for its replica for five seconds; then all is as before.
const failoverAgain = 6 * time.Second

// Failover makes the replica at addr the primary of its shard, waits until every node
// that answers agrees, and says how long that took.
func (t *Tool) Failover(addr string, mode FailoverMode) error {
	c, err := t.discover(addr)
	defer c.close()
	if err != nil {
		return err
	}
	replica := c[0]
	self := replica.view.self()
	if !self.replica() {
		return t.fail("%s is a primary already. %s", replica.addr(), c.itsReplicas(replica))
	}
	primary := c.byID(self.primary)
	if primary == nil && mode == HandOver {
		return t.fail("Its primary %s does not answer, so it cannot hand over. With --force the other primaries elect %s; "+
			"with --takeover it needs nobody.", replica.primaryAddr(), replica.addr())
	}
	what := replica.primaryAddr()
	if e := replica.view.byID(self.primary); e != nil {
		what += " with the slots " + slotsOr(ranges(e.slots), "none")
	}
	t.step("%s is to take over from %s.", replica.addr(), what)
	if t.Plan {
		_, err := t.agreed("")
		return err
	}
	took, err := t.takeOver(c, replica, primary, mode)
	if err != nil {
		if errors.Is(err, ErrInterrupted) {
			t.line("Interrupted: a handover that has begun goes on, or is given up by the nodes after five seconds. redoubt cluster status %s shows what has become of it.", replica.addr())
		}
		return err
	}
	t.ok("%s is the primary; that took %v, and %v until all %d nodes agreed.", replica.addr(), took.promoted.Round(time.Millisecond), took.agreed.Round(time.Millisecond), len(c))
	return nil
}

func slotsOr(text, none string) string {
	if text == "" {
		return none
	}
	return text
}

// primaryAddr is the address of a replica's primary, or its id.
func (m *member) primaryAddr() string {
	self := m.view.self()
	if e := m.view.byID(self.primary); e != nil {
		return fmt.Sprintf("%s:%d", e.host, e.port)
	}
	return self.primary
}

// itsReplicas names the replicas of a primary, which can be asked to take over.
func (c cluster) itsReplicas(m *member) string {
	var names []string
	for _, o := range c {
		if self := o.view.self(); self.replica() && self.primary == m.id() {
			names = append(names, o.addr())
		}
	}
	if len(names) == 0 {
		return "It has no replica."
	}
	return "Its replicas are " + strings.Join(names, ", ") + "."
}

// handover is how long a failover took, from the request on.
type handover struct {
	promoted time.Duration // until the replica said that it is the primary
	agreed   time.Duration // until all nodes said so
}

// takeOver has a replica take over and waits until all agree. primary is nil if it does
// not answer.
func (t *Tool) takeOver(c cluster, replica, primary *member, mode FailoverMode) (took handover, err error) {
	args := []string{"CLUSTER", "FAILOVER"}
	if mode != HandOver {
		args = append(args, string(mode))
	}
	start := time.Now()
	if _, err := replica.conn.Do(args...); err != nil {
		return took, t.replied(replica, err)
	}
	asked := start
	err = t.waitOut(fmt.Sprintf("Waiting until %s is the primary", replica.addr()), func() error {
		if err := replica.load(); err != nil {
			return err
		}
		if !replica.view.self().replica() {
			return nil
		}
		if time.Since(asked) > failoverAgain {
			asked = time.Now()
			if _, err := replica.conn.Do(args...); err != nil && client.Code(err) == "" {
				return err
			}
		}
		return fmt.Errorf("%s is still a replica of %s", replica.addr(), replica.primaryAddr())
	})
	if err != nil {
		return took, err
	}
	took.promoted = time.Since(start)
	err = t.waitOut("Waiting until all nodes agree", func() error {
		if err := c.agreed(); err != nil {
			return err
		}
		if primary != nil {
			return inStep(c, primary, replica)
		}
		return nil
	})
	took.agreed = time.Since(start)
	return took, err
}
