package slab

import (
	"cmp"
	"math/bits"
	"slices"
)

// Compaction. When sizes shift or keys are deleted at random, pages are left with
// few blocks each. Only the keyspace knows where the references are, so it does
// the moving: it calls ChooseSparse, walks its references, allocates a new block
// for each that is Sparse and frees the old one, and calls EndCompaction. It may
// take as long as it wants; commands go on in between. Blocks that it does not
// find or does not want to move, such as very large ones, stay where they are.
//
// Whole extents are emptied, not pages here and there: an extent of which one page
// is left takes no memory for the others, but it takes addresses.

// survey is what ChooseSparse knows of an extent.
type survey struct {
	extent uint32
	pages  int // in use
	live   int // bytes in use
	blocks int
}

// ChooseSparse begins a compaction if more than a share, such as 0.125, of the
// memory of pages in use is lost, which is what lies free beside their blocks. It
// marks the emptiest extents, as many as may bring the loss down to half of that
// and no more than the others seem to have room for. They give no new blocks. It
// returns how many blocks are in them, 0 if nothing was marked. A compaction that
// was under way ends.
//
// One page for each size in use is not counted as lost: those are filled in part
// however often blocks move.
//
// It looks at every page, which takes 3 ms per 10 GiB but holds no lock for more
// than an extent; allocations go on. What it reads of pages at work is not exact.
func (s *Space) ChooseSparse(loss float64) (blocks int) {
	s.compaction.Lock()
	defer s.compaction.Unlock()
	s.unmarkAll()
	all, inUse, allowance := s.survey()
	lost, room := -allowance, 0
	for _, x := range all {
		lost += x.pages*s.pageSize() - x.live
		room += x.pages*s.pageSize() - x.live
	}
	limit := loss * float64(inUse)
	if float64(lost) <= limit {
		return 0
	}
	slices.SortFunc(all, func(a, b survey) int { // the least filled pages first
		return cmp.Compare(a.live*b.pages, b.live*a.pages)
	})
	gain, moved := 0, 0
	for _, x := range all {
		here := x.pages*s.pageSize() - x.live
		room -= here
		moved += x.live
		// A page that is nearly full is not worth moving.
		if moved > room || float64(lost-gain) <= limit/2 || float64(here) < loss/2*float64(x.pages*s.pageSize()) {
			break
		}
		gain += here
		if s.mark(x.extent) {
			blocks += x.blocks
		}
	}
	if blocks > 0 {
		s.epoch.Add(1)
	}
	return blocks
}

// EndCompaction unmarks the extents that were not emptied. They give blocks
// again.
func (s *Space) EndCompaction() {
	s.compaction.Lock()
	defer s.compaction.Unlock()
	s.unmarkAll()
}

// survey looks at all extents with blocks that could be moved.
func (s *Space) survey() (all []survey, inUse, allowance int) {
	s.mu.Lock()
	top := s.top
	inUse = s.counts.used * s.pageSize()
	for _, n := range s.pagesOf {
		if n > 0 {
			allowance += s.pageSize()
		}
	}
	s.mu.Unlock()
	for e := range top {
		if x := s.surveyExtent(e); x.pages > 0 {
			all = append(all, x)
		}
	}
	return all, inUse, allowance
}

func (s *Space) surveyExtent(e uint32) survey {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := &s.extents[e]
	v := survey{extent: e}
	switch {
	case x.kind == extentArena && !x.pinned:
		v.pages = bits.OnesCount32(^x.free)
		v.live = int(x.used) * granule
		first := s.firstGranule(e) / 64
		for w := first; w < first+uint32(s.granulesPerExtent()/64); w++ {
			v.blocks += bits.OnesCount64(s.starts[w].Load()) - bits.OnesCount64(s.idle[w])
		}
	case x.kind == extentOfPages:
		for p := e * extentPages; p < (e+1)*extentPages; p++ {
			if m := &s.pages[p]; m.class != 0 {
				n := m.inUse()
				v.pages++
				v.blocks += n
				v.live += n * int(classSizes[m.class])
			}
		}
	}
	return v
}

// inUse returns about how many blocks of a page are in use. An owner may change
// the number at the same time; that is no matter here, and the race detector is
// told to look away.
//
//go:norace
func (m *page) inUse() int {
	w := m.load()
	if w.owner() == 0 {
		return int(w.used()) - int(w.count())
	}
	return max(0, int(m.used)-int(w.count()))
}

// mark marks an extent, unless it has no block any more or another use.
func (s *Space) mark(e uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch x := &s.extents[e]; {
	case x.kind == extentArena && !x.pinned:
		s.unfileArena(e)
		s.setSparse(e, true)
	case x.kind == extentOfPages:
		s.roomy.remove(e)
		s.setSparse(e, true)
		for p := e * extentPages; p < (e+1)*extentPages; p++ {
			if s.pages[p].load().shelved() {
				s.unshelve(p)
			}
		}
	default:
		return false
	}
	return true
}

func (s *Space) unmarkAll() {
	for i := range s.sparse {
		for w := s.sparse[i].Load(); w != 0; w &= w - 1 {
			s.unmark(uint32(i*32 + bits.TrailingZeros32(w)))
		}
	}
}

func (s *Space) unmark(e uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sparsePage(e * extentPages) {
		return // emptied just now
	}
	s.setSparse(e, false)
	switch s.extents[e].kind {
	case extentArena:
		s.fileArena(e)
	case extentOfPages:
		s.pagesFree(e)
		for p := e * extentPages; p < (e+1)*extentPages; p++ {
			s.shelveLoose(p)
		}
	}
}

func (s *Space) setSparse(e uint32, on bool) {
	if on {
		s.sparse[e/32].Or(1 << (e % 32))
	} else {
		s.sparse[e/32].And(^(uint32(1) << (e % 32)))
	}
}
