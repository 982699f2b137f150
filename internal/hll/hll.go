// Package hll is HyperLogLog as Redis keeps it in strings, byte by byte: an
// estimate of how many different elements were added, with a standard error of
// 0.81 %.
//
// An element's hash chooses one of 16384 registers and gives it a count, one more
// than the zeros at the end of the rest of the hash; a register keeps the greatest
// count it was given. A value is a header and the registers:
//
//	0   "HYLL"
//	4   the encoding: 0 dense, 1 sparse
//	5   three bytes that nobody uses
//	8   the cardinality, little-endian; the highest bit says that it is stale
//	16  dense: six bits for each register, the lowest bits first, 12288 bytes
//	    sparse: runs of registers, see sparse.go
//
// Values come from anywhere (RESTORE, SET, a stream), so that Is and Check stand
// before everything else; nothing here panics on a value that they have passed.
package hll

import (
	"encoding/binary"
	"math"
	"math/bits"
)

const (
	// Registers is how many there are.
	Registers = 1 << registerBits
	// DenseBytes is the length of a dense value.
	DenseBytes = headerBytes + Registers*6/8

	registerBits = 14
	hashBits     = 64 - registerBits // of a hash, for the count
	headerBytes  = 16
	encodingAt   = 4
	cardinality  = 8
	staleAt      = 15
	stale        = 0x80

	dense  = 0
	sparse = 1
)

const magic = "HYLL"

// New is a value to which nothing was added.
func New() []byte {
	b := make([]byte, headerBytes, headerBytes+2)
	copy(b, magic)
	b[encodingAt] = sparse
	return appendZeros(b, Registers)
}

// Is reports whether b looks like a value. It matches isHLLObjectOrReply: a sparse
// one may be corrupt all the same, which Check tells.
func Is(b []byte) bool {
	if len(b) < headerBytes || string(b[:len(magic)]) != magic {
		return false
	}
	return b[encodingAt] == dense && len(b) == DenseBytes || b[encodingAt] == sparse
}

// IsDense reports whether the value is dense and not sparse.
func IsDense(b []byte) bool { return b[encodingAt] == dense }

// Check reports whether a value has all registers, and no more.
func Check(b []byte) bool { return IsDense(b) || checkRuns(b[headerBytes:]) }

// Cached is the cardinality that the value carries; ok is false if it is stale.
func Cached(b []byte) (n uint64, ok bool) {
	return binary.LittleEndian.Uint64(b[cardinality:]), b[staleAt]&stale == 0
}

// Cache makes the value carry its cardinality. A number so large that no value has
// it but a made-up one leaves it stale.
func Cache(b []byte, n uint64) { binary.LittleEndian.PutUint64(b[cardinality:], n) }

// Stale says that the cardinality that the value carries is not its own any more.
func Stale(b []byte) { b[staleAt] |= stale }

// Locate is the register of an element, and the count that it gives to it.
func Locate(element []byte) (register int, count byte) {
	h := murmur(element)
	rest := h>>registerBits | 1<<hashBits
	return int(h & (Registers - 1)), byte(bits.TrailingZeros64(rest) + 1)
}

// murmur is MurmurHash64A with Redis's seed, little-endian on every machine.
func murmur(b []byte) uint64 {
	const m, r, seed = 0xc6a4a7935bd1e995, 47, 0xadc83b19
	h := seed ^ uint64(len(b))*m
	for ; len(b) >= 8; b = b[8:] {
		k := binary.LittleEndian.Uint64(b) * m
		k = (k ^ k>>r) * m
		h = (h ^ k) * m
	}
	if len(b) > 0 {
		for i, c := range b {
			h ^= uint64(c) << (8 * i)
		}
		h *= m
	}
	h = (h ^ h>>r) * m
	return h ^ h>>r
}

// denseGet is a register of a dense value.
func denseGet(b []byte, register int) byte {
	at, shift := headerBytes+register*6/8, register*6%8
	v := uint(b[at]) >> shift
	if shift > 2 {
		v |= uint(b[at+1]) << (8 - shift)
	}
	return byte(v & 63)
}

