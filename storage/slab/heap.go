package slab

// A Heap allocates and frees blocks of a Space. One goroutine at a time may use
// it; each executor has its own.
//
// A heap owns pages: those that it opened, and full ones of which it freed a
// block. Only it allocates from them. A page whose last block is allocated
// belongs to nobody until one of its blocks is freed, so a heap owns no more
// pages than have room, and never more than maxOwned.
type Heap struct {
	space *Space
	id    uint16
	epoch uint32 // the space's, when the owned pages were last looked through
	owned int    // pages in all lists
	empty uint32 // an owned page without a block, kept for the next one

	room   [classes]uint32 // first of the owned pages of a class
	recent [classes]bool   // a page was taken for the class since the last shed

	// What this heap allocated less what it freed, negative if others' blocks
	// are freed here.
	bytes  [areas]int64
	blocks int64
}

// maxOwned is how many pages a heap may own: 4 MiB with pages of 64 KiB. What
// is beyond goes to the shelf, for whichever heap needs room.
const maxOwned = 64

// NewHeap returns a heap of the space. There can be 4095 at a time; Close makes
// room for another.
func (s *Space) NewHeap() *Heap {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, h := range s.heaps {
		if h == nil {
			s.heaps[i] = &Heap{space: s, id: uint16(i + 1), epoch: s.epoch.Load()}
			return s.heaps[i]
		}
	}
	if len(s.heaps) == maxHeaps {
		panic("slab: too many heaps")
	}
	h := &Heap{space: s, id: uint16(len(s.heaps) + 1), epoch: s.epoch.Load()}
	s.heaps = append(s.heaps, h)
	return h
}

// Close retires the heap for good.
func (h *Heap) Close() {
	h.Retire()
	s := h.space
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, n := range h.bytes {
		s.closedBytes[a] += n
	}
	s.closedBlocks += h.blocks
	s.heaps[h.id-1] = nil
	h.space = nil
}

// Alloc returns a block of at least n bytes, whose contents are undefined, or 0
// when the space is full or n is more than MaxBlock: the keyspace then answers
// OOM. SizeFor says how large the block is. Blocks begin at multiples of 4 bytes,
// those of Tables and those above 4 KiB at multiples of 64.
func (h *Heap) Alloc(a Area, n int) Ref {
	s := h.space
	if h.epoch != s.epoch.Load() {
		h.recall()
	}
	if n > maxSmall {
		return h.allocLarge(a, n)
	}
	c := classFor(a, n)
	p := h.room[c]
	m := &s.pages[p] // of page 0, which never has room, if there is none
	if !m.hasRoom() {
		if p = h.refill(c); p == 0 {
			return 0
		}
		m = &s.pages[p]
	}
	var i uint32
	if m.free != 0 {
		i = uint32(m.free) - 1
		b := s.at(p, i*uint32(classSizes[c]))
		m.free = *link(b)
		if checked {
			s.checkPoison(p, i)
		}
	} else {
		i = uint32(m.fresh)
		m.fresh++
	}
	m.used++
	h.bytes[a] += int64(classSizes[c])
	h.blocks++
	if checked {
		s.markAllocated(refOf(p, i))
	}
	return refOf(p, i)
}

// refill returns a page of the class with room, now the first in its list, or 0
// if there is no memory.
func (h *Heap) refill(c class) uint32 {
	s := h.space
	for {
		p := h.room[c]
		if p == 0 {
			break
		}
		m := &s.pages[p]
		if m.hasRoom() || m.collect() {
			return p
		}
		// All in use: it is nobody's from now on. Whoever takes it over uses
		// its links, so it leaves the list first.
		h.unlink(p)
		if !m.swap(ownedBy(h.id), fullOf(m.cap)) {
			h.push(c, p) // a block came back in the meantime
		}
	}
	h.recent[c] = true
	p := s.takePage(h.id, c)
	if p == 0 {
		return 0
	}
	h.push(c, p)
	m := &s.pages[p]
	if !m.hasRoom() {
		m.collect()
	}
	return p
}

// Free gives a block back. Any heap of the space may free any block.
func (h *Heap) Free(r Ref) {
	s := h.space
	p, i := r.page(), r.index()
	size := s.sizes[p]
	if checked {
		s.markFreed(r)
	}
	if size&largePage != 0 {
		h.freeLarge(r)
		return
	}
	m := &s.pages[p]
	h.bytes[m.class.area()] -= int64(size)
	h.blocks--
	w := m.load()
	if w.owner() != h.id {
		h.freeElsewhere(m, p, i)
		return
	}
	*link(s.at(p, i*uint32(size))) = m.free
	m.free = uint16(i + 1)
	m.used--
	if m.used == w.count() {
		h.emptied(m, p)
	}
}

// freeElsewhere frees block i of a page that the heap does not own.
func (h *Heap) freeElsewhere(m *page, p, i uint32) {
	s := h.space
	b := link(s.at(p, i*uint32(s.sizes[p])))
	for {
		w := m.load()
		nobodys := w.owner() == 0
		if nobodys && !w.shelved() && !s.sparsePage(p) {
			// A full page: take it over.
			if !m.swap(w, ownedBy(h.id)) {
				continue
			}
			*b = 0
			m.free, m.used = uint16(i+1), m.cap-1
			h.push(m.class, p)
			if h.owned > maxOwned {
				h.shed()
			}
			return
		}
		*b = w.head()
		to := w.push(i)
		if nobodys {
			to |= shelfBit
		}
		if !m.swap(w, to) {
			continue
		}
		if nobodys && (!w.shelved() || to.count() == to.used()) {
			s.settle(p)
		}
		return
	}
}

// emptied gives up a page whose last block was freed, unless it is the only one:
// a class of which one block comes and goes would otherwise take a page from the
// space each time.
func (h *Heap) emptied(m *page, p uint32) {
	if h.empty == p {
		return
	}
	if h.empty == 0 || h.space.pages[h.empty].used != 0 {
		h.empty = p
		return
	}
	h.unlink(p)
	s := h.space
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shelve(p)
}

// Retire hands all pages that the heap owns to the others. An executor calls it
// when it goes idle; the heap may be used again.
func (h *Heap) Retire() {
	if h.owned == 0 {
		return
	}
	h.release(func(class, uint32, bool) bool { return true })
}

// shed hands over what the heap has too much of: all but one page of each class
// that needed one since the last time, and if that is not half of all, those too.
func (h *Heap) shed() {
	h.release(func(c class, _ uint32, first bool) bool { return !first || !h.recent[c] })
	if h.owned > maxOwned/2 {
		h.release(func(class, uint32, bool) bool { return true })
	}
	clear(h.recent[:])
}

// recall hands over the pages in extents that are being emptied.
func (h *Heap) recall() {
	s := h.space
	h.epoch = s.epoch.Load()
	if h.owned > 0 {
		h.release(func(_ class, p uint32, _ bool) bool { return s.sparsePage(p) })
	}
}

// release hands over the pages for which which says so.
func (h *Heap) release(which func(c class, p uint32, first bool) bool) {
	s := h.space
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range class(classes) {
		for p := h.room[c]; p != 0; {
			next := s.pages[p].next
			if which(c, p, p == h.room[c]) {
				h.unlink(p)
				s.shelve(p)
			}
			p = next
		}
	}
}

func (h *Heap) push(c class, p uint32) {
	h.space.link(&h.room[c], p)
	h.owned++
}

// unlink takes a page that the heap owns out of its list.
func (h *Heap) unlink(p uint32) {
	h.space.unlink(&h.room[h.space.pages[p].class], p)
	h.owned--
	if h.empty == p {
		h.empty = 0
	}
}
