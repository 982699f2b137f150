package sim

import (
	"fmt"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// judgeRank looks at who is elected when one primary has been lost and all else is
// well: no other replica of it may have more.
func (w *World) judgeRank(m *Member) {
	if w.opt.RedisPercent > 0 { // one of Redis waits longer than one that has less
		return
	}
	if w.law.lost == nil || m.data.primary() != w.law.lost.id {
		return
	}
	for _, r := range w.Members {
		if r.Up() && r != m && r.data.primary() == m.data.primary() && r.data.head.has(m.data.head) && r.data.head != m.data.head {
			w.Break("member %d is elected at offset %d, although member %d has got to %d", m.Index, m.data.offset(), r.Index, r.data.offset())
		}
	}
}

// handover is a primary that has agreed to be replaced, in one of its lives.
type handover struct {
	from *Member
	life int
}

// relieved is the primary that has agreed to be replaced by m.
func (w *World) relieved(m *Member) handover {
	if old := w.formerly(m.data.primary()); old != nil && old.node != nil && m.consented {
		return handover{old, old.Life()}
	}
	return handover{}
}

// judgeHandover looks at a primary that becomes a replica of its successor. If it
// has agreed, by pausing its writes, the successor has all that it wrote.
func (w *World) judgeHandover(old *Member, successor bus.NodeID) {
	m := w.member(successor)
	if m == nil || m.relieves != (handover{old, old.Life()}) {
		return
	}
	if !m.data.head.has(old.data.head) {
		w.Break("member %d hands over to member %d, which has not all of its writes", old.Index, m.Index)
	}
	m.relieves = handover{} // what old does later, after a reset perhaps, is another matter
}

// judgeDrop looks at slots whose keys a member deletes since another owns them. Their
// owner must exist, though it may be down just now.
func (w *World) judgeDrop(m *Member, dropped *slots.Set) {
	var owned slots.Set
	for _, o := range w.Members {
		if o == m {
			continue
		}
		if s := o.owns(); s != nil {
			owned.AddSet(s)
		}
	}
	if orphans := dropped.Without(&owned); !orphans.Empty() {
		w.Break("member %d deletes the keys of slots %v, which nobody owns", m.Index, orphans.Ranges())
	}
}

// owns are the slots of a primary, by its own word or by its disk.
func (m *Member) owns() *slots.Set {
	if m.node != nil {
		if s := m.node.Serving(); !s.Replica {
			return s.Slots
		}
		return nil
	}
	if m.onDisk.saved == nil {
		return nil
	}
	for i := range m.onDisk.saved.Nodes {
		if n := &m.onDisk.saved.Nodes[i]; n.Flags.Has(bus.FlagMyself | bus.FlagPrimary) {
			return n.Slots
		}
	}
	return nil
}

// RunCalm lets d pass in a cluster that is whole, and in which nothing may happen.
func (w *World) RunCalm(d time.Duration) {
	w.law.calm = true
	w.Run(d)
	w.law.calm = false
}

// judgeCalm looks at a member while nothing is broken.
func (w *World) judgeCalm(m *Member) {
	if w.law.calm && !m.node.Serving().OK {
		w.Break("member %d refuses requests, although nothing is broken", m.Index)
	}
}

// awaitHeirs waits until somebody takes the writes of every slot, and fails if it
// takes longer than the loss of so many primaries may.
func (w *World) awaitHeirs(lost int, silently bool) error {
	return w.RunUntil(w.replacement(lost, silently), fmt.Sprintf("all slots are served after the loss of %d primaries", lost), func() bool {
		var served slots.Set
		for _, s := range w.law.writers.sets {
			if s != nil {
				served.AddSet(s)
			}
		}
		return served.Len() == slots.Count
	})
}
