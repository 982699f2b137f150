package cluster

import (
	"cmp"
	"maps"
	"slices"

	"redoubt/bus"
	"redoubt/slots"
)

// table says who owns each slot, from this node's point of view.
type table struct {
	owner [slots.Count]*peer // nil: nobody
	// unclaimed are slots whose owner no longer claims them. They stay bound,
	// so that clients are redirected somewhere, but anybody may have them,
	// and nobody is told about them in an UPDATE.
	unclaimed slots.Set
	// migrating and importing are the open slots of this node, with the
	// primary at the other end. They are few.
	migrating map[slots.Slot]*peer
	importing map[slots.Slot]*peer
	// changes counts the changes of all of the above.
	changes uint64
	// moved are the slots whose owner has changed since the last View was made.
	moved slots.Set
}

// free reports whether nobody is in the way of a new claim on s (Redis's
// isSlotUnclaimed).
func (t *table) free(s slots.Slot) bool { return t.owner[s] == nil || t.unclaimed.Has(s) }

// bind makes p the owner of s. The slot must be unbound.
func (n *Node) bind(s slots.Slot, p *peer) {
	n.table.owner[s] = p
	n.table.moved.Add(s)
	p.ownSet().Add(s)
	p.slotCount++
	// A primary with its first slot may attract replicas if there are any in
	// the cluster (redis issue 3043).
	if p.slotCount == 1 && n.anyReplicas() {
		p.flags |= bus.FlagMigrateTo
	}
	n.table.changes++
}

// unbind leaves s without an owner.
func (n *Node) unbind(s slots.Slot) {
	p := n.table.owner[s]
	if p == nil {
		return
	}
	n.table.owner[s] = nil
	n.table.moved.Add(s)
	n.table.unclaimed.Remove(s)
	p.ownSet().Remove(s)
	p.slotCount--
	n.table.changes++
}

// rebind makes p the owner of s, whoever was.
func (n *Node) rebind(s slots.Slot, p *peer) {
	n.unbind(s)
	n.bind(s, p)
}

// unbindAll takes all slots from p.
func (n *Node) unbindAll(p *peer) {
	held := *p.set()
	held.Each(func(s slots.Slot) bool {
		n.unbind(s)
		return true
	})
}

// rebindAll gives all slots of p to q.
func (n *Node) rebindAll(p, q *peer) { n.rebindEach(*p.set(), q) }

// rebindClaimed gives those slots of p to q that p still claims: the others it has given to
// somebody else, who will say so.
func (n *Node) rebindClaimed(p, q *peer) {
	held := *p.set()
	for i := range held {
		held[i] &^= n.table.unclaimed[i]
	}
	n.rebindEach(held, q)
}

func (n *Node) rebindEach(ss slots.Set, q *peer) {
	ss.Each(func(s slots.Slot) bool {
		n.rebind(s, q)
		return true
	})
}

func (n *Node) anyReplicas() bool {
	return slices.ContainsFunc(n.order, func(p *peer) bool {
		return p.isPrimary() && len(p.replicas) > 0
	})
}

// closeAllSlots ends all migrations and imports.
func (n *Node) closeAllSlots() {
	clear(n.table.migrating)
	clear(n.table.importing)
	n.table.changes++
}

// closeOpenSlotsWith ends the migrations to and imports from p.
func (n *Node) closeOpenSlotsWith(p *peer) {
	other := func(_ slots.Slot, q *peer) bool { return q == p }
	maps.DeleteFunc(n.table.migrating, other)
	maps.DeleteFunc(n.table.importing, other)
	n.table.changes++
}

// OpenSlot is a slot on its way from or to another node.
type OpenSlot struct {
	Slot slots.Slot
	Node bus.NodeID
}

// openSlots lists a map of open slots in ascending order.
func openSlots(open map[slots.Slot]*peer) []OpenSlot {
	if len(open) == 0 {
		return nil
	}
	list := make([]OpenSlot, 0, len(open))
	for s, p := range open {
		list = append(list, OpenSlot{s, p.id})
	}
	slices.SortFunc(list, func(a, b OpenSlot) int { return cmp.Compare(a.Slot, b.Slot) })
	return list
}

// servedSet is the set of slots whose keys this node holds by its role: its
// own, or its primary's.
func (n *Node) servedSet() slots.Set {
	if head := n.myself.head(); head != nil {
		return *head.set()
	}
	return slots.Set{}
}
