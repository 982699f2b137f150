package script

import (
	"encoding/binary"
	"math"

	"redoubt/internal/script/lua"
)

// maxPackDepth is how deeply nested tables are packed; what is deeper becomes
// nil.
const maxPackDepth = 16

func (w *world) openMessagePack() {
	h := w.makeLibrary("cmsgpack", []lua.Function{
		{Name: "pack", Call: packValues}, {Name: "unpack", Call: unpackAll}, {Name: "unpack_one", Call: unpackOne},
		{Name: "unpack_limit", Call: unpackLimit},
	})
	h.SetStr("_NAME", lua.String("cmsgpack"))
	h.SetStr("_VERSION", lua.String("lua-cmsgpack 0.4.0"))
	h.SetStr("_COPYRIGHT", lua.String("Copyright (C) 2012, Salvatore Sanfilippo"))
	h.SetStr("_DESCRIPTION", lua.String("MessagePack C implementation for Lua"))
}

// A packer writes values as MessagePack.
type packer struct {
	t   *lua.Thread
	buf []byte
}

func packValues(t *lua.Thread) int {
	n := t.Count()
	if n == 0 {
		t.ArgError(0, "MessagePack pack needs input.")
	}
	p := packer{t: t}
	for i := 1; i <= n; i++ {
		p.value(t.Arg(i), 0)
	}
	t.PushBytes(p.buf)
	return 1
}

func (p *packer) value(v lua.Value, level int) {
	p.t.Poll()
	if n := len(p.buf); n >= reserveEvery && n+n/4 > cap(p.buf) {
		p.t.Reserve(2 * n)
	}
	switch v.Kind() {
	case lua.KindString:
		p.string(v.Str())
	case lua.KindBool:
		if v.Truth() {
			p.buf = append(p.buf, 0xc3)
		} else {
			p.buf = append(p.buf, 0xc2)
		}
	case lua.KindNumber:
		p.number(v.Float())
	case lua.KindTable:
		if level == maxPackDepth {
			p.buf = append(p.buf, 0xc0)
			return
		}
		p.table(v.Table(), level)
	default:
		p.buf = append(p.buf, 0xc0)
	}
}

func (p *packer) string(s string) {
	switch n := len(s); {
	case n < 32:
		p.buf = append(p.buf, 0xa0|byte(n))
	case n <= math.MaxUint8:
		p.buf = append(p.buf, 0xd9, byte(n))
	case n <= math.MaxUint16:
		p.buf = binary.BigEndian.AppendUint16(append(p.buf, 0xda), uint16(n))
	default:
		p.t.Reserve(n)
		p.buf = binary.BigEndian.AppendUint32(append(p.buf, 0xdb), uint32(n))
	}
	p.buf = append(p.buf, s...)
}

func (p *packer) number(f float64) {
	if n := toInt64(f); float64(n) == f && !math.IsInf(f, 0) {
		p.integer(n)
		return
	}
	if short := float32(f); float64(short) == f {
		p.buf = binary.BigEndian.AppendUint32(append(p.buf, 0xca), math.Float32bits(short))
		return
	}
	p.buf = binary.BigEndian.AppendUint64(append(p.buf, 0xcb), math.Float64bits(f))
}

func (p *packer) integer(n int64) {
	switch {
	case n >= 0 && n <= math.MaxInt8, n < 0 && n >= -32:
		p.buf = append(p.buf, byte(n))
	case n >= 0 && n <= math.MaxUint8:
		p.buf = append(p.buf, 0xcc, byte(n))
	case n >= 0 && n <= math.MaxUint16:
		p.buf = binary.BigEndian.AppendUint16(append(p.buf, 0xcd), uint16(n))
	case n >= 0 && n <= math.MaxUint32:
		p.buf = binary.BigEndian.AppendUint32(append(p.buf, 0xce), uint32(n))
	case n >= 0:
		p.buf = binary.BigEndian.AppendUint64(append(p.buf, 0xcf), uint64(n))
	case n >= math.MinInt8:
		p.buf = append(p.buf, 0xd0, byte(n))
	case n >= math.MinInt16:
		p.buf = binary.BigEndian.AppendUint16(append(p.buf, 0xd1), uint16(n))
	case n >= math.MinInt32:
		p.buf = binary.BigEndian.AppendUint32(append(p.buf, 0xd2), uint32(n))
	default:
		p.buf = binary.BigEndian.AppendUint64(append(p.buf, 0xd3), uint64(n))
	}
}

// head writes the beginning of an array or map of n: short for up to 15 is the
// type's byte, the others are its forms with 16 and 32 bits.
func (p *packer) head(n int, short, medium, long byte) {
	switch {
	case n <= 15:
		p.buf = append(p.buf, short|byte(n))
	case n <= math.MaxUint16:
		p.buf = binary.BigEndian.AppendUint16(append(p.buf, medium), uint16(n))
	default:
		p.buf = binary.BigEndian.AppendUint32(append(p.buf, long), uint32(n))
	}
}

// isArray reports whether the keys of a table are 1 to n.
func isArray(h *lua.Table) bool {
	n, highest := 0, 0.0
	for k, _, _ := h.Next(lua.Nil); !k.IsNil(); k, _, _ = h.Next(k) {
		if k.Kind() != lua.KindNumber {
			return false
		}
		f := k.Float()
		if f <= 0 || float64(int32(toInt64(f))) != f {
			return false
		}
		highest = max(highest, f)
		n++
	}
	return float64(n) == highest
}

