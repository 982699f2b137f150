package tree

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"redoubt/storage/slab"
)

// A pack is entries taken out of leaves, to be written into others.
type pack struct {
	entries []entry
	buf     []byte // of the texts
}

type entry struct {
	key  uint64
	hash uint64 // for a tree by hash, once it was asked for
	from uint32 // id of the leaf it was in; 0 for a new one
	a, b span
}

// A span is a text in the buffer of a pack, or the reference of one.
type span struct {
	off, n int32
	ref    slab.Ref
}

func (p *pack) reset() { p.entries, p.buf = p.entries[:0], p.buf[:0] }

func (p *pack) text(s span) []byte { return p.buf[s.off : s.off+s.n] }

func (p *pack) keep(s item) span {
	if s.ref != 0 {
		return span{ref: s.ref}
	}
	off := len(p.buf)
	p.buf = append(p.buf, s.text...)
	return span{off: int32(off), n: int32(len(s.text))}
}

// take appends the entries of a leaf.
func (p *pack) take(l *leaf, id uint32) {
	first := len(p.entries)
	p.entries = slices.Grow(p.entries, l.n)[:first+l.n]
	es := p.entries[first:]
	for i := range es {
		es[i] = entry{from: id}
	}
	if l.sh.keys {
		for i := range es {
			es[i].key = l.key(i)
		}
	}
	at, length := l.a.items(), l.a.ml
	for i := range es {
		if l.a.ml == mixed {
			length = int(l.b[l.a.lengths()+i])
		}
		es[i].a, at = p.takeItem(&l.a, at, length)
	}
	if !l.sh.pairs {
		return
	}
	v := l.values()
	at, length = v.items(), v.ml
	for i := range es {
		if v.ml == mixed {
			length = int(l.b[v.lengths()+i])
		}
		es[i].b, at = p.takeItem(&v, at, length)
	}
}

func (p *pack) takeItem(c *column, at, length int) (span, int) {
	if c.ml == mixed && length == byRef {
		return span{ref: getRef(c.b[at:])}, at + refSize
	}
	off := len(p.buf)
	p.buf = append(p.buf, c.b[c.off:c.off+c.pl]...)
	p.buf = c.appendStored(p.buf, at, length)
	return span{off: int32(off), n: int32(len(p.buf) - off)}, at + length
}

// insert puts a new entry at place i.
func (p *pack) insert(i int, key uint64, a, b item) {
	p.entries = slices.Insert(p.entries, i, entry{key: key, a: p.keep(a), b: p.keep(b)})
}

// A fit is how a column stores some items.
type fit struct {
	ml, pl, size int
	nib, refs    bool
}

// column returns one text of an entry.
func (e *entry) column(b bool) span {
	if b {
		return e.b
	}
	return e.a
}

