package slab

import (
	"math/bits"
	"testing"
)

// audit looks through a space at rest and compares what it keeps twice.
func audit(t testing.TB, s *Space) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &auditor{TB: t, s: s, shelved: make(map[uint32]bool), known: make(map[uint32]bool)}
	a.lists()
	for e := range s.top {
		a.extent(e)
	}
	if a.counts.used != s.counts.used || a.counts.free != s.counts.free {
		t.Errorf("pages in use %d and free %d, counted are %d and %d", a.counts.used, a.counts.free, s.counts.used, s.counts.free)
	}
	var bytes [areas]int64
	bytes, blocks := s.closedBytes, s.closedBlocks
	for _, h := range *s.heaps.Load() {
		if h != nil {
			h.addTo(&bytes, &blocks)
		}
	}
	if a.bytes != bytes || a.blocks != blocks {
		t.Errorf("%d blocks with %v bytes in use, the heaps count %d and %v", a.blocks, a.bytes, blocks, bytes)
	}
	if a.pagesOf != s.pagesOf {
		t.Errorf("pages by class are miscounted")
	}
}

type auditor struct {
	testing.TB
	s       *Space
	shelved map[uint32]bool // pages on the shelf
	known   map[uint32]bool // pages that heaps remember
	counts  counts
	pagesOf [classes]int32
	bytes   [areas]int64
	blocks  int64
}

func (a *auditor) lists() {
	s := a.s
	for c := range class(classes) {
		prev := uint32(0)
		for p := s.shelf[c]; p != 0; prev, p = p, s.pages[p].next {
			m := &s.pages[p]
			if a.shelved[p] || m.class != c || m.prev != prev || !m.load().shelved() {
				a.Fatalf("page %d on the shelf of class %d: twice %v, class %d, word %#x", p, c, a.shelved[p], m.class, m.load())
			}
			a.shelved[p] = true
		}
	}
	for _, h := range *s.heaps.Load() {
		if h == nil {
			continue
		}
		owned := 0
		for c := range class(classes) {
			if p := h.own[c]; p != 0 {
				owned++
				if m := &s.pages[p]; m.class != c || m.load().owner() != h.id {
					a.Errorf("page %d is heap %d's for class %d: class %d, word %#x", p, h.id, c, m.class, m.load())
				}
			}
			if l := h.hints[c].Load(); l != nil {
				for i := range l.page[:l.n] {
					a.known[l.page[i].Load()] = true
				}
			}
		}
		if owned != h.owned || owned > maxOwned {
			a.Errorf("heap %d has %d pages and counts %d", h.id, owned, h.owned)
		}
	}
}

func (a *auditor) extent(e uint32) {
	s := a.s
	x := &s.extents[e]
	sparse := s.sparsePage(e * extentPages)
	if x.gone&^x.free != 0 {
		a.Errorf("extent %d: pages in use %#x, gone %#x", e, ^x.free, x.gone)
	}
	if got := s.spare.has(e); got != (x.kind == extentNone) || got && (x.free != allPages || sparse) {
		a.Errorf("extent %d of kind %d, free %#x, sparse %v: spare is %v", e, x.kind, x.free, sparse, got)
	}
	for _, k := range []kind{extentOfPages, extentOfTables} {
		if got := s.roomy(k).has(e); got != (x.kind == k && x.free != 0 && !sparse) {
			a.Errorf("extent %d of kind %d, free %#x, sparse %v: roomy(%d) is %v", e, x.kind, x.free, sparse, k, got)
		}
	}
	if got := s.inMemory.has(e); got != (x.free&^x.gone != 0) {
		a.Errorf("extent %d with pages %#x free in memory: inMemory is %v", e, x.free&^x.gone, got)
	}
	a.counts.free += bits.OnesCount32(x.free &^ x.gone)
	a.counts.used += bits.OnesCount32(^x.free)
	switch x.kind {
	case extentOfPages, extentOfTables:
		for i := range uint32(extentPages) {
			a.page(e*extentPages+i, x.free>>i&1 != 0)
		}
	case extentArena:
		a.arena(e)
	case extentSpan:
		if x.span > 0 {
			a.blocks++
			a.bytes[x.area] += int64(s.largeSize(refOf(e*extentPages, 0)))
		}
	}
	if e == 0 {
		a.counts.used-- // page 0
	}
}

func (a *auditor) page(p uint32, free bool) {
	m := &a.s.pages[p]
	if free || p == 0 {
		if m.class != 0 || m.load() != 0 {
			a.Errorf("free page %d has class %d, word %#x", p, m.class, m.load())
		}
		return
	}
	a.pagesOf[m.class]++
	n := m.inUse()
	a.blocks += int64(n)
	a.bytes[m.class.area()] += int64(n) * int64(classSizes[m.class])
	w := m.load()
	sparse := a.s.sparsePage(p)
	switch {
	case w.owner() != 0:
		if h := (*a.s.heaps.Load())[w.owner()-1]; h == nil || h.own[m.class] != p {
			a.Errorf("page %d is not known to its owner %d", p, w.owner())
		}
	case w.hasRoom():
		if n == 0 || w.shelved() != a.shelved[p] || sparse && w.shelved() {
			a.Errorf("page %d with %d blocks, word %#x, sparse %v: on the shelf %v", p, n, w, sparse, a.shelved[p])
		}
		if w.loose() && !sparse && !a.known[p] {
			a.Errorf("page %d with %d of %d blocks is loose, and nobody knows it", p, n, m.cap)
		}
	case n != int(m.cap) || m.free != 0 || m.fresh < m.cap:
		a.Errorf("page %d of nobody has no room with %d of %d blocks", p, n, m.cap)
	}
}

// inUse returns how many blocks of a page are in use.
func (m *page) inUse() int {
	w := m.load()
	if w.owner() == 0 {
		return int(w.used()) - int(w.count())
	}
	return int(m.used) - int(w.count())
}

func (a *auditor) arena(e uint32) {
	s := a.s
	x := &s.extents[e]
	end := s.firstGranule(e + 1)
	used, largest, lastIdle := int32(0), int32(0), false
	var free uint32
	for g := s.firstGranule(e); g < end; {
		if !s.startsAt(g) {
			a.Fatalf("arena %d: no run begins at granule %d", e, g)
		}
		n := s.runAt(g)
		idle := s.idleAt(g)
		if idle && lastIdle {
			a.Errorf("arena %d: two free runs side by side at %d", e, g)
		}
		if idle {
			largest = max(largest, n)
			free |= s.pagesWithin(g, n)
		} else {
			used += n
			if g > s.firstGranule(e) || !x.pinned {
				a.blocks++
				a.bytes[x.area] += int64(n) * granule
			}
		}
		lastIdle = idle
		g += uint32(n)
	}
	if used != x.used || largest != x.largest || free != x.free {
		a.Errorf("arena %d: %d granules in use, longest run %d, pages %#x free; it says %d, %d, %#x", e, used, largest, free, x.used, x.largest, x.free)
	}
	l := &s.arenas[x.area]
	found := false
	if largest > 0 {
		for at := l.first[bucketOf(largest)]; at != 0; at = s.extents[at-1].next {
			found = found || at == e+1
		}
	}
	if found != (largest > 0 && !s.sparsePage(e*extentPages)) {
		a.Errorf("arena %d with a run of %d: in its bucket is %v", e, largest, found)
	}
}
