package tree

import "slices"

// A HashTree is a hash opened on its value.
type HashTree struct{ Tree }

// A SetTree is a set opened on its value.
type SetTree struct{ Tree }

// Open opens a hash; see Tree.Open.
func (t *HashTree) Open(e *Env, value []byte) { t.Tree.Open(e, Hash, value) }

// Open opens a set; see Tree.Open.
func (t *SetTree) Open(e *Env, value []byte) { t.Tree.Open(e, Set, value) }

// find takes the path to the leaf where a field or member is or would be, and
// returns its place or -1.
func (t *Tree) find(name []byte) int {
	if t.main.n == 0 {
		t.main.open()
		return -1
	}
	var h uint64
	if !t.main.small() {
		h = t.env.hash(name)
		t.hash = h
	}
	t.main.down(h, nil)
	return t.main.leaf.a.find(t.env.Space, name)
}

// Get returns the value of a field (HGET), and when it is due.
func (t *HashTree) Get(name []byte) (value []byte, due int64, ok bool) {
	i := t.find(name)
	if i < 0 {
		return nil, 0, false
	}
	v := t.main.leaf.values()
	return v.text(t.env.Space, i, &t.views[1]), t.main.leaf.due(i), true
}

// Set gives a field a value (HSET) and says when it is due, which is a number
// above 0, or 0 for never. It reports whether the field is new.
func (t *HashTree) Set(name, value []byte, due int64) (added bool) {
	i := t.find(name)
	b := t.newItem(value, 1)
	small, was := t.main.small(), int64(0)
	if i >= 0 {
		was = t.main.leaf.due(i)
		a := item{text: t.args[0][:copy(t.args[0][:], name)]}
		t.change()
		t.main.set(i, uint64(due), a, b)
	} else {
		a := t.newItem(name, 0)
		t.change()
		t.main.add(1)
		t.main.put(t.main.leaf.n, uint64(due), a, b)
	}
	t.indexDue(small, was, due)
	return i < 0
}

// Has reports whether there is a field or member (HEXISTS, SISMEMBER).
func (t *Tree) has(name []byte) bool { return t.find(name) >= 0 }

// Has reports whether a field exists (HEXISTS).
func (t *HashTree) Has(name []byte) bool { return t.has(name) }

// Has reports whether a member exists (SISMEMBER).
func (t *SetTree) Has(member []byte) bool { return t.has(member) }

// Add adds a member and reports whether it is new (SADD).
func (t *SetTree) Add(member []byte) bool {
	if t.find(member) >= 0 {
		return false
	}
	a := t.newItem(member, 0)
	t.change()
	t.main.add(1)
	t.main.put(t.main.leaf.n, 0, a, item{})
	return true
}

// Delete removes a field and reports whether it existed (HDEL).
func (t *HashTree) Delete(name []byte) bool { return t.delete(name) }

// Delete removes a member and reports whether it existed (SREM).
func (t *SetTree) Delete(member []byte) bool { return t.delete(member) }

func (t *Tree) delete(name []byte) bool {
	i := t.find(name)
	if i < 0 {
		return false
	}
	due := t.main.leaf.due(i)
	t.change()
	t.main.add(-1)
	t.main.cut(i, i+1)
	small := t.main.small()
	t.indexDue(small, due, 0)
	if t.settled(); !small && t.main.small() && t.kind == Hash {
		t.forgetDue()
	}
	return true
}

// At returns the i-th field, its value and when it is due, in an order that
// changes with every write (HRANDFIELD).
func (t *HashTree) At(i int) (name, value []byte, due int64) {
	at := t.main.downAt(i)
	v := t.main.leaf.values()
	return t.main.leaf.a.text(t.env.Space, at, &t.views[0]), v.text(t.env.Space, at, &t.views[1]), t.main.leaf.due(at)
}

// At returns the i-th member, in an order that changes with every write (SPOP,
// SRANDMEMBER).
func (t *SetTree) At(i int) []byte {
	at := t.main.downAt(i)
	return t.main.leaf.a.text(t.env.Space, at, &t.views[0])
}

// Fields is Each without when fields are due.
func (t *HashTree) Fields(f func(name, value []byte) bool) {
	t.ascend(0, func(_ uint64, a, b []byte) bool { return f(a, b) })
}

// Each calls f for all fields, their values and when they are due, until it
// returns false (HGETALL). f must not change the hash.
func (t *HashTree) Each(f func(name, value []byte, due int64) bool) {
	t.ascend(0, func(key uint64, a, b []byte) bool { return f(a, b, int64(key)) })
}

// Each calls f for all members until it returns false (SMEMBERS). f must not
// change the set.
func (t *SetTree) Each(f func(member []byte) bool) {
	t.ascend(0, func(_ uint64, a, _ []byte) bool { return f(a) })
}

// A cursor is the first bits of a hash. What has the same bits is returned by the
// same call, so that no form of the collection and no change of it matters.
const (
	cursorBits = 48
	cursorLow  = 64 - cursorBits
)

// A scanned is an entry of a leaf on its way to a SCAN.
type scanned struct {
	cursor uint64
	i      int
}

// Scan calls f for fields from cursor on, 0 at first, until about count were
// seen, and returns the next cursor, 0 at the end (HSCAN). A field that exists
// from the first call to the last is seen, whatever happens to others. f must not
// change the hash.
func (t *HashTree) Scan(cursor uint64, count int, f func(name, value []byte, due int64)) (next uint64) {
	return t.scanFields(cursor, count, f)
}

// Scan is HashTree.Scan for members (SSCAN).
func (t *SetTree) Scan(cursor uint64, count int, f func(member []byte)) (next uint64) {
	return t.scanFields(cursor, count, func(a, _ []byte, _ int64) { f(a) })
}

func (t *Tree) scanFields(cursor uint64, count int, f func(a, b []byte, due int64)) (next uint64) {
	if t.main.n == 0 || cursor >= 1<<cursorBits {
		return 0
	}
	s := &t.main
	s.down(cursor<<cursorLow, nil)
	count = max(count, 1)
	seen, last := 0, uint64(0)
	for more := true; more; more = s.next() {
		t.hashLeaf(cursor, cursorLow)
		for _, x := range t.scan {
			if seen >= count && x.cursor != last {
				return x.cursor
			}
			seen, last = seen+1, x.cursor
			var b []byte
			if s.sh.pairs {
				v := s.leaf.values()
				b = v.text(t.env.Space, x.i, &t.views[1])
			}
			f(s.leaf.a.text(t.env.Space, x.i, &t.views[0]), b, s.leaf.due(x.i))
		}
	}
	return 0
}

// hashLeaf puts the entries of the open leaf from a cursor on into t.scan, sorted
// by their hashes without the low bits.
func (t *Tree) hashLeaf(cursor uint64, low int) {
	t.scan = t.scan[:0]
	a := &t.main.leaf.a
	at := a.items()
	for i := range t.main.leaf.n {
		n := a.length(i)
		if h := t.env.hash(a.textAt(t.env.Space, i, at, n, &t.views[0])) >> low; h >= cursor {
			t.scan = append(t.scan, scanned{h, i})
		}
		at += n
	}
	slices.SortFunc(t.scan, func(x, y scanned) int {
		switch {
		case x.cursor < y.cursor:
			return -1
		case x.cursor > y.cursor:
			return 1
		}
		return x.i - y.i
	})
}
