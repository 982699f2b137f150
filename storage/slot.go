package storage

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"

	"redoubt/replication"
	"redoubt/slots"
)

// slot is the header of a hash slot, one cache line, so that executors that
// work on neighbouring slots do not slow each other down.
//
// The lock is the standard mutex, which is what is wanted: one compare and
// swap when it is free, a brief spin when the holder is running, then a parked
// goroutine, and a hand-over in order once somebody has waited for a
// millisecond.
type slot struct {
	mu sync.Mutex

	// lastWrite is the stream offset of the last write to the slot. A reply
	// that saw the slot depends on it.
	lastWrite replication.Offset

	// first is the table of physical database 0, others those of the rest.
	// Pointers are atomic because counters are read without the lock.
	first  atomic.Pointer[table]
	others atomic.Pointer[[]atomic.Pointer[table]]

	watched watchedKeys // nil while nobody watches a key of the slot
	waiting *waiting    // nil while nobody waits for a key of the slot

	// cells is the first of the size cells of first while that is one segment,
	// otherwise nil: most look-ups then find their cell without fetching the
	// table. FetchAhead reads the two without the lock, see setCells.
	cells atomic.Pointer[cell]
	size  atomic.Uint32
	_     [4]byte
}

// find returns the record of key in a physical database, nil if there is none.
func (s *slot) find(phys int, hash uint64, key []byte) *record {
	if phys == 0 {
		if cells := unsafe.Slice(s.cells.Load(), s.size.Load()); len(cells) > 0 {
			return lookUp(cells, homeOf(hash, len(cells)), hash, key)
		}
	}
	if t := s.table(phys); t != nil {
		return t.find(hash, key)
	}
	return nil
}

// homeOf is segment.home of a segment that is the whole table.
func homeOf(hash uint64, cells int) int {
	return int(hash >> (64 - bits.TrailingZeros(uint(cells))))
}

// changed follows a change of a physical database's table; the slot is locked.
func (s *slot) changed(phys int) {
	if phys != 0 {
		return
	}
	var cells []cell
	if t := s.first.Load(); t != nil && t.depth == 0 {
		cells = t.initial.cells
	}
	if first := unsafe.SliceData(cells); first != s.cells.Load() {
		s.setCells(first, uint32(len(cells)))
	}
}

// setCells stores a new pair so that it can be read without the lock: whoever
// reads the same pointer before and after the size has a size that is not too
// large for it. (The pointer of an array that somebody still has is never
// stored a second time.)
func (s *slot) setCells(first *cell, size uint32) {
	s.size.Store(0)
	s.cells.Store(first)
	s.size.Store(size)
}

// table returns the slot's table of a physical database, nil if it has no
// keys there.
func (s *slot) table(phys int) *table {
	if phys == 0 {
		return s.first.Load()
	}
	others := s.others.Load()
	if others == nil {
		return nil
	}
	return (*others)[phys-1].Load()
}

// setTable installs or, with nil, removes a table; the slot is locked.
func (ks *Keyspace) setTable(n slots.Slot, phys int, t *table) {
	s := &ks.slots[n]
	if phys == 0 {
		s.first.Store(t)
		s.changed(phys)
	} else {
		if s.others.Load() == nil {
			others := make([]atomic.Pointer[table], len(ks.order)-1)
			s.others.Store(&others)
		}
		(*s.others.Load())[phys-1].Store(t)
	}
	word, bit := &ks.occupied[phys][n>>6], uint64(1)<<(n&63)
	if t != nil {
		word.Or(bit)
	} else {
		word.And(^bit)
	}
}
