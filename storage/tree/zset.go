package tree

import (
	"math"
	"slices"

	"redoubt/storage/slab"
)

// A ZSetTree is a sorted set opened on its value. Ranks count from 0.
type ZSetTree struct{ Tree }

// Open opens a sorted set; see Tree.Open.
func (t *ZSetTree) Open(e *Env, value []byte) { t.Tree.Open(e, ZSet, value) }

// Scores are kept as integers of the same order. -0 and +0 are neighbours among
// these, and keep their bits, but are one score to the order of members: there
// every key is normal.
const (
	negativeZero = 1<<63 - 1
	positiveZero = 1 << 63
)

func sortable(score float64) uint64 {
	b := math.Float64bits(score)
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

func scoreOf(key uint64) float64 {
	if key>>63 != 0 {
		return math.Float64frombits(key &^ (1 << 63))
	}
	return math.Float64frombits(^key)
}

// normal is the key that stands for all that are equal to k.
func normal(k uint64) uint64 {
	if k == negativeZero {
		return positiveZero
	}
	return k
}

// lowest is the lowest key that is equal to k, which is normal.
func lowest(k uint64) uint64 {
	if k == positiveZero {
		return negativeZero
	}
	return k
}

// Score returns the score of a member (ZSCORE).
func (t *ZSetTree) Score(member []byte) (score float64, ok bool) {
	_, i := t.locate(member, t.hashIfLarge(member))
	if i < 0 {
		return 0, false
	}
	return scoreOf(t.main.leaf.key(i)), true
}

func (t *ZSetTree) hashIfLarge(member []byte) uint64 {
	if t.main.small() {
		return 0
	}
	return t.env.hash(member)
}

// Set gives a member a score, which is not NaN, and reports whether the member is
// new (ZADD).
func (t *ZSetTree) Set(member []byte, score float64) (added bool) {
	t.Update(member, func(_ float64, found bool) (float64, bool) {
		added = !found
		return score, true
	})
	return added
}

// Update gives a member the score that choose returns, which is not NaN, and
// returns true, unless choose returns false: then nothing happens. choose gets the
// score that the member has, if it is found, and must not use the sorted set.
func (t *ZSetTree) Update(member []byte, choose func(old float64, found bool) (score float64, ok bool)) bool {
	h := t.hashIfLarge(member)
	ref, i := t.locate(member, h)
	var old float64
	if i >= 0 {
		old = scoreOf(t.main.leaf.key(i))
	}
	score, ok := choose(old, i >= 0)
	switch {
	case !ok:
		return false
	case i < 0:
		t.add(member, h, sortable(score))
	default:
		t.rescore(member, h, ref, i, sortable(score))
	}
	return true
}

// add puts a member with a hash and a key in, which was not located.
func (t *ZSetTree) add(member []byte, h, k uint64) {
	a, small := t.newItem(member, 0), t.main.small()
	t.located = !small
	t.insert(k, a)
	if !small {
		t.addRow(h, t.main.made)
	}
}

// rescore gives a member, located in entry i of the leaf at ref, another key.
func (t *ZSetTree) rescore(member []byte, h uint64, ref slab.Ref, i int, k uint64) {
	s := &t.main
	old := s.leaf.key(i)
	if old == k || t.setInLeaf(ref, i, k) {
		return
	}
	a := t.newItem(member, 0)
	var id uint32
	if !s.small() {
		id = leafID(s.bytes(ref))
	}
	t.located = !s.small()
	t.seek(old, a)
	t.change()
	i, _ = s.leaf.lower(t.env.Space, normal(old), t.textOf(a))
	s.add(-1)
	s.cut(i, i+1)
	small := s.small()
	t.insert(k, a)
	if !small {
		t.repointHash(h, id, s.made)
	}
}

// textOf is the text of an item.
func (t *Tree) textOf(a item) []byte {
	if a.ref != 0 {
		return longText(t.env.Space, a.ref)
	}
	return a.text
}

// seek takes the path to the leaf where an entry is or would be.
func (t *ZSetTree) seek(k uint64, a item) {
	if t.main.small() {
		t.main.open()
		return
	}
	t.main.down(normal(k), t.textOf(a))
}

// insert puts an entry in, which the index does not have yet unless it has just
// been made.
func (t *ZSetTree) insert(k uint64, a item) {
	s := &t.main
	small := s.small()
	t.seek(k, a)
	t.change()
	s.add(1)
	i, _ := s.leaf.lower(t.env.Space, normal(k), t.textOf(a))
	s.put(i, k, a, item{})
	if small && !s.small() {
		t.buildIndex()
	}
}

// setInLeaf gives entry i of the open leaf another score, if it stays in the
// leaf and that may be changed.
func (t *ZSetTree) setInLeaf(ref slab.Ref, i int, k uint64) bool {
	s := &t.main
	l := &s.leaf
	raw, ok := l.fits(k)
	if !ok {
		return false
	}
	n := normal(k)
	if !s.small() {
		// The bounds of the leaf are not at hand, but what lies between entries
		// of it is within them.
		if i == 0 || i == l.n-1 || normal(l.key(0)) >= n || n >= normal(l.key(l.n-1)) {
			return false
		}
		if b := s.bytes(ref); t.env.Space.Sparse(ref) || t.env.shared(b) {
			return false
		}
	}
	t.changed = true
	if s.small() {
		t.ownSmall()
		s.open()
	}
	if (i == 0 || normal(l.key(i-1)) < n) && (i == l.n-1 || n < normal(l.key(i+1))) {
		l.setRaw(i, raw)
		return true
	}
	t.moveInLeaf(ref, i, raw, n)
	return true
}

// moveInLeaf takes entry i of the open leaf to its place by another key, whose
// normal form is n.
func (t *ZSetTree) moveInLeaf(ref slab.Ref, i int, raw, n uint64) {
	s := &t.main
	l := &s.leaf
	sp := t.env.Space
	at, size := l.a.item(i)
	var tmp [maxInline]byte
	e := stored{tmp[:copy(tmp[:], l.b[at:at+size])], byte(size)}
	if l.a.ml == mixed {
		e.length = l.b[l.a.lengths()+i]
	}
	text := append(t.copied[:0], l.a.text(sp, i, &t.views[0])...)
	t.copied = text
	l.remove(i, i+1)
	l.open(l.sh, l.b, l.used)
	j, _ := l.lower(sp, n, text)
	l.insert(j, raw, e, stored{})
}

// Delete removes a member and reports whether it existed (ZREM).
func (t *ZSetTree) Delete(member []byte) bool {
	h := t.hashIfLarge(member)
	_, i := t.locate(member, h)
	if i < 0 {
		return false
	}
	s := &t.main
	if !s.small() {
		s.down(normal(s.leaf.key(i)), member)
		t.located = true
		t.removeRow(h, s.leafID())
	}
	t.change()
	s.add(-1)
	s.cut(i, i+1)
	t.settled()
	return true
}

// Remove takes n members from a rank on out (ZREMRANGEBYRANK, ZPOPMIN).
func (t *ZSetTree) Remove(rank, n int) { t.removeRange(rank, n) }

// Rank returns the rank and the score of a member (ZRANK).
func (t *ZSetTree) Rank(member []byte) (rank int, score float64, ok bool) {
	_, i := t.locate(member, t.hashIfLarge(member))
	if i < 0 {
		return 0, 0, false
	}
	s := &t.main
	k := s.leaf.key(i)
	if s.small() {
		return i, scoreOf(k), true
	}
	s.down(normal(k), member)
	return s.before() + i, scoreOf(k), true
}

// At returns the member at a rank, which must exist, and its score.
func (t *ZSetTree) At(rank int) (member []byte, score float64) {
	i := t.main.downAt(rank)
	l := &t.main.leaf
	return l.a.text(t.env.Space, i, &t.views[0]), scoreOf(l.key(i))
}

// AscendFrom calls f for the members whose score is not below score, in order, until
// it returns false. f must not change the set.
func (t *ZSetTree) AscendFrom(score float64, f func(member []byte, score float64) bool) {
	s := &t.main
	if s.n == 0 {
		return
	}
	k := normal(sortable(score))
	s.down(k, nil)
	i := s.leaf.lowerKey(lowest(k))
	for s.leaf.ascend(t.env.Space, i, &t.views, func(k uint64, a, _ []byte) bool { return f(a, scoreOf(k)) }) && s.next() {
		i = 0
	}
}

// CountBelow returns how many members have a score below score, or equal to it if
// inclusive: the rank of the first one behind (ZCOUNT).
func (t *ZSetTree) CountBelow(score float64, inclusive bool) int {
	s := &t.main
	if s.n == 0 {
		return 0
	}
	k := normal(sortable(score))
	if inclusive {
		k = normal(k + 1)
	}
	s.down(k, nil)
	return s.before() + s.leaf.lowerKey(lowest(k))
}

// CountBefore returns how many members come before member in the order of bytes,
// or are equal to it if inclusive (ZLEXCOUNT). It means something only where all
// scores are the same.
func (t *ZSetTree) CountBefore(member []byte, inclusive bool) int {
	s := &t.main
	if s.n == 0 {
		return 0
	}
	s.downAt(0)
	k := normal(s.leaf.key(0))
	s.down(k, member)
	i, found := s.leaf.lower(t.env.Space, k, member)
	if found && inclusive {
		i++
	}
	return s.before() + i
}

// Ascend calls f for the members from a rank on until it returns false (ZRANGE).
// f must not change the sorted set.
func (t *ZSetTree) Ascend(rank int, f func(member []byte, score float64) bool) {
	t.ascend(rank, func(k uint64, a, _ []byte) bool { return f(a, scoreOf(k)) })
}

// Descend calls f for the members from a rank down to the first until it returns
// false (ZREVRANGE). f must not change the sorted set.
func (t *ZSetTree) Descend(rank int, f func(member []byte, score float64) bool) {
	t.descend(rank, func(k uint64, a, _ []byte) bool { return f(a, scoreOf(k)) })
}

// Scan is HashTree.Scan for members and their scores (ZSCAN).
func (t *ZSetTree) Scan(cursor uint64, count int, f func(member []byte, score float64)) (next uint64) {
	count = max(count, 1)
	switch {
	case t.main.n == 0 || cursor >= 1<<32:
		return 0
	case t.main.small():
		return t.scanSmall(cursor, count, f)
	}
	s := &t.rows
	s.down(cursor, nil)
	seen := 0
	for more := true; more; more = s.next() {
		for i := s.leaf.lowerKey(cursor); i < s.leaf.n; {
			k := s.leaf.key(i)
			if seen >= count && k > cursor {
				return k
			}
			cursor = k
			var n int
			n, i = t.scanRows(k, i, f)
			seen += n
		}
	}
	return 0
}

// scanRows calls f for the members whose rows are those from i on with the key
// k. It returns their number and the first row behind.
func (t *ZSetTree) scanRows(k uint64, i int, f func(member []byte, score float64)) (seen, next int) {
	s := &t.rows
	t.ofLeaf = t.ofLeaf[:0]
	for ; i < s.leaf.n && s.leaf.key(i) == k; i++ {
		// Rows of one leaf stand for the same members.
		if id := s.rowID(i); !slices.Contains(t.ofLeaf, id) {
			t.ofLeaf = append(t.ofLeaf, id)
		}
	}
	for _, id := range t.ofLeaf {
		b := t.main.bytes(t.leafOf(id))
		l := &t.main.leaf
		l.openNode(t.main.sh, b)
		at := l.a.items()
		for j := range l.n {
			n := l.a.length(j)
			text := l.a.textAt(t.env.Space, j, at, n, &t.views[0])
			if rowKey(t.env.hash(text)) == k {
				f(text, scoreOf(l.key(j)))
				seen++
			}
			at += n
		}
	}
	return seen, i
}

func (t *ZSetTree) scanSmall(cursor uint64, count int, f func(member []byte, score float64)) (next uint64) {
	l := &t.main.leaf
	t.main.open()
	t.hashLeaf(cursor, 32)
	for j, x := range t.scan {
		if j >= count && x.cursor != t.scan[j-1].cursor {
			return x.cursor
		}
		f(l.a.text(t.env.Space, x.i, &t.views[0]), scoreOf(l.key(x.i)))
	}
	return 0
}
