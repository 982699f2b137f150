package slab

import "math/bits"

// A bitset is a set of extents.
type bitset struct {
	words []uint64
	low   int // no word before this one has a bit
}

func (b *bitset) has(i uint32) bool { return b.words[i/64]>>(i%64)&1 != 0 }

func (b *bitset) add(i uint32) {
	b.words[i/64] |= 1 << (i % 64)
	b.low = min(b.low, int(i/64))
}

func (b *bitset) remove(i uint32) { b.words[i/64] &^= 1 << (i % 64) }

// set adds or removes i.
func (b *bitset) set(i uint32, in bool) {
	if in {
		b.add(i)
	} else {
		b.remove(i)
	}
}

// first returns the lowest extent.
func (b *bitset) first() (uint32, bool) {
	for ; b.low < len(b.words); b.low++ {
		if w := b.words[b.low]; w != 0 {
			return uint32(b.low*64 + bits.TrailingZeros64(w)), true
		}
	}
	return 0, false
}

// last returns the highest extent that is in both sets.
func (b *bitset) last(and *bitset) (uint32, bool) {
	for i := len(b.words) - 1; i >= b.low; i-- {
		if w := b.words[i] & and.words[i]; w != 0 {
			return uint32(i*64 + bits.Len64(w) - 1), true
		}
	}
	return 0, false
}
