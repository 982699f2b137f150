package server

import (
	"sync"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/slots"
)

// slotUse is the server's share of what CLUSTER SLOT-STATS tells. The loops count, each
// for itself, and so does who applies a stream; their counts only grow. So a slot is set
// to zero by what had been counted by then, without anybody being stopped.
type slotUse struct {
	mu     sync.Mutex
	before command.SlotUses // guarded by mu; what does not count any more
	bus    command.SlotUses // guarded by mu; messages that came over the bus
}

// fromBus counts what no loop has brought about.
func (u *slotUse) fromBus(s slots.Slot, use command.SlotUse) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bus.Set(s, u.bus.Of(s).Plus(use))
}

// SlotUse is what the node has been used for a slot, since it was forgotten last. Any
// goroutine may ask.
func (s *Server) SlotUse(slot slots.Slot) command.SlotUse {
	s.slotUse.mu.Lock()
	defer s.slotUse.mu.Unlock()
	return s.countedOf(slot).Less(s.slotUse.before.Of(slot))
}

// ForgetSlotUse sets the counts of slots to zero. Any goroutine may call it; it does not
// wait.
func (s *Server) ForgetSlotUse(gone *slots.Set) {
	u := &s.slotUse
	u.mu.Lock()
	defer u.mu.Unlock()
	gone.Each(func(slot slots.Slot) bool {
		u.before.Set(slot, s.countedOf(slot))
		return true
	})
}

// countedOf is all that was counted for a slot. slotUse.mu is held.
func (s *Server) countedOf(slot slots.Slot) command.SlotUse {
	sum := s.slotUse.bus.Of(slot)
	if r := s.applied.runner.Load(); r != nil {
		sum = sum.Plus(r.SlotUse(slot))
	}
	for _, l := range s.loops {
		l.eachDesk(func(d *desk) { sum = sum.Plus(d.runner.SlotUse(slot)) })
	}
	return sum
}

// ranIn is in which slot the scripts of a request have used keys.
type ranIn int32

const (
	noSlot    ranIn = 0 // they have used none, or there was no script
	manySlots ranIn = -1
	// others are a slot and 1
)

// add takes in a script that has ended. One that may use several slots counts for none,
// whatever it has used (clusterSlotStatsInvalidateSlotIfApplicable).
func (r *ranIn) add(h *scriptHost) {
	switch {
	case h.crossed:
		*r = manySlots
	case h.slot >= 0 && *r != manySlots:
		*r = ranIn(h.slot + 1)
	}
}

// slotOf is the slot for which the request at hand counts.
func (l *loop) slotOf(q *request) (_ slots.Slot, ok bool) {
	switch {
	case l.ranIn == manySlots:
		return 0, false
	case l.ranIn != noSlot:
		return slots.Slot(l.ranIn - 1), true
	}
	return q.way.Slot, q.found && !q.way.Mixed
}

// arrived is how many bytes the request has come in. With EXEC comes its MULTI, of which
// nobody knew the slot; what was queued between them has counted for itself.
func (q *request) arrived() int64 {
	n := len(q.raw)
	if q.raw == nil { // an inline request: words, the spaces between them, CRLF
		n = len(q.args) + 1
		for _, a := range q.args {
			n += len(a)
		}
	}
	if q.row.Is(command.RunsQueue) {
		n += command.MultiBytes
	}
	return int64(n)
}

// countArrived counts a request by its slot that is not executed, or not now.
func (l *loop) countArrived(q *request) {
	if !l.runner.CountsSlots() || !q.found || q.way.Mixed {
		return
	}
	l.runner.CountSlot(q.way.Slot, command.SlotUse{In: q.arrived()})
}

// countSlot counts an executed request by its slot. Its reply begins at start, it began
// then, and has written so many bytes to the stream.
func (l *loop) countSlot(c *conn, q *request, start int, began time.Duration, wrote int) {
	took, whole := l.mono-began, command.WholeMicros(began, l.mono)
	l.runner.CorrectTook(q.row, took, whole)
	slot, ok := l.slotOf(q)
	if !ok || c.is(stateClosed|stateDetached) {
		return
	}
	use := command.SlotUse{Took: whole, In: q.arrived()}
	if r := l.srv.replication; wrote > 0 && r != nil {
		use.Out = int64(wrote * r.Attached())
	}
	if p := c.parked; p != nil {
		p.took, p.use, p.slot, p.keyed = whole, use, slot, true
		return
	}
	use.Out += l.replied(c, start)
	l.runner.CountSlot(slot, use)
}

// countAnswered is countSlot for a request that has waited, when its reply is there.
func (l *loop) countAnswered(p *parked, start int) {
	if p.rejected {
		p.use = command.SlotUse{In: p.use.In}
	}
	p.use.Out += l.replied(p.c, start)
	l.runner.CountSlot(p.slot, p.use)
}

// replied is how many bytes of the reply that begins at start will leave.
func (l *loop) replied(c *conn, start int) int64 {
	if c.is(stateReplyOff | stateSkipping) {
		return 0
	}
	return int64(max(c.out.Len()-start, 0))
}

// useOfMessage is what n subscribers of a shard channel are sent.
func useOfMessage(n int, channel, payload []byte) (slots.Slot, command.SlotUse) {
	const head = len("*3\r\n$8\r\nsmessage\r\n")
	size := head + resp.BulkLen(len(channel)) + resp.BulkLen(len(payload))
	return slots.Of(channel), command.SlotUse{Out: int64(n * size)}
}
