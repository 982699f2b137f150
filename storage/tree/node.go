package tree

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"redoubt/storage/slab"
)

// A node is a block:
//
//	0 epoch u32 | 4 used u24 | 7 level u8
//	leaf (level 0): 8 id u32 | 12 packed leaf
//	inner: 8 children u16 | 12 child u32 each | entries u32 each
//	  unless by position: bound u64 each
//	  by score: end of text u16 each | texts
//
// Bounds are lower ones: what lies under a child is not before its bound, and
// before the bound of the next child. That of child 0 is never looked at. By
// score a bound is a key and the text of a member, as short as it may be. If that
// is long, the bound is the first entry under the child, as it is at the time.
const (
	nodeHeader  = 12
	fanout      = 64
	maxHeight   = 16
	maxBound    = 64
	endLong     = 1 << 15 // in an end of text: the text is that of the first entry
	maxLeaf     = 1024    // bytes of a leaf's block, and of a small collection
	leafStep    = 64      // leaves grow by so many bytes
	shrinkSlack = 32      // bytes to spare before a leaf shrinks
	innerStep   = 128     // inner nodes are few: sizes in few classes matter more than their bytes
)

func nodeUsed(b []byte) int  { return int(binary.LittleEndian.Uint32(b[4:]) & 0xffffff) }
func nodeLevel(b []byte) int { return int(b[7]) }

func setNode(b []byte, epoch uint32, used, level int) {
	binary.LittleEndian.PutUint32(b, epoch)
	binary.LittleEndian.PutUint32(b[4:], uint32(used)|uint32(level)<<24)
}

func setUsed(b []byte, used int) {
	binary.LittleEndian.PutUint32(b[4:], uint32(used)|uint32(b[7])<<24)
}

func leafID(b []byte) uint32        { return binary.LittleEndian.Uint32(b[8:]) }
func setLeafID(b []byte, id uint32) { binary.LittleEndian.PutUint32(b[8:], id) }

func children(b []byte) int { return int(binary.LittleEndian.Uint16(b[8:])) }

func child(b []byte, i int) slab.Ref { return getRef(b[nodeHeader+4*i:]) }

func setChild(b []byte, i int, r slab.Ref) { putRef(b[nodeHeader+4*i:], r) }

func counts(b []byte) []byte { n := children(b); return b[nodeHeader+4*n : nodeHeader+8*n] }

func entriesUnder(b []byte, i int) int { return int(binary.LittleEndian.Uint32(counts(b)[4*i:])) }

func addUnder(b []byte, i, d int) {
	c := counts(b)[4*i:]
	binary.LittleEndian.PutUint32(c, binary.LittleEndian.Uint32(c)+uint32(d))
}

func bound(b []byte, i int) uint64 {
	return binary.LittleEndian.Uint64(b[nodeHeader+8*children(b)+8*i:])
}

// boundText is the text of a bound by score; long says that it is not there.
func boundText(b []byte, i int) (text []byte, long bool) {
	n := children(b)
	ends := b[nodeHeader+16*n:]
	from := 0
	if i > 0 {
		from = int(binary.LittleEndian.Uint16(ends[2*i-2:])) &^ endLong
	}
	to := int(binary.LittleEndian.Uint16(ends[2*i:]))
	texts := ends[2*n:]
	return texts[from : to&^endLong], to&endLong != 0
}

// lowerBound returns how many of the bounds of children 1 to n-1 are below k.
func lowerBound(b []byte, k uint64) int {
	n := children(b)
	q := b[nodeHeader+8*n+8 : nodeHeader+16*n]
	lo := 0
	for m := n - 1; m > 0; {
		half := (m + 1) >> 1
		_, less := bits.Sub64(binary.LittleEndian.Uint64(q[8*(lo+half-1):]), k, 0)
		lo += half & -int(less)
		m -= half
	}
	return lo
}

// childByKey is the last child whose bound is not above k.
func childByKey(b []byte, k uint64) int {
	if k == 1<<64-1 {
		return children(b) - 1
	}
	return lowerBound(b, k+1)
}

