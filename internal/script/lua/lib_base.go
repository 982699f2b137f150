package lua

import (
	"math"
	"strings"
)

var baseFunctions = []Function{
	{"assert", baseAssert}, {"collectgarbage", baseCollectGarbage}, {"error", baseError}, {"gcinfo", baseGCInfo},
	{"getmetatable", baseGetMetatable}, {"ipairs", baseIPairs}, {"load", baseLoad},
	{"loadstring", baseLoadString}, {"next", baseNext}, {"pairs", basePairs},
	{"pcall", basePCall}, {"rawequal", baseRawEqual}, {"rawget", baseRawGet}, {"rawset", baseRawSet},
	{"select", baseSelect}, {"setmetatable", baseSetMetatable}, {"tonumber", baseToNumber},
	{"tostring", baseToString}, {"type", baseType}, {"unpack", baseUnpack}, {"xpcall", baseXPCall},
}

func baseAssert(t *Thread) int {
	if !t.checkAny(1).Truth() {
		message := "assertion failed!"
		if v := t.Arg(2); !v.IsNil() {
			message = t.CheckString(2)
		}
		t.Errorf("%s", message)
	}
	return t.Count()
}

func baseCollectGarbage(t *Thread) int {
	option := "collect"
	if !t.Arg(1).IsNil() {
		option = t.CheckString(1)
	}
	t.OptInt(2, 0)
	switch option {
	case "collect":
		t.state.Collect()
		t.Push(Number(0))
	case "count":
		t.Push(Number(float64(t.state.Memory()) / 1024))
	case "step":
		t.Push(Bool(false))
	case "stop", "restart", "setpause", "setstepmul":
		t.Push(Number(0))
	default:
		t.ArgError(1, "invalid option '"+option+"'")
	}
	return 1
}

func baseGCInfo(t *Thread) int {
	t.Push(Int(t.state.Memory() / 1024))
	return 1
}

func baseError(t *Thread) int {
	level := t.OptInt(2, 1)
	v := t.Arg(1)
	if s, ok := v.ToString(); ok && level > 0 {
		v = String(t.where(level) + s)
	}
	t.Throw(v)
	return 0
}

func baseGetMetatable(t *Thread) int {
	meta := t.metatable(t.checkAny(1))
	if meta == nil {
		t.Push(Nil)
		return 1
	}
	if protected := meta.GetStr("__metatable"); !protected.IsNil() {
		t.Push(protected)
		return 1
	}
	t.Push(meta.Value())
	return 1
}

func baseSetMetatable(t *Thread) int {
	h := t.CheckTable(1)
	v := t.Arg(2)
	if t.Count() < 2 || !v.IsNil() && !v.isTable() {
		t.ArgError(2, "nil or table expected")
	}
	if h.meta != nil && !h.meta.GetStr("__metatable").IsNil() {
		t.Errorf("cannot change a protected metatable")
	}
	if h.ReadOnly {
		t.runError("Attempt to modify a readonly table")
	}
	h.meta = v.Table()
	t.Push(h.Value())
	return 1
}

func iterateInts(t *Thread) int {
	h := t.CheckTable(1)
	i := t.CheckInt(2) + 1
	v := h.GetInt(i)
	if v.IsNil() {
		return 0
	}
	t.Push(Int(i))
	t.Push(v)
	return 2
}

// bound is the value that the Go function at work carries.
func (t *Thread) bound() Value { return t.calls[t.depth].closure.bound }

func baseIPairs(t *Thread) int {
	h := t.CheckTable(1)
	t.Push(t.bound())
	t.Push(h.Value())
	t.Push(Number(0))
	return 3
}

func basePairs(t *Thread) int {
	h := t.CheckTable(1)
	t.Push(t.bound())
	t.Push(h.Value())
	t.Push(Nil)
	return 3
}

func baseNext(t *Thread) int {
	k, v, ok := t.CheckTable(1).Next(t.Arg(2))
	if !ok {
		t.runError("invalid key to 'next'")
	}
	t.Push(k)
	if k.IsNil() {
		return 1
	}
	t.Push(v)
	return 2
}

func baseRawEqual(t *Thread) int {
	t.Push(Bool(rawEqual(t.checkAny(1), t.checkAny(2))))
	return 1
}

func baseRawGet(t *Thread) int {
	h := t.CheckTable(1)
	t.Push(h.Get(t.checkAny(2)))
	return 1
}

func baseRawSet(t *Thread) int {
	h := t.CheckTable(1)
	key, value := t.checkAny(2), t.checkAny(3)
	t.rawSet(h, key, value)
	t.Push(h.Value())
	return 1
}

// RawSet is rawset() for Go functions.
func (t *Thread) RawSet(h *Table, key, value Value) { t.rawSet(h, key, value) }

// rawSet assigns without metamethods, but not to a read-only table.
func (t *Thread) rawSet(h *Table, key, value Value) {
	if h.ReadOnly {
		t.runError("Attempt to modify a readonly table")
	}
	t.checkKey(key)
	if grown := h.Set(key, value); grown > 0 {
		t.state.allocated(grown)
	}
}

func baseSelect(t *Thread) int {
	n := t.Count()
	if v := t.Arg(1); v.isString() && v.Str() == "#" {
		t.Push(Int(n - 1))
		return 1
	}
	i := t.CheckInt(1)
	switch {
	case i < 0:
		i = n + i
	case i > n:
		i = n
	}
	if i < 1 {
		t.ArgError(1, "index out of range")
	}
	return n - i
}

