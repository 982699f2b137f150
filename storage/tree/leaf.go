package tree

import (
	"encoding/binary"
	"math/bits"

	"redoubt/storage/slab"
)

// A packed leaf is what a small collection is, and what the leaves of a large
// one hold, little-endian:
//
//	0 flags u8 | 1 entries u16 | 3 length of items of A, 4 of its prefix
//	hash, map: 5 length of items of B, 6 of its prefix
//	keys, behind that: width:4, dropped:4 | base u64
//	keys | column A | column B
//
// A key is a score, the number of a row, a hash, or when a field of a hash is due. Only those leaves of
// a hash have keys in which a field is due, or was when the leaf was written; 0
// stands for never. The frame of a key is what all keys of the leaf have in
// common: base. Only the bytes in which they differ are stored: width of them,
// after the lowest ones, which are dropped. The size of a leaf is not in it; who
// holds it knows.
const (
	flagNibblesA = 1 << iota
	flagNibblesB
	flagRefsA
	flagRefsB
	flagDue            // a leaf of a hash with keys, or a descriptor with an index of them
	flagLarge = 1 << 7 // not a leaf, but the descriptor of a tree
)

const (
	plainHeader = 5
	pairsHeader = 7
	keysHeader  = 14
	dueHeader   = 16

	// maxEntries bounds what is in a leaf of entries that take no bytes.
	maxEntries = 1024
)

// An order is what the entries of a tree are sorted by.
type order uint8

const (
	byPosition order = iota
	byHash           // the hash of A; not sorted within a leaf, and not stored
	byScore          // the key, then A
	byRow            // the key
)

// A shape is what the leaves and inner nodes of a tree have.
type shape struct {
	order   order
	keys    bool // leaves have keys
	pairs   bool // leaves have a column B
	ids     bool // leaves have an id
	private bool // captures never read it
	head    int  // bytes of a packed leaf's header
	frame   int  // where in it the frame of the keys is
}

// Shapes by Kind; rowShape is that of the index of a sorted set. Leaves of a hash
// in which a field is due have dueShape, and dueRowShape is that of their index.
var (
	shapes = [...]shape{
		List: {order: byPosition, head: plainHeader},
		Set:  {order: byHash, head: plainHeader},
		Hash: {order: byHash, pairs: true, head: pairsHeader},
		ZSet: {order: byScore, keys: true, ids: true, head: keysHeader, frame: plainHeader},
		Map:  {order: byScore, keys: true, pairs: true, head: dueHeader, frame: pairsHeader},
	}
	rowShape    = shape{order: byRow, keys: true, private: true, head: keysHeader, frame: plainHeader}
	dueShape    = shape{order: byHash, keys: true, pairs: true, head: dueHeader, frame: pairsHeader}
	dueRowShape = shape{order: byScore, keys: true, private: true, head: keysHeader, frame: plainHeader}
)

// A leaf is a packed leaf opened.
type leaf struct {
	sh    *shape
	b     []byte // the packed leaf and the room behind it
	used  int
	n     int
	width int    // bytes of a key
	drop  uint   // bits below
	mask  uint64 // the bits of a key that are stored, shifted down
	base  uint64
	a     column // where it ends is known once column B was asked for
}

// open reads the header of a packed leaf. b may be longer than it.
func (l *leaf) open(sh *shape, b []byte, used int) {
	flags := b[0]
	if flags&flagDue != 0 {
		sh = &dueShape
	}
	l.sh, l.b, l.used = sh, b, used
	l.n = int(binary.LittleEndian.Uint16(b[1:]))
	a := &l.a // field by field; see step.set
	a.b = b
	a.off = sh.head
	a.n = l.n
	a.ml = int(b[3])
	a.pl = int(b[4])
	a.nib = flags&flagNibblesA != 0
	a.refs = flags&flagRefsA != 0
	a.stop = 0
	l.width = 0 // the leaf opened before may have been of another shape
	if sh.keys {
		frame := b[sh.frame:]
		l.width, l.drop = int(frame[0]>>4), uint(frame[0]&15)*8
		l.mask = lowBytes(l.width)
		l.base = binary.LittleEndian.Uint64(frame[1:])
		l.a.off += l.n * l.width
	}
}