// DenseRaise gives a register of a dense value a count, unless it has a greater
// one, and reports whether it had a smaller one.
func DenseRaise(b []byte, register int, count byte) bool {
	if denseGet(b, register) >= count {
		return false
	}
	at, shift := headerBytes+register*6/8, register*6%8
	b[at] = b[at]&^byte(63<<shift) | count<<shift
	if shift > 2 {
		b[at+1] = b[at+1]&^(63>>(8-shift)) | count>>(8-shift)
	}
	return true
}

// DenseCovers reports whether DenseRaise would change nothing.
func DenseCovers(b []byte, register int, count byte) bool { return denseGet(b, register) >= count }

// Get is a register of a dense value.
func Get(b []byte, register int) int { return int(denseGet(b, register)) }

// Union is the registers of several values: of each the greatest count.
type Union [Registers]byte

// Merge takes a value's registers into the union. It reports false, and may have
// merged a part, if the value is corrupt.
func (u *Union) Merge(b []byte) bool {
	if !IsDense(b) {
		return u.mergeRuns(b[headerBytes:])
	}
	regs := b[headerBytes:DenseBytes]
	for i := 0; i < Registers; i += 4 {
		w := uint(regs[0]) | uint(regs[1])<<8 | uint(regs[2])<<16
		r := u[i : i+4 : i+4]
		r[0] = max(r[0], byte(w&63))
		r[1] = max(r[1], byte(w>>6&63))
		r[2] = max(r[2], byte(w>>12&63))
		r[3] = max(r[3], byte(w>>18))
		regs = regs[3:]
	}
	return true
}

// Store writes the registers to a dense value.
func (u *Union) Store(b []byte) {
	regs := b[headerBytes:DenseBytes]
	for i := 0; i < Registers; i += 4 {
		r := u[i : i+4 : i+4]
		w := uint(r[0]) | uint(r[1])<<6 | uint(r[2])<<12 | uint(r[3])<<18
		regs[0], regs[1], regs[2] = byte(w), byte(w>>8), byte(w>>16)
		regs = regs[3:]
	}
}

// Count is the estimate of how many elements the union has.
func (u *Union) Count() uint64 {
	var h histogram
	for _, r := range u {
		h[r&63]++
	}
	return h.estimate()
}

// Count is the estimate of how many elements were added to a value; ok is false if
// it is corrupt.
func Count(b []byte) (n uint64, ok bool) {
	var h histogram
	if IsDense(b) {
		h.addDense(b[headerBytes:DenseBytes])
	} else if !h.addRuns(b[headerBytes:]) {
		return 0, false
	}
	return h.estimate(), true
}

// histogram is how many registers have each count.
type histogram [64]int

func (h *histogram) addDense(regs []byte) {
	for ; len(regs) >= 3; regs = regs[3:] {
		w := uint(regs[0]) | uint(regs[1])<<8 | uint(regs[2])<<16
		h[w&63]++
		h[w>>6&63]++
		h[w>>12&63]++
		h[w>>18&63]++
	}
}

// tooMany is the estimate of registers that no elements give, for which the
// formula has no finite result: what the conversion of Redis makes of infinity.
const tooMany = 1 << 63

// estimate matches hllCount, with the estimator of Otmar Ertl, "New cardinality
// estimation algorithms for HyperLogLog sketches", arXiv:1702.01284. Products are
// rounded before they are added, so that the result, which is stored, is the same
// on every machine.
func (h *histogram) estimate() uint64 {
	const m = float64(Registers)
	alpha := 0.721347520444481703680 // 0.5/ln(2)
	z := float64(m * tau((m-float64(h[hashBits+1]))/m))
	for j := hashBits; j >= 1; j-- {
		z += float64(h[j])
		z *= 0.5
	}
	z += float64(m * sigma(float64(h[0])/m))
	e := math.Round(alpha * m * m / z)
	if e >= tooMany {
		return tooMany
	}
	return uint64(e)
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		before := z
		z += float64(x * y)
		y += y
		if z == before {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		square := float64((1 - x) * (1 - x))
		z -= float64(square * y)
		if z == before {
			return z / 3
		}
	}
}
