package clustertool

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/resp"

	"redoubt/internal/tools/client"
	"redoubt/slots"
)

// primaries is the nodes that say that they are primaries.
func (c cluster) primaries() (found cluster) {
	for _, m := range c {
		if !m.view.self().replica() {
			found = append(found, m)
		}
	}
	return found
}

func (c cluster) ids() []string {
	ids := make([]string, len(c))
	for i, m := range c {
		ids[i] = m.id()
	}
	return ids
}

// find returns the node that a user names by its id, the beginning of it, or its address.
func (c cluster) find(name string) (*member, error) {
	var found *member
	for _, m := range c {
		switch {
		case strings.EqualFold(m.id(), name) || m.addr() == name:
			return m, nil
		case name != "" && strings.HasPrefix(m.id(), strings.ToLower(name)):
			if found != nil {
				return nil, fmt.Errorf("several nodes have an id that begins with %s", name)
			}
			found = m
		}
	}
	if found == nil {
		return nil, fmt.Errorf("there is no node %s", name)
	}
	return found, nil
}

// refresh asks all nodes for their views again.
func (c cluster) refresh() error {
	for _, m := range c {
		if err := m.load(); err != nil {
			return fmt.Errorf("node %s: %w", m.addr(), err)
		}
	}
	return nil
}

// agreed returns why the nodes do not agree about the owners of the slots, or nil.
func (c cluster) agreed() error {
	if err := c.refresh(); err != nil {
		return err
	}
	want := c[0].view.owners()
	for _, m := range c {
		if d := m.view.difference(want, c.name); d != "" {
			return fmt.Errorf("%s disagrees with %s: %s", m.addr(), c[0].addr(), d)
		}
	}
	return nil
}

// aMoment is how long gossip may take to reach all nodes before a disagreement is
// taken for one.
const aMoment = 5 * time.Second

// openSlots is the slots that a node has marked.
func (c cluster) openSlots() (open slots.Set) {
	for _, m := range c {
		self := m.view.self()
		for s := range self.migrating {
			open.Add(s)
		}
		for s := range self.importing {
			open.Add(s)
		}
	}
	return open
}

// states asks all primaries for their keys in some slots.
func (c cluster) states(which slots.Set) ([]slotState, error) {
	primaries := c.primaries()
	states := make([]slotState, 0, which.Len())
	which.Each(func(s slots.Slot) bool {
		states = append(states, slotState{slot: s})
		return true
	})
	for _, m := range primaries {
		self := m.view.self()
		counts, err := m.countKeys(which)
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", m.addr(), err)
		}
		for i := range states {
			s := states[i].slot
			states[i].nodes = append(states[i].nodes, slotNode{
				id: m.id(), owns: self.slots.Has(s), keys: counts[i], migrating: self.migrating[s], importing: self.importing[s],
			})
		}
	}
	return states, nil
}

// countKeys asks for the number of keys of some slots, a thousand questions at a time.
func (m *member) countKeys(which slots.Set) ([]int, error) {
	var cmds [][]string
	which.Each(func(s slots.Slot) bool {
		cmds = append(cmds, []string{"CLUSTER", "COUNTKEYSINSLOT", strconv.Itoa(int(s))})
		return true
	})
	counts := make([]int, 0, len(cmds))
	for batch := range slices.Chunk(cmds, 1000) {
		vs, err := m.conn.Pipeline(batch...)
		if err != nil {
			return nil, err
		}
		for _, v := range vs {
			if v.Type() == resp.Error {
				return nil, v.Error()
			}
			counts = append(counts, v.Integer())
		}
	}
	return counts, nil
}

// sight is where m is as the node from sees it: that node is to send keys there.
func (m *member) sight(from *member) spot {
	if e := from.view.byID(m.id()); e != nil && e.host != "" && e.port != 0 && !e.is("noaddr") {
		return spot{m.id(), e.host, e.port}
	}
	return spot{m.id(), m.host, m.port}
}

// spot is where the node from, which is to send keys there, sees the node id.
func (c cluster) spot(id, from string) spot {
	m := c.byID(id)
	if f := c.byID(from); f != nil && f != m {
		return m.sight(f)
	}
	return spot{id, m.host, m.port}
}

