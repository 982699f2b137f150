package server

import (
	"errors"
	"math"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/glob"
	"redoubt/internal/resp"
	"redoubt/internal/script"
	"redoubt/storage/rdb"
)

// loadTimeout is how long the code of a library may run when it is loaded, as
// Redis's LOAD_TIMEOUT_MS. One that is in the stream has run already.
const loadTimeout = 500 * time.Millisecond

// timeoutFor is how long the code of each library may run that a call loads, 0 for
// ever. Redis bounds FUNCTION LOAD only.
func timeoutFor(x *command.Ctx) time.Duration {
	if x.Tx.Applying() {
		return 0
	}
	return loadTimeout
}

// takeEngine takes the engine for a command that changes the libraries. Nobody has it, as
// the world is locked, but the function that calls the command itself, if scripts may
// call every command: that is answered an error.
func (s *Server) takeEngine(x *command.Ctx) bool {
	if h, ok := x.Caller.(*scriptHost); ok && h.hasFunctions {
		x.Out.Error(resp.ErrNotForCaller)
		return false
	}
	s.functions.engine <- struct{}{}
	return true
}

// memoryFor is how many bytes libraries may hold when a call has loaded its own. What is
// in the stream was within the bound of where it was loaded.
func (s *Server) memoryFor(x *command.Ctx) int64 {
	if x.Tx.Applying() {
		return unbounded
	}
	return s.config.Current().LuaMemoryLimit
}

const unbounded = math.MaxInt64

func (s *Server) functionLoad(x *command.Ctx) {
	replace := false
	last := len(x.Args) - 1
	for _, word := range x.Args[2:last] {
		if !resp.EqualFold(word, "replace") {
			x.Out.Error(resp.ErrFunctionOption(word))
			return
		}
		replace = true
	}
	if !s.takeEngine(x) {
		return
	}
	defer s.functions.give()
	set := s.functions.set.Load()
	set.engine.SetMaxMemory(s.memoryFor(x))
	next, name, err := set.load(string(x.Args[last]), replace, timeoutFor(x), loadHost{s})
	if err != "" {
		x.Out.Error(err)
		return
	}
	s.functions.put(next)
	x.Tx.Beside(1)
	x.Out.BulkString(name)
}

func (s *Server) functionDelete(x *command.Ctx) {
	set := s.functions.set.Load()
	l := set.find(string(x.Args[2]))
	if l == nil {
		x.Out.Error(resp.ErrNoLibrary)
		return
	}
	if !s.takeEngine(x) {
		return
	}
	defer s.functions.give()
	s.functions.put(set.without(func(x *script.Library) bool { return x == l }))
	x.Tx.Beside(1)
	x.Out.OK()
}

func (s *Server) functionFlush(x *command.Ctx) {
	if len(x.Args) > 3 {
		x.Out.Error(resp.ErrSubcommandSyntax("function", x.Args[1]))
		return
	}
	if !flushMode(x, resp.ErrFunctionFlush) {
		return
	}
	s.functions.put(newFunctionSet())
	x.Tx.Beside(1)
	x.Out.OK()
}

func (s *Server) functionDump(x *command.Ctx) {
	enc := rdb.Encoder{Compress: s.config.Current().RDBCompression}
	x.Out.Bulk(enc.AppendFunctions(nil, s.Libraries(x.Tx)))
}

func (s *Server) functionRestore(x *command.Ctx) {
	if len(x.Args) > 4 {
		x.Out.Error(resp.ErrSubcommandSyntax("function", x.Args[1]))
		return
	}
	policy := restoreAppend
	if len(x.Args) == 4 {
		switch word := x.Args[3]; {
		case resp.EqualFold(word, "append"):
		case resp.EqualFold(word, "replace"):
			policy = restoreReplace
		case resp.EqualFold(word, "flush"):
			policy = restoreFlush
		default:
			x.Out.Error(resp.ErrRestorePolicy)
			return
		}
	}
	codes, err := rdb.ParseFunctions(x.Args[2])
	if err != nil {
		x.Out.Error(payloadError(err))
		return
	}
	if !s.takeEngine(x) {
		return
	}
	defer s.functions.give()
	next, refusal := s.functions.set.Load().restore(codes, policy, timeoutFor(x), s.memoryFor(x), loadHost{s})
	if refusal != "" {
		x.Out.Error(refusal)
		return
	}
	s.functions.put(next)
	x.Tx.Beside(1)
	x.Out.OK()
}

