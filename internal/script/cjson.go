package script

import (
	"fmt"
	"math"

	"redoubt/internal/script/lua"
)

// jsonNull is the address that stands for JSON's null.
var jsonNull byte

// A jsonConfig is the settings of one table of functions: of the global cjson,
// which each run finds as they are by default, or of one made by cjson.new.
type jsonConfig struct {
	sparseConvert bool // arrays with too many holes become objects
	sparseRatio   int  // that is, more than ratio times their entries
	sparseSafe    int  // and a highest index of more than this
	encodeDepth   int
	decodeDepth   int
	encodeInvalid int // of infinity and NaN: 0 is an error, 1 writes them, 2 writes null
	precision     int
	keepBuffer    bool // kept for who asks; buffers are not visible
	decodeInvalid bool
}

func newJSONConfig() *jsonConfig {
	c := &jsonConfig{}
	c.reset()
	return c
}

// reset makes the settings those of Redis.
func (c *jsonConfig) reset() {
	*c = jsonConfig{sparseRatio: 2, sparseSafe: 10, encodeDepth: 1000, decodeDepth: 1000, precision: 14,
		keepBuffer: true, decodeInvalid: true}
}

func (w *world) openJSON() {
	w.globals.SetStr("cjson", w.newJSON(w.json).Value())
}

// newJSON makes a table of cjson's functions with settings of its own.
func (w *world) newJSON(c *jsonConfig) *lua.Table {
	h := w.state.NewTable(0, 16)
	w.state.Register(h, []lua.Function{
		{Name: "encode", Call: c.encode},
		{Name: "decode", Call: c.decode},
		{Name: "encode_sparse_array", Call: c.setSparse},
		{Name: "encode_max_depth", Call: func(t *lua.Thread) int { return integerSetting(t, &c.encodeDepth, 1, math.MaxInt32) }},
		{Name: "decode_max_depth", Call: func(t *lua.Thread) int { return integerSetting(t, &c.decodeDepth, 1, math.MaxInt32) }},
		{Name: "encode_number_precision", Call: func(t *lua.Thread) int { return integerSetting(t, &c.precision, 1, 14) }},
		{Name: "encode_keep_buffer", Call: func(t *lua.Thread) int { return boolSetting(t, &c.keepBuffer) }},
		{Name: "encode_invalid_numbers", Call: c.setEncodeInvalid},
		{Name: "decode_invalid_numbers", Call: func(t *lua.Thread) int { return boolSetting(t, &c.decodeInvalid) }},
		{Name: "new", Call: func(t *lua.Thread) int { t.Push(w.newJSON(newJSONConfig()).Value()); return 1 }},
	})
	h.SetStr("null", lua.Light(&jsonNull))
	h.SetStr("_NAME", lua.String("cjson"))
	h.SetStr("_VERSION", lua.String("2.1.0"))
	return h
}

// maxArguments refuses more arguments than a setting has.
func maxArguments(t *lua.Thread, n int) {
	if t.Count() > n {
		t.ArgError(n+1, "found too many arguments")
	}
}

// integerOption is the n-th argument of a setting: it changes the value if it is
// there, and the value is pushed.
func integerOption(t *lua.Thread, n int, value *int, low, high int) {
	if !t.Arg(n).IsNil() {
		v := t.CheckInt(n)
		if v < low || v > high {
			t.ArgError(1, fmt.Sprintf("expected integer between %d and %d", low, high))
		}
		*value = v
	}
	t.Push(lua.Int(*value))
}

func integerSetting(t *lua.Thread, value *int, low, high int) int {
	maxArguments(t, 1)
	integerOption(t, 1, value, low, high)
	return 1
}

// enumOption is an argument that is a boolean or one of some words.
func enumOption(t *lua.Thread, n int, value *int, words []string) {
	v := t.Arg(n)
	switch {
	case v.IsNil():
	case v.Kind() == lua.KindBool:
		*value = 0
		if v.Truth() {
			*value = 1
		}
	default:
		*value = t.CheckOption(n, words)
	}
	if *value > 1 {
		t.Push(lua.String(words[*value]))
	} else {
		t.Push(lua.Bool(*value == 1))
	}
}

func boolOption(t *lua.Thread, n int, value *bool) {
	i := 0
	if *value {
		i = 1
	}
	enumOption(t, n, &i, []string{"off", "on"})
	*value = i == 1
}

func boolSetting(t *lua.Thread, value *bool) int {
	maxArguments(t, 1)
	boolOption(t, 1, value)
	return 1
}

func (c *jsonConfig) setEncodeInvalid(t *lua.Thread) int {
	maxArguments(t, 1)
	enumOption(t, 1, &c.encodeInvalid, []string{"off", "on", "null"})
	return 1
}

func (c *jsonConfig) setSparse(t *lua.Thread) int {
	maxArguments(t, 3)
	a, b, d := t.Arg(1), t.Arg(2), t.Arg(3)
	t.SetArgs(a, b, d)
	boolOption(t, 1, &c.sparseConvert)
	integerOption(t, 2, &c.sparseRatio, 0, math.MaxInt32)
	integerOption(t, 3, &c.sparseSafe, 0, math.MaxInt32)
	return 3
}

// A jsonEncoder writes one value.
type jsonEncoder struct {
	*jsonConfig
	t   *lua.Thread
	buf []byte
}

// maxSlots is how many values nested data may have under way: the size of the
// stack of a C function, less what a few calls take.
const maxSlots = stackSlots - 10

// stackSlots is how many slots of Lua's stack a C function may use.
const stackSlots = 8000

// reserveEvery is after how many bytes of a growing buffer the bound on memory is
// looked at.
const reserveEvery = 1 << 20

