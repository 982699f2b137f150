package clustertool

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"redoubt/internal/tools/client"
	"redoubt/slots"
)

// wait prints what it waits for and a dot a second until ready returns nil,
// at most as long as Timeout. When it gives up it prints what ready said
// last. An interrupt ends it with ErrInterrupted.
func (t *Tool) wait(what string, ready func() error) error {
	return t.waitUnless(t.stopping, what, ready)
}

// waitOut is wait for the end of what has begun: it takes a second interrupt to end it.
func (t *Tool) waitOut(what string, ready func() error) error {
	return t.waitUnless(func() bool {
		t.announce("Interrupted: this is waited for first. Interrupt again to stop at once.")
		return t.stoppingNow()
	}, what, ready)
}

func (t *Tool) waitUnless(interrupted func() bool, what string, ready func() error) error {
	t.line("%s", what)
	start := time.Now()
	dots, ended := 0, false
	err := client.Wait(t.timeout(), func() error {
		if ended = interrupted(); ended {
			return nil
		}
		if since := int(time.Since(start) / time.Second); since > dots {
			dots = since
			fmt.Fprint(t.Out, ".")
		}
		return ready()
	})
	t.line("")
	if ended {
		return ErrInterrupted
	}
	if err != nil {
		return t.fail("%s: gave up after %v: %v", what, t.timeout(), err)
	}
	return nil
}

// meetAgainAfter is how long nodes may take to know each other before they are
// introduced again.
const meetAgainAfter = 2 * time.Second

// join waits until all nodes know each other and agree about the slots. A node gives a
// handshake up after its node timeout. If the two sides do that at different moments, one
// knows the other and is a stranger to it, for ever with Redis; so nodes that do not know
// each other after a while are introduced again.
func (t *Tool) join(c cluster) error {
	want := map[string]slots.Set{}
	for _, m := range c {
		if err := m.load(); err != nil {
			return t.replied(m, err)
		}
		if s := m.view.self().slots; !s.Empty() {
			want[m.id()] = s
		}
	}
	met := time.Now()
	return t.wait("Waiting for the cluster to join", func() error {
		err := c.joined(want)
		if err != nil && time.Since(met) > meetAgainAfter {
			met = time.Now()
			c.meetAgain()
		}
		return err
	})
}

// meetAgain introduces those nodes to the first that do not know it, or that it does not
// know. Gossip tells the others. Errors are left to joined, which says what is missing.
func (c cluster) meetAgain() {
	first := c[0]
	meet, err := first.invitation()
	if err != nil {
		return
	}
	for _, m := range c[1:] {
		if !m.knows(first) || !first.knows(m) {
			_, _ = m.conn.Do(meet...)
		}
	}
}

// knows reports whether m knew o when it was asked last.
func (m *member) knows(o *member) bool {
	e := m.view.byID(o.id())
	return e != nil && !e.is("handshake")
}

// joined returns why the cluster is not yet one: the first node that lacks
// another, a link, or the right owners.
func (c cluster) joined(want map[string]slots.Set) error {
	for _, m := range c {
		if err := m.load(); err != nil {
			return fmt.Errorf("node %s: %w", m.addr(), err)
		}
		for _, o := range c {
			e := m.view.byID(o.id())
			switch {
			case !m.knows(o):
				return fmt.Errorf("node %s does not know %s yet", m.addr(), o.addr())
			case o != m && !e.connected:
				return fmt.Errorf("node %s has no link to %s: the cluster bus port %d of that node must be reachable from every node", m.addr(), o.addr(), e.busPort)
			case e.is("fail?") || e.is("fail"):
				return fmt.Errorf("node %s thinks that %s has failed", m.addr(), o.addr())
			}
		}
		if d := m.view.difference(want, c.name); d != "" {
			return fmt.Errorf("node %s disagrees about the slots: %s", m.addr(), d)
		}
	}
	return nil
}

// serving returns why the cluster does not serve as planned: the first node
// that is not ok, does not see a replica's role, or does not replicate. want
// maps the ids of replicas to those of their primaries.
func (c cluster) serving(want map[string]string) error {
	for _, m := range c {
		if err := m.load(); err != nil {
			return fmt.Errorf("node %s: %w", m.addr(), err)
		}
		for _, replica := range slices.Sorted(maps.Keys(want)) {
			if e := m.view.byID(replica); e == nil || e.primary != want[replica] {
				return fmt.Errorf("node %s does not see %s as a replica of %s yet", m.addr(), c.name(replica), c.name(want[replica]))
			}
		}
		ci, err := m.conn.Do("CLUSTER", "INFO")
		if err != nil {
			return fmt.Errorf("node %s: %w", m.addr(), err)
		}
		if state, _ := InfoField(ci.String(), "cluster_state"); state != "ok" {
			return fmt.Errorf("node %s says cluster_state:%s", m.addr(), state)
		}
		if want[m.id()] == "" {
			continue
		}
		info, err := m.conn.Do("INFO", "replication")
		if err != nil {
			return fmt.Errorf("node %s: %w", m.addr(), err)
		}
		if link, _ := InfoField(info.String(), "master_link_status"); link != "up" {
			return fmt.Errorf("replica %s has no replication link to its primary %s", m.addr(), c.name(want[m.id()]))
		}
	}
	return nil
}