// What is tried when a node does not answer in the middle of a move. Every order may be
// repeated.
const (
	orderTries = 3
	orderPause = 500 * time.Millisecond
)

// send carries an order to its node; it connects again if it has to.
func (t *Tool) send(c cluster, o order) (vs []resp.Value, err error) {
	m := c.byID(o.to)
	limit := o.limit
	if limit == 0 {
		limit = max(t.Client.Timeout, client.DefaultTimeout)
	}
	for try := range orderTries {
		if try > 0 {
			if t.stoppingNow() {
				break
			}
			time.Sleep(orderPause)
			conn, dialErr := client.Dial(net.JoinHostPort(m.host, strconv.Itoa(m.port)), t.Client)
			if dialErr != nil {
				continue
			}
			m.conn.Close()
			m.conn = conn
		}
		if vs, err = m.conn.PipelineWithin(limit, o.cmds...); err == nil {
			return vs, nil
		}
	}
	return nil, err
}

// authOfMigrate is what MIGRATE tells the target of the user.
func (t *Tool) authOfMigrate() []string {
	switch {
	case t.Client.Pass == "":
		return nil
	case t.Client.User == "":
		return []string{"AUTH", t.Client.Pass}
	}
	return []string{"AUTH2", t.Client.User, t.Client.Pass}
}

// MoveOptions say how the keys of slots are moved. The zero value is redis-cli's.
type MoveOptions struct {
	Pipeline int           // keys per MIGRATE; 0 means 10
	Timeout  time.Duration // of MIGRATE, for each exchange with the target; 0 means a minute
	Replace  bool          // replace keys that the target has with another value
}

func (t *Tool) how(o MoveOptions) moveOptions {
	return moveOptions{o.Pipeline, o.Timeout, o.Replace, t.authOfMigrate()}
}

// job is one slot to be moved.
type job struct {
	slot     slots.Slot
	from, to string
	resumed  bool // it is half moved already
}

// jobs is a plan slot by slot.
func jobs(plan []transfer) (all []job) {
	for i := range plan {
		plan[i].slots.Each(func(s slots.Slot) bool {
			all = append(all, job{s, plan[i].from, plan[i].to, false})
			return true
		})
	}
	return all
}

// countOf is how many keys the slots of a plan have at their sources.
func (c cluster) countOf(all []job) (keys int, err error) {
	sets := map[string]*slots.Set{}
	for _, j := range all {
		if sets[j.from] == nil {
			sets[j.from] = &slots.Set{}
		}
		sets[j.from].Add(j.slot)
	}
	for _, m := range c {
		if set := sets[m.id()]; set != nil {
			counts, err := m.countKeys(*set)
			if err != nil {
				return 0, fmt.Errorf("node %s: %w", m.addr(), err)
			}
			for _, n := range counts {
				keys += n
			}
		}
	}
	return keys, nil
}

// move moves slots one after the other, and returns how many have moved. It ends early
// with ErrInterrupted after a slot, or within one, and with ErrFailed after it has said
// why and what is left open.
func (t *Tool) move(c cluster, all []job, o MoveOptions) (done int, err error) {
	keys, err := c.countOf(all)
	if err != nil {
		return 0, t.fail("%v", err)
	}
	primaries := c.primaries().ids()
	p := t.progressOf(len(all), keys)
	for _, j := range all {
		if t.stopping() {
			break
		}
		others := slices.DeleteFunc(slices.Clone(primaries), func(id string) bool { return id == j.from || id == j.to })
		m := newSlotMove(j.slot, c.spot(j.from, j.to), c.spot(j.to, j.from), others, t.how(o))
		m.resumed = j.resumed
		if err = t.drive(c, m, p); err != nil {
			break
		}
		p.slotsMoved++
		p.show()
	}
	p.end()
	if p.slotsMoved > 0 {
		took := time.Since(p.start)
		t.line("Moved %d of %d slots with %d keys in %v (%.1f slots/s, %.0f keys/s).", p.slotsMoved, len(all), p.keysMoved,
			took.Round(10*time.Millisecond), float64(p.slotsMoved)/took.Seconds(), float64(p.keysMoved)/took.Seconds())
	}
	switch {
	case errors.Is(err, errAbandoned) || err == nil && p.slotsMoved < len(all):
		err = ErrInterrupted
	case err != nil:
		err = ErrFailed
	}
	if err == nil && len(all) > 0 {
		err = t.wait("Waiting until all nodes agree", c.agreed)
	}
	return p.slotsMoved, err
}

