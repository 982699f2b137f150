package slab

import "math/bits"

// Stats describes the memory of a space. All but Blocks are bytes.
type Stats struct {
	Allocated   int        // of blocks in use, as Size counts them
	ByArea      [areas]int // the same for each Area
	Blocks      int        // number of blocks in use
	Committed   int        // pages in memory, with blocks or free
	Free        int        // of Committed: pages without a block
	FreeExtents int        // of Free: in extents without a block
	Returned    int        // given back to the system since the start
	Reserved    int        // address space
}

// Stats returns the counts. They are exact when no heap is at work; while one is,
// its last changes may be missing. Committed counts a page as a whole from its
// first block on, so the process may have touched less of it.
func (s *Space) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		Committed: (s.counts.used + s.counts.free) * s.pageSize(),
		Free:      s.counts.free * s.pageSize(),
		Returned:  s.counts.returned * s.pageSize(),
		Reserved:  len(s.extents) * s.extentSize(),
	}
	for i, w := range s.inMemory.words {
		for w &= s.spare.words[i]; w != 0; w &= w - 1 {
			x := &s.extents[i*64+bits.TrailingZeros64(w)]
			st.FreeExtents += bits.OnesCount32(x.free&^x.gone) * s.pageSize()
		}
	}
	bytes, blocks := s.closedBytes, s.closedBlocks
	for _, h := range *s.heaps.Load() {
		if h != nil {
			h.addTo(&bytes, &blocks)
		}
	}
	st.Blocks = int(blocks)
	for a, n := range bytes {
		st.ByArea[a] = int(n)
		st.Allocated += int(n)
	}
	return st
}

// addTo adds the heap's counts. They are the heap's goroutine's alone, which
// writes each as one word; locked instructions for every block would cost more
// than the rest of Alloc. So the race detector is told to look away.
//
//go:norace
func (h *Heap) addTo(bytes *[areas]int64, blocks *int64) {
	for a := range bytes {
		bytes[a] += h.bytes[a]
	}
	*blocks += h.blocks
}
