package tree

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"redoubt/storage/slab"
)

const (
	// maxInline is the length of the longest item that lies in a leaf. Longer
	// ones have a block of their own, and the leaf holds the reference.
	maxInline = 250

	// mixed, in place of the length of all items, says that each has its own.
	mixed = 255

	// byRef, in place of the length of an item, says that it is a reference.
	byRef   = 255
	refSize = 4
)

// A column is one text of every entry of a leaf: the elements of a list, the
// members of a set or sorted set, the fields of a hash or their values.
//
//	prefix | lengths, a byte each, if they differ | items without the prefix
//
// Items may be in nibbles: then all characters are one of ,-./0123456789: and an
// item takes half its length. A nibble of 0 is the end, so that stored items are
// in the order of the texts.
type column struct {
	b    []byte // the leaf
	off  int    // where the column begins
	n    int    // items
	pl   int    // bytes of the prefix
	ml   int    // bytes of each item, or mixed
	nib  bool   // in nibbles
	refs bool   // some items may be references
	stop int    // where the column ends, 0 if that is not known yet
}

// lengths is where the lengths begin, or the items if there are none.
func (c *column) lengths() int { return c.off + c.pl }

// items is where the items begin.
func (c *column) items() int {
	if c.ml == mixed {
		return c.off + c.pl + c.n
	}
	return c.off + c.pl
}

// end is where the column ends.
func (c *column) end() int {
	if c.ml != mixed {
		return c.off + c.pl + c.n*c.ml
	}
	l := c.lengths()
	return l + c.n + sumLengths(c.b[l:l+c.n], c.refs)
}

// item returns where item i lies and how many bytes it has there. i may be the
// number of items: that is the end. Lengths are added up from the nearer end of the
// column, where rows are appended.
func (c *column) item(i int) (off, n int) {
	l := c.lengths()
	if c.ml != mixed {
		return l + i*c.ml, c.ml
	}
	if i < c.n {
		n = storedLength(c.b[l+i])
	}
	if c.stop > 0 && i > c.n/2 {
		return c.stop - sumLengths(c.b[l+i:l+c.n], c.refs), n
	}
	return l + c.n + sumLengths(c.b[l:l+i], c.refs), n
}

// length is how many bytes item i takes.
func (c *column) length(i int) int {
	if c.ml != mixed {
		return c.ml
	}
	return storedLength(c.b[c.lengths()+i])
}

// isRef reports whether item i is a reference.
func (c *column) isRef(i int) bool { return c.refs && c.b[c.lengths()+i] == byRef }

func (c *column) prefix() []byte { return c.b[c.off : c.off+c.pl] }

// storedLength is how many bytes an item has whose length is l.
func storedLength(l byte) int {
	if l == byRef {
		return refSize
	}
	return int(l)
}

// sumLengths adds stored lengths, eight at a time.
func sumLengths(b []byte, refs bool) int {
	const even = 0x00ff00ff00ff00ff
	sum := 0
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		sum += int(((x&even + x>>8&even) * 0x0001000100010001) >> 48)
		if refs {
			sum -= (byRef - refSize) * bits.OnesCount64(full(x))
		}
		b = b[8:]
	}
	for _, l := range b {
		sum += storedLength(l)
	}
	return sum
}

// full has the highest bit of each byte set that is 255.
func full(x uint64) uint64 {
	const high = 0x8080808080808080
	return (x&^high + 0x0101010101010101) & x & high
}

// appendStored appends the text of the stored bytes of an item to dst.
func (c *column) appendStored(dst []byte, off, n int) []byte {
	if !c.nib {
		return append(dst, c.b[off:off+n]...)
	}
	for _, x := range c.b[off : off+n] {
		if x>>4 == 0 {
			break
		}
		dst = append(dst, x>>4+nibbleBase)
		if x&15 == 0 {
			break
		}
		dst = append(dst, x&15+nibbleBase)
	}
	return dst
}

// text returns item i as it was put in: a view of the leaf or of its block, or
// what is put together in buf.
func (c *column) text(sp *slab.Space, i int, buf *[]byte) []byte {
	off, n := c.item(i)
	return c.textAt(sp, i, off, n, buf)
}

// textAt is text for an item whose place is known.
func (c *column) textAt(sp *slab.Space, i, off, n int, buf *[]byte) []byte {
	switch {
	case c.isRef(i):
		return longText(sp, getRef(c.b[off:]))
	case c.pl == 0 && !c.nib:
		return c.b[off : off+n : off+n]
	}
	*buf = c.appendStored(append((*buf)[:0], c.prefix()...), off, n)
	return *buf
}

// nibbleBase is what is added to a nibble to make a character of it.
const nibbleBase = ',' - 1

// nibble returns the nibble of a character, or a number above 15.
func nibble(ch byte) byte {
	if ch == nibbleBase {
		return 16
	}
	return ch - nibbleBase
}

// packNibbles writes s into dst, which it fills up with zeros. It reports whether
// s fits and has no other characters.
func packNibbles(dst, s []byte) bool {
	if len(s) > 2*len(dst) {
		return false
	}
	j := 0
	for ; len(s) >= 2; s = s[2:] {
		a, b := nibble(s[0]), nibble(s[1])
		if (a | b) > 15 {
			return false
		}
		dst[j] = a<<4 | b
		j++
	}
	if len(s) == 1 {
		a := nibble(s[0])
		if a > 15 {
			return false
		}
		dst[j] = a << 4
		j++
	}
	clear(dst[j:])
	return true
}