// drive carries one move out and says if it fails.
func (t *Tool) drive(c cluster, m *slotMove, p *progress) error {
	before := p.keysMoved
	err := m.run(func(o order) ([]resp.Value, error) { return t.send(c, o) }, func() bool {
		if t.stopping() && !t.announced {
			p.end()
			t.announce("Interrupted: slot %d is finished first. Interrupt again to stop within it.", m.slot)
		}
		return t.stoppingNow()
	}, func(keys int) {
		p.keysMoved = before + keys
		p.show()
	})
	for _, w := range m.warnings {
		p.end()
		t.warn("%s could not be told that slot %d has moved (%v); the other nodes tell it.", c.name(w.id), m.slot, w.err)
	}
	if err == nil {
		return nil
	}
	p.end()
	if !errors.Is(err, errAbandoned) {
		t.err("Slot %d could not be moved from %s to %s: %v", m.slot, c.name(m.source.id), c.name(m.target.id), err)
	}
	if m.cold {
		t.line("Keys of slot %d are still at %s.", m.slot, c.name(m.source.id))
	} else if m.open {
		t.line("Slot %d is left half moved from %s to %s; clients are sent from one to the other and miss no key.", m.slot, c.name(m.source.id), c.name(m.target.id))
	} else {
		t.line("Slot %d is at %s as before.", m.slot, c.name(m.source.id))
	}
	return err
}

// sane discovers a cluster that is to be changed, and refuses one that is not well.
// Slots that an interrupted move has left open are no reason: they are returned as
// jobs, to be done first.
func (t *Tool) sane(addr string, purpose string, showNodes bool) (cluster, []job, error) {
	c, err := t.discover(addr)
	if err != nil {
		return c, nil, err
	}
	_ = client.Wait(aMoment, c.agreed) // checkAgreement says if they do not
	t.step("Performing Cluster Check (using node %s)", c[0].addr())
	if showNodes {
		for _, m := range c {
			t.showNode(c, m)
		}
	}
	well := t.checkAgreement(c)
	half, openWell := t.halfMoved(c)
	well = openWell && well
	well = t.checkCoverage(c) && well
	if !well {
		t.line("*** Please fix your cluster problems before %s: redoubt cluster fix %s", purpose, c[0].addr())
		return c, nil, ErrFailed
	}
	return c, half, nil
}

// halfMoved looks for open slots. It reports false if one of them is not just half moved.
func (t *Tool) halfMoved(c cluster) (half []job, well bool) {
	t.step("Check for open slots...")
	states, err := c.states(c.openSlots())
	if err != nil {
		t.err("%v", err)
		return nil, false
	}
	well = true
	for i := range states {
		s := &states[i]
		from, to, ok := s.halfMoved()
		if !ok {
			t.warn("Slot %d is open, and it is not clear where it belongs.", s.slot)
			well = false
			continue
		}
		t.warn("Slot %d is half moved from %s to %s: that will be finished first.", s.slot, c.name(from), c.name(to))
		half = append(half, job{s.slot, from, to, true})
	}
	return half, well
}

// showPlan prints who gives which slots to whom, with the number of keys.
func (t *Tool) showPlan(c cluster, plan []transfer) error {
	for i := range plan {
		keys, err := c.countOf(jobs(plan[i : i+1]))
		if err != nil {
			return t.fail("%v", err)
		}
		t.line("    Moving %d slots with %d keys from %s to %s: %s", plan[i].slots.Len(), keys, c.name(plan[i].from), c.name(plan[i].to), ranges(plan[i].slots))
	}
	return nil
}
