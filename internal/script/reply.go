package script

import (
	"math"
	"strconv"

	"redoubt/internal/script/lua"
)

// A decoder makes Lua values of the reply of a command, which is RESP that the
// server wrote itself. What is not well formed becomes nil.
type decoder struct {
	w     *world
	t     *lua.Thread
	buf   []byte
	pos   int
	depth int
}

// maxReplyDepth is how deeply a reply can be nested; no command comes near it.
const maxReplyDepth = 1000

// more reports whether there is more to read of n things.
func (d *decoder) more(n int64) bool { return n > 0 && d.pos < len(d.buf) }

// line is the rest of the line at hand.
func (d *decoder) line() []byte {
	for i := d.pos; i+1 < len(d.buf); i++ {
		if d.buf[i] == '\r' && d.buf[i+1] == '\n' {
			line := d.buf[d.pos:i]
			d.pos = i + 2
			return line
		}
	}
	d.pos = len(d.buf)
	return nil
}

// number reads a line that is an integer.
func (d *decoder) number() int64 {
	n, negative := int64(0), false
	for d.pos < len(d.buf) {
		c := d.buf[d.pos]
		d.pos++
		switch {
		case c == '-':
			negative = true
		case c == '\r':
			d.pos++
			if negative {
				return -n
			}
			return n
		default:
			n = n*10 + int64(c-'0')
		}
	}
	return -1
}

// bytes reads so many bytes and the line end behind them.
func (d *decoder) bytes(n int64) []byte {
	if n < 0 || n > int64(len(d.buf)-d.pos-2) {
		d.pos = len(d.buf)
		return nil
	}
	b := d.buf[d.pos : d.pos+int(n)]
	d.pos += int(n) + 2
	return b
}

func (d *decoder) text(b []byte) lua.Value {
	d.w.state.Allocated(len(b))
	return lua.String(string(b))
}

// single makes a table with one field.
func (d *decoder) single(name string, v lua.Value) lua.Value {
	h := d.w.state.NewTable(0, 1)
	h.SetStr(name, v)
	return h.Value()
}

// value reads one value.
func (d *decoder) value() lua.Value {
	if d.pos >= len(d.buf) || d.depth > maxReplyDepth {
		d.pos = len(d.buf)
		return lua.Nil
	}
	kind := d.buf[d.pos]
	d.pos++
	d.depth++
	v := d.of(kind)
	d.depth--
	return v
}

// of reads what follows the byte of a type.
func (d *decoder) of(kind byte) lua.Value {
	switch kind {
	case '$':
		if n := d.number(); n >= 0 {
			return d.text(d.bytes(n))
		}
		return lua.Bool(false)
	case ':':
		return lua.Number(float64(d.number()))
	case '+':
		return d.single("ok", d.text(d.line()))
	case '-':
		h := d.w.errorTable("-" + string(d.line()))
		h.SetStr("ignore_error_stats_update", lua.Bool(true))
		return h.Value()
	case '*', '>':
		return d.array()
	case '%':
		return d.mapping()
	case '~':
		return d.set()
	case '_':
		d.line()
		return lua.Nil
	case '#':
		line := d.line()
		return lua.Bool(len(line) > 0 && line[0] == 't')
	case ',':
		return d.single("double", lua.Number(parseDouble(string(d.line()))))
	case '(':
		return d.single("big_number", d.text(d.line()))
	case '=':
		return d.verbatim()
	case '|':
		for n := 2 * d.number(); d.more(n); n-- {
			d.value()
		}
		return d.value()
	}
	return lua.Nil
}

func (d *decoder) array() lua.Value {
	n := d.number()
	if n < 0 {
		return lua.Bool(false)
	}
	h := d.w.state.NewTable(int(min(n, int64(len(d.buf)))), 0)
	for i := 1; d.more(n); i++ {
		h.SetInt(i, d.value())
		n--
	}
	return h.Value()
}

func (d *decoder) mapping() lua.Value {
	h := d.w.state.NewTable(0, 0)
	for n := d.number(); d.more(n); n-- {
		k := d.value()
		v := d.value()
		d.put(h, k, v)
	}
	return d.single("map", h.Value())
}

func (d *decoder) set() lua.Value {
	h := d.w.state.NewTable(0, 0)
	for n := d.number(); d.more(n); n-- {
		d.put(h, d.value(), lua.Bool(true))
	}
	return d.single("set", h.Value())
}

func (d *decoder) put(h *lua.Table, k, v lua.Value) {
	if !k.IsNil() && (k.Kind() != lua.KindNumber || !math.IsNaN(k.Float())) {
		d.w.state.Allocated(h.Set(k, v))
	}
}

func (d *decoder) verbatim() lua.Value {
	b := d.bytes(d.number())
	h := d.w.state.NewTable(0, 2)
	if len(b) >= 4 {
		h.SetStr("format", d.text(b[:3]))
		h.SetStr("string", d.text(b[4:]))
	}
	return d.single("verbatim_string", h.Value())
}

func parseDouble(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return math.NaN()
	}
	return f
}
