package bitmap

import (
	"encoding/binary"
	"math"
)

// A Field is an integer in a string, at any bit.
type Field struct {
	Offset uint64 // of its first bit
	Width  uint   // in bits: 1 to 64, to 63 if it has no sign
	Signed bool
}

// End is how many bytes a string has at least that holds the whole field.
func (f Field) End() uint64 { return (f.Offset+uint64(f.Width)-1)>>3 + 1 }

// window is the nine bytes in which any field lies.
type window struct {
	high uint64
	low  byte
}

// at reads the bytes from the one on in which the field begins; those behind the
// end of b are zero.
func (f Field) at(b []byte) window {
	var w [9]byte
	if i := f.Offset >> 3; i < uint64(len(b)) {
		copy(w[:], b[i:])
	}
	return window{binary.BigEndian.Uint64(w[:]), w[8]}
}

// Get reads the field from b; what lies behind the end of b is zero. A field with
// a sign is an int64 as it is in memory.
func (f Field) Get(b []byte) uint64 {
	w, shift := f.at(b), f.Offset&7
	v := w.high<<shift | uint64(w.low)>>(8-shift)
	if f.Signed {
		return uint64(int64(v) >> (64 - f.Width))
	}
	return v >> (64 - f.Width)
}

// Set writes the lowest bits of v to the field, which lies within b.
func (f Field) Set(b []byte, v uint64) {
	w, shift := f.at(b), f.Offset&7
	ones := uint64(math.MaxUint64) << (64 - f.Width) // the field, if it began at bit 0
	v <<= 64 - f.Width
	w.high = w.high&^(ones>>shift) | v>>shift
	if shift > 0 {
		w.low = w.low&^byte(ones<<(8-shift)) | byte(v<<(8-shift))
	}
	var out [9]byte
	binary.BigEndian.PutUint64(out[:], w.high)
	out[8] = w.low
	copy(b[f.Offset>>3:], out[:])
}

// Overflow says what becomes of a number that a field cannot hold.
type Overflow uint8

// The ways to treat an overflow.
const (
	Wrap     Overflow = iota // the bits that have room stay
	Saturate                 // the nearest number that has room
	Fail                     // nothing is written
)

// limits are the least and the greatest number of the field.
func (f Field) limits() (least, greatest int64) {
	if f.Signed {
		greatest = math.MaxInt64 >> (64 - f.Width)
		return -greatest - 1, greatest
	}
	return 0, math.MaxInt64 >> (63 - f.Width)
}

// Fit is what a field holds after v, or after v+increment of a field that holds v,
// in the form of Get. ok is false if it has no room for that and way is Fail. As
// in Redis, to set a negative number of a field without a sign is too much and not
// too little: its bits count as a number without a sign.
func (f Field) Fit(v, increment int64, way Overflow) (_ uint64, ok bool) {
	least, greatest := f.limits()
	above, below := v > greatest || !f.Signed && v < 0, f.Signed && v < least
	sum := v + increment
	switch overflows := (increment > 0) != (sum > v) && increment != 0; {
	case above || below:
	case overflows:
		above, below = increment > 0, increment < 0
	default:
		above, below = sum > greatest, sum < least
	}
	switch {
	case !above && !below:
		return uint64(sum), true
	case way == Fail:
		return 0, false
	case way == Saturate && above:
		return uint64(greatest), true
	case way == Saturate:
		return uint64(least), true
	}
	if f.Signed {
		return uint64(sum << (64 - f.Width) >> (64 - f.Width)), true
	}
	return uint64(sum) << (64 - f.Width) >> (64 - f.Width), true
}
