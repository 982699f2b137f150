package wire

import (
	"math"
	"strconv"
)

// Element is an element of a collection: a string, or an integer that stands
// for its decimal digits. Encodings write a string that is exactly how an
// integer is printed as an integer, so a reader may meet either. The zero value
// is the integer 0.
type Element struct {
	str []byte // nil if the element is an integer
	n   int64
}

// Int returns the Element of an integer.
func Int(n int64) Element { return Element{n: n} }

// Str returns the Element of a string. It keeps s.
func Str(s []byte) Element {
	if s == nil {
		s = []byte{}
	}
	return Element{str: s}
}

// maxIntDigits is the length of the longest int64, with its sign.
const maxIntDigits = 20

// IsInt reports whether the element came as an integer.
func (e Element) IsInt() bool { return e.str == nil }

// Int64 returns the integer that the element is, or that its string is the
// decimal form of. It is Redis's lpGetInteger.
func (e Element) Int64() (n int64, ok bool) {
	if e.str == nil {
		return e.n, true
	}
	return canonicalInt(e.str)
}

// Bytes returns the element as a string. That of an integer is written into
// scratch, whose content is lost; others are returned as they are.
func (e Element) Bytes(scratch []byte) []byte {
	if e.str != nil {
		return e.str
	}
	return strconv.AppendInt(scratch[:0], e.n, 10)
}

// Text returns the string that the element came as, which is nil for an integer.
func (e Element) Text() (s []byte, ok bool) { return e.str, e.str != nil }

// AppendTo appends the element as a string.
func (e Element) AppendTo(dst []byte) []byte {
	if e.str != nil {
		return append(dst, e.str...)
	}
	return strconv.AppendInt(dst, e.n, 10)
}

// Len returns the length in bytes of the element as a string.
func (e Element) Len() int {
	if e.str != nil {
		return len(e.str)
	}
	var digits [maxIntDigits]byte
	return len(strconv.AppendInt(digits[:0], e.n, 10))
}

// String returns the element as a string.
func (e Element) String() string { return string(e.Bytes(nil)) }

// Double returns the number that the element is, as the score of a member is
// written in a listpack or ziplist. ok is false for what is not a number, and
// for NaN, which a sorted set cannot order.
func (e Element) Double() (f float64, ok bool) {
	if e.str == nil {
		return float64(e.n), true
	}
	f, ok = parseDouble(e.str)
	return f, ok && !math.IsNaN(f)
}

// canonicalInt reports whether s is exactly how an int64 is printed, as
// string2ll.
func canonicalInt(s []byte) (int64, bool) {
	digits := s
	negative := len(s) > 0 && s[0] == '-'
	if negative {
		digits = s[1:]
	}
	if len(digits) == 0 || len(digits) >= maxIntDigits || digits[0] == '0' && len(s) > 1 {
		return 0, false
	}
	var n uint64 // has room for any 19 digits
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	switch {
	case negative && n <= -math.MinInt64:
		return -int64(n), true
	case !negative && n <= math.MaxInt64:
		return int64(n), true
	}
	return 0, false
}
