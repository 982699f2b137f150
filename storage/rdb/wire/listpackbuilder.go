package wire

import (
	"encoding/binary"
	"math"
)

// MaxListpackBytes is the largest listpack that Redis makes.
const MaxListpackBytes = 1 << 30

// ListpackBuilder writes a listpack, with the same bytes as Redis's lpAppend:
// a string that is exactly how an int64 is printed becomes an integer, and all
// take their shortest form. The zero value begins an empty listpack.
//
// A builder does not refuse to grow beyond MaxListpackBytes; ask Fits before an
// Append where that could be.
type ListpackBuilder struct {
	buf   []byte
	start int // of the listpack in buf
	n     int
}

// Reset begins an empty listpack at the end of dst, whose memory is used.
func (l *ListpackBuilder) Reset(dst []byte) {
	l.buf, l.start, l.n = dst, len(dst), 0
	l.begin()
}

// begin makes room for the header.
func (l *ListpackBuilder) begin() {
	if len(l.buf) == l.start {
		var header [listpackHeaderBytes]byte
		l.buf = append(l.buf, header[:]...)
	}
}

// Len returns the number of elements.
func (l *ListpackBuilder) Len() int { return l.n }

// Size returns the length in bytes that the listpack would have if it were
// finished now.
func (l *ListpackBuilder) Size() int {
	return max(len(l.buf)-l.start, listpackHeaderBytes) + 1
}

// Fits reports whether a string of n bytes leaves the listpack within
// MaxListpackBytes, as lpSafeToAdd does.
func (l *ListpackBuilder) Fits(n int) bool {
	const overhead = 5 + 5 // the longest encoding and backlen
	return n <= MaxListpackBytes-overhead-l.Size()
}

// Append adds an element, given as a string.
func (l *ListpackBuilder) Append(s []byte) {
	if n, ok := canonicalInt(s); ok {
		l.AppendInt(n)
		return
	}
	l.begin()
	at := len(l.buf)
	switch n := len(s); {
	case n < 1<<6:
		l.buf = append(l.buf, lpStr6|byte(n))
	case n < 1<<12:
		l.buf = append(l.buf, lpStr12|byte(n>>8), byte(n))
	default:
		l.buf = binary.LittleEndian.AppendUint32(append(l.buf, lpStr32), uint32(n))
	}
	l.buf = append(l.buf, s...)
	l.end(at)
}

// AppendInt adds an integer.
func (l *ListpackBuilder) AppendInt(n int64) {
	l.begin()
	at := len(l.buf)
	switch {
	case n >= 0 && n <= lpMaxUint7:
		l.buf = append(l.buf, lpUint7|byte(n))
	case n >= lpMinInt13 && n <= lpMaxInt13:
		l.buf = append(l.buf, lpInt13|byte(n>>8)&0x1F, byte(n))
	case n == int64(int16(n)):
		l.buf = appendLittleEndian(append(l.buf, lpInt16), n, 2)
	case n == n<<40>>40:
		l.buf = appendLittleEndian(append(l.buf, lpInt24), n, 3)
	case n == int64(int32(n)):
		l.buf = appendLittleEndian(append(l.buf, lpInt32), n, 4)
	default:
		l.buf = appendLittleEndian(append(l.buf, lpInt64), n, 8)
	}
	l.end(at)
}

// AppendElement adds an element.
func (l *ListpackBuilder) AppendElement(e Element) {
	if e.IsInt() {
		l.AppendInt(e.n)
		return
	}
	l.Append(e.str)
}

// end adds the backlen of the entry that begins at.
func (l *ListpackBuilder) end(at int) {
	l.buf = appendBacklen(l.buf, len(l.buf)-at)
	l.n++
}

// Finish completes the listpack and returns it, behind what Reset was given.
// The next listpack begins with Reset.
func (l *ListpackBuilder) Finish() []byte {
	l.begin()
	l.buf = append(l.buf, listpackEnd)
	header := l.buf[l.start:]
	binary.LittleEndian.PutUint32(header, uint32(len(header)))
	binary.LittleEndian.PutUint16(header[4:], uint16(min(l.n, listpackManyEntries)))
	return l.buf
}

// ListpackEntryBytes returns how many bytes a string takes in a listpack.
func ListpackEntryBytes(s []byte) int {
	if n, ok := canonicalInt(s); ok {
		return ListpackIntBytes(n)
	}
	size := len(s)
	switch {
	case size < 1<<6:
		size++
	case size < 1<<12:
		size += 2
	default:
		size += 5
	}
	return size + backlenBytes(size)
}

// ListpackIntBytes returns how many bytes an integer takes in a listpack.
func ListpackIntBytes(n int64) int {
	const backlen = 1
	switch {
	case n >= 0 && n <= lpMaxUint7:
		return 1 + backlen
	case n >= lpMinInt13 && n <= lpMaxInt13:
		return 2 + backlen
	case n == int64(int16(n)):
		return 3 + backlen
	case n == n<<40>>40:
		return 4 + backlen
	case n >= math.MinInt32 && n <= math.MaxInt32:
		return 5 + backlen
	}
	return 9 + backlen
}

// appendLittleEndian appends the low bytes of n.
func appendLittleEndian(dst []byte, n int64, width int) []byte {
	for ; width > 0; width-- {
		dst = append(dst, byte(n))
		n >>= 8
	}
	return dst
}
