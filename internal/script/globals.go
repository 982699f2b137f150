package script

import (
	"time"

	"redoubt/internal/script/lua"
)

// openGlobals fills a new state: Lua's own functions, Redis's libraries, and the
// table redis, which is server too. All of it is made read-only.
func (w *world) openGlobals(scripts bool) {
	w.state.OpenLibs()
	w.globals = w.state.Globals()
	w.openMath()
	w.makeLibrary("os", []lua.Function{{Name: "clock", Call: osClock}})
	w.openJSON()
	w.openMessagePack()
	w.openStruct()
	w.openBit()
	redis := w.openRedis(scripts)
	w.globals.SetStr("redis", redis.Value())
	w.globals.SetStr("server", redis.Value())
	if scripts {
		w.globals.SetStr("KEYS", lua.Nil)
		w.globals.SetStr("ARGV", lua.Nil)
	}
	w.globals.SetMeta(w.errorMeta())
	protect(w.globals)
	protect(w.state.StringMeta())
	if !scripts {
		w.openLibraryGlobals()
	}
}

// protect makes a table and all that can be reached from it read-only.
func protect(h *lua.Table) {
	if h == nil || h.ReadOnly {
		return
	}
	h.ReadOnly = true
	for k, v, _ := h.Next(lua.Nil); !k.IsNil(); k, v, _ = h.Next(k) {
		protect(v.Table())
	}
	protect(h.Meta())
}

// missingGlobal is the metamethod for names that the globals do not have.
func missingGlobal(t *lua.Thread) int {
	if t.Count() != 2 {
		t.Errorf("Wrong number of arguments to luaProtectedTableError")
	}
	name, ok := t.Arg(2).ToString()
	if !ok {
		t.Errorf("Second argument to luaProtectedTableError must be a string or number")
	}
	t.Errorf("Script attempted to access nonexistent global variable '%s'", name)
	return 0
}

// openMath adds the generator of random numbers.
func (w *world) openMath() {
	h := w.globals.GetStr("math").Table()
	w.state.Register(h, []lua.Function{{Name: "random", Call: w.mathRandom}, {Name: "randomseed", Call: w.mathRandomSeed}})
}

// started is the time from which os.clock counts.
var started = time.Now()

// osClock is the one function of the library os that scripts have in Redis 7.4 and
// Valkey 8, to measure how long something takes. Lua's counts the time of the processor;
// here, where other threads have a part in that, it is the time that passes. Unlike
// TIME it does not stand still while a script runs.
func osClock(t *lua.Thread) int {
	t.Push(lua.Number(time.Since(started).Seconds()))
	return 1
}

// makeLibrary makes a global table of functions.
func (w *world) makeLibrary(name string, functions []lua.Function) *lua.Table {
	h := w.state.NewTable(0, len(functions))
	w.state.Register(h, functions)
	w.globals.SetStr(name, h.Value())
	return h
}
