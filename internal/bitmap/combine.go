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
	// Diff is what the first string has and none of the others, Diff1 what some of the
	// others have and the first does not, AndOr what the first and some of the others
	// have. All three are of at least two strings.
	Diff
	Diff1
	AndOr
	One // what exactly one string has
)

// Least is of how many strings an operation is at least.
func (op Operation) Least() int {
	switch op {
	case Diff, Diff1, AndOr:
		return 2
	}
	return 1
}

// block is how many bytes are combined at a time: they stay in the first cache,
// and one of the strings may be the one that is written.
const block = 2 << 10

// Combine fills dst, which is as long as the longest of src, with what the
// operation makes of src. A string that is shorter is followed by zeros. dst may
// be one of src.
func Combine(dst []byte, op Operation, src [][]byte) {
	switch op {
	case Diff, Diff1, AndOr:
		combineRest(dst, op, src)
		return
	case One:
		combineOne(dst, src)
		return
	}
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

// combineRest is Combine for the operations on the first string and what any of the
// others has.
func combineRest(dst []byte, op Operation, src [][]byte) {
	var rest, first [block]byte
	for at := 0; at < len(dst); at += block {
		acc, x := part(rest[:], dst, src[1], at), part(first[:], dst, src[0], at)
		for _, s := range src[2:] {
			or(acc, s[min(at, len(s)):min(at+len(acc), len(s))])
		}
		switch op {
		case Diff:
			invert(acc)
		case Diff1:
			invert(x)
		}
		and(acc, x)
		copy(dst[at:], acc)
	}
}

// combineOne is Combine for One. What more than one string has is kept beside.
func combineOne(dst []byte, src [][]byte) {
	var one, more, next, twice [block]byte
	for at := 0; at < len(dst); at += block {
		acc, many := part(one[:], dst, src[0], at), part(more[:], dst, nil, at)
		for _, s := range src[1:] {
			b := part(next[:], dst, s, at)
			both := twice[:copy(twice[:], acc)]
			and(both, b)
			or(many, both)
			or(acc, b)
		}
		invert(many)
		and(acc, many)
		copy(dst[at:], acc)
	}
}

// part copies to buf the block of s from a position on, with zeros behind it up to the
// length of dst.
func part(buf, dst, s []byte, at int) []byte {
	p := buf[:min(block, len(dst)-at)]
	clear(p[copy(p, from(s, at)):])
	return p
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