// openNode opens the leaf in a block.
func (l *leaf) openNode(sh *shape, b []byte) {
	l.open(sh, b[nodeHeader:], nodeUsed(b)-nodeHeader)
}

// lowBytes has the low n bytes set.
func lowBytes(n int) uint64 { return 1<<(8*n) - 1 }

// values is column B.
func (l *leaf) values() column {
	if l.a.stop == 0 {
		l.a.stop = l.a.end()
	}
	flags := l.b[0]
	return column{b: l.b, off: l.a.stop, n: l.n, ml: int(l.b[5]), pl: int(l.b[6]), nib: flags&flagNibblesB != 0, refs: flags&flagRefsB != 0, stop: l.used}
}

// raw is key i as it is stored.
func (l *leaf) raw(i int) uint64 {
	at := l.sh.head + i*l.width
	if at+8 <= len(l.b) {
		return binary.LittleEndian.Uint64(l.b[at:at+8]) & l.mask
	}
	var x uint64
	for j := l.width - 1; j >= 0; j-- {
		x = x<<8 | uint64(l.b[at+j])
	}
	return x
}

// key is the key of entry i.
func (l *leaf) key(i int) uint64 { return l.base | l.raw(i)<<l.drop }

// setRaw stores key i.
func (l *leaf) setRaw(i int, x uint64) {
	at := l.sh.head + i*l.width
	for j := range l.width {
		l.b[at+j] = byte(x)
		x >>= 8
	}
}

// fits returns a key as the frame stores it, and whether it can.
func (l *leaf) fits(k uint64) (raw uint64, ok bool) {
	m := l.mask << l.drop
	return k & m >> l.drop, k&^m == l.base
}

// setKey gives entry i another key, if its frame has a place for it.
func (l *leaf) setKey(i int, k uint64) bool {
	if !l.sh.keys {
		return k == 0
	}
	raw, ok := l.fits(k)
	if ok {
		l.setRaw(i, raw)
	}
	return ok
}

// due is when the field of a hash in entry i is due, 0 if it is never.
func (l *leaf) due(i int) int64 {
	if !l.sh.keys {
		return 0
	}
	return int64(l.key(i))
}

// lowerKey returns the first place whose key is not below k.
func (l *leaf) lowerKey(k uint64) int {
	if l.width == 0 {
		if l.base < k {
			return l.n
		}
		return 0
	}
	lo := 0
	for n := l.n; n > 0; {
		half := (n + 1) >> 1
		// A difference instead of a branch: which way it goes cannot be predicted.
		_, less := bits.Sub64(l.key(lo+half-1), k, 0)
		lo += half & -int(less)
		n -= half
	}
	return lo
}

// lowerHash is lowerKey for keys of 32 bits that are spread evenly.
func (l *leaf) lowerHash(k uint64) int {
	if l.n < 8 || l.width == 0 {
		return l.lowerKey(k)
	}
	first, last := l.key(0), l.key(l.n-1)
	if k <= first || k > last {
		return l.lowerKey(k)
	}
	i := 1 + min(int((k-first)*uint64(l.n-1)/(last-first)), l.n-2)
	for range 16 {
		switch {
		case l.key(i) < k:
			i++
		case l.key(i-1) >= k:
			i--
		default:
			return i
		}
	}
	return l.lowerKey(k)
}

// lower returns the first place that is not before (k, text), and whether it is
// equal, in the order of scores; see sortable.
func (l *leaf) lower(sp *slab.Space, k uint64, text []byte) (i int, found bool) {
	lo, hi := l.lowerKey(lowest(k)), l.lowerKey(k+1)
	if lo == hi {
		return lo, false
	}
	var tmp [maxInline]byte
	e, ok := l.a.encode(item{text: text}, &tmp)
	if ok && l.a.ml <= 8 {
		return l.a.lowerNarrow(lo, hi, e.bytes)
	}
	end := hi
	for lo < hi {
		h := int(uint(lo+hi) >> 1)
		if l.a.compare(sp, h, text, e, ok) < 0 {
			lo = h + 1
		} else {
			hi = h
		}
	}
	return lo, lo < end && l.a.compare(sp, lo, text, e, ok) == 0
}

