package command

import (
	"sync/atomic"
	"time"

	"redoubt/internal/resp"
	"redoubt/slots"
)

// SlotUse is what commands on keys of one slot have taken: a row of CLUSTER SLOT-STATS.
type SlotUse struct {
	Took    time.Duration // whole microseconds, see WholeMicros
	In, Out int64         // bytes of requests; of replies and of what replicas were sent
}

// SlotUses are the counts of all slots. They take memory from the first on that is not
// zero; any goroutine may ask while their owner counts.
type SlotUses struct {
	all atomic.Pointer[[slots.Count]SlotUse]
}

// Of returns the counts of a slot. They are plain words, see Runner.Stats.
//
//go:norace
func (u *SlotUses) Of(s slots.Slot) (use SlotUse) {
	if all := u.all.Load(); all != nil {
		use = all[s]
	}
	return use
}

// Set is for the owner.
func (u *SlotUses) Set(s slots.Slot, use SlotUse) {
	all := u.all.Load()
	if all == nil {
		if use == (SlotUse{}) {
			return
		}
		all = new([slots.Count]SlotUse)
		u.all.Store(all)
	}
	all[s] = use
}

// CountSlots says whether runners count what is done by slots (cluster-slot-stats-enabled).
func (t *Table) CountSlots(on bool) { t.slotUse.Store(on) }

// CountsSlots is what CountSlots said last.
func (t *Table) CountsSlots() bool { return t.slotUse.Load() }

// CountsSlots is the table's.
func (r *Runner) CountsSlots() bool { return r.table.CountsSlots() }

// CountSlot adds to the counts of a slot.
func (r *Runner) CountSlot(s slots.Slot, use SlotUse) { r.slotUses.Set(s, r.slotUses.Of(s).Plus(use)) }

// SlotUse returns the counts of a slot, which only grow. Any goroutine may ask.
func (r *Runner) SlotUse(s slots.Slot) SlotUse { return r.slotUses.Of(s) }

// CorrectTook makes the duration of a call that was counted with took one of whole
// microseconds: those of commands and those of slots then have the same sum.
func (r *Runner) CorrectTook(row *Row, took, whole time.Duration) {
	r.stats[row.index].Took += whole - took
}

// WholeMicros is how many microseconds a clock has advanced that knows no smaller unit.
// The sum over many calls is as good as that of exact times, though most calls take less
// than one.
func WholeMicros(began, ended time.Duration) time.Duration {
	return ended.Truncate(time.Microsecond) - began.Truncate(time.Microsecond)
}

// Plus is what both counted.
func (u SlotUse) Plus(v SlotUse) SlotUse { return SlotUse{u.Took + v.Took, u.In + v.In, u.Out + v.Out} }

// Less is what was counted since before.
func (u SlotUse) Less(before SlotUse) SlotUse {
	return SlotUse{u.Took - before.Took, u.In - before.In, u.Out - before.Out}
}

// Bytes of the two commands that make a transaction.
const (
	MultiBytes = len("*1\r\n$5\r\nmulti\r\n")
	ExecBytes  = len("*1\r\n$4\r\nexec\r\n")
)

// countSlot counts a command of a stream, if it has keys: by the first of them. more is
// the bytes of the unit around it.
func (a *Applier) countSlot(row *Row, args [][]byte, took time.Duration, more int) {
	a.at = a.at[:0]
	if a.at, _ = a.run.Slots(a.at, row, args); len(a.at) > 0 {
		a.run.CountSlot(a.at[0], SlotUse{Took: took, In: int64(resp.ArrayLen(args) + more)})
	}
}