func (p *packer) table(h *lua.Table, level int) {
	if isArray(h) {
		n := h.Len()
		p.head(n, 0x90, 0xdc, 0xdd)
		for i := 1; i <= n; i++ {
			p.value(p.t.Index(h.Value(), lua.Int(i)), level+1)
		}
		return
	}
	p.head(count(h), 0x80, 0xde, 0xdf)
	for k, v, _ := h.Next(lua.Nil); !k.IsNil(); k, v, _ = h.Next(k) {
		p.value(k, level+1)
		p.value(v, level+1)
	}
}

// An unpacker reads MessagePack.
type unpacker struct {
	t   *lua.Thread
	s   string
	pos int
}

func unpackAll(t *lua.Thread) int { return unpack(t, 0, 0) }

func unpackOne(t *lua.Thread) int { return unpack(t, 1, t.OptInteger(2, 0)) }

func unpackLimit(t *lua.Thread) int {
	return unpack(t, t.CheckInteger(2), t.OptInteger(3, 0))
}

// unpack reads up to limit values from an offset on, all if both are 0. If not
// all are wanted, the offset of the next comes first, -1 at the end.
func unpack(t *lua.Thread, limit, offset int) int {
	s := t.CheckString(1)
	all := limit == 0 && offset == 0
	switch {
	case offset < 0 || limit < 0:
		t.Errorf("Invalid request to unpack with offset of %d and limit of %d.", int32(offset), int32(len(s)))
	case offset > len(s):
		t.Errorf("Start offset %d greater than input length %d.", int32(offset), int32(len(s)))
	}
	if all {
		limit = math.MaxInt32
	}
	u := unpacker{t: t, s: s, pos: offset}
	if !all {
		t.Push(lua.Nil) // for the offset
	}
	n := 0
	for ; u.pos < len(s) && n < limit; n++ {
		t.Push(u.value(n + 1))
	}
	if all {
		return n
	}
	next := u.pos
	if next == len(s) {
		next = -1
	}
	t.Set(-n-1, lua.Int(next))
	return n + 1
}

// take reads n bytes.
func (u *unpacker) take(n int) string {
	if n > len(u.s)-u.pos {
		u.t.Errorf("Missing bytes in input.")
	}
	b := u.s[u.pos : u.pos+n]
	u.pos += n
	return b
}

// unsigned reads a big-endian number of n bytes.
func (u *unpacker) unsigned(n int) uint64 {
	v := uint64(0)
	for _, c := range []byte(u.take(n)) {
		v = v<<8 | uint64(c)
	}
	return v
}

// value reads one value; slots is how many values of it and around it are under
// way.
func (u *unpacker) value(slots int) lua.Value {
	u.t.Poll()
	if slots+1 > stackSlots {
		u.t.Errorf("stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)")
	}
	switch c := u.take(1)[0]; c {
	case 0xc0:
		return lua.Nil
	case 0xc2, 0xc3:
		return lua.Bool(c == 0xc3)
	case 0xca:
		return lua.Number(float64(math.Float32frombits(uint32(u.unsigned(4)))))
	case 0xcb:
		return lua.Number(math.Float64frombits(u.unsigned(8)))
	case 0xcc:
		return lua.Number(float64(u.unsigned(1)))
	case 0xcd:
		return lua.Number(float64(u.unsigned(2)))
	case 0xce:
		return lua.Number(float64(u.unsigned(4)))
	case 0xcf:
		return lua.Number(float64(int64(u.unsigned(8)))) // sic: above 2^63 it is negative
	case 0xd0:
		return lua.Number(float64(int8(u.unsigned(1))))
	case 0xd1:
		return lua.Number(float64(int16(u.unsigned(2))))
	case 0xd2:
		return lua.Number(float64(int32(u.unsigned(4))))
	case 0xd3:
		return lua.Number(float64(int64(u.unsigned(8))))
	case 0xd9:
		return u.string(int(u.unsigned(1)))
	case 0xda:
		return u.string(int(u.unsigned(2)))
	case 0xdb:
		return u.string(int(u.unsigned(4)))
	case 0xdc:
		return u.array(int(u.unsigned(2)), slots)
	case 0xdd:
		return u.array(int(u.unsigned(4)), slots)
	case 0xde:
		return u.mapping(int(u.unsigned(2)), slots)
	case 0xdf:
		return u.mapping(int(u.unsigned(4)), slots)
	default:
		return u.short(c, slots)
	}
}

// short reads a value whose length or content is in its first byte.
func (u *unpacker) short(c byte, slots int) lua.Value {
	switch {
	case c&0x80 == 0:
		return lua.Number(float64(c))
	case c&0xe0 == 0xe0:
		return lua.Number(float64(int8(c)))
	case c&0xe0 == 0xa0:
		return u.string(int(c & 0x1f))
	case c&0xf0 == 0x90:
		return u.array(int(c&0xf), slots)
	case c&0xf0 == 0x80:
		return u.mapping(int(c&0xf), slots)
	}
	u.t.Errorf("Bad data format in input.")
	return lua.Nil
}

func (u *unpacker) string(n int) lua.Value {
	u.t.State().Allocated(n)
	return lua.String(string([]byte(u.take(n))))
}

func (u *unpacker) array(n, slots int) lua.Value {
	if slots+2 > stackSlots {
		u.t.Errorf("stack overflow (in function mp_decode_to_lua_array)")
	}
	h := u.t.State().NewTable(0, 0)
	u.t.Push(h.Value()) // where the bound on memory sees it
	for i := range n {
		u.t.State().Allocated(h.Set(lua.Int(i+1), u.value(slots+2)))
	}
	return u.t.Pop()
}

func (u *unpacker) mapping(n, slots int) lua.Value {
	h := u.t.State().NewTable(0, 0)
	u.t.Push(h.Value()) // where the bound on memory sees it
	for range n {
		k := u.value(slots + 1)
		v := u.value(slots + 2)
		u.t.RawSet(h, k, v)
	}
	return u.t.Pop()
}
