package rdb

// LZF: a control byte below 32 begins a run of literals, any other a
// copy of bytes already written.
const (
	lzfMaxLiterals = 32
	lzfMaxDistance = 1 << 13
	lzfMaxCopy     = 264
	lzfMinCopy     = 3 // a copy takes two bytes, so only three and more save
	lzfHashBits    = 13
)

// lzfMaxRatio is how many bytes one compressed byte can stand for at most:
// three bytes make the longest copy.
const lzfMaxRatio = lzfMaxCopy / 3

// compressor holds the table of where three bytes were last seen. Positions
// count on from one input to the next, so the table need not be cleared: what
// an earlier input left lies before base.
type compressor struct {
	table [1 << lzfHashBits]uint32
	base  uint32 // position of the current input's first byte; 0 before the first input
}

// appendLZF appends src in compressed form to dst, if that takes no more than
// limit bytes.
func (c *compressor) appendLZF(dst, src []byte, limit int) ([]byte, bool) {
	if len(src) > 1<<31-1 {
		return dst, false
	}
	if c.base == 0 || uint64(c.base)+uint64(len(src)) > 1<<32-1 {
		clear(c.table[:])
		c.base = 1
	}
	base := c.base
	c.base += uint32(len(src))

	start := len(dst)
	literals := 0 // src[literals:i] is not yet written
	for i := 0; i+lzfMinCopy <= len(src); {
		h := lzfHash(src[i], src[i+1], src[i+2])
		seen := c.table[h]
		c.table[h] = base + uint32(i)
		if seen < base || !isCopy(src, int(seen-base), i) {
			i++
			continue
		}
		from := int(seen - base)
		n := copyLength(src, from, i)
		dst = appendLiterals(dst, src[literals:i])
		dst = appendCopy(dst, i-from-1, n)
		if len(dst)-start > limit {
			return dst[:start], false
		}
		i += n
		literals = i
	}
	dst = appendLiterals(dst, src[literals:])
	if len(dst)-start > limit {
		return dst[:start], false
	}
	return dst, true
}

func lzfHash(a, b, c byte) uint32 {
	return (uint32(a)<<16 | uint32(b)<<8 | uint32(c)) * 2654435761 >> (32 - lzfHashBits)
}

// isCopy reports whether the three bytes at i repeat those at from, near
// enough to be referred to.
func isCopy(src []byte, from, i int) bool {
	return i-from <= lzfMaxDistance &&
		src[from] == src[i] && src[from+1] == src[i+1] && src[from+2] == src[i+2]
}

func copyLength(src []byte, from, i int) int {
	n := lzfMinCopy
	for n < lzfMaxCopy && i+n < len(src) && src[from+n] == src[i+n] {
		n++
	}
	return n
}

func appendLiterals(dst, literals []byte) []byte {
	for len(literals) > 0 {
		n := min(len(literals), lzfMaxLiterals)
		dst = append(dst, byte(n-1))
		dst = append(dst, literals[:n]...)
		literals = literals[n:]
	}
	return dst
}

// appendCopy writes a copy of n bytes that began distance+1 bytes ago.
func appendCopy(dst []byte, distance, n int) []byte {
	n -= 2
	if n < 7 {
		return append(dst, byte(n<<5|distance>>8), byte(distance))
	}
	return append(dst, byte(7<<5|distance>>8), byte(n-7), byte(distance))
}

// appendUnLZF appends to dst the size bytes that src stands for. Bytes that
// are not there, and a size that is not met exactly, are corruption.
func appendUnLZF(dst, src []byte, size uint64) ([]byte, error) {
	if size > uint64(len(src))*lzfMaxRatio {
		return dst, corrupt("%d bytes claimed from %d compressed", size, len(src))
	}
	start := len(dst)
	for i := 0; i < len(src); {
		control := int(src[i])
		i++
		if control < lzfMaxLiterals {
			n := control + 1
			if i+n > len(src) {
				return dst, corrupt("compressed literals are cut off")
			}
			dst = append(dst, src[i:i+n]...)
			i += n
			continue
		}
		n := control >> 5
		if n == 7 {
			if i >= len(src) {
				return dst, corrupt("compressed copy is cut off")
			}
			n += int(src[i])
			i++
		}
		n += 2
		if i >= len(src) {
			return dst, corrupt("compressed copy is cut off")
		}
		from := len(dst) - ((control&31)<<8 | int(src[i])) - 1
		i++
		if from < start {
			return dst, corrupt("compressed copy from before the beginning")
		}
		// One byte at a time: the copy may overlap what it writes.
		for ; n > 0; n-- {
			dst = append(dst, dst[from])
			from++
		}
	}
	if uint64(len(dst)-start) != size {
		return dst, corrupt("%d bytes claimed, %d decompressed", size, len(dst)-start)
	}
	return dst, nil
}
