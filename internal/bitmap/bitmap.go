// Package bitmap works on strings as sequences of bits, and on the integers of
// any width that lie in them.
//
// Bit 0 is the most significant bit of the first byte, as everywhere in Redis:
// an integer at a byte's boundary is big-endian. Loops take words of 64 bits.
package bitmap

import (
	"encoding/binary"
	"math/bits"
)

// Count is how many bits of b are set.
func Count(b []byte) int64 {
	n := 0
	for len(b) >= 64 {
		w := b[:64:64]
		n += bits.OnesCount64(binary.LittleEndian.Uint64(w[0:])) + bits.OnesCount64(binary.LittleEndian.Uint64(w[8:])) +
			bits.OnesCount64(binary.LittleEndian.Uint64(w[16:])) + bits.OnesCount64(binary.LittleEndian.Uint64(w[24:])) +
			bits.OnesCount64(binary.LittleEndian.Uint64(w[32:])) + bits.OnesCount64(binary.LittleEndian.Uint64(w[40:])) +
			bits.OnesCount64(binary.LittleEndian.Uint64(w[48:])) + bits.OnesCount64(binary.LittleEndian.Uint64(w[56:]))
		b = b[64:]
	}
	for ; len(b) >= 8; b = b[8:] {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(b))
	}
	for _, c := range b {
		n += bits.OnesCount8(c)
	}
	return int64(n)
}

// Range is the bits from First to Last, both included, which exist; Last is not
// before First.
type Range struct{ First, Last int64 }

// edges are the bits of its first and its last byte that lie within the range.
func (r Range) edges() (first, last byte) {
	return 0xff >> (r.First & 7), 0xff << (7 - r.Last&7)
}

// bytes is the bytes of b in which the range lies.
func (r Range) bytes(b []byte) []byte { return b[r.First>>3 : r.Last>>3+1] }

// CountIn is how many bits of a range are set.
func CountIn(b []byte, r Range) int64 {
	b = r.bytes(b)
	first, last := r.edges()
	out := bits.OnesCount8(b[0]&^first) + bits.OnesCount8(b[len(b)-1]&^last)
	return Count(b) - int64(out)
}

// Find is the first bit of a range that is set, or that is not; -1 if all are
// otherwise.
func Find(b []byte, set bool, r Range) int64 {
	b = r.bytes(b)
	flip := byte(0)
	if !set {
		flip = 0xff
	}
	base := r.First &^ 7
	first, last := r.edges()
	if len(b) == 1 {
		first &= last
	}
	if c := (b[0] ^ flip) & first; c != 0 {
		return base + int64(bits.LeadingZeros8(c))
	}
	if len(b) == 1 {
		return -1
	}
	// Every byte between the edges counts as a whole.
	end := len(b) - 1
	if at := findByte(b[1:end], flip); at >= 0 {
		return base + int64(1+at)*8 + int64(bits.LeadingZeros8(b[1+at]^flip))
	}
	if c := (b[end] ^ flip) & last; c != 0 {
		return base + int64(end)*8 + int64(bits.LeadingZeros8(c))
	}
	return -1
}

// findByte is the first byte of b that is not skip, which is 0 or 0xff; -1 if
// there is none.
func findByte(b []byte, skip byte) int {
	word := uint64(0)
	if skip != 0 {
		word = ^word
	}
	at := 0
	for ; at+32 <= len(b); at += 32 {
		w := b[at : at+32 : at+32]
		if (binary.LittleEndian.Uint64(w[0:])^word)|(binary.LittleEndian.Uint64(w[8:])^word)|
			(binary.LittleEndian.Uint64(w[16:])^word)|(binary.LittleEndian.Uint64(w[24:])^word) != 0 {
			break
		}
	}
	for ; at < len(b); at++ {
		if b[at] != skip {
			return at
		}
	}
	return -1
}
