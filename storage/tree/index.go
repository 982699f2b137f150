package tree

import "redoubt/storage/slab"

// The index of a sorted set is a tree of rows, one for each member: the first 32
// bits of its hash as the key, and the id of its leaf in three bytes as the text.
// Rows of equal hashes lie in one leaf, in any order.

func rowKey(hash uint64) uint64 { return hash >> 32 }

func rowText(id uint32, b *[3]byte) []byte {
	b[0], b[1], b[2] = byte(id>>16), byte(id>>8), byte(id)
	return b[:]
}

// rowID is the id in row i of the open leaf.
func (s *spine) rowID(i int) uint32 {
	a := &s.leaf.a
	if a.pl == 0 && a.ml == 3 && !a.nib {
		at := a.off + 3*i
		return uint32(a.b[at])<<16 | uint32(a.b[at+1])<<8 | uint32(a.b[at+2])
	}
	var buf [4]byte
	at, n := a.item(i)
	b := a.appendStored(append(buf[:0], a.prefix()...), at, n)
	return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
}

// seekRow takes the path of the index to the leaf of rows with the key k, if it is
// not known to be there.
func (t *Tree) seekRow(k uint64) {
	if !t.located || t.locatedKey != k {
		t.rows.down(k, nil)
	}
	t.located = false
}

// addRow says that a member is in a leaf.
func (t *Tree) addRow(hash uint64, id uint32) {
	s, k := &t.rows, rowKey(hash)
	var buf [3]byte
	t.seekRow(k)
	s.own()
	s.add(1)
	s.put(s.leaf.lowerHash(k), k, item{text: rowText(id, &buf)}, item{})
}

// findRow takes the path of the index to the row of a member in a leaf.
func (t *Tree) findRow(hash uint64, id uint32) int {
	s, k := &t.rows, rowKey(hash)
	t.seekRow(k)
	for i := s.leaf.lowerHash(k); i < s.leaf.n && s.leaf.key(i) == k; i++ {
		if s.rowID(i) == id {
			return i
		}
	}
	panic("tree: a member is not in the index of its sorted set")
}

// removeRow forgets a member.
func (t *Tree) removeRow(hash uint64, id uint32) {
	i := t.findRow(hash, id)
	t.rows.own()
	t.rows.add(-1)
	t.rows.cut(i, i+1)
}

// repoint says that a member has moved to another leaf.
func (t *Tree) repoint(member []byte, from, to uint32) {
	if t.rows.root != 0 { // otherwise the index is about to be made
		t.repointHash(t.env.hash(member), from, to)
	}
}

func (t *Tree) repointHash(hash uint64, from, to uint32) {
	if from == to {
		t.located = false
		return
	}
	s := &t.rows
	i := t.findRow(hash, from)
	s.own()
	var buf [3]byte
	s.set(i, rowKey(hash), item{text: rowText(to, &buf)}, item{})
}

// buildIndex makes the index of a sorted set that has become large.
func (t *Tree) buildIndex() {
	t.beginRows()
	t.main.downAt(0)
	for more := true; more; more = t.main.next() {
		l, id := &t.main.leaf, t.main.leafID()
		at := l.a.items()
		for i := range l.n {
			at = t.eachText(&l.a, i, at, &t.views[0])
			t.addRow(t.env.hash(t.views[0]), id)
		}
	}
}

// beginRows makes an index without rows.
func (t *Tree) beginRows() {
	s := &t.rows
	s.t, s.sh, s.work = t, t.rowShape(), t.env.scratch(1)
	s.height, s.n = 0, 0
	s.root = t.alloc(2 * leafStep)
	b := s.bytes(s.root)
	clear(b[:nodeHeader+s.sh.head])
	setNode(b, t.env.Epoch, nodeHeader+s.sh.head, 0)
}

// eachText puts the text of an item at an offset into buf and returns the offset
// of the next.
func (t *Tree) eachText(c *column, i, at int, buf *[]byte) int {
	n := c.ml
	if n == mixed {
		n = storedLength(c.b[c.lengths()+i])
	}
	*buf = append((*buf)[:0], c.textAt(t.env.Space, i, at, n, &t.copied)...)
	return at + n
}

// locate finds a member: it opens its leaf and returns the reference of that and
// the place in it. ref is 0 in a small collection.
func (t *Tree) locate(member []byte, hash uint64) (ref slab.Ref, i int) {
	m := &t.main
	if m.small() {
		if m.n == 0 {
			return 0, -1
		}
		m.open()
		return 0, m.leaf.a.find(t.env.Space, member)
	}
	s, k := &t.rows, rowKey(hash)
	s.down(k, nil)
	t.locatedKey = k
	for j := s.leaf.lowerHash(k); j < s.leaf.n && s.leaf.key(j) == k; j++ {
		ref = t.leafOf(s.rowID(j))
		b := m.bytes(ref)
		m.touch(b)
		m.leaf.openNode(m.sh, b)
		if i = m.leaf.a.find(t.env.Space, member); i >= 0 {
			return ref, i
		}
	}
	return 0, -1
}
