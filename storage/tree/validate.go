package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"redoubt/storage/slab"
)

// Validate checks everything that is true of a collection: the order of entries
// and bounds, counts, sizes, ids, and that the index and the members agree. It
// reads all of it and is for tests.
func (t *Tree) Validate() error {
	v := &validator{t: t, ids: make(map[uint32]slab.Ref), rows: make(map[rowOf]int), due: make(map[edgeOf]int)}
	s := &t.main
	if s.n == 0 {
		if s.root != 0 || t.bytes != 0 {
			return fmt.Errorf("tree: an empty collection has the root %d and %d bytes", s.root, t.bytes)
		}
		return nil
	}
	if s.small() {
		if len(t.small) > maxLeaf {
			return fmt.Errorf("tree: a small collection of %d bytes", len(t.small))
		}
		v.leaf(s, t.room(), len(t.small))
		v.equal("entries", v.entries, s.n)
		v.equal("bytes", t.bytes, v.bytes)
		return v.err
	}
	v.node(s, s.root, s.height, nil, nil)
	v.equal("entries", v.entries, s.n)
	if t.kind == ZSet {
		v.index()
	} else {
		v.indexOfDue()
	}
	v.equal("bytes", t.bytes, v.bytes)
	return v.err
}

type validator struct {
	t       *Tree
	err     error
	entries int
	bytes   int
	last    *edge // the entry before
	due     map[edgeOf]int
	ids     map[uint32]slab.Ref
	rows    map[rowOf]int // members less rows
	ofIndex bool          // what is checked now
}

type rowOf struct {
	key uint64
	id  uint32
}

// An edgeOf is a row of the index of what is due.
type edgeOf struct{ due, hash uint64 }

// An edge is a bound, or an entry that it is compared with.
type edge struct {
	key  uint64
	text []byte // only where it matters for the order
	name []byte
}

func (v *validator) fail(format string, args ...any) {
	if v.err == nil {
		v.err = fmt.Errorf("tree: "+format, args...)
	}
}

func (v *validator) equal(what string, got, want int) {
	if got != want {
		v.fail("%d %s, not %d", got, what, want)
	}
}

func (v *validator) block(r slab.Ref) []byte {
	b := v.t.env.Space.Bytes(r)
	v.bytes += len(b)
	return b
}

// node checks a node whose entries are not before low and before high.
func (v *validator) node(s *spine, r slab.Ref, level int, low, high *edge) int {
	b := v.block(r)
	if nodeLevel(b) != level || nodeUsed(b) > len(b) {
		v.fail("node %d: level %d in place of %d, %d bytes in use of %d", r, nodeLevel(b), level, nodeUsed(b), len(b))
		return 0
	}
	if level == 0 {
		if s.sh.ids {
			v.ids[leafID(b)] = r
		}
		return v.leafNode(s, b, low, high)
	}
	n := children(b)
	if n == 0 || n > fanout {
		v.fail("node %d: %d children", r, n)
	}
	sum := 0
	for i := range n {
		from, to := low, high
		if i > 0 {
			from = v.bound(s, b, i)
		}
		if i+1 < n {
			to = v.bound(s, b, i+1)
		}
		under := v.node(s, child(b, i), level-1, from, to)
		v.equal("entries counted under a child", entriesUnder(b, i), under)
		sum += under
	}
	return sum
}

func (v *validator) bound(s *spine, b []byte, i int) *edge {
	if s.sh.order == byPosition {
		return nil
	}
	e := &edge{key: bound(b, i)}
	if s.sh.order == byScore {
		text, long := boundText(b, i)
		if long {
			return nil
		}
		e.text = text
	}
	return e
}

func (e *edge) compare(o *edge) int {
	switch {
	case e.key < o.key:
		return -1
	case e.key > o.key:
		return 1
	}
	return bytes.Compare(e.text, o.text)
}

