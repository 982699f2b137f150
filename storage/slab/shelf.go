package slab

// The shelf of a space has the pages with room that no heap owns, a list for
// each class. All of this runs under Space.mu.

// takePage returns a page of a class with room, from the shelf or a new one, or 0
// if there is no memory.
func (s *Space) takePage(heap uint16, c class) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.shelf[c]
	if p == 0 {
		return s.newPage(heap, c)
	}
	s.unshelve(p)
	m := &s.pages[p]
	for {
		w := m.load()
		if m.swap(w, w.stack()|ownedBy(heap)) {
			m.used = w.used()
			return p
		}
	}
}

// shelve files a page that its owner gives up and has taken out of its list. No
// block of it may be in use: the page is then free.
func (s *Space) shelve(p uint32) {
	m := &s.pages[p]
	for {
		w := m.load()
		if w.count() == m.used {
			s.freePage(p) // no block is in use, so nobody else sees the page
			return
		}
		to := w.stack() | fullOf(m.used)
		full := m.used == m.cap && w.count() == 0
		if !full {
			to |= shelfBit
		}
		if m.swap(w, to) {
			if !full {
				s.putOnShelf(p)
			}
			return
		}
	}
}

// settle files a page after a block was pushed on it that changes where it
// belongs: the first one of a full page of a sparse extent, or the last one of
// those in use.
func (s *Space) settle(p uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.pages[p]
	w := m.load()
	if w.owner() != 0 || !w.shelved() {
		return // somebody took it in the meantime, or filed it
	}
	if w.count() < w.used() {
		s.putOnShelf(p)
		return
	}
	s.unshelve(p)
	s.freePage(p)
}

// putOnShelf lists a shelved page, unless its extent is being emptied.
func (s *Space) putOnShelf(p uint32) {
	m := &s.pages[p]
	if !m.shelf && !s.sparsePage(p) {
		m.shelf = true
		s.link(&s.shelf[m.class], p)
	}
}

func (s *Space) unshelve(p uint32) {
	m := &s.pages[p]
	if m.shelf {
		m.shelf = false
		s.unlink(&s.shelf[m.class], p)
	}
}

// link and unlink keep lists of pages: those of a heap for its goroutine, those
// of the shelf under the lock.
func (s *Space) link(first *uint32, p uint32) {
	m := &s.pages[p]
	m.prev, m.next = 0, *first
	if m.next != 0 {
		s.pages[m.next].prev = p
	}
	*first = p
}

func (s *Space) unlink(first *uint32, p uint32) {
	m := &s.pages[p]
	if m.prev != 0 {
		s.pages[m.prev].next = m.next
	} else {
		*first = m.next
	}
	if m.next != 0 {
		s.pages[m.next].prev = m.prev
	}
	m.prev, m.next = 0, 0
}