func baseToNumber(t *Thread) int {
	base := t.OptInt(2, 10)
	if base == 10 {
		if f, ok := t.checkAny(1).ToNumber(); ok {
			t.Push(Number(f))
			return 1
		}
		t.Push(Nil)
		return 1
	}
	s := t.CheckString(1)
	if base < 2 || base > 36 {
		t.ArgError(2, "base out of range")
	}
	if f, ok := parseUnsigned(s, base); ok {
		t.Push(Number(f))
	} else {
		t.Push(Nil)
	}
	return 1
}

// parseUnsigned reads an integer in a base as C's strtoul does, which takes a sign
// and wraps around, and for base 16 a prefix 0x.
func parseUnsigned(s string, base int) (float64, bool) {
	s = strings.Trim(s, " \t\n\v\f\r")
	negative := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative = s[0] == '-'
		s = s[1:]
	}
	if base == 16 && len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		s = s[2:]
	}
	if s == "" {
		return 0, false
	}
	n, overflow := uint64(0), false
	for i := range len(s) {
		d := digit(s[i])
		if d >= base {
			return 0, false
		}
		if n > (math.MaxUint64-uint64(d))/uint64(base) {
			overflow = true
		}
		n = n*uint64(base) + uint64(d)
	}
	if overflow {
		n = math.MaxUint64
	} else if negative {
		n = -n
	}
	return float64(n), true
}

func digit(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'z':
		return int(c|0x20-'a') + 10
	}
	return math.MaxInt
}

func baseToString(t *Thread) int {
	v := t.checkAny(1)
	if h := t.metatable(v); h != nil {
		if handler := h.GetStr("__tostring"); !handler.IsNil() {
			t.Push(t.Call(handler, v))
			return 1
		}
	}
	if v.isString() {
		t.Push(v)
		return 1
	}
	t.PushString(v.Text())
	return 1
}

func baseType(t *Thread) int {
	t.Push(String(t.checkAny(1).Kind().String()))
	return 1
}

func baseUnpack(t *Thread) int {
	h := t.CheckTable(1)
	i := t.OptInt(2, 1)
	var e int
	if t.Arg(3).IsNil() {
		e = h.Len()
	} else {
		e = t.CheckInt(3)
	}
	if i > e {
		return 0
	}
	n := e - i + 1
	if n >= goStackMax || !t.room(n) {
		t.Errorf("too many results to unpack")
	}
	for ; i <= e; i++ {
		t.Push(h.GetInt(i))
	}
	return n
}

// room makes n more slots usable, unless the function would use too many;
// lua_checkstack.
func (t *Thread) room(n int) bool {
	if t.Count()+n > goStackMax {
		return false
	}
	t.ensure(n)
	c := t.calls[t.depth]
	c.top = max(c.top, t.top+n)
	return true
}

// basePCall calls its first argument and catches errors.
func basePCall(t *Thread) int {
	base := t.calls[t.depth].base
	if t.Count() == 0 { // Redis's pcall then calls a value of its own
		t.Push(Bool(false))
		t.Push(String("attempt to call a boolean value"))
		return 2
	}
	failure := t.protect(func() { t.call(base, -1) }, Nil)
	if failure != nil {
		v := failure.value
		if caught := t.state.options.Caught; caught != nil {
			v = caught(t, v)
		}
		t.top = base
		t.Push(Bool(false))
		t.Push(v)
		return 2
	}
	n := t.top - base
	t.ensure(1)
	copy(t.stack[base+1:t.top+1], t.stack[base:t.top])
	t.stack[base] = Bool(true)
	t.top++
	return n + 1
}

func baseXPCall(t *Thread) int {
	t.checkAny(2)
	base := t.calls[t.depth].base
	fn, handler := t.Arg(1), t.Arg(2)
	t.top = base + 2
	failure := t.protect(func() {
		t.Push(fn)
		t.call(base+2, -1)
	}, handler)
	if failure != nil {
		t.top = base
		t.Push(Bool(false))
		t.Push(failure.value)
		return 2
	}
	t.stack[base+1] = Bool(true)
	return t.top - base - 1
}

func baseLoadString(t *Thread) int {
	source := t.CheckString(1)
	name := source
	if !t.Arg(2).IsNil() {
		name = t.CheckString(2)
	}
	return t.loadChunk(source, name)
}

func baseLoad(t *Thread) int {
	reader := t.checkFunction(1)
	name := "=(load)"
	if !t.Arg(2).IsNil() {
		name = t.CheckString(2)
	}
	var b strings.Builder
	for {
		v := t.Call(reader)
		if v.IsNil() {
			break
		}
		s, ok := v.ToString()
		if !ok {
			t.Push(Nil)
			t.Push(String("reader function must return a string"))
			return 2
		}
		if s == "" {
			break
		}
		t.state.reserve(b.Len() + len(s))
		b.WriteString(s)
	}
	return t.loadChunk(b.String(), name)
}

func (t *Thread) loadChunk(source, name string) int {
	proto, err := Compile(source, name)
	if err != nil {
		t.Push(Nil)
		t.PushString(err.Error())
		return 2
	}
	t.state.allocated(proto.Size())
	t.Push((&Closure{proto: proto, env: t.env, id: t.state.nextID()}).value())
	return 1
}
