package slab

import "math/bits"

// An extent is 32 pages, the unit of compaction and of kinds of use. All its
// fields are guarded by Space.mu.
type extent struct {
	free uint32 // pages without a block, one bit each
	gone uint32 // of these: pages that are not in memory
	kind kind
	area Area // of an arena

	// Of an arena, in granules.
	used    int32  // in use
	largest int32  // the longest free run
	pinned  bool   // the rest of a span lies here: the extent is not compacted
	next    uint32 // in the list of its bucket, plus one
	prev    uint32

	// Of the first extent of a span: how many whole ones it has, and how many
	// granules in the arena behind them.
	span uint32
	rest int32
}

type kind uint8

const (
	extentNone     kind = iota // without a block; in Space.spare, or never used
	extentTrimmed              // without a block, and Trim is giving it back
	extentOfPages              // pages of Records and Nodes
	extentOfTables             // pages of Tables
	extentArena
	extentSpan
)

// ofPages reports whether an extent of the kind has pages of small blocks.
func (k kind) ofPages() bool { return k == extentOfPages || k == extentOfTables }

// roomy returns the extents of pages of a kind that have free ones and are not
// sparse.
func (s *Space) roomy(k kind) *bitset { return &s.roomyOf[k-extentOfPages] }

// kind returns the kind of the extents in which blocks of the class lie. Tables
// have their own: all of them grow at about the same time when keys are loaded, and
// leave nearly empty pages behind, which can be emptied without a look at the
// records only if there are none beside them.
func (c class) kind() kind {
	if c.area() == Tables {
		return extentOfTables
	}
	return extentOfPages
}

// counts is in pages.
type counts struct {
	used     int // with a block
	free     int // without one, in memory
	returned int // given back since the start
}

// newExtent takes an extent into use. It fails when the reserve is used up or
// the system refuses memory.
func (s *Space) newExtent(k kind) (uint32, bool) {
	e, ok := s.spare.first()
	if !ok {
		if int(s.top) == len(s.extents) {
			return 0, false
		}
		e = s.top
	}
	return e, s.takeExtents(e, 1, k)
}

// takeExtents takes n extents into use, which are spare or lie from top on.
func (s *Space) takeExtents(e uint32, n int, k kind) bool {
	if !s.memory.use(e, n) {
		return false
	}
	for i := e; i < e+uint32(n); i++ {
		x := &s.extents[i]
		if i >= s.top {
			x.free, x.gone = allPages, allPages
			s.top = i + 1
		}
		s.spare.remove(i)
		x.kind = k
		if k.ofPages() {
			s.roomy(k).add(i)
		}
	}
	return true
}

// emptyExtent puts an extent whose pages are all free back among the spare ones.
func (s *Space) emptyExtent(e uint32) {
	x := &s.extents[e]
	if x.kind.ofPages() {
		s.roomy(x.kind).remove(e)
	}
	x.kind = extentNone
	s.setSparse(e, false)
	s.spare.add(e)
}

// usePages takes free pages of an extent into use.
func (s *Space) usePages(e, mask uint32) {
	x := &s.extents[e]
	s.counts.used += bits.OnesCount32(mask)
	s.counts.free -= bits.OnesCount32(mask &^ x.gone)
	x.free &^= mask
	x.gone &^= mask
	s.inMemory.set(e, x.free&^x.gone != 0)
}

// unusePages makes pages free that have no block left.
func (s *Space) unusePages(e, mask uint32) {
	if mask == 0 {
		return
	}
	n := bits.OnesCount32(mask)
	s.counts.used -= n
	s.counts.free += n
	s.extents[e].free |= mask
	s.inMemory.add(e)
}

// openPage takes a free page for blocks of a class, for a heap, or returns 0. Pages that are in
// memory come first, and low extents: high ones empty themselves.
func (s *Space) openPage(heap uint16, c class) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := c.kind()
	e, ok := s.roomy(k).first()
	if !ok {
		if e, ok = s.newExtent(k); !ok {
			return 0
		}
	}
	x := &s.extents[e]
	from := x.free
	if there := from &^ x.gone; there != 0 {
		from = there
	}
	i := uint32(bits.TrailingZeros32(from))
	s.usePages(e, 1<<i)
	if x.free == 0 {
		s.roomy(k).remove(e)
	}
	s.pagesOf[c]++

	p := e*extentPages + i
	size := classSizes[c]
	s.sizes[p] = size
	m := &s.pages[p]
	m.class, m.cap = c, uint16(s.blocksPerPage(c))
	m.free, m.fresh, m.used = 0, 0, 0
	m.word.Store(uint64(ownedBy(heap)))
	return p
}

// freePage makes a page free of which no block is in use. It is in no list.
func (s *Space) freePage(p uint32) {
	m := &s.pages[p]
	s.pagesOf[m.class]--
	m.word.Store(0)
	m.class, m.cap, m.free, m.fresh = 0, 0, 0, 0
	e := p / extentPages
	s.unusePages(e, 1<<(p%extentPages))
	s.pagesFree(e)
}

// pagesFree files an extent of pages whose free ones changed.
func (s *Space) pagesFree(e uint32) {
	if x := &s.extents[e]; x.free == allPages {
		s.emptyExtent(e)
	} else {
		s.roomy(x.kind).set(e, x.free != 0 && !s.sparsePage(e*extentPages))
	}
}

// blocksPerPage returns how many blocks of a class a page holds. With pages larger
// than 64 KiB the index of a reference limits it: the smallest blocks then leave
// the end of a page untouched.
func (s *Space) blocksPerPage(c class) int {
	return min(s.pageSize()/int(classSizes[c]), 1<<indexBits)
}
