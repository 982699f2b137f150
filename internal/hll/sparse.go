package hll

import (
	"slices"
	"strconv"
)

// A sparse value has runs of registers in place of the registers:
//
//	00nnnnnn           n+1 registers of zero
//	01nnnnnn nnnnnnnn  n+1 registers of zero, the high bits first
//	1vvvvvnn           n+1 registers with the count v+1
//
// Counts above 32 have no room, and make a value dense, as does a length above
// the limit that the server sets (hll-sparse-max-bytes).
const (
	counted   = 0x80 // a bit of the third form
	longZeros = 0x40 // a bit of the second form, which the third may have, too
	formMask  = counted | longZeros

	zerosMask  = 0x3f // the registers of the first byte of zeros
	runMask    = 0x03 // the registers of a count
	countMask  = 0x1f // the count, behind the shift
	countShift = 2

	longestZeros = zerosMask + 1 // of one byte
	longestRun   = runMask + 1   // of a count
	mostCount    = countMask + 1
)

// merges is how many steps an update takes to merge runs.
const merges = 5

// A run is one of them, as it stands in a value.
type run struct {
	bytes, registers int
	count            byte // 0: zeros
}

// runAt reads the run at position p of b, which is not its end. The second byte
// of a run may be missing at the end: then the run has no registers.
func runAt(b []byte, p int) run {
	switch c := b[p]; {
	case c&counted != 0:
		return run{1, int(c&runMask) + 1, c>>countShift&countMask + 1}
	case c&formMask != longZeros:
		return run{1, int(c&zerosMask) + 1, 0}
	case p+1 == len(b):
		return run{1, 0, 0}
	default:
		return run{2, int(c&zerosMask)<<8 | int(b[p+1]) + 1, 0}
	}
}

// appendZeros appends a run of so many registers of zero.
func appendZeros(b []byte, registers int) []byte {
	if n := registers - 1; registers > longestZeros {
		return append(b, longZeros|byte(n>>8), byte(n))
	}
	return append(b, byte(registers-1))
}

// countOf is a run of a count.
func countOf(count byte, registers int) byte {
	return counted | (count-1)<<countShift | byte(registers-1)
}

// shortRuns is the registers of a run of one byte, by that byte; 0 for the first
// byte of a longer one.
var shortRuns = func() (t [256]uint8) {
	for c := range t {
		if r := runAt([]byte{byte(c)}, 0); byte(c)&formMask != longZeros {
			t[c] = uint8(r.registers)
		}
	}
	return t
}()

// checkRuns reports whether runs have as many registers as there are.
func checkRuns(runs []byte) bool {
	n := 0
	for p := 0; p < len(runs); p++ {
		short := shortRuns[runs[p]]
		if n += int(short); short > 0 {
			continue
		}
		r := runAt(runs, p)
		if r.registers == 0 {
			return false
		}
		n += r.registers
		p++
	}
	return n == Registers
}

func (h *histogram) addRuns(runs []byte) (ok bool) {
	if !checkRuns(runs) {
		return false
	}
	for p := 0; p < len(runs); {
		r := runAt(runs, p)
		h[r.count] += r.registers
		p += r.bytes
	}
	return true
}

func (u *Union) mergeRuns(runs []byte) (ok bool) {
	if !checkRuns(runs) {
		return false
	}
	i := 0
	for p := 0; p < len(runs); {
		r := runAt(runs, p)
		if r.count > 0 {
			for j := range u[i : i+r.registers] {
				u[i+j] = max(u[i+j], r.count)
			}
		}
		i += r.registers
		p += r.bytes
	}
	return true
}

// Runs is the runs of a sparse value in the words of PFDEBUG DECODE.
func Runs(b []byte) []byte {
	var text []byte
	for p := headerBytes; p < len(b); {
		r := runAt(b, p)
		switch {
		case r.count > 0:
			text = strconv.AppendInt(append(text, "v:"...), int64(r.count), 10)
			text = append(text, ',')
		case r.bytes == 1:
			text = append(text, "z:"...)
		default:
			text = append(text, "Z:"...)
		}
		text = append(strconv.AppendInt(text, int64(r.registers), 10), ' ')
		p += r.bytes
	}
	return text[:max(len(text)-1, 0)]
}

// ToDense is a sparse value in dense form, with its header.
func ToDense(b []byte) []byte {
	d := make([]byte, DenseBytes)
	copy(d, b[:headerBytes])
	d[encodingAt] = dense
	i := 0
	for p := headerBytes; p < len(b); {
		r := runAt(b, p)
		if r.count > 0 {
			for j := range r.registers {
				DenseRaise(d, i+j, r.count)
			}
		}
		i += r.registers
		p += r.bytes
	}
	return d
}

