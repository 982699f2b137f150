package script

import (
	"strings"

	"redoubt/internal/resp"
	"redoubt/internal/script/lua"
)

// maxReplySlots bounds how deeply the tables of a reply are nested: an array
// takes one slot of Redis's Lua stack, a map or set three.
const maxReplySlots = 7995

const errReplyDepth resp.Error = "ERR reached lua stack limit"

// writeReply writes what a program returned.
func (w *world) writeReply(v lua.Value, out *resp.Writer) Result {
	e := encoder{w: out, proto3: w.reply.Proto() == resp.Proto3, engine: w.engine, start: out.Len()}
	if h := v.Table(); h != nil {
		if text := h.GetStr("err"); text.Kind() == lua.KindString {
			line, counted := tableError(h)
			out.Error(line)
			return Result{Err: line, Counted: counted}
		}
	}
	e.value(v, 0)
	if e.stopped == "" {
		return Result{}
	}
	out.Truncate(e.start)
	out.Error(e.stopped)
	return Result{Err: e.stopped, Killed: e.stopped == resp.Error(errKilled.Error())}
}

const errReplySize resp.Error = "ERR not enough memory"

// An encoder makes RESP of Lua values; luaReplyToRedisReply. A table can be in many
// places of a reply, even in itself: the reply is bounded like the values of the
// script, and can be killed.
type encoder struct {
	w       *resp.Writer
	proto3  bool // the script has called setresp(3)
	engine  *Engine
	start   int        // of the reply in w
	stopped resp.Error // why it is not complete
}

// goOn reports whether more can be written.
func (e *encoder) goOn() bool {
	switch {
	case int64(e.w.Len()-e.start) > e.engine.config.MaxMemory:
		e.stopped = errReplySize
	case e.engine.killed.Load():
		e.stopped = resp.Error(errKilled.Error())
	}
	return e.stopped == ""
}

func (e *encoder) value(v lua.Value, slots int) {
	if !e.goOn() {
		return
	}
	if slots >= maxReplySlots {
		e.w.Error(errReplyDepth)
		return
	}
	switch v.Kind() {
	case lua.KindString:
		e.w.Bulk(v.Bytes())
	case lua.KindBool:
		switch {
		case e.proto3:
			e.w.Bool(v.Truth())
		case v.Truth():
			e.w.Int(1)
		default:
			e.w.Null()
		}
	case lua.KindNumber:
		e.w.Int(toInt64(v.Float()))
	case lua.KindTable:
		e.table(v.Table(), slots)
	default:
		e.w.Null()
	}
}

// toInt64 cuts off the fraction as C does on amd64: what does not fit is the
// smallest integer.
func toInt64(f float64) int64 {
	if f >= -(1<<63) && f < 1<<63 {
		return int64(f)
	}
	return -1 << 63
}

// table writes a table: by its fields an error, a status, a double …, otherwise
// as an array up to the first nil.
func (e *encoder) table(h *lua.Table, slots int) {
	if h.HasHash() && e.tagged(h, slots) {
		return
	}
	n := 0
	for !h.GetInt(n + 1).IsNil() {
		n++
	}
	e.w.Array(n)
	for i := range n {
		e.value(h.GetInt(i+1), slots+1)
	}
}

func (e *encoder) tagged(h *lua.Table, slots int) bool {
	if h.GetStr("err").Kind() == lua.KindString {
		line, _ := tableError(h)
		e.w.Error(line)
		return true
	}
	if v := h.GetStr("ok"); v.Kind() == lua.KindString {
		e.w.Simple(oneLine(cString(v.Str())))
		return true
	}
	if v := h.GetStr("double"); v.Kind() == lua.KindNumber {
		e.w.Double(v.Float())
		return true
	}
	if v := h.GetStr("big_number"); v.Kind() == lua.KindString {
		e.w.BigNumber(oneLine(v.Str()))
		return true
	}
	if v := h.GetStr("verbatim_string").Table(); v != nil {
		format, text := v.GetStr("format"), v.GetStr("string")
		if format.Kind() == lua.KindString && text.Kind() == lua.KindString {
			e.w.Verbatim((cString(format.Str()) + "   ")[:3], text.Str())
			return true
		}
	}
	if v := h.GetStr("map").Table(); v != nil {
		e.w.Map(count(v))
		for k, item, _ := v.Next(lua.Nil); !k.IsNil(); k, item, _ = v.Next(k) {
			e.value(k, slots+3)
			e.value(item, slots+3)
		}
		return true
	}
	if v := h.GetStr("set").Table(); v != nil {
		e.w.Set(count(v))
		for k, _, _ := v.Next(lua.Nil); !k.IsNil(); k, _, _ = v.Next(k) {
			e.value(k, slots+3)
		}
		return true
	}
	return false
}

func count(h *lua.Table) int {
	n := 0
	for k, _, _ := h.Next(lua.Nil); !k.IsNil(); k, _, _ = h.Next(k) {
		n++
	}
	return n
}

// cString is a string up to its first zero byte.
func cString(s string) string {
	if i := strings.IndexByte(s, 0); i >= 0 {
		return s[:i]
	}
	return s
}

var lineEnds = strings.NewReplacer("\r", " ", "\n", " ")

func oneLine(s string) string { return lineEnds.Replace(s) }