// childByHash is childByKey for keys that are spread evenly: it looks first where
// the key should be.
func childByHash(b []byte, k uint64) int {
	n := children(b)
	q := b[nodeHeader+8*n : nodeHeader+16*n]
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(q[8*i:]) }
	if n < 8 || k < at(1) || k >= at(n-1) {
		return childByKey(b, k)
	}
	// The bounds of children 1 to n-1 cut the range into n-2 parts. Rows have keys
	// of 32 bits, other hashes 64, of which the low ones do not matter here.
	low := 0
	if k>>32 != 0 {
		low = 8
	}
	i := 1 + min(int((k-at(1))>>low*uint64(n-2)/((at(n-1)-at(1))>>low|1)), n-3)
	for range 8 {
		switch {
		case at(i) > k:
			i--
		case at(i+1) <= k:
			i++
		default:
			return i
		}
	}
	return childByKey(b, k)
}

// childByScore is the last child whose bound is not after (k, text).
func (s *spine) childByScore(b []byte, k uint64, text []byte) int {
	lo, last := 0, children(b)-1
	// Within a table of a map, all bounds of a node mostly have one key.
	if last > 0 && bound(b, 1) < k {
		lo = lowerBound(b, k)
	}
	if lo == last || bound(b, lo+1) != k {
		return lo
	}
	hi := last
	if bound(b, last) != k {
		hi = childByKey(b, k)
	}
	if hi-lo >= 4 {
		if i, ok := childByText(b, lo, hi, text); ok {
			if i == lo || !s.boundAfter(b, i, k, text) {
				return i
			}
			hi = i - 1
		}
	}
	for lo < hi {
		h := int(uint(lo+hi) >> 1)
		if s.boundAfter(b, h+1, k, text) {
			hi = h
		} else {
			lo = h + 1
		}
	}
	return lo
}

// childByText is a first guess at the last of the children from lo to hi whose bound
// is not after text; the bounds behind lo have one key. Their texts begin with what the
// first and the last of them have in common, and are compared as numbers by the eight
// bytes behind that. Of several bounds with the same eight the guess is the last one. ok
// is false if texts cannot be compared so.
func childByText(b []byte, lo, hi int, text []byte) (i int, ok bool) {
	n := children(b)
	ends, texts := b[nodeHeader+16*n:][:2*n], b[nodeHeader+18*n:]
	first, long := boundText(b, lo+1)
	last, longer := boundText(b, hi)
	p := commonPrefix(first, last)
	if long || longer || len(texts) < 8 || len(text) < p || string(text[:p]) != string(first[:p]) {
		return 0, false
	}
	want, flags := number(text[p:]), uint32(0)
	for m := hi - lo; m > 0; {
		half := (m + 1) >> 1
		e := binary.LittleEndian.Uint32(ends[2*(lo+half)-2:])
		flags |= e
		from, to := int(e&(endLong-1))+p, int(e>>16&(endLong-1))
		at := min(from, len(texts)-8)
		x := binary.BigEndian.Uint64(texts[at:]) << (8 * uint(from-at)) &^ (math.MaxUint64 >> (8 * uint(to-from)))
		// A difference instead of a branch: which way it goes cannot be predicted.
		_, after := bits.Sub64(want, x, 0)
		lo += half & (int(after) - 1)
		m -= half
	}
	return lo, flags>>16&endLong == 0
}

// number is the first eight bytes of a text, filled up with zeros, as a number.
func number(text []byte) (x uint64) {
	if len(text) >= 8 {
		return binary.BigEndian.Uint64(text)
	}
	for i, c := range text {
		x |= uint64(c) << (56 - 8*i)
	}
	return x
}

// boundAfter reports whether the bound of child i, whose key is k, is after
// (k, text).
func (s *spine) boundAfter(b []byte, i int, k uint64, text []byte) bool {
	t, long := boundText(b, i)
	if !long {
		return bytes.Compare(t, text) > 0
	}
	sp := s.t.env.Space
	r := child(b, i)
	q := sp.Bytes(r)
	for nodeLevel(q) > 0 {
		q = sp.Bytes(child(q, 0))
	}
	var l leaf
	var buf []byte
	l.openNode(s.sh, q)
	first := normal(l.key(0))
	return first > k || first == k && bytes.Compare(l.a.text(sp, 0, &buf), text) > 0
}

// A part is what stands in a node for one child.
type part struct {
	ref   slab.Ref
	n     int
	key   uint64
	long  bool
	bytes [maxBound]byte
	text  []byte // of bytes
}