func (v *validator) leafNode(s *spine, b []byte, low, high *edge) int {
	before := v.entries
	v.leaf(s, b[nodeHeader:], nodeUsed(b)-nodeHeader)
	n := v.entries - before
	if n == 0 {
		v.fail("an empty leaf")
	}
	var l leaf
	l.openNode(s.sh, b)
	for i := range l.n {
		e := v.edge(s, &l, i)
		if low != nil && e.compare(low) < 0 || high != nil && (e.compare(high) > 0 || e.compare(high) == 0 && s.sh != &dueRowShape) {
			v.fail("entry %d of a leaf, %x %q, is not within the bounds %v and %v", i, e.key, e.text, low, high)
		}
		if s.sh.ids {
			v.rows[rowOf{rowKey(v.t.env.hash(e.name)), leafID(b)}]++
		}
	}
	return n
}

func (v *validator) edge(s *spine, l *leaf, i int) *edge {
	var buf []byte
	text := bytes.Clone(l.a.text(v.t.env.Space, i, &buf))
	switch s.sh.order {
	case byScore:
		return &edge{normal(l.key(i)), text, text}
	case byRow:
		return &edge{key: l.key(i)}
	case byHash:
		return &edge{key: v.t.env.hash(text), name: text}
	}
	return &edge{}
}

// leaf checks a packed leaf.
func (v *validator) leaf(s *spine, b []byte, used int) {
	var l leaf
	l.open(s.sh, b, used)
	end := l.a.end()
	refsOf(&l.a, func(place []byte) { v.block(getRef(place)) })
	if s.sh.pairs {
		c := l.values()
		end = c.end()
		refsOf(&c, func(place []byte) { v.block(getRef(place)) })
	}
	v.equal("bytes in a leaf", end, used)
	seen := make(map[string]bool)
	for i := range l.n {
		e := v.edge(s, &l, i)
		if s.sh.order == byHash {
			if seen[string(e.name)] {
				v.fail("%q twice", e.name)
			}
			seen[string(e.name)] = true
		}
		if s.sh.order == byScore || s.sh.order == byRow {
			if c := 1; v.last != nil {
				if c = e.compare(v.last); c < 0 || c == 0 && s.sh.order == byScore && s.sh != &dueRowShape {
					v.fail("entries not in order: %x %q after %x %q", e.key, e.text, v.last.key, v.last.text)
				}
			}
			v.last = e
		}
		switch {
		case v.ofIndex && s.sh == &dueRowShape:
			v.due[edgeOf{e.key, binary.BigEndian.Uint64(e.text)}]--
		case s.sh.order == byHash && l.due(i) != 0:
			v.due[edgeOf{rowDue(l.due(i)), e.key}]++
		case v.ofIndex:
			v.rows[rowOf{e.key, v.rowID(s, &l, i)}]--
		}
	}
	v.entries += l.n
}

func (v *validator) rowID(s *spine, l *leaf, i int) uint32 {
	s.leaf = *l
	return s.rowID(i)
}

// indexOfDue checks the index of what is due in a large hash.
func (v *validator) indexOfDue() {
	t := v.t
	if t.rows.root != 0 {
		v.last, v.ofIndex, v.entries = nil, true, 0
		v.node(&t.rows, t.rows.root, t.rows.height, nil, nil)
		v.equal("rows", v.entries, t.rows.n)
	}
	for k, n := range v.due {
		if n != 0 {
			v.fail("%d fields too many for the rows %v", n, k)
		}
	}
}

// index checks the index and the ids of a sorted set.
func (v *validator) index() {
	t := v.t
	v.last, v.ofIndex, v.entries = nil, true, 0
	v.node(&t.rows, t.rows.root, t.rows.height, nil, nil)
	v.equal("rows", v.entries, t.main.n)
	for k, n := range v.rows {
		if n != 0 {
			v.fail("%d members too many for the rows %v", n, k)
		}
	}
	for id, r := range v.ids {
		if t.leafOf(id) != r {
			v.fail("the leaf of id %d is %d, not %d", id, r, t.leafOf(id))
		}
	}
	idle := 0
	for id := t.ids.idle; id != 0 && idle < int(t.ids.next); id = uint32(t.leafOf(id)) {
		if _, used := v.ids[id]; used {
			v.fail("id %d is idle and in use", id)
		}
		idle++
	}
	v.equal("ids", len(v.ids)+idle, int(t.ids.next)-1)
	v.block(t.ids.top)
	if t.ids.next > idsInPage {
		for i := range t.ids.pages() {
			v.block(getRef(t.env.Space.Bytes(t.ids.top)[4*i:]))
		}
	}
}
