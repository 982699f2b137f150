package script

import (
	"errors"
	"strings"
	"time"

	"redoubt/internal/resp"
	"redoubt/internal/script/lua"
)

// A Library is the code of a FUNCTION LOAD, run on one engine.
type Library struct {
	Name      string
	Code      string // with its first line
	Functions []*Function
}

// A Function is what a library registered. It runs on the engine that loaded the
// library.
type Function struct {
	Name        string
	Description *string // nil if none was given
	Flags       Flags
	callback    lua.Value
}

// A loader is a library while its code runs.
type loader struct {
	library *Library
	host    Host
}

const (
	errLibraryName resp.Error = "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
	errNoFunctions resp.Error = "ERR No functions registered"
)

// Load runs the code of a library, which registers its functions; timeout bounds
// the time, 0 does not. Its error is a resp.Error for the client. Libraries that
// were loaded before are not changed: what names are taken is the caller's
// business.
func (e *Engine) Load(code string, timeout time.Duration, host Host) (*Library, error) {
	header, err := ParseHeader(code)
	if err != nil {
		return nil, err
	}
	if !validName(header.Name) {
		return nil, errLibraryName
	}
	if !strings.EqualFold(header.Engine, "lua") {
		return nil, resp.Error("ERR Engine '" + header.Engine + "' not found")
	}
	proto, err := lua.Compile(header.code, "@user_function")
	if err != nil {
		return nil, resp.Error("ERR Error compiling function: " + err.Error())
	}
	w := e.functions.Load()
	if w == nil {
		w = newWorld(e, false)
		e.functions.Store(w)
	}
	l := &loader{library: &Library{Name: header.Name, Code: code}, host: host}
	if err = w.load(l, proto, timeout); err != nil {
		e.Unload(l.library)
		return nil, err
	}
	if len(l.library.Functions) == 0 {
		return nil, errNoFunctions
	}
	return l.library, nil
}

// Unload lets go of what the functions of a library hold. They must not be called
// any more.
func (e *Engine) Unload(l *Library) {
	w := e.functions.Load()
	for _, f := range l.Functions {
		w.state.Drop(f.callback)
	}
}

// load runs the code with the globals of a library that loads.
func (w *world) load(l *loader, proto *lua.Proto, timeout time.Duration) error {
	w.engine.killed.Store(false) // as in begin
	w.loading = l
	w.hideGlobals(true)
	stop := w.engine.startTimer(timeout)
	_, err := w.state.PCall(w.state.Load(proto))
	stop()
	w.hideGlobals(false)
	w.loading = nil
	w.engine.end(w)
	if err == nil {
		return nil
	}
	var failure *lua.Error
	if !errors.As(err, &failure) {
		return resp.Error("ERR Error registering functions: " + err.Error())
	}
	text := textOf(failure.Value)
	if h := failure.Value.Table(); h != nil {
		line, _ := tableError(h)
		text = string(line)
	} else if !failure.Aborted {
		text = "ERR " + text
	}
	return resp.Error("ERR Error registering functions: " + string(trimLine(text)))
}

// validName reports whether a library or function may be called so.
func validName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
		default:
			return false
		}
	}
	return name != ""
}

// openLibraryGlobals makes what the code of a library can use while it loads: a
// table redis with register_function, log and the version, and nothing else.
func (w *world) openLibraryGlobals() {
	redis := w.state.NewTable(0, 8)
	w.state.Register(redis, []lua.Function{{Name: "register_function", Call: w.registerFunction}})
	w.addLog(redis)
	w.addVersion(redis)
	redis.SetMeta(w.errorMeta())
	w.library = w.state.NewTable(0, 2)
	w.library.SetStr("redis", redis.Value())
	w.library.SetStr("server", redis.Value())
	w.library.SetMeta(w.errorMeta())
	protect(w.library)

	// Programs see the globals through an empty table, so that they can be
	// exchanged for those of a library.
	front := w.state.NewTable(0, 0)
	w.frontMeta = w.state.NewTable(0, 1)
	w.frontMeta.SetStr("__index", w.globals.Value())
	front.SetMeta(w.frontMeta)
	protect(front)
	w.state.SetGlobals(front)
}