// An item is a text on its way into a leaf: the text itself, or the reference
// of the block that holds it.
type item struct {
	text []byte
	ref  slab.Ref
}

// A stored is an item in the form that a column has.
type stored struct {
	bytes  []byte
	length byte // as in the lengths of a mixed column
}

// encode returns s as the column would store it, in tmp unless it is a view of
// s. ok is false if the column has to be written anew to hold it.
func (c *column) encode(s item, tmp *[maxInline]byte) (e stored, ok bool) {
	if s.ref != 0 {
		putRef(tmp[:], s.ref)
		return stored{tmp[:refSize], byRef}, c.ml == mixed
	}
	text := s.text
	if len(text) > maxInline {
		return stored{}, false
	}
	if c.pl > 0 {
		if len(text) < c.pl || string(text[:c.pl]) != string(c.prefix()) {
			return stored{}, false
		}
		text = text[c.pl:]
	}
	switch {
	case c.nib:
		e.bytes = tmp[:c.ml]
		return e, packNibbles(e.bytes, text)
	case c.ml == mixed || len(text) == c.ml:
		return stored{text, byte(len(text))}, true
	}
	return stored{}, false
}

// find returns the place of a text, or -1.
func (c *column) find(sp *slab.Space, text []byte) int {
	if len(text) > maxInline {
		return c.findLong(sp, text)
	}
	var tmp [maxInline]byte
	e, ok := c.encode(item{text: text}, &tmp)
	switch {
	case !ok:
		return -1
	case c.ml == mixed:
		return c.findMixed(e.bytes)
	case c.ml == 0:
		return min(c.n, 1) - 1
	case c.ml < 8:
		return c.findNarrow(e.bytes)
	}
	return c.findWide(e.bytes)
}

func (c *column) findMixed(e []byte) int {
	l := c.lengths()
	at := l + c.n
	for i, n := range c.b[l : l+c.n] {
		if int(n) == len(e) && string(c.b[at:at+len(e)]) == string(e) {
			return i
		}
		at += storedLength(n)
	}
	return -1
}

// findWide compares the last eight bytes of each item first.
func (c *column) findWide(e []byte) int {
	head := c.ml - 8
	last := binary.LittleEndian.Uint64(e[head:])
	q := c.b[c.items():][:c.n*c.ml]
	for at := head; at+8 <= len(q); at += c.ml {
		if binary.LittleEndian.Uint64(q[at:at+8]) == last && string(q[at-head:at]) == string(e[:head]) {
			return at / c.ml
		}
	}
	return -1
}

// findNarrow reads eight bytes for each item and compares those that count.
func (c *column) findNarrow(e []byte) int {
	var want uint64
	for i := len(e) - 1; i >= 0; i-- {
		want = want<<8 | uint64(e[i])
	}
	mask := uint64(1)<<(8*c.ml) - 1
	q := c.b[c.items():]
	at, end := 0, c.n*c.ml
	for ; at < end && at+8 <= len(q); at += c.ml {
		if binary.LittleEndian.Uint64(q[at:at+8])&mask == want {
			return at / c.ml
		}
	}
	for ; at < end; at += c.ml {
		if string(q[at:at+c.ml]) == string(e) {
			return at / c.ml
		}
	}
	return -1
}

// lowerNarrow returns the first of the sorted items [lo, hi) that is not before e,
// hi if there is none, and whether it is equal. All have the same length of up to
// eight bytes, so that they are compared as numbers. The eight bytes that end with
// an item are within the leaf, as its header is longer.
func (c *column) lowerNarrow(lo, hi int, e []byte) (i int, found bool) {
	var want uint64
	for _, x := range e {
		want = want<<8 | uint64(x)
	}
	mask := lowBytes(c.ml)
	first := c.items() + c.ml - 8
	at := func(i int) uint64 {
		from := first + i*c.ml
		return binary.BigEndian.Uint64(c.b[from:from+8]) & mask
	}
	end := hi
	for n := hi - lo; n > 0; {
		half := (n + 1) >> 1
		_, less := bits.Sub64(at(lo+half-1), want, 0)
		lo += half & -int(less)
		n -= half
	}
	return lo, lo < end && at(lo) == want
}

func (c *column) findLong(sp *slab.Space, text []byte) int {
	if !c.refs {
		return -1
	}
	l := c.lengths()
	at := l + c.n
	for i, n := range c.b[l : l+c.n] {
		if n == byRef && bytes.Equal(longText(sp, getRef(c.b[at:])), text) {
			return i
		}
		at += storedLength(n)
	}
	return -1
}

// equal reports whether item i is a text.
func (c *column) equal(sp *slab.Space, i int, text []byte) bool {
	if c.nib || c.isRef(i) {
		return c.compare(sp, i, text, stored{}, false) == 0
	}
	off, n := c.item(i)
	return c.pl+n == len(text) && string(c.b[off:off+n]) == string(text[c.pl:]) && string(c.prefix()) == string(text[:c.pl])
}

// compare orders item i against text, whose stored form is e if ok.
func (c *column) compare(sp *slab.Space, i int, text []byte, e stored, ok bool) int {
	off, n := c.item(i)
	switch {
	case c.isRef(i):
		return bytes.Compare(longText(sp, getRef(c.b[off:])), text)
	case ok && e.length != byRef:
		return bytes.Compare(c.b[off:off+n], e.bytes)
	case !c.nib && c.pl == 0:
		return bytes.Compare(c.b[off:off+n], text)
	}
	var buf [maxInline]byte
	return bytes.Compare(c.appendStored(append(buf[:0], c.prefix()...), off, n), text)
}
