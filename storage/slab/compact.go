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

// Marked is how many blocks ChooseSparse found in the extents that it has marked,
// those in pages of heaps left out: of Tables, and of the other areas. Both are 0
// if nothing was marked.
type Marked struct{ Tables, Others int }

// Blocks is the number of all of them.
func (m Marked) Blocks() int { return m.Tables + m.Others }

// ChooseSparse begins a compaction if more than a share, such as 0.125, of the
// memory of pages in use is lost, and more than ignore bytes: free beside their
// blocks, and to be won by moving these. It marks the emptiest extents, as few as
// may bring the loss down to half of that, but none that are nearly full. They give
// no new blocks. Tables are looked at for themselves, as all of them are found
// quickly. A compaction that was under way ends.
//
// Of the pages with blocks of a size those are lost without which the others would
// have room for all. In a small space most sizes have one page, which is not lost
// however empty it is. The pages that heaps own are left out.
//
// It looks at every page twice, which takes 5 ms per 10 GiB, but holds no lock for
// more than an extent; allocations go on.
func (s *Space) ChooseSparse(loss float64, ignore int) (m Marked) {
	s.compaction.Lock()
	defer s.compaction.Unlock()
	s.unmarkAll()
	m.Tables = s.chooseAmong(true, loss, ignore)
	m.Others = s.chooseAmong(false, loss, ignore)
	if m.Blocks() > 0 {
		s.epoch.Add(1)
	}
	return m
}

// chooseAmong marks extents of Tables, or others, and returns how many blocks are
// in them.
func (s *Space) chooseAmong(tables bool, loss float64, ignore int) (blocks int) {
	v := s.survey(tables)
	limit := loss * float64(v.inUse)
	if float64(v.lost()) <= limit || v.lost() <= ignore {
		return 0
	}
	for _, c := range s.candidates(v) {
		if float64(v.lost()) <= limit/2 || float64(c.lost) < loss/2*float64(c.inUse) {
			break
		}
		if s.mark(c, v) {
			blocks += c.blocks
		}
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

// A survey is what ChooseSparse knows of the extents of Tables, or of the others.
type survey struct {
	tables bool
	inUse  int // bytes of pages with blocks
	arenas int // bytes of them that are free in arenas
	// Of each class, without the pages that heaps own:
	pages  [classes]int
	blocks [classes]int
	excess [classes]int // pages without which the blocks would have room
	all    int          // bytes of all excess pages
}

// lost returns how many bytes moving blocks can win.
func (v *survey) lost() int { return v.all + max(v.arenas, 0) }

// survey counts what there is of each class, and in arenas.
func (s *Space) survey(tables bool) *survey {
	v := &survey{tables: tables}
	s.eachExtent(func(e uint32, x *extent) {
		if x.tables() != tables {
			return
		}
		inUse := bits.OnesCount32(^x.free) * s.pageSize()
		v.inUse += inUse
		switch {
		case x.kind.ofPages():
			s.eachUnowned(e, func(c class, blocks int) {
				v.pages[c]++
				v.blocks[c] += blocks
			})
		case x.movable():
			v.arenas += inUse - int(x.used)*granule
		}
	})
	for c := range class(classes) {
		if v.pages[c] > 0 {
			n := s.blocksPerPage(c)
			v.excess[c] = max(0, v.pages[c]-(v.blocks[c]+n-1)/n)
			v.all += v.excess[c] * s.pageSize()
		}
	}
	return v
}

// A candidate is an extent that could be emptied.
type candidate struct {
	extent uint32
	inUse  int // bytes of pages with blocks
	lost   int // of these: free, in arenas and in pages of classes with an excess
	blocks int
}

// candidates returns the extents where something is lost, the emptiest first.
func (s *Space) candidates(v *survey) (all []candidate) {
	s.eachExtent(func(e uint32, x *extent) {
		if x.tables() != v.tables {
			return
		}
		c := candidate{extent: e, inUse: bits.OnesCount32(^x.free) * s.pageSize()}
		switch {
		case x.kind.ofPages():
			s.eachUnowned(e, func(of class, blocks int) {
				c.blocks += blocks
				if v.excess[of] > 0 {
					c.lost += s.pageSize() - blocks*int(classSizes[of])
				}
			})
		case x.movable():
			c.lost = c.inUse - int(x.used)*granule
			c.blocks = s.blocksInArena(e)
		}
		if c.lost > 0 {
			all = append(all, c)
		}
	})
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(b.lost*a.inUse, a.lost*b.inUse) })
	return all
}

// eachExtent calls f with all extents that were ever used, each under the lock.
func (s *Space) eachExtent(f func(e uint32, x *extent)) {
	s.mu.Lock()
	top := s.top
	s.mu.Unlock()
	for e := range top {
		s.mu.Lock()
		f(e, &s.extents[e])
		s.mu.Unlock()
	}
}

// eachUnowned calls f with the class and number of blocks of the pages of an
// extent that no heap owns.
func (s *Space) eachUnowned(e uint32, f func(c class, blocks int)) {
	for p := e * extentPages; p < (e+1)*extentPages; p++ {
		m := &s.pages[p]
		if w := m.load(); m.class != 0 && w.owner() == 0 {
			f(m.class, int(w.used()-w.count()))
		}
	}
}

// tables reports whether the blocks of an extent are Tables.
func (x *extent) tables() bool {
	return x.kind == extentOfTables || (x.kind == extentArena || x.kind == extentSpan) && x.area == Tables
}

// movable reports whether an extent is an arena from which all blocks can be
// moved.
func (x *extent) movable() bool { return x.kind == extentArena && !x.pinned }

func (s *Space) blocksInArena(e uint32) (n int) {
	first := s.firstGranule(e) / 64
	for w := first; w < first+uint32(s.granulesPerExtent()/64); w++ {
		n += bits.OnesCount64(s.starts[w].Load()) - bits.OnesCount64(s.idle[w])
	}
	return n
}

// mark marks an extent, unless it has another use by now or emptying those before
// it wins as much. What it wins is taken off the survey.
func (s *Space) mark(c candidate, v *survey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch x := &s.extents[c.extent]; {
	case x.tables() != v.tables: // it was emptied and taken for something else
	case x.movable():
		s.unfileArena(c.extent)
		s.setSparse(c.extent, true)
		v.arenas -= c.inUse // if the others have room for the blocks
		return true
	case x.kind.ofPages() && s.winPages(c.extent, v):
		s.roomy(x.kind).remove(c.extent)
		s.setSparse(c.extent, true)
		for p := c.extent * extentPages; p < (c.extent+1)*extentPages; p++ {
			if s.pages[p].load().shelved() {
				s.unshelve(p)
			}
		}
		return true
	}
	return false
}

// winPages takes the pages of an extent off the excess and reports whether there
// was any.
func (s *Space) winPages(e uint32, v *survey) (won bool) {
	s.eachUnowned(e, func(c class, _ int) {
		if v.excess[c] > 0 {
			v.excess[c]--
			v.all -= s.pageSize()
			won = true
		}
	})
	return won
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
	case extentOfPages, extentOfTables:
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