// An Editor raises registers of a value that was sparse. It copies the value with
// the first change.
type Editor struct {
	value []byte
	room  []byte // for the copy
	own   bool
	limit int
	// at is a run from which a search may go on: before it stand no registers but
	// those below the ones raised last.
	at place
	// before is the run before it, if anybody knows.
	before place
	known  bool
}

// place is where a run stands, and its first register.
type place struct{ byte, register int }

var start = place{headerBytes, 0}

// Edit returns an editor of a sparse value that Check has passed. It becomes dense
// rather than longer than limit bytes.
func Edit(value, room []byte, limit int) Editor {
	return Editor{value: value, room: room, limit: limit, at: start, known: true}
}

// Value is what the value has become.
func (e *Editor) Value() []byte { return e.value }

// Raise gives a register a count, unless it has a greater one, and reports whether
// it had a smaller one. It matches hllSparseSet, whose every byte it makes.
func (e *Editor) Raise(register int, count byte) bool {
	if IsDense(e.value) {
		if DenseCovers(e.value, register, count) {
			return false
		}
		e.copy()
		return DenseRaise(e.value, register, count)
	}
	if count > mostCount {
		e.value, e.own = ToDense(e.value), true
		return DenseRaise(e.value, register, count)
	}
	if register < e.at.register {
		e.rewind()
	}
	p, r := e.find(register)
	switch {
	case r.count >= count:
		return false
	case r.registers == 1 && r.bytes == 1:
		// Of zeros or of a smaller count: the run stays, with another count.
		e.copy()
		e.value[p.byte] = countOf(count, 1)
	default:
		var seq [5]byte
		split := splitRun(seq[:0], r, register-p.register, count)
		if more := len(split) - r.bytes; more > 0 && len(e.value)+more > e.limit {
			e.value, e.own = ToDense(e.value), true
			return DenseRaise(e.value, register, count)
		}
		e.copy()
		e.value = slices.Replace(e.value, p.byte, p.byte+r.bytes, split...)
	}
	e.merge()
	Stale(e.value)
	return true
}

func (e *Editor) rewind() { e.at, e.before, e.known = start, place{}, true }

// find is the run that has the register. Afterwards e.at is the run before it, or
// the first one.
func (e *Editor) find(register int) (place, run) {
	p, last, beforeLast := e.at, e.before, place{}
	hops := 0
	for b := e.value; ; hops++ {
		next := place{p.byte + 1, p.register + int(shortRuns[b[p.byte]])}
		if next.register == p.register {
			r := runAt(b, p.byte)
			next = place{p.byte + r.bytes, p.register + r.registers}
		}
		if register < next.register {
			break
		}
		beforeLast, last, p = last, p, next
	}
	r := runAt(e.value, p.byte)
	switch {
	case p == start:
		e.rewind()
	case hops == 0 && !e.known:
		// Nobody knows the run before this one: look from the beginning.
		e.rewind()
		return e.find(register)
	default:
		known := hops > 1 || hops == 1 && e.known || last == start
		e.at, e.before, e.known = last, beforeLast, known
	}
	return p, r
}

// splitRun appends what a run becomes whose register at an index gets a count.
func splitRun(seq []byte, r run, index int, count byte) []byte {
	part := func(registers int) {
		switch {
		case registers == 0:
		case r.count > 0:
			seq = append(seq, countOf(r.count, registers))
		default:
			seq = appendZeros(seq, registers)
		}
	}
	part(index)
	seq = append(seq, countOf(count, 1))
	part(r.registers - index - 1)
	return seq
}

// merge makes one run of two with the same count, as far as Redis does: five steps
// from e.at on, of which one may be a merger, or a run with which there is none.
func (e *Editor) merge() {
	b := e.value
	for p, steps := e.at.byte, 0; p < len(b) && steps < merges; steps++ {
		r := runAt(b, p)
		if r.count > 0 && p+1 < len(b) {
			next := runAt(b, p+1)
			if next.count == r.count && r.registers+next.registers <= longestRun {
				b[p+1] = countOf(r.count, r.registers+next.registers)
				b = slices.Delete(b, p, p+1)
				continue
			}
		}
		p += r.bytes
	}
	e.value = b
}

// copy makes the value the editor's own.
func (e *Editor) copy() {
	if !e.own {
		e.value, e.own = append(e.room[:0], e.value...), true
	}
}
