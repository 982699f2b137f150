package snapshot

import "redoubt/storage"

// item is a record as it was at the snapshot's moment.
type item struct {
	db    int
	value storage.Frozen
}

// batch is a number of records on their way to the writer.
type batch struct {
	items []item
	bytes int
	mixed bool   // the records are of several databases
	arena []byte // of copied keys and values

	moment  uint64 // before that of all its items; see storage.Capture
	written bool
}

func (b *batch) full() bool { return len(b.items) >= batchRecords || b.bytes >= batchBytes }

// add puts a record into the batch and reports whether there is room for more.
func (b *batch) add(db int, e storage.Entry) bool {
	n := e.SharedBytes()
	if len(b.arena)+n > cap(b.arena) {
		// An arena that is used up stays with the items that point into it.
		b.arena = make([]byte, 0, max(arenaBytes, n))
	}
	var f storage.Frozen
	f, b.arena = e.Share(b.arena)
	b.mixed = b.mixed || len(b.items) > 0 && b.items[0].db != db
	b.items = append(b.items, item{db, f})
	b.bytes += itemBytes + n
	return !b.full()
}

// clear makes the batch as good as new, but for the memory it has.
func (b *batch) clear() {
	clear(b.items) // used-up arenas must go
	*b = batch{items: b.items[:0], arena: b.arena[:0]}
	if cap(b.arena) > arenaBytes {
		b.arena = nil
	}
}

const (
	itemBytes  = 80 // of an item beside its key and value
	arenaBytes = 128 << 10
	// spareBatches is how many written batches are filled again: as many as can be
	// on their way from the walk. The collector takes what a crowd of pre-images
	// has left beyond that.
	spareBatches = batchesAhead + 2
)

// newBatch begins a batch.
func (s *Snapshot) newBatch() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.beginLocked()
}

// beginLocked is newBatch with mu held.
func (s *Snapshot) beginLocked() *batch {
	b := new(batch)
	if n := len(s.spare); n > 0 {
		b, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	if s.capture != nil {
		b.moment = s.capture.Moment()
		s.live = append(s.live, b)
	}
	return b
}

// finish takes back a batch that was written, and lets go what was kept for it if
// none of the batches before it is on its way any more.
func (s *Snapshot) finish(b *batch) {
	s.mu.Lock()
	b.written = true
	n := 0
	for n < len(s.live) && s.live[n].written {
		if done := s.live[n]; len(s.spare) < spareBatches {
			done.clear()
			s.spare = append(s.spare, done)
		}
		n++
	}
	if s.capture == nil {
		b.clear()
		s.spare = append(s.spare, b)
	}
	s.live = append(s.live[:0], s.live[n:]...)
	var from uint64
	switch {
	case n == 0:
	case len(s.live) > 0:
		from = s.live[0].moment
	default:
		from = s.capture.Moment()
	}
	s.mu.Unlock()
	if from != 0 {
		s.capture.ReadFrom(from)
	}
}
