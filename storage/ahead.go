package storage

import (
	"unsafe"

	"redoubt/slots"
	"redoubt/storage/slab"
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
// Nothing that is read here is believed. Tables change meanwhile, and blocks are
// freed and used again: an address is only ever prefetched, which cannot fault,
// and cells are read through Space.Peek, which looks at nothing but memory of the
// space.
func (e *Executor) FetchAhead(keys [][]byte) {
	n := min(len(keys), AheadKeys)
	var at [AheadKeys]slots.Slot
	var hashes [AheadKeys]uint64
	for i, key := range keys[:n] {
		at[i], hashes[i] = slots.Of(key), e.ks.hash(key)
	}
	if !checked {
		e.ks.touch(&at, &hashes, n)
	}
}

// touch is FetchAhead's reading.
func (ks *Keyspace) touch(at *[AheadKeys]slots.Slot, hashes *[AheadKeys]uint64, n int) {
	var block [AheadKeys]slab.Ref
	var home [AheadKeys]int
	for i := range n {
		g := &ks.slots[at[i]%slots.Count].first.segment
		block[i], home[i] = g.at, g.home(uint32(hashes[i]>>(64-prefixBits)))*cellBytes
		ks.space.Prefetch(unsafe.Add(g.cells, home[i]))
	}
	for i := range n {
		if cell, ok := ks.space.Peek(block[i], home[i]); ok {
			ks.space.PrefetchBlock(slab.Ref(cell >> prefixBits))
		}
	}
}