// A gap is n bytes at an offset.
type gap struct{ at, n int }

// widen opens gaps, in ascending order of their places, in the first used bytes
// of b. It returns how many bytes are in use then.
func widen(b []byte, used int, gaps []gap) int {
	by := 0
	for _, g := range gaps {
		by += g.n
	}
	total, end := used+by, used
	for i := len(gaps) - 1; i >= 0; i-- {
		g := gaps[i]
		copy(b[g.at+by:end+by], b[g.at:end])
		by -= g.n
		end = g.at
	}
	return total
}

// narrow closes gaps, in ascending order.
func narrow(b []byte, used int, gaps []gap) int {
	by := 0
	for i, g := range gaps {
		to := used
		if i+1 < len(gaps) {
			to = gaps[i+1].at
		}
		from := g.at + g.n
		copy(b[g.at-by:], b[from:to])
		by += g.n
	}
	return used - by
}

// growth is how many bytes an entry adds; b is for a leaf with pairs.
func (l *leaf) growth(a, b stored) int {
	n := l.width + len(a.bytes)
	if l.a.ml == mixed {
		n++
	}
	if l.sh.pairs {
		n += len(b.bytes)
		if l.b[5] == mixed {
			n++
		}
	}
	return n
}

// insert puts an entry at place i. There is room, and the leaf is stale
// afterwards but for used.
func (l *leaf) insert(i int, raw uint64, a, b stored) {
	var gaps [5]gap
	g := gaps[:0]
	if l.width > 0 {
		g = append(g, gap{l.sh.head + i*l.width, l.width})
	}
	g = columnGaps(g, &l.a, i, len(a.bytes))
	var v column
	if l.sh.pairs {
		v = l.values()
		g = columnGaps(g, &v, i, len(b.bytes))
	}
	l.used = widen(l.b, l.used, g)
	by := 0
	if l.width > 0 {
		l.setRaw(i, raw)
		by, g = l.width, g[1:]
	}
	by, g = fillColumn(l.b, g, &l.a, a, by)
	if a.length == byRef && l.a.ml == mixed {
		l.b[0] |= flagRefsA
	}
	if l.sh.pairs {
		fillColumn(l.b, g, &v, b, by)
		if b.length == byRef && v.ml == mixed {
			l.b[0] |= flagRefsB
		}
	}
	l.setLen(l.n + 1)
}

func columnGaps(g []gap, c *column, i, n int) []gap {
	if c.ml == mixed {
		g = append(g, gap{c.lengths() + i, 1})
	}
	at, _ := c.item(i)
	return append(g, gap{at, n})
}

// fillColumn writes an item into the gaps opened for it, which earlier gaps have
// moved by so many bytes.
func fillColumn(b []byte, g []gap, c *column, e stored, by int) (int, []gap) {
	if c.ml == mixed {
		b[g[0].at+by] = e.length
		by, g = by+1, g[1:]
	}
	copy(b[g[0].at+by:], e.bytes)
	return by + len(e.bytes), g[1:]
}

func (l *leaf) setLen(n int) {
	l.n = n
	binary.LittleEndian.PutUint16(l.b[1:], uint16(n))
}

// remove takes entries [i, j) out. The leaf is stale afterwards but for used.
func (l *leaf) remove(i, j int) {
	var gaps [5]gap
	g := gaps[:0]
	if l.width > 0 {
		g = append(g, gap{l.sh.head + i*l.width, (j - i) * l.width})
	}
	g = columnCuts(g, &l.a, i, j)
	if l.sh.pairs {
		v := l.values()
		g = columnCuts(g, &v, i, j)
	}
	l.used = narrow(l.b, l.used, g)
	l.setLen(l.n - (j - i))
}

func columnCuts(g []gap, c *column, i, j int) []gap {
	if c.ml == mixed {
		g = append(g, gap{c.lengths() + i, j - i})
	}
	from, n := c.item(i)
	to := from + n
	if j > i+1 {
		to, _ = c.item(j)
	}
	return append(g, gap{from, to - from})
}

