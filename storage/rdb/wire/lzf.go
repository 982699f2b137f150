package wire

// LZF: a control byte below 32 begins a run of literals, any other a copy of
// bytes already written.
const (
	lzfMaxLiterals = 32
	lzfMaxDistance = 1 << 13
	lzfMaxCopy     = 264
	lzfMinCopy     = 3 // a copy takes two bytes, so only three and more save
	lzfHashBits    = 13
	lzfMaxInput    = 1<<31 - 1
)

// lzfMaxRatio is how many bytes one compressed byte can stand for at most:
// three bytes make the longest copy.
const lzfMaxRatio = lzfMaxCopy / 3

// lzfMaxInstruction is the longest instruction: a full run of literals.
const lzfMaxInstruction = 1 + lzfMaxLiterals

// compressor holds the table of where three bytes were last seen. Positions
// count on from one input to the next, so the table need not be cleared: what
// an earlier input left lies before base.
type compressor struct {
	table [1 << lzfHashBits]uint32
	next  uint32 // position of the next input's first byte; 0 before the first input
}

// compression is one input on its way through a compressor. Whoever begins the
// same input again gets the same bytes again.
type compression struct {
	*compressor
	src      []byte
	base     uint32 // position of src[0]
	i        int    // src[:i] has been looked at
	literals int    // src[literals:i] is not yet written
}

// begin starts the compression of src, of at most lzfMaxInput bytes.
func (c *compressor) begin(src []byte) compression {
	if c.next == 0 || uint64(c.next)+uint64(len(src)) > 1<<32-1 {
		clear(c.table[:])
		c.next = 1
	}
	base := c.next
	c.next += uint32(len(src))
	return compression{compressor: c, src: src, base: base}
}

// run appends compressed bytes to dst until the input is at its end (done), or
// until they are more than room. They may be more by one instruction.
func (c *compression) run(dst []byte, room int) (out []byte, done bool) {
	stop := len(dst) + room
	src, i := c.src, c.i
	for i+lzfMinCopy <= len(src) {
		h := lzfHash(src[i], src[i+1], src[i+2])
		seen := c.table[h]
		c.table[h] = c.base + uint32(i)
		if seen >= c.base && isCopy(src, int(seen-c.base), i) {
			from := int(seen - c.base)
			n := copyLength(src, from, i)
			dst = appendLiterals(dst, src[c.literals:i])
			dst = appendCopy(dst, i-from-1, n)
			i += n
			c.literals = i
		} else if i++; i-c.literals == lzfMaxLiterals {
			dst = appendLiterals(dst, src[c.literals:i])
			c.literals = i
		}
		if len(dst) > stop {
			c.i = i
			return dst, false
		}
	}
	dst = appendLiterals(dst, src[c.literals:])
	c.i, c.literals = len(src), len(src)
	return dst, true
}

// appendLZF appends src in compressed form to dst, if that takes no more than
// limit bytes.
func (c *compressor) appendLZF(dst, src []byte, limit int) ([]byte, bool) {
	if len(src) > lzfMaxInput {
		return dst, false
	}
	start := len(dst)
	run := c.begin(src)
	out, done := run.run(dst, limit)
	if !done || len(out)-start > limit {
		return out[:start], false
	}
	return out, true
}

// measure returns how many bytes appendLZF would append, without keeping them.
func (c *compressor) measure(src []byte, limit int) (n int, ok bool) {
	if len(src) > lzfMaxInput {
		return 0, false
	}
	run := c.begin(src)
	var room [measureBytes + lzfMaxCopy]byte
	for done := false; !done && n <= limit; {
		var out []byte
		out, done = run.run(room[:0], measureBytes)
		n += len(out)
	}
	return n, n <= limit
}

const measureBytes = 4 << 10

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
	start := len(dst)
	end := start + int(size)
	dst, used, err := expand(dst, src, start, end)
	if err != nil {
		return dst, err
	}
	if used < len(src) || len(dst) != end {
		return dst, Corruptf("%d bytes claimed, compressed data make %d and %d are left", size, len(dst)-start, len(src)-used)
	}
	return dst, nil
}

// expand carries out the instructions of src and appends what they make to
// dst. It stops before an instruction that src does not hold completely and
// before one that would make dst longer than limit; used tells how far it came
// in src. Copies from before dst[floor] are corruption.
func expand(dst, src []byte, floor, limit int) (out []byte, used int, err error) {
	for used < len(src) {
		control, i := int(src[used]), used+1
		if control < lzfMaxLiterals {
			n := control + 1
			if i+n > len(src) || len(dst)+n > limit {
				return dst, used, nil
			}
			dst = append(dst, src[i:i+n]...)
			used = i + n
			continue
		}
		n := control>>5 + 2
		if n == 7+2 {
			if i >= len(src) {
				return dst, used, nil
			}
			n += int(src[i])
			i++
		}
		if i >= len(src) || len(dst)+n > limit {
			return dst, used, nil
		}
		from := len(dst) - ((control&31)<<8 | int(src[i])) - 1
		if from < floor {
			return dst, used, Corruptf("compressed copy from before the beginning")
		}
		dst = repeat(dst, from, n)
		used = i + 1
	}
	return dst, used, nil
}

// repeat appends the n bytes that begin at dst[from]. They may go on into what
// is being appended: the bytes then repeat with the period of the distance.
func repeat(dst []byte, from, n int) []byte {
	for n > 0 {
		part := min(n, len(dst)-from)
		dst = append(dst, dst[from:from+part]...)
		n -= part
	}
	return dst
}
