// Package snapshot writes the state of a keyspace as of one moment to an RDB
// file, while the keyspace goes on changing and without a second process.
//
// Nobody owns the walk. Event loops call Step between their commands, so a
// snapshot makes progress with each of them, each time for a bounded slice of work:
// the walk over databases and slots, a unit a slot. What a writer is about to
// change before the walk came by, it hands over first (its pre-image); tables that
// a flush lets go are handed over whole (package storage, Capture). Every record
// of the moment thus comes out exactly once. Several snapshots may be under way,
// each of a moment of its own and of all slots or some.
//
// Records travel in batches to a goroutine that encodes and writes them: those of
// the walk through a bounded channel, pre-images through a list. When the file is
// slow the channel is full and the walk waits: Step says Later, and Options.Wake
// tells when to come again. Pre-images cannot wait, since a writer holds the lock
// of a slot. They are counted, together with the blocks of memory that are kept
// because a batch refers to them (storage.Keyspace.Held): whoever lets writers in
// sees to it that there is room before they take the lock.
//
// A batch gets a moment when it is begun (storage.Capture.Moment). When it is
// written, what was kept before the first batch that is not is freed.
//
// Write is for who holds the world lock anyway: then nothing changes, and nothing
// has to be captured.
//
// The package opens, syncs and renames no file: it has an io.Writer.
package snapshot

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"redoubt/slots"
	"redoubt/storage"
	"redoubt/storage/rdb"
)

// ErrAborted is the error of a snapshot that was given up.
var ErrAborted = errors.New("snapshot: aborted")

// Options of a snapshot; the zero value is good.
type Options struct {
	RDB rdb.Options
	// Slots is what the snapshot is of; nil: all slots.
	Slots *slots.Set
	// Wake, when set, is called by the writing goroutine after a Step had to
	// say Later because the output was full, once there is room again. It must
	// not wait. It is called as well when a snapshot that was Crowded may not be any
	// more.
	Wake func()
	// Each, when set, is called by the writing goroutine before each key, and may
	// wait, until stop is closed.
	Each func(stop <-chan struct{})
}

// Progress is what a Step says about the walk.
type Progress uint8

const (
	// More: there is more to walk.
	More Progress = iota
	// Later: nothing can be done now, because the output is full or another
	// executor is at it.
	Later
	// Finished: the walk is over; Done tells when the file is.
	Finished
)

const (
	batchBytes   = 256 << 10 // of a batch, about
	batchRecords = 4096
	batchesAhead = 4
	// crowdedBytes is from how many bytes of pre-images on a snapshot is Crowded.
	crowdedBytes = 1 << 20
	// slotCost is what visiting a slot counts in a Step's budget, beside its
	// records: a lock, and the lines of cache of a header and a table.
	slotCost = 2
)

// Snapshot is one snapshot on its way to an io.Writer.
type Snapshot struct {
	ks   *storage.Keyspace
	wake func()

	capture *storage.Capture

	// The walk, guarded by walking.
	walking  sync.Mutex
	db       int
	slot     slots.Slot
	cursor   uint64
	batch    *batch
	walked   bool // all records are in batches
	finished bool

	out     chan *batch
	starved atomic.Bool // a Step found out full

	mu      sync.Mutex
	pending []*batch // pre-images; guarded by mu
	live    []*batch // begun and not written, in the order of their moments; guarded by mu
	spare   []*batch // written, to be filled again; guarded by mu

	pendingBytes atomic.Int64
	arrived      chan struct{} // holds a token when pending is to be written

	written  atomic.Int64  // records
	stop     chan struct{} // closed by Abort
	stopOnce sync.Once
	over     atomic.Bool // nobody takes records any more
	done     chan struct{}
	err      error // valid when done is closed
}

// Begin begins a snapshot of the present moment and the goroutine that writes
// it to out, with header h. tx must hold the world lock and must have changed
// nothing; h.ReplOffset and h.ReplStreamDB are the stream's end and selected
// database as they are now. The error is storage.ErrTooManyCaptures. Whoever begins
// a snapshot sees to it that Step is called until it says Finished.
func Begin(ks *storage.Keyspace, tx *storage.Tx, out io.Writer, h rdb.Header, o Options) (*Snapshot, error) {
	s := newSnapshot(ks, o)
	var err error
	if s.capture, err = tx.BeginCapture(o.Slots, s.preimage); err != nil {
		return nil, err
	}
	s.batch = s.newBatch()
	go s.write(newWriter(ks, out, o), h)
	return s, nil
}

