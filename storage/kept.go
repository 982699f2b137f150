package storage

import (
	"slices"
	"sync"
	"sync/atomic"

	"redoubt/storage/slab"
)

// What snapshots hold, beside the data: blocks that have been replaced and that a
// snapshot still reads (kept), and copies of what writers were about to change, of
// which the owners of the snapshots tell (Capture.Hold).
//
// A block is kept because a value that was handed over leads to it, and values are
// handed over before they change. So whoever reads it got it before it was kept, and
// once all that was handed over before that is written, nobody reads it. Moments
// order the two: a number that only grows. The owner of a snapshot takes one for
// whatever it gathers handed-over values in, before the first of them
// (Capture.Moment), and says up to which of them all is written (Capture.ReadFrom).
// A kept block has the moment at which it was kept, and is freed when every snapshot
// reads from a later one. A snapshot that begins later reads from a later moment
// from the start, so one after the other without a pause keeps nothing for ever.

// keptRun is blocks that were kept between two moments.
type keptRun struct {
	moment uint64
	bytes  int64
	refs   []slab.Ref
}

// keep takes a block that a snapshot may still read.
func (e *Executor) keep(r slab.Ref) {
	moment, n := e.ks.moment.Load(), int64(e.ks.space.Size(r))
	e.keptMu.Lock()
	if k := len(e.kept); k == 0 || e.kept[k-1].moment != moment {
		e.kept = append(e.kept, keptRun{moment: moment})
	}
	run := &e.kept[len(e.kept)-1]
	run.refs = append(run.refs, r)
	run.bytes += n
	e.keptMu.Unlock()
	e.ks.keptBytes.Add(n)
	e.ks.held.add(n)
}

// takeKept returns the blocks that were kept before a moment.
func (e *Executor) takeKept(before uint64) (refs []slab.Ref, bytes int64) {
	e.keptMu.Lock()
	defer e.keptMu.Unlock()
	n := 0
	for n < len(e.kept) && e.kept[n].moment < before {
		refs = append(refs, e.kept[n].refs...)
		bytes += e.kept[n].bytes
		n++
	}
	e.kept = slices.Delete(e.kept, 0, n)
	return refs, bytes
}

// freeKept leaves to Reclaim what no snapshot reads any more. Any goroutine may
// call it.
func (ks *Keyspace) freeKept() {
	if ks.keptBytes.Load() == 0 {
		return
	}
	ks.readingMu.Lock()
	before := ks.moment.Load() + 1
	for _, c := range ks.reading {
		before = min(before, c.readFrom.Load())
	}
	ks.readingMu.Unlock()
	ks.executorsMu.Lock()
	executors := ks.executors
	ks.executorsMu.Unlock()
	for _, e := range executors {
		if refs, n := e.takeKept(before); n > 0 {
			ks.discard(garbage{refs: refs})
			ks.keptBytes.Add(-n)
			ks.held.add(-n)
		}
	}
}

// Kept is how many bytes of memory are kept for snapshots: what has been replaced
// and may still be read by one.
func (ks *Keyspace) Kept() int64 { return ks.keptBytes.Load() }

// Moment begins a moment, which is later than all before it.
func (c *Capture) Moment() uint64 { return c.ks.moment.Add(1) }

// ReadFrom says that nothing that was handed over before a moment is read any more.
// Moments of one snapshot must not go back. Any goroutine may call it.
func (c *Capture) ReadFrom(moment uint64) {
	c.readFrom.Store(moment)
	c.ks.freeKept()
}

// Hold says that the owner holds so many bytes more of copies of records, or less.
// Any goroutine may call it.
func (c *Capture) Hold(bytes int64) { c.ks.held.add(bytes) }

// addReader notes a snapshot that begins. The world lock is held.
func (ks *Keyspace) addReader(c *Capture) {
	c.readFrom.Store(c.Moment())
	ks.readingMu.Lock()
	defer ks.readingMu.Unlock()
	if ks.reading = append(ks.reading, c); len(ks.reading) == 1 {
		ks.held.beginPeak()
	}
}

// removeReader notes that a snapshot reads nothing any more. The world lock is
// held.
func (ks *Keyspace) removeReader(c *Capture) {
	if c.released {
		return
	}
	c.released = true
	ks.readingMu.Lock()
	ks.reading = slices.DeleteFunc(ks.reading, func(o *Capture) bool { return o == c })
	ks.readingMu.Unlock()
	ks.freeKept()
}

// newestReader is the number of the newest snapshot that may read blocks, 0 if none
// does. It is for all slots, whatever the snapshot covers: RENAME takes nodes from
// one slot to another. It must be called within a unit.
func (ks *Keyspace) newestReader() uint32 {
	if n := len(ks.reading); n > 0 {
		return ks.reading[n-1].number
	}
	return 0
}

// Held is how many bytes snapshots hold, and the most that it was since one began
// while no other was under way.
func (ks *Keyspace) Held() (bytes, peak int64) {
	return ks.held.bytes.Load(), ks.held.peak.Load()
}

// HoldLimit is how many bytes snapshots may hold; 0 is no limit.
func (ks *Keyspace) HoldLimit() int64 { return ks.held.limit.Load() }

// SetHoldLimit sets how many bytes snapshots may hold; 0 is no limit. Nothing
// enforces it here: see OnHeld. Any goroutine may call it.
func (ks *Keyspace) SetHoldLimit(bytes int64) {
	ks.held.limit.Store(bytes)
	ks.held.turn()
}

// OnHeld has f called with true when snapshots hold more than they may, and with
// false when they hold clearly less again. f is called under locks of slots: it
// must not wait and must not call the keyspace. It is set once, before the first
// unit.
func (ks *Keyspace) OnHeld(f func(over bool)) { ks.held.turned = f }

// OverHeld reports whether snapshots hold more than they may, as OnHeld has told.
func (ks *Keyspace) OverHeld() bool { return ks.held.over.Load() }

// holding counts what snapshots hold and tells when that crosses a limit.
type holding struct {
	bytes, peak, limit atomic.Int64
	over               atomic.Bool
	turnMu             sync.Mutex // orders the calls of turned
	turned             func(over bool)
}

func (h *holding) beginPeak() { h.peak.Store(h.bytes.Load()) }

func (h *holding) add(n int64) {
	now := h.bytes.Add(n)
	for peak := h.peak.Load(); now > peak && !h.peak.CompareAndSwap(peak, now); {
		peak = h.peak.Load()
	}
	if over := h.over.Load(); over != h.next(over) {
		h.turn()
	}
}

// next is whether the limit counts as exceeded, if it did or did not before. Between
// an eighth below the limit and the limit itself that stays as it is, so that
// writers are not stopped and woken for each batch.
func (h *holding) next(over bool) bool {
	limit, now := h.limit.Load(), h.bytes.Load()
	switch {
	case limit == 0:
		return false
	case over:
		return now > limit-limit/8
	}
	return now > limit
}

// turn tells of a crossing. It looks again after it has told: bytes may have changed
// meanwhile by one that saw over as it was before.
func (h *holding) turn() {
	h.turnMu.Lock()
	defer h.turnMu.Unlock()
	for over := h.over.Load(); over != h.next(over); {
		over = !over
		h.over.Store(over)
		if h.turned != nil {
			h.turned(over)
		}
	}
}