// errorMeta is a metatable that says that a name is not there.
func (w *world) errorMeta() *lua.Table {
	h := w.state.NewTable(0, 1)
	h.SetStr("__index", w.state.NewFunction(missingGlobal))
	return h
}

// hideGlobals exchanges the globals of programs for those of a library that
// loads, or back.
func (w *world) hideGlobals(hide bool) {
	globals := w.globals
	if hide {
		globals = w.library
	}
	w.frontMeta.SetStr("__index", globals.Value())
}

// registerFunction is redis.register_function.
func (w *world) registerFunction(t *lua.Thread) int {
	if w.loading == nil {
		w.fail(t, "redis.register_function can only be called on FUNCTION LOAD command")
	}
	f := &Function{}
	var problem string
	switch t.Count() {
	case 1:
		problem = namedArguments(t, f)
	case 2:
		problem = positionalArguments(t, f)
	default:
		problem = "wrong number of arguments to redis.register_function"
	}
	if problem != "" {
		w.fail(t, problem)
	}
	if !validName(f.Name) {
		w.fail(t, strings.TrimPrefix(string(errLibraryName), "ERR "))
	}
	library := w.loading.library
	for _, other := range library.Functions {
		if other.Name == f.Name {
			w.fail(t, "Function already exists in the library")
		}
	}
	library.Functions = append(library.Functions, f)
	w.state.Keep(f.callback)
	return 0
}

func positionalArguments(t *lua.Thread, f *Function) (problem string) {
	name, ok := t.Arg(1).ToString()
	if !ok {
		return "first argument to redis.register_function must be a string"
	}
	if t.Arg(2).Kind() != lua.KindFunction {
		return "second argument to redis.register_function must be a function"
	}
	f.Name, f.callback = strings.Clone(name), t.Arg(2)
	return ""
}

func namedArguments(t *lua.Thread, f *Function) (problem string) {
	h := t.Arg(1).Table()
	if h == nil {
		return "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments)."
	}
	named := false
	for k, v, _ := h.Next(lua.Nil); !k.IsNil(); k, v, _ = h.Next(k) {
		key, ok := k.ToString()
		if !ok {
			return "named argument key given to redis.register_function is not a string"
		}
		switch strings.ToLower(key) {
		case "function_name":
			if f.Name, named = v.ToString(); !named {
				return "function_name argument given to redis.register_function must be a string"
			}
			f.Name = strings.Clone(f.Name)
		case "description":
			text, ok := v.ToString()
			if !ok {
				return "description argument given to redis.register_function must be a string"
			}
			text = strings.Clone(text)
			f.Description = &text
		case "callback":
			if v.Kind() != lua.KindFunction {
				return "callback argument given to redis.register_function must be a function"
			}
			f.callback = v
		case "flags":
			if problem := readFlags(v, f); problem != "" {
				return problem
			}
		default:
			return "unknown argument given to redis.register_function"
		}
	}
	if !named {
		return "redis.register_function must get a function name argument"
	}
	if f.callback.IsNil() {
		return "redis.register_function must get a callback argument"
	}
	return ""
}

func readFlags(v lua.Value, f *Function) (problem string) {
	h := v.Table()
	if h == nil {
		return "flags argument to redis.register_function must be a table representing function flags"
	}
	for i := 1; ; i++ {
		item := h.GetInt(i)
		if item.IsNil() {
			return ""
		}
		name, _ := item.ToString()
		flag, ok := parseFlag(strings.ToLower(name))
		if !ok {
			return "unknown flag given"
		}
		f.Flags |= flag
	}
}
