package script

import (
	"sync/atomic"

	"redoubt/internal/resp"
	"redoubt/internal/script/lua"
)

// A world is a Lua state with the globals of Redis. There is one for scripts and
// one for functions: only the first has KEYS and ARGV.
type world struct {
	engine *Engine
	state  *lua.State
	json   *jsonConfig  // of the global cjson
	memory atomic.Int64 // of the values, after the last run

	host    Host    // of the run; nil between runs, and while a library loads
	outside bool    // the host is at work: a panic is its own
	loading *loader // of the library that is being loaded

	debugger *Debugger // nil: none

	reply    resp.Writer // of commands that the script calls
	args     [][]byte    // of the command at hand
	digits   []byte      // of numbers among them
	compiled map[*Script]lua.Value

	keys, argv *lua.Table // of the run before, to be used again

	globals *lua.Table
	library *lua.Table // what a library sees of them while it loads
	// frontMeta is the metatable of the empty table through which functions see
	// the globals, or a library what it may see.
	frontMeta *lua.Table
}

// keepBuffer is the size up to which the buffer of replies is kept between runs.
const keepBuffer = 64 << 10

// maxCompiled bounds the functions that are kept ready. They are made again from
// their scripts.
const maxCompiled = 1024

func newWorld(e *Engine, scripts bool) *world {
	w := &world{engine: e, json: newJSONConfig(), compiled: make(map[*Script]lua.Value)}
	w.state = lua.NewState(lua.Options{
		MaxMemory:   int(e.config.MaxMemory),
		OnInterrupt: e.goOn,
		Caught:      caught,
	})
	w.openGlobals(scripts)
	return w
}

// caught is what pcall gives for an error: of an error table as Redis makes them
// its text, for the sake of scripts older than these tables.
func caught(t *lua.Thread, v lua.Value) lua.Value {
	if v.Kind() == lua.KindTable {
		if text := t.Index(v, lua.String("err")); text.Kind() == lua.KindString || text.Kind() == lua.KindNumber {
			return text
		}
	}
	return v
}

// begin prepares a run.
func (w *world) begin(host Host) {
	w.engine.killed.Store(false) // by a Kill that came behind the run before
	w.host = host
	w.reply.SetProto(resp.Proto2)
}

// end forgets a run.
func (w *world) end() {
	w.host = nil
	w.state.Reset()
	w.memory.Store(int64(w.state.Memory()))
	clear(w.args)
	if cap(w.reply.Bytes()) > keepBuffer {
		w.reply.SetBuffer(nil)
	}
}

// function makes a script ready to be called.
func (w *world) function(s *Script) lua.Value {
	f, ok := w.compiled[s]
	if !ok {
		if len(w.compiled) >= maxCompiled {
			clear(w.compiled)
		}
		f = w.state.Load(s.proto)
		w.compiled[s] = f
	}
	return f
}

// setKeys sets the globals KEYS and ARGV. Their tables are those of the run
// before, if that has left nothing else in them.
func (w *world) setKeys(keys, args [][]byte) {
	w.setList(&w.keys, "KEYS", keys)
	w.setList(&w.argv, "ARGV", args)
}

// maxKeptList is up to how many entries the table of KEYS or ARGV is used again.
const maxKeptList = 64

func (w *world) setList(kept **lua.Table, name string, items [][]byte) {
	h := *kept
	if h == nil || len(items) > maxKeptList || !h.Recycle(len(items)) {
		h = w.state.NewTable(len(items), 0)
		*kept = h
		w.globals.SetStr(name, h.Value())
	}
	for i, item := range items {
		h.SetInt(i+1, lua.String(string(item)))
	}
}

// strings makes a list of keys or arguments for a function.
func (w *world) strings(items [][]byte) lua.Value {
	h := w.state.NewTable(len(items), 0)
	for i, item := range items {
		h.SetInt(i+1, lua.String(string(item)))
	}
	return h.Value()
}
