package snapshot

import (
	"cmp"
	"redoubt/storage"
	"slices"

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
}

// write is the writing goroutine. Batches come until the channel is closed;
// since the capture has ended before that, the pre-images are complete then.
func (s *Snapshot) write(w *writer, h rdb.Header) {
	s.err = s.writeAll(w, h)
	s.over.Store(true)
	close(s.done)
	s.takePending() // let the memory go
	s.pendingBytes.Store(0)
	s.roomAgain() // a Step that waits must learn that it is over
	s.ks.World(0, func(tx *storage.Tx) { tx.Release(s.capture) })
}

func (s *Snapshot) writeAll(w *writer, h rdb.Header) error {
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
			}
		case <-s.arrived:
		}
		for _, b := range s.takePending() {
			if err := w.batch(b); err != nil {
				return err
			}
			s.pendingBytes.Add(-int64(b.bytes))
		}
	}
	select {
	case <-s.stop:
		return ErrAborted
	default:
		return w.rdb.Finish()
	}
}

func (s *Snapshot) takePending() []*batch {
	s.pendingMu.Lock()
	defer s.pendingMu.Unlock()
	bs := s.pending
	s.pending = nil
	return bs
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
