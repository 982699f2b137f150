package script

import (
	"encoding/binary"
	"fmt"
	"math"

	"redoubt/internal/script/lua"
)

// maxIntSize is the largest integer of struct, in bytes.
const maxIntSize = 32

// maxAlign is the alignment that "!" without a number stands for.
const maxAlign = 8

func (w *world) openStruct() {
	w.makeLibrary("struct", []lua.Function{
		{Name: "pack", Call: structPack}, {Name: "unpack", Call: structUnpack}, {Name: "size", Call: structSize},
	})
}

// A layout reads a format of struct, option by option.
type layout struct {
	t      *lua.Thread
	format string
	pos    int
	big    bool // endian
	align  int
}

func newLayout(t *lua.Thread) *layout {
	return &layout{t: t, format: cString(t.CheckString(1)), align: 1}
}

// next is the next option and the size of what it stands for.
func (l *layout) next() (option byte, size int, ok bool) {
	if l.pos >= len(l.format) {
		return 0, 0, false
	}
	option = l.format[l.pos]
	l.pos++
	switch option {
	case 'B', 'b', 'x':
		size = 1
	case 'H', 'h':
		size = 2
	case 'L', 'l', 'T', 'd':
		size = 8
	case 'f':
		size = 4
	case 'c':
		size = l.number(1)
	case 'i', 'I':
		if size = l.number(4); size > maxIntSize {
			l.t.Errorf("integral size %d is larger than limit of %d", size, maxIntSize)
		}
	}
	return option, size, true
}

// number reads a number of the format.
func (l *layout) number(missing int) int {
	if l.pos >= len(l.format) || l.format[l.pos]-'0' > 9 {
		return missing
	}
	n := 0
	for ; l.pos < len(l.format) && l.format[l.pos]-'0' <= 9; l.pos++ {
		d := int(l.format[l.pos] - '0')
		if n > math.MaxInt32/10 || n*10 > math.MaxInt32-d {
			l.t.Errorf("integral size overflow")
		}
		n = n*10 + d
	}
	return n
}

// padding is how many bytes align what an option stands for.
func (l *layout) padding(at int, option byte, size int) int {
	if size == 0 || option == 'c' {
		return 0
	}
	size = min(size, l.align)
	return (size - at&(size-1)) & (size - 1)
}

// control carries out an option that stands for no value.
func (l *layout) control(option byte) {
	switch option {
	case ' ':
	case '>':
		l.big = true
	case '<':
		l.big = false
	case '!':
		n := l.number(maxAlign)
		if n <= 0 || n&(n-1) != 0 {
			l.t.Errorf("alignment %d is not a power of 2", n)
		}
		l.align = n
	default:
		l.t.ArgError(1, fmt.Sprintf("invalid format option '%c'", option))
	}
}

func isIntOption(option byte) bool {
	switch option {
	case 'b', 'B', 'h', 'H', 'l', 'L', 'T', 'i', 'I':
		return true
	}
	return false
}

func structPack(t *lua.Thread) int {
	l := newLayout(t)
	t.Push(lua.Nil) // which the first missing argument is, as errors tell
	var b []byte
	arg := 2
	for option, size, ok := l.next(); ok; option, size, ok = l.next() {
		for range l.padding(len(b), option, size) {
			b = append(b, 0)
		}
		switch {
		case isIntOption(option):
			b = l.putInt(b, t.CheckNumber(arg), size)
			arg++
		case option == 'x':
			b = append(b, 0)
		case option == 'f':
			b = l.order().AppendUint32(b, math.Float32bits(float32(t.CheckNumber(arg))))
			arg++
		case option == 'd':
			b = l.order().AppendUint64(b, math.Float64bits(t.CheckNumber(arg)))
			arg++
		case option == 'c', option == 's':
			s := t.CheckString(arg)
			arg++
			if size == 0 {
				size = len(s)
			}
			if len(s) < size {
				t.ArgError(arg, "string too short")
			}
			t.Reserve(len(b) + size)
			b = append(b, s[:size]...)
			if option == 's' {
				b = append(b, 0)
			}
		default:
			l.control(option)
		}
	}
	t.PushBytes(b)
	return 1
}

// byteOrder is what both orders of encoding/binary can do.
type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

