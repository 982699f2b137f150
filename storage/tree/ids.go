package tree

import "redoubt/storage/slab"

// The index of a sorted set names leaves by id, so that a leaf can move without
// a change of the index. ids is where the leaf of each id is:
//
//	top: a page, or once there are more ids than in a page, references of pages
//	page: references of leaves by id; ids not in use hold the next of them
//
// Id 0 is none.
type ids struct {
	top  slab.Ref
	next uint32 // the first id that was never in use
	idle uint32 // the first of those no longer in use
}

const idsInPage = 1024

// maxIDs is how many ids there are: rows hold three bytes. A variable for tests.
var maxIDs uint32 = 1 << 24

// noIDs reports whether all ids are in use: then leaves grow instead of being
// split.
func (t *Tree) noIDs() bool { return t.ids.idle == 0 && t.ids.next >= maxIDs }

// pages is how many pages there are.
func (x *ids) pages() int { return int(x.next+idsInPage-1) / idsInPage }

// place is where the reference of an id lies.
func (t *Tree) place(id uint32) []byte {
	b := t.env.Space.Bytes(t.ids.top)
	if t.ids.next > idsInPage {
		b = t.env.Space.Bytes(getRef(b[4*(id/idsInPage):]))
	}
	return b[4*(id%idsInPage):]
}

// leafOf is the leaf of an id.
func (t *Tree) leafOf(id uint32) slab.Ref { return getRef(t.place(id)) }

// setLeaf says where the leaf of an id is.
func (t *Tree) setLeaf(id uint32, r slab.Ref) { putRef(t.place(id), r) }

// newID returns an id that is not in use.
func (t *Tree) newID() uint32 {
	x := &t.ids
	if id := x.idle; id != 0 {
		x.idle = uint32(t.leafOf(id))
		return id
	}
	id := max(x.next, 1)
	t.reach(id)
	return id
}

// freeID takes an id out of use.
func (t *Tree) freeID(id uint32) {
	t.setLeaf(id, slab.Ref(t.ids.idle))
	t.ids.idle = id
}

// reach makes room for an id, the next one.
func (t *Tree) reach(id uint32) {
	x, sp := &t.ids, t.env.Space
	switch n := int(id); {
	case n < idsInPage:
		t.growTop(4*(n+1), 4*idsInPage)
	case n == idsInPage:
		page := x.top
		x.top = t.alloc(64)
		putRef(sp.Bytes(x.top), page)
		putRef(sp.Bytes(x.top)[4:], t.alloc(4*idsInPage))
	case n%idsInPage == 0:
		t.growTop(4*(n/idsInPage+1), 4<<24/idsInPage)
		putRef(sp.Bytes(x.top)[4*(n/idsInPage):], t.alloc(4*idsInPage))
	}
	x.next = id + 1
}

// growTop makes the top at least n bytes long, in steps that become larger.
func (t *Tree) growTop(n, most int) {
	x, sp := &t.ids, t.env.Space
	if x.top == 0 {
		x.top = t.alloc(max(n, 16))
		return
	}
	b := sp.Bytes(x.top)
	if n <= len(b) {
		return
	}
	r := t.alloc(min(n+n/4+16, most))
	copy(sp.Bytes(r), b)
	t.free(x.top)
	x.top = r
}

// freeIDs gives all back.
func (t *Tree) freeIDs() {
	x, sp := &t.ids, t.env.Space
	if x.next > idsInPage {
		for i := range x.pages() {
			t.free(getRef(sp.Bytes(x.top)[4*i:]))
		}
	}
	if x.top != 0 {
		t.free(x.top)
	}
	*x = ids{}
}