// setText gives a part the shortest text that is after before and not after
// text.
func (p *part) setText(before, text []byte) {
	n := min(commonPrefix(before, text)+1, len(text))
	if p.long = n > maxBound; p.long {
		n = 0
	}
	p.text = append(p.bytes[:0], text[:n]...)
}

// An inner is an inner node taken apart.
type inner struct {
	child, count []uint32
	key          []uint64
	text         [][]byte
	long         []bool
	buf          []byte
}

func (in *inner) reset() {
	in.child, in.count, in.key, in.text, in.long = in.child[:0], in.count[:0], in.key[:0], in.text[:0], in.long[:0]
}

// load takes a node apart. It keeps no view of it.
func (in *inner) load(sh *shape, b []byte) {
	in.reset()
	in.buf = append(in.buf[:0], b[:nodeUsed(b)]...)
	b = in.buf
	for i := range children(b) {
		in.child = append(in.child, uint32(child(b, i)))
		in.count = append(in.count, uint32(entriesUnder(b, i)))
		if sh.order != byPosition {
			in.key = append(in.key, bound(b, i))
		}
		if sh.order == byScore {
			t, long := boundText(b, i)
			in.text, in.long = append(in.text, t), append(in.long, long)
		}
	}
}

// splice puts parts in place of n children from i on. If child i was there, the
// bound of the first part is that of it.
func (in *inner) splice(sh *shape, i, n int, parts []part) {
	in.child = spliced(in.child, i, n, len(parts))
	in.count = spliced(in.count, i, n, len(parts))
	var first part
	if sh.order != byPosition {
		if n > 0 {
			first.key = in.key[i]
		}
		in.key = spliced(in.key, i, n, len(parts))
	}
	if sh.order == byScore {
		if n > 0 {
			first.text, first.long = in.text[i], in.long[i]
		}
		in.text = spliced(in.text, i, n, len(parts))
		in.long = spliced(in.long, i, n, len(parts))
	}
	for j := range parts {
		p := &parts[j]
		in.child[i+j], in.count[i+j] = uint32(p.ref), uint32(p.n)
		if j == 0 && n > 0 {
			p = &first
		}
		if sh.order != byPosition {
			in.key[i+j] = p.key
		}
		if sh.order == byScore {
			in.text[i+j], in.long[i+j] = p.text, p.long
		}
	}
}

func spliced[T any](s []T, i, old, now int) []T {
	if now > old {
		n := len(s)
		s = slices.Grow(s, now-old)[:n+now-old]
		copy(s[i+now:], s[i+old:n])
		return s
	}
	return slices.Delete(s, i+now, i+old)
}

// size is what children [i, j) take as a node.
func (in *inner) size(sh *shape, i, j int) int {
	n := nodeHeader + 8*(j-i)
	if sh.order != byPosition {
		n += 8 * (j - i)
	}
	if sh.order == byScore {
		n += 2 * (j - i)
		for _, t := range in.text[i:j] {
			n += len(t)
		}
	}
	return n
}

// write writes children [i, j) as a node into b.
func (in *inner) write(sh *shape, b []byte, i, j, level int, epoch uint32) {
	n := j - i
	setNode(b, epoch, in.size(sh, i, j), level)
	binary.LittleEndian.PutUint32(b[8:], uint32(n))
	at := b[nodeHeader:]
	for x := range n {
		binary.LittleEndian.PutUint32(at[4*x:], in.child[i+x])
		binary.LittleEndian.PutUint32(at[4*(n+x):], in.count[i+x])
	}
	if sh.order == byPosition {
		return
	}
	at = at[8*n:]
	for x := range n {
		binary.LittleEndian.PutUint64(at[8*x:], in.key[i+x])
	}
	if sh.order != byScore {
		return
	}
	at = at[8*n:]
	end := 0
	for x := range n {
		end += copy(at[2*n+end:], in.text[i+x])
		e := uint16(end)
		if in.long[i+x] {
			e |= endLong
		}
		binary.LittleEndian.PutUint16(at[2*x:], e)
	}
}

func (in *inner) sum(i, j int) (n int) {
	for _, c := range in.count[i:j] {
		n += int(c)
	}
	return n
}
