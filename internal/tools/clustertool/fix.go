package clustertool

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tidwall/resp"

	"redoubt/internal/tools/client"
	"redoubt/slots"
)

// FixOptions say how far Fix goes.
type FixOptions struct {
	SearchOwners    bool // look at all slots for keys that are not at the owner
	WithUnreachable bool // give slots of primaries that do not answer to others
	Move            MoveOptions
}

// Fix mends the slots of the cluster of which addr is a member: those that are open,
// those that nobody or several claim, and with SearchOwners those with keys elsewhere.
// It prints what it would do and, unless Sure, asks first. redis-cli asks for slots
// without an owner only, and does so in any case.
func (t *Tool) Fix(addr string, o FixOptions) error {
	c, err := t.discover(addr)
	defer c.close()
	if err != nil {
		return err
	}
	_ = client.Wait(aMoment, c.agreed)
	t.step("Performing Cluster Check (using node %s)", c[0].addr())
	for _, m := range c {
		t.showNode(c, m)
	}
	agreed := t.checkAgreement(c)
	t.checkOpenSlots(c)
	t.checkCoverage(c)
	states, err := c.states(c.suspects(o.SearchOwners))
	if err != nil {
		return t.fail("%v", err)
	}
	mends := c.mends(states)
	if len(mends) == 0 && agreed {
		t.ok("There is nothing to fix.")
		return nil
	}
	if err := t.unreachable(c, mends, o.WithUnreachable); err != nil {
		return err
	}
	t.step("What is to be done:")
	t.showMends(c, mends)
	if !agreed {
		t.line("    wait until all nodes agree, with new epochs for owners that are not believed")
	}
	if ok, err := t.agreed("Fix these slots?"); !ok {
		return err
	}
	if err := t.mend(c, mends, o.Move); err != nil {
		return err
	}
	if err := t.convince(c); err != nil {
		return err
	}
	t.ok("%s fixed.", slotsHave(len(mends)))
	return nil
}

// mendedSlot is a slot with what is to be done to it.
type mendedSlot struct {
	slot  slots.Slot
	steps []repair
}

// suspects is the slots that may need something: the open ones, those that are not
// owned by exactly one node, and if wanted all.
func (c cluster) suspects(all bool) slots.Set {
	if all {
		return slots.All()
	}
	suspect := slots.All()
	var once slots.Set
	for _, m := range c.primaries() {
		mine := m.view.self().slots
		mine.Each(func(s slots.Slot) bool {
			if once.Has(s) {
				suspect.Add(s) // by a second one
			} else {
				suspect.Remove(s)
			}
			once.Add(s)
			return true
		})
	}
	open := c.openSlots()
	open.Each(func(s slots.Slot) bool { suspect.Add(s); return true })
	return suspect
}

// mends decides what each slot needs. Slots that nobody has and of which nobody has
// keys go to the primary with the fewest.
func (c cluster) mends(states []slotState) (all []mendedSlot) {
	have := map[string]int{}
	primaries := c.primaries()
	for _, m := range primaries {
		mine := m.view.self().slots
		have[m.id()] = mine.Len()
	}
	for i := range states {
		s := &states[i]
		if len(primaries) == 0 {
			break
		}
		spare := slices.MinFunc(primaries, func(a, b *member) int { return have[a.id()] - have[b.id()] }).id()
		steps := s.repairs(spare)
		if len(steps) == 0 {
			continue
		}
		for _, r := range steps {
			if r.kind == takes {
				have[r.node]++
			}
		}
		all = append(all, mendedSlot{s.slot, steps})
	}
	return all
}

// showMends prints the steps; many slots with the same one are one line.
func (t *Tool) showMends(c cluster, mends []mendedSlot) {
	given := map[repair]*slots.Set{}
	var order []repair
	for _, m := range mends {
		for _, r := range m.steps {
			if r.kind == tells {
				continue
			}
			if given[r] == nil {
				given[r] = &slots.Set{}
				order = append(order, r)
			}
			given[r].Add(m.slot)
		}
	}
	for _, r := range order {
		t.line("    slots %s: %s", ranges(*given[r]), r.describe(c.name))
	}
}

