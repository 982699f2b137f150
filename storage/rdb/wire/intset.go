package wire

import (
	"encoding/binary"
	"math"
)

// An intset is the width in bytes of its integers (2, 4 or 8) and their number,
// both uint32, and then the integers, ascending; all little endian.
const intsetHeaderBytes = 8

// ParseIntset checks all of b, as intsetValidateIntegrity does with deep set,
// and returns the integers, which ascend. It keeps b.
//
// Their width need not be the smallest possible: a set that has lost its
// largest integer keeps it. Redis refuses an empty intset; here it is empty.
func ParseIntset(b []byte) (Packed, error) {
	if len(b) < intsetHeaderBytes {
		return Packed{}, Corruptf("intset of %d bytes", len(b))
	}
	width, count := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	p := Packed{entries: b[intsetHeaderBytes:]}
	switch width {
	case 2:
		p.format = formatIntset16
	case 4:
		p.format = formatIntset32
	case 8:
		p.format = formatIntset64
	default:
		return Packed{}, Corruptf("intset of integers of %d bytes", width)
	}
	if uint64(len(p.entries)) != uint64(width)*uint64(count) {
		return Packed{}, Corruptf("intset of %d integers of %d bytes has %d bytes", count, width, len(p.entries))
	}
	p.n = int(count)
	before := int64(math.MinInt64)
	i := 0
	for e := range p.All() {
		if e.n <= before && i > 0 {
			return Packed{}, Corruptf("intset has %d behind %d, at %d", e.n, before, intsetHeaderBytes+i*int(width))
		}
		before = e.n
		i++
	}
	return p, nil
}

// intsetEntry reads the integer at the beginning of b.
func intsetEntry(b []byte, f format) (e Element, size int) {
	switch f {
	case formatIntset16:
		return Int(int64(int16(binary.LittleEndian.Uint16(b)))), 2
	case formatIntset32:
		return Int(int64(int32(binary.LittleEndian.Uint32(b)))), 4
	default:
		return Int(int64(binary.LittleEndian.Uint64(b))), 8
	}
}

// AppendIntset appends an intset of the given integers to dst, with the
// smallest width that holds all. They must ascend, without duplicates.
func AppendIntset(dst []byte, ints []int64) []byte {
	width := 2
	if n := len(ints); n > 0 {
		width = max(intsetWidth(ints[0]), intsetWidth(ints[n-1]))
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(width))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(ints)))
	for _, n := range ints {
		dst = appendLittleEndian(dst, n, width)
	}
	return dst
}

func intsetWidth(n int64) int {
	switch {
	case n == int64(int16(n)):
		return 2
	case n == int64(int32(n)):
		return 4
	}
	return 8
}