func (s *Server) functionStats(x *command.Ctx) {
	w := x.Out
	set := s.functions.set.Load()
	eval, running := false, false
	s.long.each(func(r *run) bool {
		eval = eval || r.eval
		running = running || !r.eval
		return true
	})
	if eval {
		w.Error(resp.ErrBusyScript)
		return
	}
	w.Map(2)
	w.BulkString("running_script")
	described := false
	s.long.each(func(r *run) bool {
		if r.eval {
			return true
		}
		described = true
		w.Map(3)
		w.BulkString("name")
		w.BulkString(r.name)
		w.BulkString("command")
		w.Array(len(r.args))
		for _, a := range r.args {
			w.Bulk(a)
		}
		w.BulkString("duration_ms")
		w.Int((time.Since(s.started) - r.since).Milliseconds())
		return false
	})
	if !described {
		w.Null()
	}
	w.BulkString("engines")
	w.Map(1)
	w.BulkString("LUA")
	w.Map(2)
	w.BulkString("libraries_count")
	w.Int(int64(len(set.libraries)))
	w.BulkString("functions_count")
	w.Int(int64(len(set.byName)))
}

func (s *Server) functionList(x *command.Ctx) {
	pattern, named, withCode := "", false, false
	for i := 2; i < len(x.Args); i++ {
		switch word := x.Args[i]; {
		case !withCode && resp.EqualFold(word, "withcode"):
			withCode = true
		case !named && resp.EqualFold(word, "libraryname"):
			if i++; i == len(x.Args) {
				x.Out.Error(resp.ErrNoLibraryName)
				return
			}
			pattern, named = string(x.Args[i]), true
		default:
			x.Out.Error(resp.ErrFunctionArgument(word))
			return
		}
	}
	var shown []int
	set := s.functions.set.Load()
	for i, l := range set.libraries {
		if !named || glob.MatchFold(pattern, l.Name) {
			shown = append(shown, i)
		}
	}
	x.Out.Array(len(shown))
	for _, i := range shown {
		replyLibrary(x.Out, set.libraries[i], withCode)
	}
}

// replyLibrary describes a library as FUNCTION LIST does.
func replyLibrary(w *resp.Writer, l *script.Library, withCode bool) {
	if withCode {
		w.Map(4)
	} else {
		w.Map(3)
	}
	w.BulkString("library_name")
	w.BulkString(l.Name)
	w.BulkString("engine")
	w.BulkString("LUA")
	w.BulkString("functions")
	w.Array(len(l.Functions))
	for _, f := range l.Functions {
		w.Map(3)
		w.BulkString("name")
		w.BulkString(f.Name)
		w.BulkString("description")
		if f.Description != nil {
			w.BulkString(*f.Description)
		} else {
			w.Null()
		}
		w.BulkString("flags")
		names := f.Flags.Names()
		w.Set(len(names))
		for _, name := range names {
			w.Simple(name)
		}
	}
	if withCode {
		w.BulkString("library_code")
		w.BulkString(l.Code)
	}
}

func functionHelp(x *command.Ctx) {
	command.Help(x,
		"DELETE <library-name>", "    Delete a library and its functions.",
		"DUMP", "    All libraries as a payload for FUNCTION RESTORE.",
		"FLUSH [ASYNC|SYNC]", "    Delete all libraries.",
		"KILL", "    End the function that is running.",
		"LIST [LIBRARYNAME <pattern>] [WITHCODE]", "    Describe the libraries, or those that match.",
		"LOAD [REPLACE] <function-code>", "    Make a library of Lua code.",
		"RESTORE <payload> [FLUSH|APPEND|REPLACE]", "    Bring back the libraries of a payload, beside those that are there (APPEND),",
		"    in the place of those with the same names (REPLACE), or of all (FLUSH).",
		"STATS", "    The function that is running, and how many libraries there are.")
}

// payloadError is the line for a payload of FUNCTION RESTORE that is wrong.
func payloadError(err error) resp.Error {
	switch {
	case errors.Is(err, rdb.ErrPayload):
		return resp.ErrFunctionPayload
	case errors.Is(err, rdb.ErrOldFunctions):
		return resp.ErrFunctionFormat
	case errors.Is(err, rdb.ErrNoFunctions):
		return resp.ErrNoFunctionThere
	}
	return resp.ErrFunctionCut
}
