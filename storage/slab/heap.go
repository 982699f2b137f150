package slab

import (
	"slices"
	"sync/atomic"
)

// A Heap allocates and frees blocks of a Space. One goroutine at a time may use
// it; each executor has its own.
//
// A heap owns at most one page of a class, from which it allocates. When that
// page has no free block left it belongs to nobody, and the heap looks for another
// one: first among the loose pages it remembers, which are those of which it
// freed the first block after they were full, then on the space's shelf, then
// among the loose pages that other heaps remember, and last it opens a new one.
// Only the shelf and new pages take the space's lock.
//
// Blocks of the owned pages are freed without any locked instruction. All others
// are pushed on the stack of their page with one compare-and-swap, whoever frees
// them, so pages that become empty are given up at once unless they are owned.
type Heap struct {
	space *Space
	id    uint16
	epoch uint32 // the space's, when the owned pages were last looked through

	own    [classes]uint32 // the owned page of a class, 0 if none
	recent [classes]bool   // the class needed a page since the last loosening
	owned  int             // pages in own
	empty  uint32          // an owned page that had no block in use, or 0
	hints  [classes]atomic.Pointer[hints]

	// What this heap allocated less what it freed; negative if it frees what
	// others allocate.
	bytes  [areas]int64
	blocks int64
}

// maxOwned is how many pages a heap may own, 4 MiB with pages of 64 KiB: nobody
// else can use their free blocks, and they stay in memory if others empty them.
// With more the pages of the least used classes become loose.
const maxOwned = 64

// NewHeap returns a heap of the space. There can be 4095 at a time; Close makes
// room for another.
func (s *Space) NewHeap() *Heap {
	s.mu.Lock()
	defer s.mu.Unlock()
	heaps := slices.Clone(*s.heaps.Load())
	at := slices.Index(heaps, nil)
	if at < 0 {
		if len(heaps) == maxHeaps {
			panic("slab: too many heaps")
		}
		at = len(heaps)
		heaps = append(heaps, nil)
	}
	h := &Heap{space: s, id: uint16(at + 1), epoch: s.epoch.Load()}
	heaps[at] = h
	s.heaps.Store(&heaps)
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
	heaps := slices.Clone(*s.heaps.Load())
	heaps[h.id-1] = nil
	s.heaps.Store(&heaps)
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
	p := h.own[c]
	m := &s.pages[p] // page 0, which never has room, if there is none
	if !m.hasRoom() {
		if p = h.refill(c); p == 0 {
			return 0
		}
		m = &s.pages[p]
	}
	i := uint32(m.fresh)
	if m.free != 0 {
		i = uint32(m.free) - 1
		m.free = *link(s.at(p, i*uint32(classSizes[c])))
		if checked {
			s.checkPoison(p, i)
		}
	} else {
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

// refill returns a page of the class with room, which the heap now owns, or 0 if
// there is no memory.
func (h *Heap) refill(c class) uint32 {
	s := h.space
	if p := h.own[c]; p != 0 {
		m := &s.pages[p]
		if m.collect() {
			return p
		}
		h.disown(c)
		for !m.swap(ownedBy(h.id), fullOf(m.cap)) {
			if m.collect() { // a block came back just now
				h.adopt(c, p)
				return p
			}
		}
	}
	if h.owned >= maxOwned {
		h.loosen()
	}
	h.recent[c] = true
	p := h.takeLoose(c)
	if p == 0 {
		p = s.takeShelved(h, c)
	}
	if p == 0 {
		p = h.steal(c)
	}
	if p == 0 {
		p = s.openPage(h.id, c)
	}
	if p == 0 {
		return 0
	}
	h.adopt(c, p)
	if m := &s.pages[p]; !m.hasRoom() {
		m.collect()
	}
	return p
}

func (h *Heap) adopt(c class, p uint32) {
	h.own[c] = p
	h.owned++
}

func (h *Heap) disown(c class) {
	if h.empty == h.own[c] {
		h.empty = 0
	}
	h.own[c] = 0
	h.owned--
}

// Free gives a block back. Any heap of the space may free any block.
func (h *Heap) Free(r Ref) {
	s := h.space
	if checked {
		s.markFreed(r)
	}
	p, i := r.page(), r.index()
	size := s.sizes[p]
	if size&largePage != 0 {
		h.freeLarge(r)
		return
	}
	m := &s.pages[p]
	c := m.class
	b := link(s.at(p, i*uint32(size)))
	h.bytes[c.area()] -= int64(size)
	h.blocks--
	w := m.load()
	if w.owner() == h.id {
		*b = m.free
		m.free = uint16(i + 1)
		m.used--
		if m.used == w.count() {
			h.emptied(c)
		}
		return
	}
	for {
		*b = w.head()
		to := w.push(i)
		if m.swap(w, to) {
			if w.owner() == 0 {
				h.pushed(c, p, w, to)
			}
			return
		}
		w = m.load()
	}
}

// pushed sees to a page that nobody owns after a block was pushed on it.
func (h *Heap) pushed(c class, p uint32, from, to word) {
	if to.count() == to.used() {
		h.space.settle(p)
	} else if !from.hasRoom() {
		h.remember(c, p)
	}
}

// emptied gives up the owned page of a class after its last block was freed, but
// the heap keeps one empty page: a class of which one block comes and goes would
// otherwise take a page from the space each time.
func (h *Heap) emptied(c class) {
	p := h.own[c]
	if h.empty == p {
		return
	}
	if h.empty == 0 || h.space.pages[h.empty].used != 0 {
		h.empty = p
		return
	}
	h.disown(c)
	s := h.space
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shelve(p)
}

// Retire hands all pages with room to the other heaps. An executor calls it when
// it goes idle; the heap may be used again.
func (h *Heap) Retire() {
	if h.owned > 0 {
		s := h.space
		s.mu.Lock()
		for c, p := range h.own {
			if p != 0 {
				h.disown(class(c))
				s.shelve(p)
			}
		}
		s.mu.Unlock()
	}
	for c := range h.hints {
		if l := h.hints[c].Load(); l != nil && l.n > 0 {
			h.forget(l, l.n)
		}
	}
}

// loosen gives up the owned pages of classes that needed no page since the last
// time. If half of all or more would be left, it gives up those, too.
func (h *Heap) loosen() {
	for _, all := range []bool{false, true} {
		if all && h.owned <= maxOwned/2 {
			break
		}
		for c := range class(classes) {
			if p := h.own[c]; p != 0 && (all || !h.recent[c]) {
				h.disown(c)
				if h.space.loosen(p) {
					h.remember(c, p)
				}
			}
		}
	}
	clear(h.recent[:])
}

// recall gives up the owned pages in extents that are being emptied.
func (h *Heap) recall() {
	s := h.space
	h.epoch = s.epoch.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, p := range h.own {
		if p != 0 && s.sparsePage(p) {
			h.disown(class(c))
			s.shelve(p)
		}
	}
}