func newSnapshot(ks *storage.Keyspace, o Options) *Snapshot {
	return &Snapshot{
		ks:      ks,
		wake:    o.Wake,
		out:     make(chan *batch, batchesAhead),
		arrived: make(chan struct{}, 1),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
}

// Done is closed when the file is written, or never will be.
func (s *Snapshot) Done() <-chan struct{} { return s.done }

// Written is how many keys are in the file.
func (s *Snapshot) Written() int64 { return s.written.Load() }

// Err is nil if the file is complete, when Done is closed.
func (s *Snapshot) Err() error {
	<-s.done
	return s.err
}

// Pending is how many bytes of pre-images wait to be written.
func (s *Snapshot) Pending() int64 { return s.pendingBytes.Load() }

// Crowded reports whether so many pre-images wait that no others should be handed
// over without need. The walk of a later snapshot does that: it is not to be
// stepped then. Wake tells when the answer may be another.
func (s *Snapshot) Crowded() bool {
	crowd := int64(crowdedBytes)
	if limit := s.ks.HoldLimit(); limit > 0 {
		crowd = min(crowd, limit/4)
	}
	if s.pendingBytes.Load() <= crowd {
		return false
	}
	s.starved.Store(true) // first, lest the writer finish between
	s.Hurry()
	return s.pendingBytes.Load() > crowd
}

// Hurry has pre-images written that do not fill a batch yet. Any goroutine may call
// it, under any lock.
func (s *Snapshot) Hurry() {
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// Abort gives the snapshot up; Err will be ErrAborted. After the end it does
// nothing. tx must hold the world lock.
func (s *Snapshot) Abort(tx *storage.Tx) {
	s.stopOnce.Do(func() { close(s.stop) })
	s.over.Store(true)
	tx.EndCapture(s.capture)
	s.dropPending() // at once: the file may take its time with what it has been given
}

// Step walks on, until about budget records were looked at. The executor must
// not be in a unit: Step makes its own.
func (s *Snapshot) Step(e *storage.Executor, now int64, budget int) Progress {
	if !s.walking.TryLock() {
		return Later
	}
	defer s.walking.Unlock()
	return s.step(e, now, budget)
}

func (s *Snapshot) step(e *storage.Executor, now int64, budget int) Progress {
	for !s.finished {
		switch {
		case s.over.Load():
			if !s.end(e, now) {
				return Later
			}
		case s.batch.full() || s.walked:
			if !s.offer() {
				return Later
			}
			if s.walked {
				close(s.out)
				s.finished = true
			}
		case budget <= 0:
			return More
		default:
			cost := s.walk(e, now, budget)
			if cost == 0 {
				return Later // somebody else's unit takes long
			}
			budget -= cost
		}
	}
	return Finished
}

// walk visits one slot or detached table and returns what that cost, 0 if the
// executor has given up. After the last one it ends the capture: there is nothing
// left that a writer could have to hand over.
func (s *Snapshot) walk(e *storage.Executor, now int64, budget int) (cost int) {
	count := min(budget, batchRecords-len(s.batch.items))

	// Detached tables come first: only the snapshot still holds their memory.
	tx := e.Begin(now, nil)
	if tx == nil {
		return 0
	}
	more, looked := s.capture.WalkDetached(tx, count, s.batch.add)
	if more {
		e.End()
		return slotCost + looked
	}
	slot, ok := s.capture.NextSlot(s.db, s.slot)
	e.End()
	switch {
	case ok:
		if slot != s.slot {
			s.slot, s.cursor = slot, 0
		}
		tx := e.Begin(now, []slots.Slot{slot})
		if tx == nil {
			return 0
		}
		s.cursor, looked = s.capture.Walk(tx, s.db, slot, s.cursor, count, s.batch.add)
		e.End()
		if s.cursor == 0 {
			s.slot++
		}
	case s.db+1 < s.ks.Databases():
		s.db, s.slot, s.cursor = s.db+1, 0, 0
	default:
		tx := e.BeginWorld(now)
		if tx == nil {
			return 0
		}
		s.walked = s.close(tx)
		e.End()
	}
	return slotCost + looked
}

// close ends the capture, unless a flush has detached more tables meanwhile. tx
// holds the world lock.
func (s *Snapshot) close(tx *storage.Tx) bool {
	if s.capture.Detached() {
		return false
	}
	tx.Complete(s.capture)
	return true
}

// end ends the capture of a snapshot that was aborted or could not be written. It
// reports false if the executor has given up.
func (s *Snapshot) end(e *storage.Executor, now int64) bool {
	tx := e.BeginWorld(now)
	if tx == nil {
		return false
	}
	tx.EndCapture(s.capture)
	e.End()
	s.batch, s.finished = nil, true
	return true
}

// offer passes the batch to the writer if there is room.
func (s *Snapshot) offer() bool {
	select {
	case s.out <- s.batch:
	default:
		// Say so first and look again, lest the writer make room between.
		s.starved.Store(true)
		select {
		case s.out <- s.batch:
		default:
			return false
		}
	}
	s.batch = s.newBatch()
	return true
}

// preimage takes a record that a writer is about to change, or that the walk of
// a later snapshot comes by, under the lock of its slot.
func (s *Snapshot) preimage(db int, e storage.Entry) {
	s.mu.Lock()
	if s.over.Load() {
		s.mu.Unlock()
		return
	}
	if n := len(s.pending); n == 0 || s.pending[n-1].full() {
		s.pending = append(s.pending, s.beginLocked())
	}
	b := s.pending[len(s.pending)-1]
	before := b.bytes
	more := b.add(db, e)
	n := int64(b.bytes - before)
	s.pendingBytes.Add(n)
	s.mu.Unlock()
	s.capture.Hold(n)
	if !more {
		s.Hurry()
	}
}
