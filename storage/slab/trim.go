package slab

import (
	"math"
	"math/bits"
)

// keepFree is how many free pages stay in memory for the blocks to come, or a
// 32nd of those in use if that is more.
const keepFree = 32

// Trim gives free pages back to the system until budget bytes went or few enough
// are left, and reports whether there is more to give. A page takes some 10 µs, an
// extent up to 0.3 ms, during which allocations go on: the caller runs it on a
// goroutine of its own, never inside a command.
func (s *Space) Trim(budget int) (more bool) {
	s.trimming.Lock()
	defer s.trimming.Unlock()
	for budget > 0 {
		s.mu.Lock()
		t, ok := s.takeSurplus(budget / s.pageSize())
		s.mu.Unlock()
		if !ok {
			return false
		}
		n := bits.OnesCount32(t.mask)
		s.memory.giveBack(t.extent*extentPages+uint32(bits.TrailingZeros32(t.mask)), n)
		s.mu.Lock()
		s.putBack(t)
		s.counts.returned += n
		s.mu.Unlock()
		budget -= n * s.pageSize()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.surplus() > 0
}

// surplus returns how many pages should be given back, if more than 0.
func (s *Space) surplus() int {
	return s.counts.free - max(keepFree, s.counts.used/32)
}

// A trim is pages of an extent on their way to the system.
type trim struct {
	extent uint32
	mask   uint32 // side by side
	run    uint32 // of an arena: the free run in which they lie
}

// takeSurplus takes up to n free pages out of use, so that nobody allocates them
// while they are given back: of extents without a block first, and of the
// highest.
func (s *Space) takeSurplus(n int) (t trim, ok bool) {
	n = min(max(n, 1), s.surplus())
	if n <= 0 {
		return t, false
	}
	if t.extent, ok = s.inMemory.last(&s.spare); !ok {
		if t.extent, ok = s.inMemory.last(&s.inMemory); !ok {
			return t, false
		}
	}
	e := t.extent
	x := &s.extents[e]
	t.mask = lowestRun(x.free&^x.gone, n)
	switch x.kind {
	case extentNone:
		s.spare.remove(e)
		x.kind = extentTrimmed
	case extentArena:
		// The pages lie in one run, as free runs are never side by side. It
		// counts as in use meanwhile.
		p := e*extentPages + uint32(bits.TrailingZeros32(t.mask))
		t.run = s.runBefore(p<<s.granuleShift() + 1)
		s.clearIdle(t.run)
		_, _, longest := s.lookThrough(e, math.MaxInt32)
		s.setLongest(e, longest)
	}
	s.counts.free -= bits.OnesCount32(t.mask)
	x.free &^= t.mask
	s.inMemory.set(e, x.free&^x.gone != 0)
	if x.kind.ofPages() {
		s.pagesFree(e)
	}
	return t, true
}

// putBack makes pages usable again that were given back.
func (s *Space) putBack(t trim) {
	x := &s.extents[t.extent]
	x.free |= t.mask
	x.gone |= t.mask
	switch x.kind {
	case extentTrimmed:
		s.emptyExtent(t.extent)
	case extentArena:
		s.freeRun(t.extent, t.run)
	default:
		s.pagesFree(t.extent)
	}
}

// lowestRun returns the first of mask's bits that are side by side, at most n.
func lowestRun(mask uint32, n int) uint32 {
	at := bits.TrailingZeros32(mask)
	length := min(bits.TrailingZeros32(^(mask >> at)), n)
	return uint32(1<<length-1) << at
}
