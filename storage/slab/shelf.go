package slab

import "sync/atomic"

// The shelf of a space has pages with room that nobody owns, a list for each
// class, under Space.mu.

// takeShelved takes a page of a class from the shelf for a heap, 0 if there is
// none.
func (s *Space) takeShelved(h *Heap, c class) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.shelf[c]
	if p == 0 {
		return 0
	}
	s.unlink(p)
	m := &s.pages[p]
	w := m.load()
	for !m.swap(w, w.ownedBy(h.id)) { // blocks come back
		w = m.load()
	}
	m.used = w.used()
	s.takeAhead(h, c, int(m.cap-w.used()+w.count()))
	return p
}

// takeAhead has a heap remember some more pages of the shelf if the one that it
// took has little room, so that it need not come back for each block when pages
// are nearly full.
func (s *Space) takeAhead(h *Heap, c class, room int) {
	for range maxHints / 4 {
		p := s.shelf[c]
		m := &s.pages[p]
		if l := h.hints[c].Load(); p == 0 || room > int(m.cap)/16 || l != nil && l.n > maxHints/2 {
			return
		}
		w := s.unshelve(p)
		room += int(m.cap - w.used() + w.count())
		h.remember(c, p)
	}
}

// loosen makes a page loose that its owner gives up and reports whether there is
// room in it. Otherwise it is full, or empty and therefore free.
func (s *Space) loosen(p uint32) (room bool) {
	room, empty := s.pages[p].giveUp()
	if empty {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.freePage(p)
	}
	return room
}

// shelve puts a page on the shelf that its owner gives up.
func (s *Space) shelve(p uint32) {
	room, empty := s.pages[p].giveUp()
	if empty {
		s.freePage(p)
	} else if room {
		s.shelveLoose(p)
	}
}

// giveUp makes a page loose or full that its owner gives up. An empty one stays
// as it is: nobody else has to do with it.
func (m *page) giveUp() (room, empty bool) {
	for {
		w := m.load()
		if w.count() == m.used {
			return false, true
		}
		to := w.stack() | fullOf(m.used)
		if room = m.used < m.cap || w.count() > 0; room {
			to |= roomBit
		}
		if m.swap(w, to) {
			return room, false
		}
	}
}

// settle gives up a page that nobody owns after its last block was pushed on it,
// unless somebody took it in the meantime.
func (s *Space) settle(p uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.pages[p]
	w := m.load()
	if w.owner() != 0 || !w.hasRoom() || w.count() < w.used() {
		return
	}
	if w.shelved() {
		s.unlink(p)
	}
	if m.swap(w, 0) { // fails only if the page was loose
		s.freePage(p)
	}
}

// putOnShelf puts those of the pages on the shelf that are still loose.
func (s *Space) putOnShelf(hints []atomic.Uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range hints {
		s.shelveLoose(hints[i].Load())
	}
}

// shelveLoose puts a page on the shelf if it is loose. In an extent that is being
// emptied it stays so; unmark shelves it.
func (s *Space) shelveLoose(p uint32) {
	m := &s.pages[p]
	for w := m.load(); w.loose() && !s.sparsePage(p); w = m.load() {
		if m.swap(w, w|shelfBit) {
			s.link(p)
			return
		}
	}
}

// unshelve makes a page on the shelf loose and returns its word.
func (s *Space) unshelve(p uint32) word {
	s.unlink(p)
	m := &s.pages[p]
	for {
		w := m.load()
		if m.swap(w, w&^shelfBit) {
			return w &^ shelfBit
		}
	}
}

func (s *Space) link(p uint32) {
	m := &s.pages[p]
	first := &s.shelf[m.class]
	m.prev, m.next = 0, *first
	if m.next != 0 {
		s.pages[m.next].prev = p
	}
	*first = p
}

func (s *Space) unlink(p uint32) {
	m := &s.pages[p]
	if m.prev != 0 {
		s.pages[m.prev].next = m.next
	} else {
		s.shelf[m.class] = m.next
	}
	if m.next != 0 {
		s.pages[m.next].prev = m.prev
	}
	m.prev, m.next = 0, 0
}