func (c *jsonConfig) encode(t *lua.Thread) int {
	if t.Count() != 1 {
		t.ArgError(1, "expected 1 argument")
	}
	var small [512]byte
	e := jsonEncoder{jsonConfig: c, t: t, buf: small[:0]}
	e.value(t.Arg(1), 0, 1)
	t.PushBytes(e.buf)
	return 1
}

func (e *jsonEncoder) refuse(v lua.Value, reason string) {
	e.t.Errorf("Cannot serialise %s: %s", v.Kind(), reason)
}

// value writes a value; slots is how many are under way.
func (e *jsonEncoder) value(v lua.Value, depth, slots int) {
	switch v.Kind() {
	case lua.KindString:
		e.string(v.Str())
	case lua.KindNumber:
		e.number(v)
	case lua.KindBool:
		if v.Truth() {
			e.buf = append(e.buf, "true"...)
		} else {
			e.buf = append(e.buf, "false"...)
		}
	case lua.KindNil, lua.KindLightUserdata:
		e.buf = append(e.buf, "null"...)
	case lua.KindTable:
		e.table(v, depth+1, slots)
	default:
		e.refuse(v, "type not supported")
	}
}

func (e *jsonEncoder) table(v lua.Value, depth, slots int) {
	if depth > e.encodeDepth || slots > maxSlots {
		e.t.Errorf("Cannot serialise, excessive nesting (%d)", depth)
	}
	h := v.Table()
	if n := e.arrayLength(h); n > 0 {
		e.array(h, n, depth, slots)
	} else {
		e.object(h, depth, slots)
	}
}

// arrayLength is the highest index of a table that is an array, 0 of an empty one
// and -1 of what is to be an object.
func (e *jsonEncoder) arrayLength(h *lua.Table) int {
	highest, items := 0, 0
	for k, _, _ := h.Next(lua.Nil); !k.IsNil(); k, _, _ = h.Next(k) {
		if k.Kind() != lua.KindNumber {
			return -1
		}
		f := k.Float()
		if math.Floor(f) != f || f < 1 {
			return -1
		}
		if f > float64(highest) {
			if f > math.MaxInt32 {
				highest = math.MinInt32 // as the conversion of C has it
			} else {
				highest = int(f)
			}
		}
		items++
	}
	if e.sparseRatio > 0 && highest > items*e.sparseRatio && highest > e.sparseSafe {
		if !e.sparseConvert {
			e.refuse(h.Value(), "excessively sparse array")
		}
		return -1
	}
	return highest
}

func (e *jsonEncoder) array(h *lua.Table, n, depth, slots int) {
	e.buf = append(e.buf, '[')
	for i := 1; i <= n; i++ {
		if i > 1 {
			e.buf = append(e.buf, ',')
		}
		e.grown()
		e.value(h.GetInt(i), depth, slots+1)
	}
	e.buf = append(e.buf, ']')
}

// grown looks at the bound on memory when the buffer has outgrown another step.
func (e *jsonEncoder) grown() {
	e.t.Poll()
	if n := len(e.buf); n >= reserveEvery && n+n/4 > cap(e.buf) {
		e.t.Reserve(2 * n)
	}
}

func (e *jsonEncoder) object(h *lua.Table, depth, slots int) {
	e.buf = append(e.buf, '{')
	first := true
	for k, v, _ := h.Next(lua.Nil); !k.IsNil(); k, v, _ = h.Next(k) {
		if !first {
			e.buf = append(e.buf, ',')
		}
		first = false
		e.grown()
		switch k.Kind() {
		case lua.KindNumber:
			e.buf = append(e.buf, '"')
			e.number(k)
			e.buf = append(e.buf, '"')
		case lua.KindString:
			e.string(k.Str())
		default:
			e.refuse(k, "table key must be a number or string")
		}
		e.buf = append(e.buf, ':')
		e.value(v, depth, slots+2)
	}
	e.buf = append(e.buf, '}')
}

func (e *jsonEncoder) number(v lua.Value) {
	f := v.Float()
	if math.IsNaN(f) || math.IsInf(f, 0) {
		switch {
		case e.encodeInvalid == 0:
			e.refuse(v, "must not be NaN or Inf")
		case e.encodeInvalid == 2:
			e.buf = append(e.buf, "null"...)
			return
		case math.IsNaN(f):
			e.buf = append(e.buf, "nan"...)
			return
		}
	}
	e.buf = lua.AppendNumber(e.buf, f, e.precision)
}

const hexDigits = "0123456789abcdef"

// jsonEscapes has the letter behind the backslash for bytes that are escaped so;
// 'u' is \u00XX, 0 is no escape.
var jsonEscapes = func() (escapes [256]byte) {
	for c := range 32 {
		escapes[c] = 'u'
	}
	escapes[127] = 'u'
	escapes['"'], escapes['\\'], escapes['/'] = '"', '\\', '/'
	escapes['\b'], escapes['\t'], escapes['\n'], escapes['\f'], escapes['\r'] = 'b', 't', 'n', 'f', 'r'
	return escapes
}()

func (e *jsonEncoder) string(s string) {
	if len(s) > reserveEvery {
		e.t.Reserve(6*len(s) + len(e.buf))
	}
	e.buf = append(e.buf, '"')
	start := 0
	for i := range len(s) {
		letter := jsonEscapes[s[i]]
		if letter == 0 {
			continue
		}
		e.buf = append(e.buf, s[start:i]...)
		start = i + 1
		e.buf = append(e.buf, '\\', letter)
		if letter == 'u' {
			e.buf = append(e.buf, '0', '0', hexDigits[s[i]>>4], hexDigits[s[i]&15])
		}
	}
	e.buf = append(e.buf, s[start:]...)
	e.buf = append(e.buf, '"')
}
