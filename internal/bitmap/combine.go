package bitmap

import (
	"crypto/subtle"
	"encoding/binary"
)

// Operation is what BITOP makes of several strings, bit by bit.
type Operation uint8

// The operations.
const (
	And Operation = iota
	Or
	Xor
	Not // of one string
)

// block is how many bytes are combined at a time: they stay in the first cache,
// and one of the strings may be the one that is written.
const block = 2 << 10

// Combine fills dst, which is as long as the longest of src, with what the
// operation makes of src. A string that is shorter is followed by zeros. dst may
// be one of src.
func Combine(dst []byte, op Operation, src [][]byte) {
	var buf [block]byte
	for at := 0; at < len(dst); at += block {
		acc := buf[:min(block, len(dst)-at)]
		n := copy(acc, from(src[0], at))
		clear(acc[n:])
		if op == Not {
			invert(acc)
		}
		for _, s := range src[1:] {
			s = from(s, at)
			s = s[:min(len(s), len(acc))]
			switch op {
			case And:
				and(acc, s)
				clear(acc[len(s):])
			case Or:
				or(acc, s)
			case Xor:
				subtle.XORBytes(acc, acc[:len(s)], s)
			}
		}
		copy(dst[at:], acc)
	}
}

// from is what b has from a position on.
func from(b []byte, at int) []byte { return b[min(at, len(b)):] }

// and puts into acc what it and s, which is not longer, have in common.
func and(acc, s []byte) {
	for len(s) >= 32 {
		a, b := acc[:32:32], s[:32:32]
		binary.LittleEndian.PutUint64(a[0:], binary.LittleEndian.Uint64(a[0:])&binary.LittleEndian.Uint64(b[0:]))
		binary.LittleEndian.PutUint64(a[8:], binary.LittleEndian.Uint64(a[8:])&binary.LittleEndian.Uint64(b[8:]))
		binary.LittleEndian.PutUint64(a[16:], binary.LittleEndian.Uint64(a[16:])&binary.LittleEndian.Uint64(b[16:]))
		binary.LittleEndian.PutUint64(a[24:], binary.LittleEndian.Uint64(a[24:])&binary.LittleEndian.Uint64(b[24:]))
		acc, s = acc[32:], s[32:]
	}
	for i, c := range s {
		acc[i] &= c
	}
}

// or puts into acc what it or s, which is not longer, has.
func or(acc, s []byte) {
	for len(s) >= 32 {
		a, b := acc[:32:32], s[:32:32]
		binary.LittleEndian.PutUint64(a[0:], binary.LittleEndian.Uint64(a[0:])|binary.LittleEndian.Uint64(b[0:]))
		binary.LittleEndian.PutUint64(a[8:], binary.LittleEndian.Uint64(a[8:])|binary.LittleEndian.Uint64(b[8:]))
		binary.LittleEndian.PutUint64(a[16:], binary.LittleEndian.Uint64(a[16:])|binary.LittleEndian.Uint64(b[16:]))
		binary.LittleEndian.PutUint64(a[24:], binary.LittleEndian.Uint64(a[24:])|binary.LittleEndian.Uint64(b[24:]))
		acc, s = acc[32:], s[32:]
	}
	for i, c := range s {
		acc[i] |= c
	}
}

// invert turns every bit of acc over.
func invert(acc []byte) {
	for ; len(acc) >= 8; acc = acc[8:] {
		binary.LittleEndian.PutUint64(acc, ^binary.LittleEndian.Uint64(acc))
	}
	for i := range acc {
		acc[i] = ^acc[i]
	}
}
