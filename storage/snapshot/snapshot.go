// Package snapshot writes the keyspace as an RDB file exactly as it was at one
// moment, while writes go on: no second process, no lock for the length of a
// dump.
//
// Begin fixes the moment under the world lock, in microseconds. From then on
// event loops call Step, each time for a bounded slice of work: the walk over
// databases and slots, a unit a slot. What a writer is about to change before
// the walk came by, it hands over first (its pre-image); tables that a flush
// lets go are handed over whole (package storage, Capture). Every record of the
// moment thus comes out exactly once.
//
// Records travel in batches through a bounded channel to a goroutine that
// encodes and writes them. When the file is slow the channel is full and the
// walk waits: Step says Later, and Options.Wake tells when to come again.
// Writers never wait: pre-images gather in a list without a bound, whose bytes
// are counted (Pending), so that the owner can give the snapshot up.
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
	// Wake, when set, is called by the writing goroutine after a Step had to
	// say Later because the output was full, once there is room again. It must
	// not wait.
	Wake func()
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
	batchBytes   = 256 << 10 // of keys and values in a batch, about
	batchRecords = 4096
	batchesAhead = 4
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

	// Pre-images.
	pendingMu    sync.Mutex
	pending      []*batch
	pendingBytes atomic.Int64
	arrived      chan struct{} // holds a token when pending has a full batch

	stop     chan struct{} // closed by Abort
	stopOnce sync.Once
	over     atomic.Bool // nobody takes records any more
	done     chan struct{}
	err      error // valid when done is closed
}

// Begin begins a snapshot of the present moment and the goroutine that writes
// it to out, with header h. tx must hold the world lock and must have changed
// nothing; h.ReplOffset and h.ReplStreamDB are the stream's end and selected
// database as they are now. The error is storage.ErrCaptureOpen if a snapshot
// has not finished its walk. Whoever begins a snapshot sees to it that Step is
// called until it says Finished.
func Begin(ks *storage.Keyspace, tx *storage.Tx, out io.Writer, h rdb.Header, o Options) (*Snapshot, error) {
	s := &Snapshot{
		ks:      ks,
		wake:    o.Wake,
		batch:   newBatch(),
		out:     make(chan *batch, batchesAhead),
		arrived: make(chan struct{}, 1),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	var err error
	if s.capture, err = tx.BeginCapture(s.preimage); err != nil {
		return nil, err
	}
	w := &writer{rdb: rdb.NewWriter(out, o.RDB), db: -1}
	for db := range ks.Databases() {
		w.sizes = append(w.sizes, size{ks.Len(db), ks.Volatile(db)})
	}
	go s.write(w, h)
	return s, nil
}

// Done is closed when the file is written, or never will be.
func (s *Snapshot) Done() <-chan struct{} { return s.done }

// Err is nil if the file is complete, when Done is closed.
func (s *Snapshot) Err() error {
	<-s.done
	return s.err
}

// Pending is how many bytes of pre-images wait to be written. Nothing bounds
// them but the rate of writes and the speed of the file; the owner may Abort.
func (s *Snapshot) Pending() int64 { return s.pendingBytes.Load() }

// Abort gives the snapshot up; Err will be ErrAborted. After the end it does
// nothing. tx must hold the world lock.
func (s *Snapshot) Abort(tx *storage.Tx) {
	s.stopOnce.Do(func() { close(s.stop) })
	s.over.Store(true)
	tx.EndCapture(s.capture)
}

// Step walks on, until about budget records were looked at. The executor must
// not be in a unit: Step makes its own.
func (s *Snapshot) Step(e *storage.Executor, now int64, budget int) Progress {
	if !s.walking.TryLock() {
		return Later
	}
	defer s.walking.Unlock()
	return s.step(e, now, budget, s.offer)
}

// Run walks to the end at once, waiting for the file where it must, and returns
// Err. The executor must not be in a unit.
func (s *Snapshot) Run(e *storage.Executor, now int64) error {
	s.walking.Lock()
	for s.step(e, now, batchRecords, s.push) != Finished {
	}
	s.walking.Unlock()
	return s.Err()
}

// step walks on; send passes s.batch to the writer and says whether it could.
func (s *Snapshot) step(e *storage.Executor, now int64, budget int, send func() bool) Progress {
	for !s.finished {
		switch {
		case s.over.Load():
			s.end(e, now)
		case s.batch.full() || s.walked:
			if !send() {
				return Later
			}
			if s.walked {
				close(s.out)
				s.finished = true
			}
		case budget <= 0:
			return More
		default:
			budget -= s.walk(e, now, budget)
		}
	}
	return Finished
}

// walk visits one slot or detached table and returns what that cost. After the
// last one it ends the capture: there is nothing left that a writer could have
// to hand over.
func (s *Snapshot) walk(e *storage.Executor, now int64, budget int) (cost int) {
	before := len(s.batch.items)
	count := min(budget, batchRecords-before)

	// Detached tables come first: only the snapshot still holds their memory.
	tx := e.Begin(now, nil)
	if s.capture.WalkDetached(tx, count, s.batch.add) {
		e.End()
		return slotCost + len(s.batch.items) - before
	}
	slot, ok := s.capture.NextSlot(s.db, s.slot)
	e.End()
	switch {
	case ok:
		if slot != s.slot {
			s.slot, s.cursor = slot, 0
		}
		tx := e.Begin(now, []slots.Slot{slot})
		s.cursor = s.capture.Walk(tx, s.db, slot, s.cursor, count, s.batch.add)
		e.End()
		if s.cursor == 0 {
			s.slot++
		}
	case s.db+1 < s.ks.Databases():
		s.db, s.slot, s.cursor = s.db+1, 0, 0
	default:
		s.walked = s.close(e, now)
	}
	return slotCost + len(s.batch.items) - before
}

// close ends the capture, unless a flush has detached more tables meanwhile.
func (s *Snapshot) close(e *storage.Executor, now int64) bool {
	tx := e.BeginWorld(now)
	defer e.End()
	if s.capture.Detached() {
		return false
	}
	tx.Complete(s.capture)
	return true
}

// end ends the capture of a snapshot that was aborted or could not be written.
func (s *Snapshot) end(e *storage.Executor, now int64) {
	tx := e.BeginWorld(now)
	tx.EndCapture(s.capture)
	e.End()
	s.batch, s.finished = nil, true
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
	s.batch = newBatch()
	return true
}

// push passes the batch to the writer and waits for room; false means that
// there is no writer any more, which step sees by itself.
func (s *Snapshot) push() bool {
	select {
	case s.out <- s.batch:
		s.batch = newBatch()
		return true
	case <-s.done:
		return false
	}
}

// preimage takes a record that a writer is about to change, under the lock of
// its slot.
func (s *Snapshot) preimage(db int, e storage.Entry) {
	if s.over.Load() {
		return
	}
	s.pendingMu.Lock()
	if n := len(s.pending); n == 0 || s.pending[n-1].full() {
		s.pending = append(s.pending, newBatch())
	}
	b := s.pending[len(s.pending)-1]
	before := b.bytes
	more := b.add(db, e)
	s.pendingBytes.Add(int64(b.bytes - before))
	s.pendingMu.Unlock()
	if !more {
		select {
		case s.arrived <- struct{}{}:
		default:
		}
	}
}