// fitColumn chooses the smallest form for one column of some entries.
func (p *pack) fitColumn(es []entry, b, nibbles bool) fit {
	refs, lo, hi, sum, n := 0, maxInline, 0, 0, 0
	var first []byte
	pl, digits := 0, nibbles
	for i := range es {
		s := es[i].column(b)
		if s.ref != 0 {
			refs++
			continue
		}
		text := p.text(s)
		if n == 0 {
			first, pl = text, len(text)
		} else if pl > 0 {
			pl = commonPrefix(first[:pl], text)
		}
		length := int(s.n)
		lo, hi, sum, n = min(lo, length), max(hi, length), sum+length, n+1
	}
	if n < 2 {
		pl = 0 // a prefix nobody shares
	}
	f := fit{ml: mixed, pl: pl, refs: refs > 0, size: pl + len(es) + sum - n*pl + refs*refSize}
	if refs > 0 || n == 0 {
		return f
	}
	if lo == hi {
		f = fit{ml: hi - pl, pl: pl, size: pl + n*(hi-pl)}
	}
	half := (hi - pl + 1) / 2
	if pl+n*half >= f.size {
		return f
	}
	for i := 0; digits && i < len(es); i++ {
		for _, ch := range p.text(es[i].column(b))[pl:] {
			digits = digits && nibble(ch) <= 15
		}
	}
	if digits {
		f = fit{ml: half, pl: pl, size: pl + n*half, nib: true}
	}
	return f
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for i+8 <= n {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
		i += 8
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// fitKeys returns the narrowest frame of keys: its width and how many low bytes
// it drops. Bits set in keep are stored although all keys have them in common.
func fitKeys(es []entry, keep uint64) (width, drop int) {
	differ := keep
	for i := range es {
		differ |= es[i].key ^ es[0].key
	}
	if differ == 0 {
		return 0, 0
	}
	drop = bits.TrailingZeros64(differ) / 8
	return (bits.Len64(differ)+7)/8 - drop, drop
}

// A layout is the form of a leaf about to be written.
type layout struct {
	size        int
	width, drop int
	a, b        fit
}

func (p *pack) layout(sh *shape, es []entry, keep uint64) layout {
	l := layout{size: sh.head, a: p.fitColumn(es, false, sh.order != byRow)}
	l.size += l.a.size
	if sh.keys {
		l.width, l.drop = fitKeys(es, keep)
		l.size += len(es) * l.width
	}
	if sh.pairs {
		l.b = p.fitColumn(es, true, true)
		l.size += l.b.size
	}
	return l
}

// write writes entries, one or more, as a packed leaf of the layout into b.
func (p *pack) write(b []byte, sh *shape, es []entry, l *layout) {
	clear(b[:sh.head])
	binary.LittleEndian.PutUint16(b[1:], uint16(len(es)))
	b[0] = flagIf(flagNibblesA, l.a.nib) | flagIf(flagNibblesB, l.b.nib) | flagIf(flagRefsA, l.a.refs) | flagIf(flagRefsB, l.b.refs) |
		flagIf(flagDue, sh == &dueShape)
	b[3], b[4] = byte(l.a.ml), byte(l.a.pl)
	at := sh.head
	if sh.keys {
		b[sh.frame] = byte(l.width<<4 | l.drop)
		mask := lowBytes(l.width) << (8 * l.drop)
		binary.LittleEndian.PutUint64(b[sh.frame+1:], es[0].key&^mask)
		for i := range es {
			x := es[i].key >> (8 * l.drop)
			for range l.width {
				b[at] = byte(x)
				x >>= 8
				at++
			}
		}
	}
	at = p.writeColumn(b, at, es, false, &l.a)
	if sh.pairs {
		b[5], b[6] = byte(l.b.ml), byte(l.b.pl)
		at = p.writeColumn(b, at, es, true, &l.b)
	}
	if at != l.size {
		panic("tree: a leaf is not as long as it was planned")
	}
}

func flagIf(flag byte, on bool) byte {
	if on {
		return flag
	}
	return 0
}

func (p *pack) writeColumn(b []byte, at int, es []entry, second bool, f *fit) int {
	if f.pl > 0 {
		i := slices.IndexFunc(es, func(e entry) bool { return e.column(second).ref == 0 })
		at += copy(b[at:at+f.pl], p.text(es[i].column(second)))
	}
	lengths := at
	if f.ml == mixed {
		at += len(es)
	}
	for i := range es {
		s := es[i].column(second)
		if s.ref != 0 {
			b[lengths+i] = byRef
			putRef(b[at:], s.ref)
			at += refSize
			continue
		}
		text := p.text(s)[f.pl:]
		switch {
		case f.nib:
			packNibbles(b[at:at+f.ml], text)
			at += f.ml
			continue
		case f.ml == mixed:
			b[lengths+i] = byte(len(text))
		}
		at += copy(b[at:], text)
	}
	return at
}

// cut returns after how many entries x/y of their bytes are reached: at least
// one, and at least one is left.
func (p *pack) cut(x, y int) int {
	sum := 0
	for i := range p.entries {
		sum += p.weight(i)
	}
	s := 0
	for i := range p.entries {
		s += p.weight(i)
		if s*y >= sum*x {
			return max(1, min(i+1, len(p.entries)-1))
		}
	}
	return len(p.entries) - 1
}

func (p *pack) weight(i int) int {
	e := &p.entries[i]
	return 8 + int(e.a.n+e.b.n)
}

// cutByKey is cut for entries sorted by key, or by hash if they are sorted by
// that, of which equal ones stay together. It returns 0 if all are equal.
func (p *pack) cutByKey(sh *shape, x, y int) int {
	c := p.cut(x, y)
	for d := 0; d < len(p.entries); d++ {
		for _, i := range [...]int{c - d, c + d} {
			if i > 0 && i < len(p.entries) && p.entries[i-1].place(sh) != p.entries[i].place(sh) {
				return i
			}
		}
	}
	return 0
}

// sortByHash gives entries their hashes and sorts them by them.
func (p *pack) sortByHash(e *Env) {
	for i := range p.entries {
		p.entries[i].hash = e.hash(p.textOf(e.Space, p.entries[i].a))
	}
	slices.SortFunc(p.entries, func(x, y entry) int { return cmp.Compare(x.hash, y.hash) })
}

// place is what bounds compare an entry by before they compare its text.
func (e *entry) place(sh *shape) uint64 {
	switch sh.order {
	case byHash:
		return e.hash
	case byScore:
		return normal(e.key)
	}
	return e.key
}

// shapeOf is the shape of a leaf of these entries: one of a hash has keys only if
// one of its fields is due.
func (s *spine) shapeOf(es []entry) *shape {
	if s.sh.pairs && s.sh.order == byHash && slices.ContainsFunc(es, func(e entry) bool { return e.key != 0 }) {
		return &dueShape
	}
	return s.sh
}

// textOf is the text of a span, wherever it lies.
func (p *pack) textOf(sp *slab.Space, s span) []byte {
	if s.ref != 0 {
		return longText(sp, s.ref)
	}
	return p.text(s)
}
