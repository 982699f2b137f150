package storage

import (
	"unsafe"

	"redoubt/slots"
)

// AheadKeys is how many keys one call of FetchAhead takes.
const AheadKeys = 16

// FetchAhead brings what the look-ups of keys in database 0 are about to visit
// into the processor's caches; only the first AheadKeys of them are looked at.
// It changes nothing and takes no lock.
//
// On a keyspace larger than the caches a look-up waits for memory three times:
// for the slot's header, the cell and the record, each known only after the one
// before. For the keys of a pipeline that is done side by side, as the keys do
// not depend on each other: each of the loops below is short enough for the
// processor to have all its loads under way at once. (Valkey's
// memory-prefetching has the same idea.)
//
// Nothing that is read here is believed. Cells can be written meanwhile: a
// pointer is read in one piece and, whatever it is, points at a record; a
// record's key never changes.
func (e *Executor) FetchAhead(keys [][]byte) {
	n := min(len(keys), AheadKeys)
	var at [AheadKeys]slots.Slot
	var hashes [AheadKeys]uint64
	for i, key := range keys[:n] {
		at[i], hashes[i] = slots.Of(key), e.ks.hash(key)
	}
	e.fetched += touch(e.ks.slots, &at, &hashes, n)
}

// touch is FetchAhead's reading. The result only keeps the compiler from
// leaving the reading out. The race detector is told to look away: see
// FetchAhead.
//
//go:norace
func touch(all *[slots.Count]slot, at *[AheadKeys]slots.Slot, hashes *[AheadKeys]uint64, n int) (sum byte) {
	var homes [AheadKeys]*cell
	for i := range n {
		s := &all[at[i]%slots.Count]
		first := s.cells.Load()
		size := s.size.Load()
		if size > 0 && s.cells.Load() == first {
			homes[i] = (*cell)(unsafe.Add(unsafe.Pointer(first), uintptr(homeOf(hashes[i], int(size)))*unsafe.Sizeof(cell{})))
		}
	}
	var records [AheadKeys]*record
	for i := range n {
		if homes[i] != nil {
			records[i] = homes[i].rec
		}
	}
	var names [AheadKeys]*byte
	for i := range n {
		if records[i] != nil {
			names[i] = unsafe.SliceData(records[i].key)
			sum += byte(records[i].expireAt >> 56) // a record can begin at the end of a line
		}
	}
	// A short string lies behind its key, see newString.
	for i := range n {
		if names[i] != nil {
			sum += *names[i]
		}
	}
	return sum
}
