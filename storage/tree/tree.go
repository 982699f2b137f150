package tree

import (
	"encoding/binary"

	"redoubt/storage/slab"
)

// A Kind is a type of collection.
type Kind uint8

// The kinds there are.
const (
	List Kind = iota
	Set
	Hash
	ZSet
	Map
	kinds
)

// A Tree is a collection opened on the value that its record holds. It is scratch
// of an executor: opened on one collection after another, it allocates nothing
// on the ordinary path.
//
// Texts that its methods return are views. They are valid until the next call of
// a method of the same Tree, or until the Tree is opened again. Texts that they
// are given may be such views.
type Tree struct {
	env  *Env
	kind Kind

	value   []byte // as opened, or as Value returned it
	changed bool
	small   []byte // the packed leaf of a small collection; a view of value until it is owned
	owned   bool
	buf     []byte // of small, when it is owned
	desc    [descriptorMax]byte

	main  spine
	rows  spine // the index of a large sorted set, or of what is due in a large hash
	ids   ids
	bytes int      // of all blocks
	moved uint64   // where Move goes on
	hash  uint64   // of the field or member that find looked for in a large collection
	moves Moves    // of the last call of Move
	grown slab.Ref // what Room has returned

	// The path of the index is still where locate took it, for a change of the
	// same member. Every change of the index ends that. Of a map, the leaf at the end
	// of the path is open as it is, and the last row that was looked for at lastAt.
	located    bool
	locatedKey uint64
	lastAt     int

	views   [2][]byte // what texts are put together in
	copied  []byte    // of an element that moves
	scan    []scanned
	ofLeaf  []uint32
	args    [2][maxInline]byte
	touched byte
}

// A small collection is a packed leaf, its value ends with it. The value of a
// large one is its descriptor:
//
//	0 flagLarge | 1 height u8 | 2 height of the index u8 | 4 root u32
//	8 entries u64 | 16 bytes u64 | 24 where Move goes on u64
//	sorted set: 32 root of the index u32 | 36 ids: top u32, next u32, idle u32
//	hash with flagDue: 32 root of the index u32 | 36 unused u32 | 40 rows u64
const (
	descriptorSize = 32
	descriptorMax  = 48

	// backToSmall is how few bytes make a large collection small again.
	backToSmall = maxLeaf / 2
)

// descriptorOf is the length of a descriptor whose first byte is flags.
func descriptorOf(k Kind, flags byte) int {
	if k == ZSet || flags&flagDue != 0 {
		return descriptorMax
	}
	return descriptorSize
}

// IsLarge reports whether a value has nodes of its own: it is a descriptor, whose
// length does not change but when the first field of a hash becomes due, or none
// is any more.
func IsLarge(value []byte) bool { return len(value) > 0 && value[0]&flagLarge != 0 }

// Open opens a collection on the value of its record, of which it keeps a view.
// An empty value is an empty collection.
func (t *Tree) Open(e *Env, k Kind, value []byte) {
	t.env, t.kind, t.value, t.changed, t.owned = e, k, value, false, false
	t.main.t, t.main.sh, t.main.work = t, &shapes[k], e.scratch(0)
	t.main.root, t.main.height, t.main.n = 0, 0, 0
	t.rows.root, t.rows.height, t.rows.n = 0, 0, 0
	t.ids = ids{}
	t.small, t.bytes, t.moved, t.located = nil, 0, 0, false
	switch {
	case len(value) == 0:
	case IsLarge(value):
		t.readDescriptor()
	default:
		t.small = value
		t.main.n = int(binary.LittleEndian.Uint16(value[1:]))
		if value[0]&(flagRefsA|flagRefsB) != 0 {
			t.main.open()
			t.eachRef(func(r slab.Ref) { t.bytes += e.Space.Size(r) })
		}
	}
}

func (t *Tree) readDescriptor() {
	v := t.value
	t.main.height, t.main.root = int(v[1]), getRef(v[4:])
	t.main.n = int(binary.LittleEndian.Uint64(v[8:]))
	t.bytes = int(binary.LittleEndian.Uint64(v[16:]))
	t.moved = binary.LittleEndian.Uint64(v[24:])
	if descriptorOf(t.kind, v[0]) < descriptorMax {
		return
	}
	t.rows.t, t.rows.sh, t.rows.work = t, t.rowShape(), t.env.scratch(1)
	t.rows.height, t.rows.root, t.rows.n = int(v[2]), getRef(v[32:]), t.main.n
	if t.kind != ZSet {
		t.rows.n = int(binary.LittleEndian.Uint64(v[40:]))
		return
	}
	t.ids = ids{getRef(v[36:]), binary.LittleEndian.Uint32(v[40:]), binary.LittleEndian.Uint32(v[44:])}
}

// rowShape is the shape of the collection's index.
func (t *Tree) rowShape() *shape {
	if t.kind == ZSet {
		return &rowShape
	}
	return &dueRowShape
}

// Changed reports whether there were changes since Open.
func (t *Tree) Changed() bool { return t.changed }