// unreachable refuses to mend while a primary with slots does not answer: these slots
// would be given to others, and what it has would be lost.
func (t *Tool) unreachable(c cluster, mends []mendedSlot, force bool) error {
	for i := range c[0].view.entries {
		e := &c[0].view.entries[i]
		if e.replica() || e.slots.Empty() || c.byID(e.id) != nil {
			continue
		}
		var concerned slots.Set
		for _, m := range mends {
			if e.slots.Has(m.slot) {
				concerned.Add(m.slot)
			}
		}
		t.warn("%s:%d, a primary with the slots %s, does not answer.", e.host, e.port, ranges(e.slots))
		if !force {
			return t.fail("Fixing slots while it is away would give %d of its slots to other nodes, without their keys. "+
				"Start it again, or let a replica take over (redoubt cluster failover). If its data are given up, use --cluster-fix-with-unreachable-masters.", concerned.Len())
		}
	}
	return nil
}

// mend carries the steps out: first those that give slots to owners, of all slots, and
// when the cluster serves those that move keys.
func (t *Tool) mend(c cluster, mends []mendedSlot, o MoveOptions) error {
	if err := t.mendBy(c, mends, o, false); err != nil {
		return err
	}
	keys := slices.DeleteFunc(slices.Clone(mends), func(m mendedSlot) bool { return !slices.ContainsFunc(m.steps, repair.movesKeys) })
	if len(keys) == 0 {
		return nil
	}
	if err := t.wait("Waiting until the cluster serves", c.serves); err != nil {
		return t.again(err, "fix")
	}
	return t.mendBy(c, keys, o, true)
}

// serves returns why a primary takes no keys, or nil.
func (c cluster) serves() error {
	for _, m := range c.primaries() {
		ci, err := m.conn.Do("CLUSTER", "INFO")
		if err != nil {
			return fmt.Errorf("node %s: %w", m.addr(), err)
		}
		if state, _ := InfoField(ci.String(), "cluster_state"); state != "ok" {
			return fmt.Errorf("node %s says cluster_state:%s", m.addr(), state)
		}
	}
	return nil
}

// mendBy carries out the steps that move keys, or the others.
func (t *Tool) mendBy(c cluster, mends []mendedSlot, o MoveOptions, keys bool) error {
	primaries := c.primaries().ids()
	p := t.progressOf(len(mends), 0)
	defer p.end()
	do := func(o order) ([]resp.Value, error) { return t.send(c, o) }
	move := func(m *slotMove) error { return t.drive(c, m, p) }
	for _, m := range mends {
		if t.stopping() {
			p.end()
			t.announce("Interrupted.")
			return t.again(ErrInterrupted, "fix")
		}
		for _, r := range m.steps {
			if r.movesKeys() != keys {
				continue
			}
			at := func(id string) spot { return c.spot(id, r.node) }
			err := r.carryOut(m.slot, primaries, do, move, at, t.how(o))
			switch {
			case errors.Is(err, errAbandoned):
				return t.again(ErrInterrupted, "fix")
			case err != nil:
				p.end()
				return t.fail("slot %d: %s: %v", m.slot, r.describe(c.name), err)
			}
		}
		p.slotsMoved++
		p.show()
	}
	return nil
}

// convince waits until all nodes agree. Owners that are not believed after a moment get
// a new epoch, by which they prevail.
func (t *Tool) convince(c cluster) error {
	if client.Wait(aMoment, c.agreed) == nil {
		return nil
	}
	for _, m := range c.primaries() {
		if mine := m.view.self().slots; mine.Empty() || c.believed(m) {
			continue
		}
		t.step("%s gets a new config epoch, so that all nodes believe it", m.addr())
		if _, err := m.conn.Do("CLUSTER", "BUMPEPOCH"); err != nil {
			return t.replied(m, err)
		}
	}
	return t.wait("Waiting until all nodes agree", c.agreed)
}

// believed reports whether all nodes hold m to be the owner of the slots that it has.
func (c cluster) believed(m *member) bool {
	for _, o := range c {
		if e := o.view.byID(m.id()); e == nil || e.slots != m.view.self().slots {
			return false
		}
	}
	return true
}