func (l *layout) order() byteOrder {
	if l.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// putInt appends an integer of any size; what is above 64 bits is zero.
func (l *layout) putInt(b []byte, f float64, size int) []byte {
	n := uint64(toInt64(f))
	if f >= 1<<63 { // as C converts to unsigned
		n = uint64(toInt64(f-1<<63)) ^ 1<<63
	}
	start := len(b)
	b = append(b, make([]byte, size)...)
	for i := range size {
		at := start + i
		if l.big {
			at = start + size - 1 - i
		}
		b[at] = byte(n)
		n >>= 8
	}
	return b
}

// getInt reads an integer. Of those of more than 8 bytes the lowest 8 count.
func (l *layout) getInt(data string, signed bool) float64 {
	n := uint64(0)
	size := len(data)
	for i := range size {
		at := size - 1 - i
		if l.big {
			at = i
		}
		n = n<<8 | uint64(data[at])
	}
	if !signed {
		return float64(n)
	}
	mask := ^uint64(0) << (uint(size*8-1) & 63)
	if n&mask != 0 {
		n |= mask
	}
	return float64(int64(n))
}

func structUnpack(t *lua.Thread) int {
	l := newLayout(t)
	data := t.CheckString(2)
	pos := t.OptInteger(3, 1)
	if pos == 0 {
		t.ArgError(3, "offset must be 1 or greater")
	}
	u := structReader{layout: l, data: data, pos: uint64(pos) - 1}
	for option, size, ok := l.next(); ok; option, size, ok = l.next() {
		u.pos += uint64(l.padding(int(u.pos), option, size))
		u.check(uint64(size))
		if len(u.values)+4 > stackSlots {
			t.Errorf("stack overflow (too many results)")
		}
		u.read(option, size)
	}
	for _, v := range u.values {
		t.Push(v)
	}
	t.Push(lua.Number(float64(int64(u.pos + 1))))
	return len(u.values) + 1
}

// A structReader reads data by a layout.
type structReader struct {
	*layout
	data   string
	pos    uint64
	values []lua.Value
}

// check refuses to read behind the end.
func (u *structReader) check(size uint64) {
	n := uint64(len(u.data))
	if size > n || u.pos > n-size {
		u.t.ArgError(2, "data string too short")
	}
}

func (u *structReader) read(option byte, size int) {
	rest := u.data[min(u.pos, uint64(len(u.data))):]
	switch {
	case isIntOption(option):
		u.add(lua.Number(u.getInt(rest[:size], option >= 'a')))
	case option == 'x':
	case option == 'f':
		u.add(lua.Number(float64(math.Float32frombits(u.order().Uint32([]byte(rest[:4]))))))
	case option == 'd':
		u.add(lua.Number(math.Float64frombits(u.order().Uint64([]byte(rest[:8])))))
	case option == 'c':
		if size == 0 {
			size = u.previousSize()
		}
		u.add(u.t.Part(rest, 0, size))
	case option == 's':
		s := cString(rest)
		if len(s) == len(rest) {
			u.t.Errorf("unfinished string in data")
		}
		u.add(u.t.Part(rest, 0, len(s)))
		size = len(s) + 1
	default:
		u.control(option)
	}
	u.pos += uint64(size)
}

func (u *structReader) add(v lua.Value) { u.values = append(u.values, v) }

// previousSize takes the value read before as the size of a string.
func (u *structReader) previousSize() int {
	n := len(u.values)
	var f float64
	ok := n > 0
	if ok {
		f, ok = u.values[n-1].ToNumber()
	}
	if !ok {
		u.t.Errorf("format 'c0' needs a previous size")
	}
	u.values = u.values[:n-1]
	size := uint64(toInt64(f))
	u.check(size)
	return int(size)
}

func structSize(t *lua.Thread) int {
	l := newLayout(t)
	pos := 0
	for option, size, ok := l.next(); ok; option, size, ok = l.next() {
		pos += l.padding(pos, option, size)
		switch {
		case option == 's':
			t.ArgError(1, "option 's' has no fixed size")
		case option == 'c' && size == 0:
			t.ArgError(1, "option 'c0' has no fixed size")
		case !isAlnum(option):
			l.control(option)
		}
		pos += size
	}
	t.Push(lua.Int(pos))
	return 1
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
