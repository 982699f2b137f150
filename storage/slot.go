package storage

import (
	"sync/atomic"

	"redoubt/replication"
	"redoubt/slots"
)

// slot is the header of a hash slot, one cache line, so that executors that
// work on neighbouring slots do not slow each other down.
type slot struct {
	lock lock

	// lastWrite is the stream offset of the last write to the slot. A reply
	// that saw the slot depends on it.
	lastWrite replication.Offset

	first table // of physical database 0

	// rare is what few slots have. It is made once and stays; the pointer is
	// atomic because counters are read without the lock.
	rare atomic.Pointer[rareSlot]
}

// rareSlot is what few slots have.
type rareSlot struct {
	others  []table     // of the physical databases from 1 on; nil until one of them has a key
	expiry  expiryWalk  // of a slot with more keys than one slice of expiry
	watched watchedKeys // nil while nobody watches a key of the slot
	waiting *waiting    // nil while nobody waits for a key of the slot
	tracked *tracked    // nil while nobody is to be told of changes of a key of the slot
}

// rarity returns the rare part of a slot, which is locked, and makes it if there
// is none.
func (s *slot) rarity() *rareSlot {
	r := s.rare.Load()
	if r == nil {
		r = new(rareSlot)
		s.rare.Store(r)
	}
	return r
}

// watched returns the watches on keys of the slot.
func (s *slot) watched() watchedKeys {
	if r := s.rare.Load(); r != nil {
		return r.watched
	}
	return nil
}

// waiting returns the queues of those who wait for keys of the slot, nil if
// nobody does.
func (s *slot) waiting() *waiting {
	if r := s.rare.Load(); r != nil {
		return r.waiting
	}
	return nil
}

// table returns the slot's table of a physical database, which may be empty, or
// nil if there never was one.
func (s *slot) table(phys int) *table {
	if phys == 0 {
		return &s.first
	}
	r := s.rare.Load()
	if r == nil || r.others == nil {
		return nil
	}
	return &r.others[phys-1]
}

// tableFor returns the table of a physical database for the first key of it.
func (ks *Keyspace) tableFor(n slots.Slot, phys int) *table {
	s := &ks.slots[n]
	if phys != 0 {
		r := s.rarity()
		if r.others == nil {
			// Counters may be read meanwhile, so the slot gets a new rare part
			// with the tables instead of tables in the old one.
			next := *r
			next.others = make([]table, len(ks.order)-1)
			s.rare.Store(&next)
		}
	}
	return s.table(phys)
}

// setOccupied notes whether the slot has keys in a physical database.
func (ks *Keyspace) setOccupied(n slots.Slot, phys int, on bool) {
	word, bit := &ks.occupied[phys][n>>6], uint64(1)<<(n&63)
	if on {
		word.Or(bit)
	} else {
		word.And(^bit)
	}
}
