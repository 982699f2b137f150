package slab

// A span has a block larger than an extent: whole extents, and the rest at the
// beginning of the arena behind them, so that no more than a granule is lost.
// The memory of whole extents is counted as used at once, whether touched or not.

// allocSpan returns a block of more granules than an extent has.
func (s *Space) allocSpan(a Area, granules int) Ref {
	whole := granules / s.granulesPerExtent()
	rest := granules % s.granulesPerExtent()
	n := whole
	if rest > 0 {
		n++
	}
	e, ok := s.spareRun(n)
	if !ok || !s.takeExtents(e, n, extentSpan) {
		return 0
	}
	for i := e; i < e+uint32(whole); i++ {
		s.usePages(i, allPages)
	}
	if rest > 0 {
		tail := e + uint32(whole)
		s.extents[tail].kind = extentArena
		s.openArena(tail, a)
		s.carve(tail, int32(rest))
		s.extents[tail].pinned = true
	}
	x := &s.extents[e]
	x.area, x.span, x.rest = a, uint32(whole), int32(rest)
	s.sizes[e*extentPages] = largePage | uint16(s.stride())
	return refOf(e*extentPages, 0)
}

// freeSpan frees the block of the span that begins with an extent.
func (s *Space) freeSpan(e uint32) {
	x := &s.extents[e]
	whole, rest := x.span, x.rest
	x.span, x.rest = 0, 0
	for i := e; i < e+whole; i++ {
		s.unusePages(i, allPages)
		s.emptyExtent(i)
	}
	if rest > 0 {
		tail := e + whole
		s.extents[tail].used -= rest
		s.extents[tail].pinned = false
		s.freeRun(tail, s.firstGranule(tail))
	}
}

// spareRun finds n extents in a row that are spare or were never used.
func (s *Space) spareRun(n int) (uint32, bool) {
	found := 0
	for e := uint32(s.spare.low * 64); e < s.top; e++ {
		if s.spare.words[e/64] == 0 {
			found = 0
			e |= 63
			continue
		}
		if !s.spare.has(e) {
			found = 0
		} else if found++; found == n {
			return e + 1 - uint32(n), true
		}
	}
	if s.top < uint32(s.spare.low*64) {
		found = 0
	}
	e := s.top - uint32(found)
	return e, int(e)+n <= len(s.extents)
}
