package tree

import (
	"encoding/binary"

	"redoubt/storage/slab"
)

// Clone returns the value of a copy of the collection, which shares nothing with
// it (COPY).
func (t *Tree) Clone() []byte {
	c := new(Tree)
	c.Open(t.env, t.kind, append([]byte(nil), t.Value()...))
	if c.main.n == 0 {
		return nil
	}
	c.changed = true
	if c.main.small() {
		c.change()
		c.cloneItems()
		return append([]byte(nil), c.Value()...)
	}
	c.bytes = 0
	if c.kind == ZSet {
		c.cloneIDs()
	}
	if c.rows.root != 0 {
		c.rows.root = c.cloneUnder(&c.rows, c.rows.root)
	}
	c.main.root = c.cloneUnder(&c.main, c.main.root)
	return append([]byte(nil), c.Value()...)
}

// cloneUnder copies a node and all below.
func (t *Tree) cloneUnder(s *spine, r slab.Ref) slab.Ref {
	b := s.bytes(r)
	to := t.copyBlock(r)
	q := s.bytes(to)
	binary.LittleEndian.PutUint32(q, t.env.Epoch)
	if nodeLevel(b) == 0 {
		if s.sh.ids {
			t.setLeaf(leafID(q), to)
		}
		if !s.sh.private {
			s.leaf.openNode(s.sh, q)
			t.cloneItems()
		}
		return to
	}
	for i := range children(q) {
		setChild(q, i, t.cloneUnder(s, child(b, i)))
	}
	return to
}

func (t *Tree) copyBlock(r slab.Ref) slab.Ref {
	b := t.env.Space.Bytes(r)
	to := t.alloc(len(b))
	copy(t.env.Space.Bytes(to), b)
	return to
}

// cloneItems gives the long items of the open leaf blocks of their own.
func (t *Tree) cloneItems() {
	t.eachRefPlace(func(place []byte) { putRef(place, t.copyItem(getRef(place))) })
}

// copyItem copies the block of a long item.
func (t *Tree) copyItem(r slab.Ref) slab.Ref {
	to := t.copyBlock(r)
	binary.LittleEndian.PutUint32(t.env.Space.Bytes(to), t.env.Epoch)
	return to
}

// cloneIDs copies the table of ids.
func (t *Tree) cloneIDs() {
	x := &t.ids
	x.top = t.copyBlock(x.top)
	if x.next <= idsInPage {
		return
	}
	top := t.env.Space.Bytes(x.top)
	for i := range x.pages() {
		putRef(top[4*i:], t.copyBlock(getRef(top[4*i:])))
	}
}
