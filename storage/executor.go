package storage

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage/slab"
	"redoubt/storage/tree"
)

// Executor runs execution units, one at a time, for one goroutine: an event
// loop or the applier of a stream. It is never given back; one that is idle
// costs nothing.
type Executor struct {
	_      [64]byte // the flag has a cache line of its own
	inUnit atomic.Bool
	_      [63]byte

	ks    *Keyspace
	tx    Tx
	rand  *rand.PCG
	one   [1]slots.Slot // argument of Begin, for ExpireCycle
	stats counters

	heap   *slab.Heap
	hashes []hashed // scratch of a split
	// version counts the records that came and went, see Tx.settle.
	version uint64

	env         tree.Env
	collections []*opened // scratch of commands; the first ones are open
	inUse       int
	builder     builder
	logs        logScratch
	pool        []candidate // for evictions, the best last

	slept atomic.Int64 // see Slept

	keptMu sync.Mutex
	kept   []keptRun // guarded by keptMu; in the order of their moments

	mayGiveUp   bool         // see MayGiveUp
	gaveUp      bool         // … which it has, since GaveUp
	serveReady  func(tx *Tx) // see OnReady
	servedReady func(gate replication.Offset)

	announceLater bool // the owner announces
	unannounced   bool // units were appended to the stream since the last Announce
	wrote         int  // bytes of them since the last TakeWrote
}

// NewExecutor makes an executor for the calling goroutine's use.
func (ks *Keyspace) NewExecutor() *Executor {
	ks.executorsMu.Lock()
	defer ks.executorsMu.Unlock()
	e := &Executor{ks: ks, heap: ks.space.NewHeap(), rand: rand.NewPCG(ks.seed, uint64(len(ks.executors)))}
	e.tx.ks, e.tx.e = ks, e
	e.env = tree.Env{Heap: e.heap, Space: ks.space, Hash: ks.hash, Keep: e.keep}
	e.tx.unit = append(e.tx.unit, multi...)
	e.stats.dbs = make([]dbCounters, len(ks.order))
	// A copy, not an append in place: readers of the old slice hold no lock.
	ks.executors = append(slices.Clone(ks.executors), e)
	return e
}

// Begin starts a unit on the slots ss, in any order and with repetitions,
// after waiting for their locks. now is the time in Unix milliseconds; it is
// the unit's only clock. No slots is a unit that touches no key. It is nil if the
// executor may give up and has.
func (e *Executor) Begin(now int64, ss []slots.Slot) *Tx {
	if !e.lockSlots(ss) {
		e.gaveUp = true
		return nil
	}
	e.tx.begin(now, unitOrdinary)
	return &e.tx
}

// BeginWorld starts a unit that may touch everything. It is nil if the executor
// may give up and has.
func (e *Executor) BeginWorld(now int64) *Tx {
	if !e.ks.world.lock(e.ks, e.mayGiveUp) {
		e.gaveUp = true
		return nil
	}
	e.tx.begin(now, unitWorld)
	return &e.tx
}

// BeginApply starts a unit that applies a stretch of a received or replayed
// stream, whose last byte is end, to the slots ss. It sees keys whose time is
// past and records nothing; the slots it writes are stamped with end.
func (e *Executor) BeginApply(now int64, end replication.Offset, ss []slots.Slot) *Tx {
	e.mustNotGiveUp()
	e.lockSlots(ss)
	e.tx.begin(now, unitApply)
	e.tx.applied = end
	return &e.tx
}

// BeginApplyWorld is BeginApply with the world lock. A loader uses it too,
// with the offset to which its file belongs.
func (e *Executor) BeginApplyWorld(now int64, end replication.Offset) *Tx {
	e.mustNotGiveUp()
	e.ks.world.lock(e.ks, false)
	e.tx.begin(now, unitWorld|unitApply)
	e.tx.applied = end
	return &e.tx
}

// mustNotGiveUp panics for an executor that may: what others have done is applied
// in any case.
func (e *Executor) mustNotGiveUp() {
	if e.mayGiveUp {
		panic("storage: an executor that applies may give up")
	}
}