// Value returns what the record has to hold, which is empty for an empty
// collection. It is a view: of the value that was opened, changed in place, if
// that was as long and of the same form, and of the Tree otherwise.
func (t *Tree) Value() []byte {
	switch {
	case !t.changed:
		return t.value
	case t.main.n == 0:
		return nil
	case t.main.small():
		if len(t.value) == len(t.small) && !IsLarge(t.value) {
			copy(t.value, t.small)
			return t.value
		}
		return t.small
	}
	flags := byte(flagLarge)
	if t.kind == Hash && t.rows.root != 0 {
		flags |= flagDue
	}
	v := t.desc[:descriptorOf(t.kind, flags)]
	if IsLarge(t.value) && len(t.value) == len(v) {
		v = t.value
	}
	t.writeDescriptor(v, flags)
	return v
}

func (t *Tree) writeDescriptor(v []byte, flags byte) {
	clear(v)
	v[0], v[1] = flags, byte(t.main.height)
	putRef(v[4:], t.main.root)
	binary.LittleEndian.PutUint64(v[8:], uint64(t.main.n))
	binary.LittleEndian.PutUint64(v[16:], uint64(t.bytes))
	binary.LittleEndian.PutUint64(v[24:], t.moved)
	if len(v) < descriptorMax {
		return
	}
	v[2] = byte(t.rows.height)
	putRef(v[32:], t.rows.root)
	if t.kind != ZSet {
		binary.LittleEndian.PutUint64(v[40:], uint64(t.rows.n))
		return
	}
	putRef(v[36:], t.ids.top)
	binary.LittleEndian.PutUint32(v[40:], t.ids.next)
	binary.LittleEndian.PutUint32(v[44:], t.ids.idle)
}

// Len is the number of elements, fields or members.
func (t *Tree) Len() int { return t.main.n }

// Bytes is how many bytes of memory the collection has besides its value.
func (t *Tree) Bytes() int { return t.bytes }

// eachRef calls f for the references of the open leaf.
func (t *Tree) eachRef(f func(slab.Ref)) {
	t.eachRefPlace(func(place []byte) { f(getRef(place)) })
}

// eachRefPlace calls f for where the references of the open leaf lie.
func (t *Tree) eachRefPlace(f func(place []byte)) {
	refsOf(&t.main.leaf.a, f)
	if t.main.sh.pairs {
		v := t.main.leaf.values()
		refsOf(&v, f)
	}
}

func refsOf(c *column, f func(place []byte)) {
	if !c.refs {
		return
	}
	at := c.items()
	for _, n := range c.b[c.lengths():c.items()] {
		if n == byRef {
			f(c.b[at:])
		}
		at += storedLength(n)
	}
}

// room is the leaf of a small collection with the room that it may grow into.
func (t *Tree) room() []byte {
	if t.owned {
		return t.buf
	}
	return t.small
}

// ownSmall moves the leaf of a small collection from the record into the Tree.
func (t *Tree) ownSmall() {
	if t.owned {
		return
	}
	if t.buf == nil {
		t.buf = make([]byte, maxLeaf+leafStep)
	}
	t.owned = true
	if t.small == nil {
		clear(t.buf[:t.main.sh.head])
		t.small = t.buf[:t.main.sh.head]
		return
	}
	t.small = t.buf[:copy(t.buf, t.small)]
}

// change precedes every change of the entries: the nodes of the path may be
// written then.
func (t *Tree) change() {
	t.changed = true
	t.main.own()
}

// settled follows every removal: a collection that has become small is one leaf
// again.
func (t *Tree) settled() {
	s := &t.main
	if s.small() || s.height > 0 {
		return
	}
	if s.n == 0 {
		t.clear()
		return
	}
	b := s.bytes(s.root)
	used := nodeUsed(b) - nodeHeader
	if used > backToSmall {
		return
	}
	root := s.root
	t.moved = 0
	t.owned, t.small = false, b[nodeHeader:nodeHeader+used]
	s.root = 0
	t.ownSmall()
	t.drop(root)
	t.dropIndex()
}

// clear forgets all; the nodes are gone but for an empty root.
func (t *Tree) clear() {
	s := &t.main
	if s.root != 0 {
		t.drop(s.root)
		t.dropIndex()
	}
	s.root, s.height, s.n = 0, 0, 0
	t.small, t.owned = nil, false
}

// dropIndex frees the index, if there is one.
func (t *Tree) dropIndex() {
	if t.rows.root != 0 {
		t.freeUnder(t.rows.root)
		t.rows.root, t.rows.height, t.rows.n = 0, 0, 0
	}
	if t.kind == ZSet {
		t.freeIDs()
	}
}

// freeUnder frees a node of the index and all below.
func (t *Tree) freeUnder(r slab.Ref) {
	b := t.env.Space.Bytes(r)
	if nodeLevel(b) > 0 {
		for i := range children(b) {
			t.freeUnder(child(b, i))
		}
	}
	t.free(r)
}
