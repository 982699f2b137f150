package tree

// removeRange takes n entries from a position on out.
func (t *Tree) removeRange(pos, n int) {
	if n = min(n, t.main.n-pos); n <= 0 {
		return
	}
	s := &t.main
	if n == s.n {
		t.removeAll()
		return
	}
	for n > 0 {
		at := s.downAt(pos)
		t.change()
		if s.height == 0 || at > 0 || s.leaf.n > n {
			k := min(n, s.leaf.n-at)
			t.removeRows(at, at+k)
			s.add(-k)
			s.cut(at, at+k)
			n -= k
			continue
		}
		n -= t.removeLeaves(n)
	}
	t.settled()
}

// removeLeaves takes the leaf of the path out, which has at most n entries, and
// those beside it that are to go whole. It returns how many entries they had.
func (t *Tree) removeLeaves(n int) (gone int) {
	s := &t.main
	up := s.path[s.height-1]
	b := up.bytes
	leaves := 0
	for up.i+leaves < children(b) && gone+entriesUnder(b, up.i+leaves) <= n {
		if t.kind == ZSet {
			if leaves > 0 {
				s.arrive(child(b, up.i+leaves))
			}
			t.removeRows(0, s.leaf.n)
		}
		t.dropItemsIn(s, s.bytes(child(b, up.i+leaves)))
		gone += entriesUnder(b, up.i+leaves)
		leaves++
	}
	s.n -= gone
	for l := range s.height - 1 {
		addUnder(s.path[l].bytes, s.path[l].i, -gone)
	}
	s.cutLeaves(leaves)
	return gone
}

// removeRows takes entries [i, j) of the open leaf out of the index.
func (t *Tree) removeRows(i, j int) {
	if t.kind != ZSet || t.main.small() {
		return
	}
	id := t.main.leafID()
	a := &t.main.leaf.a
	at, _ := a.item(i)
	for ; i < j; i++ {
		at = t.eachText(a, i, at, &t.views[0])
		t.removeRow(t.env.hash(t.views[0]), id)
	}
}

// removeAll takes everything out.
func (t *Tree) removeAll() {
	t.changed = true
	s := &t.main
	if s.small() {
		s.open()
		s.dropEntries(0, s.leaf.n)
	} else {
		t.dropUnder(s.root)
		s.root = 0
	}
	t.dropIndex()
	s.height, s.n = 0, 0
	t.small, t.owned = nil, false
}

// ascend calls f for the entries from a position on until it returns false.
func (t *Tree) ascend(pos int, f func(key uint64, a, b []byte) bool) {
	s := &t.main
	if pos >= s.n {
		return
	}
	i := s.downAt(max(pos, 0))
	for {
		if !s.leaf.ascend(t.env.Space, i, &t.views, f) || !s.next() {
			return
		}
		i = 0
	}
}

// descend calls f for the entries from a position down until it returns false.
func (t *Tree) descend(pos int, f func(key uint64, a, b []byte) bool) {
	s := &t.main
	if pos = min(pos, s.n-1); pos < 0 {
		return
	}
	sp := t.env.Space
	i := s.downAt(pos)
	for {
		l := &s.leaf
		a := l.a
		at, n := a.item(i)
		for ; i >= 0; i-- {
			var key uint64
			if l.sh.keys {
				key = l.key(i)
			}
			if !f(key, a.textAt(sp, i, at, n, &t.views[0]), nil) {
				return
			}
			if i > 0 {
				n = a.length(i - 1)
				at -= n
			}
		}
		if !s.previous() {
			return
		}
		i = s.leaf.n - 1
	}
}
