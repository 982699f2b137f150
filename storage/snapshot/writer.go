package snapshot

import (
	"cmp"
	"io"
	"slices"
	"sync/atomic"

	"redoubt/slots"
	"redoubt/storage"
	"redoubt/storage/rdb"
)

// size is how many keys a database had, and how many of them expire.
type size struct{ keys, volatile int }

// writer turns batches into the file. It belongs to the writing goroutine.
type writer struct {
	rdb   *rdb.Writer
	sizes []size
	db    int // selected last, -1 at first
	entry rdb.Entry
	due   bool // hashes have fields that expire
	each  func(stop <-chan struct{})
	stop  <-chan struct{}

	written *atomic.Int64
}

// writtenAtOnce is how many keys are counted at once.
const writtenAtOnce = 16

// newWriter returns a writer of the keyspace as it is now. The world lock is held.
func newWriter(ks *storage.Keyspace, out io.Writer, o Options) *writer {
	w := &writer{rdb: rdb.NewWriter(out, o.RDB), db: -1, due: ks.AnyDue(), each: o.Each}
	for db := range ks.Databases() {
		n := size{ks.Len(db), ks.Volatile(db)}
		if o.Slots != nil {
			n.keys = 0
			o.Slots.Each(func(slot slots.Slot) bool {
				n.keys += ks.SlotLen(slot, db)
				return true
			})
			n.volatile = min(n.volatile, n.keys) // nobody counts them by slot, and it is a hint
		}
		w.sizes = append(w.sizes, n)
	}
	return w
}

// write is the writing goroutine. Batches come until the channel is closed;
// since the capture has ended before that, the pre-images are complete then.
func (s *Snapshot) write(w *writer, h rdb.Header) {
	w.stop, w.written = s.stop, &s.written
	s.err = s.writeAll(w, h)
	s.over.Store(true)
	close(s.done)
	s.dropPending()
	s.roomAgain() // a Step that waits must learn that it is over
	if s.capture != nil {
		s.ks.World(0, func(tx *storage.Tx) { tx.Release(s.capture) })
	}
}

func (s *Snapshot) writeAll(w *writer, h rdb.Header) error {
	h.Due = w.due
	if err := w.rdb.Header(h); err != nil {
		return err
	}
	for open := true; open; {
		var b *batch
		select {
		case <-s.stop:
			return ErrAborted
		case b, open = <-s.out:
			s.roomAgain()
			if open {
				if err := w.batch(b); err != nil {
					return err
				}
				s.finish(b)
			}
		case <-s.arrived:
		}
		if err := s.writePending(w); err != nil {
			return err
		}
	}
	select {
	case <-s.stop:
		return ErrAborted
	default:
		return w.rdb.Finish()
	}
}

// writePending writes the pre-images that have come. Writers may be waiting for
// that.
func (s *Snapshot) writePending(w *writer) error {
	pending := s.takePending()
	for i, b := range pending {
		n := int64(b.bytes)
		err := w.batch(b)
		if err == nil {
			s.finish(b)
		} else {
			n = bytesOf(pending[i:])
		}
		s.pendingBytes.Add(-n)
		s.capture.Hold(-n)
		if err != nil {
			return err
		}
	}
	if len(pending) > 0 {
		s.roomAgain()
	}
	return nil
}

func bytesOf(bs []*batch) (n int64) {
	for _, b := range bs {
		n += int64(b.bytes)
	}
	return n
}

func (s *Snapshot) takePending() []*batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	bs := s.pending
	s.pending = nil
	return bs
}

// dropPending lets the pre-images go that have not been taken.
func (s *Snapshot) dropPending() {
	if n := bytesOf(s.takePending()); n > 0 {
		s.pendingBytes.Add(-n)
		s.capture.Hold(-n)
	}
}

// roomAgain wakes who found the channel full.
func (s *Snapshot) roomAgain() {
	if s.starved.Swap(false) && s.wake != nil {
		s.wake()
	}
}

// batch writes the records of b, those of a database together.
func (w *writer) batch(b *batch) error {
	if b.mixed {
		slices.SortStableFunc(b.items, func(x, y item) int { return cmp.Compare(x.db, y.db) })
	}
	for i := range b.items {
		it := &b.items[i]
		if i%writtenAtOnce == 0 {
			w.written.Add(int64(min(writtenAtOnce, len(b.items)-i)))
		}
		if w.each != nil {
			w.each(w.stop)
		}
		if it.db != w.db {
			if err := w.rdb.SelectDB(it.db, w.sizes[it.db].keys, w.sizes[it.db].volatile); err != nil {
				return err
			}
			w.db = it.db
		}
		w.entry.Key, w.entry.ExpireAtMs = it.value.Key, it.value.ExpireAt
		if err := w.rdb.Entry(&w.entry, &it.value); err != nil {
			return err
		}
	}
	return nil
}