func (e *Executor) lockSlots(ss []slots.Slot) bool {
	if !e.enter() {
		return false
	}
	e.tx.held = append(e.tx.held[:0], ss...)
	if len(ss) > 1 {
		slices.Sort(e.tx.held)
		e.tx.held = slices.Compact(e.tx.held)
	}
	for i, s := range e.tx.held {
		lock := &e.ks.slots[s].lock
		if lock.tryTake() {
			continue
		}
		e.slept.Add(1)
		if !lock.await(e.ks.berth(s), &e.ks.long, e.mayGiveUp) {
			e.unlockSlots(e.tx.held[:i])
			e.leave()
			return false
		}
	}
	return true
}

// Slept is how often the executor slept until another one gave the lock of a slot
// back. Any goroutine may ask.
func (e *Executor) Slept() int64 { return e.slept.Load() }

func (e *Executor) unlockSlots(ss []slots.Slot) {
	for _, s := range ss {
		e.ks.slots[s].lock.give(e.ks.berth(s))
	}
}

// berth is where those sleep who wait for the lock of a slot.
func (ks *Keyspace) berth(s slots.Slot) *berth { return &ks.berths[s%berths] }

// End ends the unit: its effects go to the stream as one append, the slots it
// wrote are stamped, its locks are released. It returns the unit's gate, the
// offset on which every reply of the unit depends: the last write of the slots
// it held, its own writes included, or the stream's end for a world unit. If the
// unit has changed keys for which somebody waits, and Serve was not called since,
// they are served before (OnReady).
func (e *Executor) End() replication.Offset {
	if e.serveReady == nil || !e.tx.HasReady() {
		return e.end()
	}
	e.serveReady(&e.tx)
	gate := e.end()
	e.servedReady(gate)
	return gate
}

// end is End of a unit that leaves nobody to be served.
func (e *Executor) end() replication.Offset {
	tx := &e.tx
	if checked {
		tx.checkWritten()
	}
	end := max(tx.flush(), tx.flushed)
	// Looked at now: the executor of World belongs to others after the unlock.
	announce := e.unannounced && !e.announceLater
	if announce {
		e.unannounced = false
	}
	gate := end
	if tx.kind&unitWorld != 0 {
		gate = max(gate, e.ks.stream.End())
		if end > 0 {
			e.ks.worldWrite = end
		}
		tx.finish()
		e.ks.world.unlock(e.ks)
		if announce {
			e.ks.stream.Announce()
		}
		return gate
	}
	if end > 0 {
		for _, s := range tx.written {
			e.ks.slots[s].lastWrite = end
		}
	}
	gate = max(gate, e.ks.worldWrite)
	for _, s := range tx.held {
		gate = max(gate, e.ks.slots[s].lastWrite)
	}
	tx.finish()
	e.unlockSlots(tx.held)
	e.leave()
	if announce {
		e.ks.stream.Announce()
	}
	return gate
}

// OnReady has serve called at the end of a unit that has changed keys for which
// somebody waits, and has not served them: it was begun for expiry or eviction, or
// for a look at keys, some of which had expired. Then served is called with the
// unit's gate. It is set once, before the first unit.
func (e *Executor) OnReady(serve func(tx *Tx), served func(gate replication.Offset)) {
	e.serveReady, e.servedReady = serve, served
}

// AnnounceLater leaves it to the executor's owner to announce to the stream what
// its units append: an event loop does so once for many units.
func (e *Executor) AnnounceLater() { e.announceLater = true }

// Unannounced reports whether units have appended to the stream since the last
// Announce.
func (e *Executor) Unannounced() bool { return e.unannounced }

// TakeWrote is how many bytes of effects of their own units have had since it was last
// called, without a SELECT before them; 0: they had none.
func (e *Executor) TakeWrote() (bytes int) {
	bytes, e.wrote = e.wrote, 0
	return bytes
}

// Announce announces what units have appended. The executor is in no unit.
func (e *Executor) Announce() {
	if e.unannounced {
		e.unannounced = false
		e.ks.stream.Announce()
	}
}
