package tree

import (
	"bytes"
	"encoding/binary"

	"redoubt/storage/slab"
)

// A field of a hash may be due at a time, a number above 0 that means nothing here
// but its order. The leaf of the field holds it as the field's key (leaf.go). A
// large hash with such fields also has an index, in which they stand in the order
// of those times: a tree of rows, one for each, with the time as the key and the
// hash of the field as the text. A small hash is looked through.
//
// A hash of which no field is due has neither, and is what it was before there
// were such fields.

const hashBytes = 8

// farDue is the time of the rows of all that is due later: keys from here on up
// are not all different to the order of scores, see normal.
const farDue = 1 << 62

func rowDue(due int64) uint64 { return min(uint64(due), farDue) }

func dueText(hash uint64, b *[hashBytes]byte) []byte {
	binary.BigEndian.PutUint64(b[:], hash)
	return b[:]
}

// SetDue says when a field is due, 0 for never, and reports whether it exists
// (HPEXPIREAT, HPERSIST).
func (t *HashTree) SetDue(name []byte, due int64) bool {
	i := t.find(name)
	if i < 0 {
		return false
	}
	was := t.main.leaf.due(i)
	if was == due {
		return true
	}
	small := t.main.small()
	t.change()
	if !t.main.leaf.setKey(i, uint64(due)) {
		t.main.rekey(i, uint64(due))
	}
	t.indexDue(small, was, due)
	return true
}

// HasDue reports whether a value is that of a hash with a field that is due.
func HasDue(value []byte) bool { return len(value) > 0 && value[0]&flagDue != 0 }

// Earliest returns when the first field of a value is due, 0 if none is.
func Earliest(sp *slab.Space, value []byte) int64 {
	switch {
	case !HasDue(value):
		return 0
	case IsLarge(value):
		return firstRow(sp, getRef(value[32:]))
	}
	return firstDue(value)
}

// HasDue reports whether a field is due.
func (t *HashTree) HasDue() bool {
	if t.main.small() {
		return HasDue(t.small)
	}
	return t.rows.root != 0
}

// Earliest returns when the first field is due, 0 if none is.
func (t *HashTree) Earliest() int64 {
	switch {
	case !t.HasDue():
		return 0
	case !t.main.small():
		return firstRow(t.env.Space, t.rows.root)
	}
	return firstDue(t.small)
}

// firstRow is the time in the first row of an index.
func firstRow(sp *slab.Space, root slab.Ref) int64 {
	b := sp.Bytes(root)
	for nodeLevel(b) > 0 {
		b = sp.Bytes(child(b, 0))
	}
	var l leaf
	l.openNode(&dueRowShape, b)
	return int64(l.key(0))
}

// firstDue is the first time in a packed leaf.
func firstDue(packed []byte) (first int64) {
	var l leaf
	l.open(&dueShape, packed, len(packed))
	for i := range l.n {
		if due := l.due(i); due != 0 && (first == 0 || due < first) {
			first = due
		}
	}
	return first
}

// Due calls f for the names of up to count fields that are due before a time, the
// earliest first if the hash is large. f must not change the hash.
func (t *HashTree) Due(before int64, count int, f func(name []byte)) {
	switch {
	case t.main.n == 0:
	case t.main.small():
		t.main.open()
		t.eachDue(func(i int, due int64) {
			if due < before && count > 0 {
				count--
				f(t.main.leaf.a.text(t.env.Space, i, &t.views[0]))
			}
		})
	case t.rows.root != 0:
		t.dueInOrder(before, count, f)
	}
}

// dueInOrder is Due by the index.
func (t *HashTree) dueInOrder(before int64, count int, f func(name []byte)) {
	s := &t.rows
	var key, hash uint64
	s.downAt(0)
	for more := true; more; more = s.next() {
		for i := range s.leaf.n {
			k := s.leaf.key(i)
			if int64(k) >= before || count <= 0 {
				return
			}
			h := s.dueHash(i)
			if k == key && h == hash {
				continue // a row like the last, whose fields were all found with that
			}
			key, hash = k, h
			t.main.down(h, nil)
			t.eachDue(func(i int, due int64) {
				name := t.main.leaf.a.text(t.env.Space, i, &t.views[0])
				if due == int64(k) && t.env.hash(name) == h {
					count--
					f(name)
				}
			})
		}
	}
}

// eachDue calls f for the entries of the open leaf that are due.
func (t *Tree) eachDue(f func(i int, due int64)) {
	l := &t.main.leaf
	if !l.sh.keys {
		return
	}
	for i := range l.n {
		if due := l.due(i); due != 0 {
			f(i, due)
		}
	}
}

// indexDue follows a change of the field with the hash t.hash, which was due at
// was and is due at due now: 0 is never, or not at all.
func (t *Tree) indexDue(wasSmall bool, was, due int64) {
	switch {
	case t.main.small():
		if was != 0 && due == 0 {
			t.forgetDue()
		}
	case wasSmall:
		t.buildDue()
	case was != due:
		if was != 0 {
			t.removeDue(rowDue(was), t.hash)
		}
		if due != 0 {
			t.addDue(rowDue(due), t.hash)
		}
	}
}

// forgetDue gives a small hash of which no field is due any more the form that it
// has without such fields.
func (t *Tree) forgetDue() {
	s := &t.main
	if s.n == 0 {
		t.small, t.owned = nil, false
		return
	}
	s.open()
	due := !s.leaf.sh.keys
	t.eachDue(func(int, int64) { due = true })
	if due {
		return
	}
	s.work.pack.reset()
	s.take()
	s.repack(0)
}

// buildDue makes the index of a hash that has become large, if a field is due.
func (t *Tree) buildDue() {
	t.main.downAt(0)
	for more := true; more; more = t.main.next() {
		t.eachDue(func(i int, due int64) {
			t.addDue(rowDue(due), t.env.hash(t.main.leaf.a.text(t.env.Space, i, &t.views[0])))
		})
	}
}

// addDue puts a row into the index, which it makes if there is none.
func (t *Tree) addDue(due, hash uint64) {
	if t.rows.root == 0 {
		t.beginRows()
	}
	var buf [hashBytes]byte
	s, text := &t.rows, dueText(hash, &buf)
	s.down(due, text)
	s.own()
	s.add(1)
	i, _ := s.leaf.lower(t.env.Space, due, text)
	s.put(i, due, item{text: text}, item{})
}

// removeDue takes a row out of the index, and the index away with the last one.
func (t *Tree) removeDue(due, hash uint64) {
	var buf [hashBytes]byte
	s, text := &t.rows, dueText(hash, &buf)
	s.down(due, text)
	i, found := s.leaf.lower(t.env.Space, due, text)
	if !found {
		// Rows of equal hashes may lie on both sides of a bound that is equal to
		// them.
		if i != 0 || !s.previous() {
			panic("tree: a field is not in the index of what is due")
		}
		i = s.leaf.n - 1
		if s.leaf.key(i) != due || !bytes.Equal(s.leaf.a.text(t.env.Space, i, &t.views[0]), text) {
			panic("tree: a field is not in the index of what is due")
		}
	}
	s.own()
	s.add(-1)
	s.cut(i, i+1)
	if s.n == 0 {
		t.dropIndex()
	}
}

// dueHash is the hash in row i of the open leaf.
func (s *spine) dueHash(i int) uint64 {
	return binary.BigEndian.Uint64(s.leaf.a.text(s.t.env.Space, i, &s.t.views[0]))
}
