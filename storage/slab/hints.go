package slab

import "sync/atomic"

// hints are the loose pages of a class that a heap remembers. Only the heap
// changes them, but a heap that would have to open a page looks into those of
// the others first. They are numbers of pages that were loose once; the word of
// the page says whether it still is.
type hints struct {
	n    int // of the heap's goroutine
	page [maxHints]atomic.Uint32
}

// maxHints is how many loose pages of a class a heap remembers; half of them go
// to the shelf when there are more. When keys are overwritten at random most
// pages have one or two free blocks, so with fewer hints the shelf's lock would
// be taken more often.
const maxHints = 64

// remember notes a page that became loose, for the next time that a page of its
// class is needed.
func (h *Heap) remember(c class, p uint32) {
	l := h.hints[c].Load()
	if l == nil {
		l = &hints{}
		h.hints[c].Store(l)
	}
	if l.n == maxHints {
		h.forget(l, maxHints/2)
	}
	l.page[l.n].Store(p)
	l.n++
}

// forget puts n pages on the shelf, those that the heap has known longest.
func (h *Heap) forget(l *hints, n int) {
	h.space.putOnShelf(l.page[:n])
	for i := n; i < l.n; i++ {
		l.page[i-n].Store(l.page[i].Load())
	}
	l.n -= n
}

// takeLoose takes the last of the loose pages that the heap remembers for a class,
// 0 if there is none.
func (h *Heap) takeLoose(c class) uint32 {
	l := h.hints[c].Load()
	if l == nil {
		return 0
	}
	for l.n > 0 {
		l.n--
		if p := l.page[l.n].Load(); h.space.tryTake(h.id, c, p) {
			return p
		}
	}
	return 0
}

// steal takes a loose page of a class that another heap remembers, 0 if there is
// none. It begins with those that have been loose for longest: they are likely to
// have more room.
func (h *Heap) steal(c class) uint32 {
	for _, other := range *h.space.heaps.Load() {
		if other == nil || other == h {
			continue
		}
		l := other.hints[c].Load()
		if l == nil {
			continue
		}
		for i := range l.page {
			p := l.page[i].Load()
			if p == 0 {
				break
			}
			if h.space.tryTake(h.id, c, p) {
				return p
			}
		}
	}
	return 0
}

// tryTake takes a page for a heap if it is a loose one of the class.
func (s *Space) tryTake(heap uint16, c class, p uint32) bool {
	m := &s.pages[p]
	for w := m.load(); w.loose() && !s.sparsePage(p); w = m.load() {
		if !m.swap(w, w.ownedBy(heap)) {
			continue
		}
		m.used = w.used()
		if m.class == c {
			return true
		}
		// Since the hint was written the page was emptied and opened for
		// another class, which can be seen only now.
		s.mu.Lock()
		s.shelve(p)
		s.mu.Unlock()
		return false
	}
	return false
}
