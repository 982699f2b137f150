package slab

import "math/bits"

// Arenas have the blocks above 4 KiB, in granules of 256 bytes. An arena is a row
// of runs, each a block in use or free, and no two free ones side by side. Two
// bitmaps beside the memory say where runs begin and which are free, so that
// free memory need not be touched and can be given back:
//
//	starts  a run begins with this granule
//	idle    … and it is free
//
// A block's length is the distance to the next start. Size looks for that
// without a lock while others change bits around it, which is safe: what follows
// a block in use, in use or free, always begins where the block ends, as a free
// run joins the free one before it but never a block.
//
// An allocation takes the arena with the least longest run that is long enough,
// and in it the run that fits best. Looking through the runs of an arena takes
// some 0.2 µs; with pages of 64 KiB there are at most 480. All functions here but
// largeSize need Space.mu.

// arenas lists the arenas of an area that have free runs by the longest.
type arenas struct {
	first  [buckets]uint32 // extent, plus one
	filled [buckets / 64]uint64
}

// There are eight buckets per doubling of the granules.
const buckets = 192

func bucketOf(n int32) int {
	k := bits.Len32(uint32(n)) - 1
	if k < 3 {
		return int(n)
	}
	return (k-2)*8 + int(n)>>(k-3)&7
}

// allocLarge is Alloc for blocks above maxSmall.
func (h *Heap) allocLarge(a Area, n int) Ref {
	s := h.space
	if n > MaxBlock {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	granules := (n + granule - 1) / granule
	var r Ref
	if granules <= s.granulesPerExtent() {
		r = s.allocArena(a, int32(granules))
	} else {
		r = s.allocSpan(a, granules)
	}
	if r != 0 {
		h.bytes[a] += int64(granules) * granule
		h.blocks++
		if checked {
			s.markAllocated(r)
		}
	}
	return r
}

// freeLarge is Free for blocks above maxSmall.
func (h *Heap) freeLarge(r Ref) {
	s := h.space
	n := int64(s.largeSize(r))
	s.mu.Lock()
	defer s.mu.Unlock()
	e := r.page() / extentPages
	x := &s.extents[e]
	h.bytes[x.area] -= n
	h.blocks--
	if x.kind == extentSpan {
		s.freeSpan(e)
		return
	}
	g := s.granuleOf(r)
	x.used -= s.runAt(g)
	s.freeRun(e, g)
}

// largeSize is Size for blocks above maxSmall. It takes no lock.
func (s *Space) largeSize(r Ref) int {
	if x := &s.extents[r.page()/extentPages]; x.span > 0 {
		return int(x.span)*s.extentSize() + int(x.rest)*granule
	}
	return int(s.runAt(s.granuleOf(r))) * granule
}

// Granules are numbered through the whole space.

func (s *Space) granuleOf(r Ref) uint32 {
	return r.page()<<s.granuleShift() + r.index()>>(indexBits-s.granuleShift())
}

func (s *Space) refOfGranule(g uint32) Ref {
	n := s.granuleShift()
	return refOf(g>>n, g&(1<<n-1)<<(indexBits-n))
}

// granuleShift is the binary logarithm of the granules in a page.
func (s *Space) granuleShift() uint8 { return s.pageShift - 8 }

func (s *Space) firstGranule(e uint32) uint32 { return e * uint32(s.granulesPerExtent()) }

func (s *Space) startsAt(g uint32) bool { return s.starts[g/64].Load()>>(g%64)&1 != 0 }
func (s *Space) idleAt(g uint32) bool   { return s.idle[g/64]>>(g%64)&1 != 0 }

func (s *Space) setStart(g uint32)   { s.starts[g/64].Or(1 << (g % 64)) }
func (s *Space) clearStart(g uint32) { s.starts[g/64].And(^(uint64(1) << (g % 64))) }
func (s *Space) setIdle(g uint32)    { s.idle[g/64] |= 1 << (g % 64) }
func (s *Space) clearIdle(g uint32)  { s.idle[g/64] &^= 1 << (g % 64) }

// runAt returns the length of the run that begins with granule g.
func (s *Space) runAt(g uint32) int32 {
	end := (g | uint32(s.granulesPerExtent()-1)) + 1
	if g+1 == end {
		return 1
	}
	w := (g + 1) / 64
	word := s.starts[w].Load() &^ (1<<((g+1)%64) - 1)
	for word == 0 {
		if w++; w == end/64 {
			return int32(end - g)
		}
		word = s.starts[w].Load()
	}
	return int32(w*64 + uint32(bits.TrailingZeros64(word)) - g)
}

// runBefore returns the first granule of the run before g, which is not the
// first of its extent.
func (s *Space) runBefore(g uint32) uint32 {
	g--
	w := g / 64
	word := s.starts[w].Load() & (^uint64(0) >> (63 - g%64))
	for word == 0 {
		w--
		word = s.starts[w].Load()
	}
	return w*64 + uint32(bits.Len64(word)) - 1
}

// allocArena returns a block of n granules, at most an extent.
func (s *Space) allocArena(a Area, n int32) Ref {
	e, ok := s.arenaFor(a, n)
	if !ok {
		if e, ok = s.newExtent(extentArena); !ok {
			return 0
		}
		s.openArena(e, a)
	}
	return s.refOfGranule(s.carve(e, n))
}

// openArena makes an extent one free run. Its pages are still free: they are used
// where blocks are.
func (s *Space) openArena(e uint32, a Area) {
	x := &s.extents[e]
	x.area, x.used, x.largest, x.pinned = a, 0, int32(s.granulesPerExtent()), false
	g := s.firstGranule(e)
	s.setStart(g)
	s.setIdle(g)
	for p := e * extentPages; p < (e+1)*extentPages; p++ {
		s.sizes[p] = largePage | uint16(s.stride())
	}
	s.fileArena(e)
}

// arenaFor finds an arena with a free run of n granules. Those in the first
// bucket may have a shorter one, so only some of them are asked.
func (s *Space) arenaFor(a Area, n int32) (uint32, bool) {
	l := &s.arenas[a]
	b := bucketOf(n)
	at := l.first[b]
	for range 8 {
		if at == 0 {
			break
		}
		if s.extents[at-1].largest >= n {
			return at - 1, true
		}
		at = s.extents[at-1].next
	}
	for b++; b < buckets; b = (b/64 + 1) * 64 {
		if w := l.filled[b/64] >> (b % 64); w != 0 {
			return l.first[b+bits.TrailingZeros64(w)] - 1, true
		}
	}
	return 0, false
}

// carve takes n granules into use of the free run that fits best and returns the
// first of them. There is one.
func (s *Space) carve(e uint32, n int32) uint32 {
	g, length, longest := s.lookThrough(e, n)
	s.clearIdle(g)
	if n < length {
		s.setStart(g + uint32(n))
		s.setIdle(g + uint32(n))
		longest = max(longest, length-n)
	}
	x := &s.extents[e]
	x.used += n
	s.usePages(e, x.free&s.pagesTouching(g, n))
	s.setLongest(e, longest)
	return g
}

// lookThrough finds the shortest free run of at least n granules in an arena, and
// the length of the longest of the others.
func (s *Space) lookThrough(e uint32, n int32) (at uint32, length, longest int32) {
	first := s.firstGranule(e) / 64
	for i, word := range s.idle[first : first+uint32(s.granulesPerExtent()/64)] {
		for ; word != 0; word &= word - 1 {
			g := (first+uint32(i))*64 + uint32(bits.TrailingZeros64(word))
			m := s.runAt(g)
			if m >= n && (length == 0 || m < length) {
				m, at, length = length, g, m
			}
			longest = max(longest, m)
		}
	}
	return at, length, longest
}

// setLongest files an arena by its longest free run.
func (s *Space) setLongest(e uint32, longest int32) {
	x := &s.extents[e]
	if longest != x.largest {
		s.unfileArena(e)
		x.largest = longest
		s.fileArena(e)
	}
}

// freeRun makes a run free and joins it with its neighbours.
func (s *Space) freeRun(e, g uint32) {
	n := s.runAt(g)
	first := s.firstGranule(e)
	if next := g + uint32(n); next < first+uint32(s.granulesPerExtent()) && s.idleAt(next) {
		n += s.runAt(next)
		s.clearIdle(next)
		s.clearStart(next)
	}
	s.setIdle(g)
	if g > first {
		if before := s.runBefore(g); s.idleAt(before) {
			s.clearIdle(g)
			s.clearStart(g)
			n += int32(g - before)
			g = before
		}
	}
	x := &s.extents[e]
	s.unusePages(e, s.pagesWithin(g, n)&^x.free)
	if int(n) == s.granulesPerExtent() {
		s.unfileArena(e)
		s.clearIdle(g)
		s.clearStart(g)
		s.emptyExtent(e)
	} else {
		s.setLongest(e, max(x.largest, n))
	}
}

// pagesTouching returns the pages of its extent in which granules of a run lie.
func (s *Space) pagesTouching(g uint32, n int32) uint32 {
	first := g >> s.granuleShift() % extentPages
	last := (g + uint32(n) - 1) >> s.granuleShift() % extentPages
	return uint32(1<<(last+1)-1) &^ (1<<first - 1)
}

// pagesWithin returns the pages of which all granules lie in a run.
func (s *Space) pagesWithin(g uint32, n int32) uint32 {
	perPage := uint32(1) << s.granuleShift()
	base := g >> s.granuleShift() &^ (extentPages - 1)
	first := (g+perPage-1)>>s.granuleShift() - base
	end := (g+uint32(n))>>s.granuleShift() - base
	if first >= end {
		return 0
	}
	return uint32(1<<end-1) &^ (1<<first - 1)
}

// fileArena puts an arena into the bucket of its longest free run, unless it has
// none or is being emptied.
func (s *Space) fileArena(e uint32) {
	x := &s.extents[e]
	x.prev, x.next = 0, 0
	if x.largest == 0 || s.sparsePage(e*extentPages) {
		return
	}
	l := &s.arenas[x.area]
	b := bucketOf(x.largest)
	x.next = l.first[b]
	if x.next != 0 {
		s.extents[x.next-1].prev = e + 1
	}
	l.first[b] = e + 1
	l.filled[b/64] |= 1 << (b % 64)
}

func (s *Space) unfileArena(e uint32) {
	x := &s.extents[e]
	l := &s.arenas[x.area]
	b := bucketOf(x.largest)
	switch {
	case x.prev != 0:
		s.extents[x.prev-1].next = x.next
	case l.first[b] == e+1:
		l.first[b] = x.next
		if x.next == 0 {
			l.filled[b/64] &^= 1 << (b % 64)
		}
	}
	if x.next != 0 {
		s.extents[x.next-1].prev = x.prev
	}
	x.prev, x.next = 0, 0
}
