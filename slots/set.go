package slots

import (
	"encoding/binary"
	"math/bits"
)

// Bytes is the size of a Set on the wire and in memory.
const Bytes = Count / 8

// Set is a set of slots. Its memory layout is that of the bitmap in a cluster
// bus message: slot s is bit s%8, counted from the least significant, of byte
// s/8. The zero value is empty; sets are values and compare with ==.
type Set [Bytes]byte

// Add puts s into the set.
func (t *Set) Add(s Slot) { t[s>>3] |= 1 << (s & 7) }

// Remove takes s out of the set.
func (t *Set) Remove(s Slot) { t[s>>3] &^= 1 << (s & 7) }

// Has reports whether s is in the set.
func (t *Set) Has(s Slot) bool { return t[s>>3]&(1<<(s&7)) != 0 }

// Len is the number of slots in the set.
func (t *Set) Len() int {
	n := 0
	for _, b := range t {
		n += bits.OnesCount8(b)
	}
	return n
}

// Empty reports whether no slot is in the set.
func (t *Set) Empty() bool { return *t == Set{} }

// Each calls f for every slot of the set in ascending order until f returns
// false.
func (t *Set) Each(f func(Slot) bool) {
	for i := 0; i < len(t); i += 8 {
		for w := binary.LittleEndian.Uint64(t[i:]); w != 0; w &= w - 1 {
			if !f(Slot(i<<3 + bits.TrailingZeros64(w))) {
				return
			}
		}
	}
}

// Ranges returns the set as ascending, maximal ranges.
func (t *Set) Ranges() []Range {
	var rs []Range
	t.Each(func(s Slot) bool {
		if n := len(rs); n > 0 && rs[n-1].Last+1 == s {
			rs[n-1].Last = s
		} else {
			rs = append(rs, Range{s, s})
		}
		return true
	})
	return rs
}

// Without returns the slots of the set that are not in u.
func (t *Set) Without(u *Set) Set {
	var left Set
	for i := 0; i < len(t); i += 8 {
		w := binary.LittleEndian.Uint64(t[i:]) &^ binary.LittleEndian.Uint64(u[i:])
		binary.LittleEndian.PutUint64(left[i:], w)
	}
	return left
}

// Intersects reports whether some slot is in both sets.
func (t *Set) Intersects(u *Set) bool {
	for i := 0; i < len(t); i += 8 {
		if binary.LittleEndian.Uint64(t[i:])&binary.LittleEndian.Uint64(u[i:]) != 0 {
			return true
		}
	}
	return false
}

// AddSet puts all slots of u into the set.
func (t *Set) AddSet(u *Set) {
	for i := 0; i < len(t); i += 8 {
		w := binary.LittleEndian.Uint64(t[i:]) | binary.LittleEndian.Uint64(u[i:])
		binary.LittleEndian.PutUint64(t[i:], w)
	}
}

// AddRange puts all slots of r into the set.
func (t *Set) AddRange(r Range) {
	for s := int(r.First); s <= int(r.Last); s++ {
		t.Add(Slot(s))
	}
}

// All returns the set of every slot.
func All() Set {
	var t Set
	for i := range t {
		t[i] = 0xff
	}
	return t
}
