package tree

import (
	"encoding/binary"

	"redoubt/storage/slab"
)

// A MapTree is an ordered map opened on its value: rows of a number, a name and a
// value, in the order of number and name. Numbers are below 2^63-1. One map holds
// several tables side by side, each with numbers of its own.
type MapTree struct{ Tree }

// Open opens a map; see Tree.Open.
func (t *MapTree) Open(e *Env, value []byte) { t.Tree.Open(e, Map, value) }

// seek takes the path to the leaf where a row is or would be, and returns its
// place there. Rows that are looked for one after the other are often in one leaf:
// that in which the last one was is looked at first, and before all the last row and
// the one behind it, as the state of a group is behind its name.
func (t *MapTree) seek(key uint64, name []byte) (i int, found bool) {
	s := &t.main
	if s.n == 0 {
		s.open()
		return 0, false
	}
	if t.located && s.height > 0 {
		for i := t.lastAt; i <= t.lastAt+1; i++ {
			if t.isAt(i, key, name) {
				t.lastAt = i
				return i, true
			}
		}
		if i, found = t.near(key, name); found || t.within(i, key, name) {
			t.lastAt = i
			return i, found
		}
	}
	s.down(key, name)
	t.located = true
	t.lastAt, found = s.leaf.lower(t.env.Space, key, name)
	return t.lastAt, found
}

// near looks a row up in the open leaf, as leaf.lower. Mostly another leaf has it, which
// is seen at the ends of this one.
func (t *MapTree) near(key uint64, name []byte) (i int, found bool) {
	l := &t.main.leaf
	last := l.key(l.n - 1)
	switch {
	case key < l.key(0):
		return 0, false
	case key > last, key == last && l.a.compare(t.env.Space, l.n-1, name, stored{}, false) < 0:
		return l.n, false
	}
	return l.lower(t.env.Space, key, name)
}

// isAt reports whether a row is that at place i of the open leaf, which may have
// fewer.
func (t *MapTree) isAt(i int, key uint64, name []byte) bool {
	l := &t.main.leaf
	return i < l.n && l.key(i) == key && l.a.equal(t.env.Space, i, name)
}

// within reports whether a row, which would be at place i of the open leaf, can be in
// no other leaf.
func (t *MapTree) within(i int, key uint64, name []byte) bool {
	s := &t.main
	up := s.path[s.height-1]
	switch {
	case i > 0 && i < s.leaf.n:
		return true
	case i > 0 && up.i+1 < children(up.bytes):
		next := bound(up.bytes, up.i+1)
		return next > key || next == key && s.boundAfter(up.bytes, up.i+1, key, name)
	case i > 0:
		return s.atEnd(s.height, true)
	}
	return false
}

// valueAt is the value in row i of the open leaf.
func (t *MapTree) valueAt(i int) []byte {
	v := t.main.leaf.values()
	return v.text(t.env.Space, i, &t.views[1])
}

// nameAt is the name in row i of the open leaf.
func (t *MapTree) nameAt(i int) []byte {
	return t.main.leaf.a.text(t.env.Space, i, &t.views[0])
}

// Get returns the value of a row.
func (t *MapTree) Get(key uint64, name []byte) (value []byte, ok bool) {
	i, found := t.seek(key, name)
	if !found {
		return nil, false
	}
	return t.valueAt(i), true
}

// Set gives a row a value, and reports whether the row is new. Name and value are
// copied.
func (t *MapTree) Set(key uint64, name, value []byte) (added bool) {
	return t.setItem(key, name, t.newItem(value, 1))
}

// SetWithRoom is Set of a value that is about to grow: in a large map it gets a block
// of its own, however short it is, with room for n bytes more. Fit ends that.
func (t *MapTree) SetWithRoom(key uint64, name, value []byte, n int) (added bool) {
	if t.main.small() {
		return t.Set(key, name, value)
	}
	return t.setItem(key, name, t.blockItem(value, longHeader+len(value)+n))
}

func (t *MapTree) setItem(key uint64, name []byte, b item) (added bool) {
	i, found := t.seek(key, name)
	if found {
		a := item{text: t.args[0][:copy(t.args[0][:], name)]}
		t.change()
		t.main.set(i, key, a, b)
		t.located = false
		return false
	}
	t.put(i, key, name, b)
	return true
}

func (t *MapTree) put(i int, key uint64, name []byte, b item) {
	a := t.newItem(name, 0)
	t.change()
	t.main.add(1)
	t.stays(t.main.put(i, key, a, b))
}

// stays follows a change of the open leaf, which is still the one at the end of the
// path, or is not.
func (t *MapTree) stays(stays bool) {
	if t.located = stays; stays {
		t.main.open()
	}
}

// Add is Set of a row that is new. If there is one, it stays, and its value is
// returned.
func (t *MapTree) Add(key uint64, name, value []byte) (old []byte, added bool) {
	i, found := t.seek(key, name)
	if found {
		return t.valueAt(i), false
	}
	t.put(i, key, name, t.newItem(value, 1))
	return nil, true
}

// Patch writes over the first bytes of a row's value, which is there and as long at
// least.
func (t *MapTree) Patch(key uint64, name, first []byte) {
	i, _ := t.seek(key, name)
	v := t.main.leaf.values()
	if v.pl > 0 || v.nib || v.isRef(i) {
		whole := append([]byte(nil), t.valueAt(i)...)
		copy(whole, first)
		t.Set(key, name, whole)
		return
	}
	t.change()
	v = t.main.leaf.values() // the leaf may be another one
	at, _ := v.item(i)
	copy(v.b[at:], first)
}