// alike reports whether two leaves store keys and texts in the same form: entries of
// one can stand in the other as they are, but for what they have in common. Prefixes of
// column A may differ, as those of IDs do, if its texts are of one length; pl is what
// they have in common.
func (l *leaf) alike(o *leaf) (pl int, ok bool) {
	const texts = 5 // where what the header says of column A ends
	if l.sh != o.sh || l.b[0] != o.b[0] || string(l.b[texts:l.sh.head]) != string(o.b[texts:l.sh.head]) {
		return 0, false
	}
	pl = commonPrefix(l.a.prefix(), o.a.prefix())
	same := l.a.ml == o.a.ml && pl == l.a.pl && pl == o.a.pl
	if !same && (l.a.ml == mixed || o.a.ml == mixed || l.a.nib || l.a.pl+l.a.ml != o.a.pl+o.a.ml) {
		return 0, false
	}
	if !l.sh.pairs {
		return pl, true
	}
	v, w := l.values(), o.values()
	return pl, string(v.prefix()) == string(w.prefix())
}

// usedWith is how many bytes two leaves that are alike take as one.
func (l *leaf) usedWith(o *leaf, pl int) int {
	return l.used + o.used - o.common() + l.n*(l.a.pl-pl) + o.n*(o.a.pl-pl) - (l.a.pl - pl)
}

// common is how many bytes of the leaf do not depend on its entries.
func (l *leaf) common() int {
	n := l.sh.head + l.a.pl
	if l.sh.pairs {
		n += int(l.b[6])
	}
	return n
}

// concatenate writes the entries of two leaves that are alike as one leaf into b,
// which has its size; pl is as alike says.
func concatenate(b []byte, x, y *leaf, pl int) {
	at := copy(b, x.b[:x.sh.head+x.n*x.width])
	at += copy(b[at:], y.b[y.sh.head:y.sh.head+y.n*y.width])
	if pl == x.a.pl && pl == y.a.pl {
		at = concatColumns(b, at, &x.a, &y.a)
	} else {
		b[3], b[4] = byte(x.a.pl+x.a.ml-pl), byte(pl)
		at += copy(b[at:], x.a.prefix()[:pl])
		at = appendTexts(b, at, &x.a, pl)
		at = appendTexts(b, at, &y.a, pl)
	}
	if x.sh.pairs {
		v, w := x.values(), y.values()
		at = concatColumns(b, at, &v, &w)
	}
	if at != len(b) {
		panic("tree: joined leaves are not as long as it was planned")
	}
	binary.LittleEndian.PutUint16(b[1:], uint16(x.n+y.n))
}

// appendTexts writes the items of a column, all of one length, with what its prefix has
// behind the first pl bytes.
func appendTexts(b []byte, at int, c *column, pl int) int {
	rest, items := c.prefix()[pl:], c.b[c.items():c.end()]
	for range c.n {
		at += copy(b[at:], rest)
		at += copy(b[at:], items[:c.ml])
		items = items[c.ml:]
	}
	return at
}

func concatColumns(b []byte, at int, x, y *column) int {
	at += copy(b[at:], x.b[x.off:x.items()])       // the prefix, and lengths
	at += copy(b[at:], y.b[y.lengths():y.items()]) // lengths
	at += copy(b[at:], x.b[x.items():x.end()])
	return at + copy(b[at:], y.b[y.items():y.end()])
}

// ascend calls f for the entries from place i on until it returns false, and
// reports whether it never did. Texts are views of the leaf, of blocks, or of
// views. Entries without a key have the key 0.
func (l *leaf) ascend(sp *slab.Space, i int, views *[2][]byte, f func(key uint64, a, b []byte) bool) bool {
	a := l.a
	at, _ := a.item(i)
	var v column
	var atB int
	if l.sh.pairs {
		v = l.values()
		atB, _ = v.item(i)
	}
	for ; i < l.n; i++ {
		var key uint64
		if l.sh.keys {
			key = l.key(i)
		}
		var second []byte
		if l.sh.pairs {
			n := v.length(i)
			second = v.textAt(sp, i, atB, n, &views[1])
			atB += n
		}
		n := a.length(i)
		if !f(key, a.textAt(sp, i, at, n, &views[0]), second) {
			return false
		}
		at += n
	}
	return true
}