// Delete removes a row and reports whether it was there.
func (t *MapTree) Delete(key uint64, name []byte) bool {
	i, found := t.seek(key, name)
	if found {
		t.deleteAt(i)
	}
	return found
}

func (t *MapTree) deleteAt(i int) {
	t.change()
	t.main.add(-1)
	stays := t.main.cut(i, i+1)
	t.settled()
	t.stays(stays && t.main.height > 0)
}

// Rank is how many rows come before a row, whether it is there or not.
func (t *MapTree) Rank(key uint64, name []byte) int {
	i, _ := t.seek(key, name)
	return t.main.before() + i
}

// Remove takes n rows from a rank on out.
func (t *MapTree) Remove(rank, n int) {
	t.removeRange(rank, n)
	t.located = false
}

// Ascend calls f for the rows from one on, or from the next one if it is not
// there, until f returns false. f must not change the map.
func (t *MapTree) Ascend(key uint64, name []byte, f func(key uint64, name, value []byte) bool) {
	s := &t.main
	if s.n == 0 {
		return
	}
	i, _ := t.seek(key, name)
	for s.leaf.ascend(t.env.Space, i, &t.views, f) && s.next() {
		i = 0
	}
}

// Descend calls f for the rows before one, which need not be there, from the last
// on until f returns false. f must not change the map.
func (t *MapTree) Descend(key uint64, name []byte, f func(key uint64, name, value []byte) bool) {
	s := &t.main
	if s.n == 0 {
		return
	}
	i, _ := t.seek(key, name)
	for {
		for i--; i >= 0; i-- {
			t.lastAt = i
			if !f(s.leaf.key(i), t.nameAt(i), t.valueAt(i)) {
				return
			}
		}
		if !s.previous() {
			return
		}
		i = s.leaf.n
	}
}

// Room returns the value of a row that is there, with room for n bytes more
// behind it, to be changed in place. It is nil if the value has no block of its own,
// as short ones have none without SetWithRoom: such a row is Set. Until the next call
// of a method the bytes may be written, and SetLength says how long they are then.
func (t *MapTree) Room(key uint64, name []byte, n int) []byte {
	i, found := t.seek(key, name)
	if !found {
		return nil
	}
	v := t.main.leaf.values()
	if !v.isRef(i) {
		return nil
	}
	at, _ := v.item(i)
	r := getRef(v.b[at:])
	b := t.env.Space.Bytes(r)
	size := longSize(b) + n
	if size > len(b) || t.env.shared(b) {
		r = t.reblock(i, r, roomy(size, n))
		b = t.env.Space.Bytes(r)
	}
	t.grown = r
	return b[longHeader:longSize(b):len(b)]
}

// roomy is the size of a block for a value that takes size bytes of it and grows
// by steps of n.
func roomy(size, n int) int {
	const most = 1 << 30
	if n == 0 {
		return size
	}
	return max(size, min(size+size/4, most))
}

// longSize is how many bytes of a block its text takes.
func longSize(b []byte) int { return longHeader + int(binary.LittleEndian.Uint32(b[4:])) }

// SetLength says how long the value is that Room has returned.
func (t *MapTree) SetLength(n int) {
	binary.LittleEndian.PutUint32(t.env.Space.Bytes(t.grown)[4:], uint32(n))
}

// Fit takes the room from the value of a row that Room or SetWithRoom has given it.
func (t *MapTree) Fit(key uint64, name []byte) {
	i, found := t.seek(key, name)
	if !found {
		return
	}
	v := t.main.leaf.values()
	if !v.isRef(i) {
		return
	}
	at, _ := v.item(i)
	r := getRef(v.b[at:])
	b := t.env.Space.Bytes(r)
	if longSize(b) <= longHeader+maxInline {
		t.Set(key, name, longText(t.env.Space, r))
		return
	}
	if need := slab.Nodes.SizeFor(longSize(b)); need < len(b) {
		t.reblock(i, r, need)
	}
}

// reblock gives the value in row i of the open leaf another block of at least size
// bytes.
func (t *MapTree) reblock(i int, old slab.Ref, size int) slab.Ref {
	t.change()
	r := t.alloc(size)
	from, to := t.env.Space.Bytes(old), t.env.Space.Bytes(r)
	copy(to, from[:longSize(from)])
	binary.LittleEndian.PutUint32(to, t.env.Epoch)
	v := t.main.leaf.values()
	at, _ := v.item(i)
	putRef(v.b[at:], r)
	t.drop(old)
	return r
}

// AscendFloor is Ascend that begins with the last row not behind the one named,
// whatever its number, if there is any.
func (t *MapTree) AscendFloor(key uint64, name []byte, f func(key uint64, name, value []byte) bool) {
	s := &t.main
	if s.n == 0 {
		return
	}
	i, found := t.seek(key, name)
	switch {
	case found:
	case i > 0:
		i--
	case s.previous():
		i = s.leaf.n - 1
	}
	for s.leaf.ascend(t.env.Space, i, &t.views, f) && s.next() {
		i = 0
	}
}
