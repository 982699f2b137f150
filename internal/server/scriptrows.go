package server

import (
	"redoubt/internal/command"
	"redoubt/internal/resp"
)

// scriptRows is the rows of EVAL and its like, SCRIPT and FUNCTION.
func (s *Server) scriptRows() []*command.Row {
	return []*command.Row{
		s.runRow("eval", form{}, "2.6.0", "Runs a Lua script on the server."),
		s.runRow("evalsha", form{bySHA: true}, "2.6.0", "Runs a Lua script of the cache on the server."),
		s.runRow("eval_ro", form{readOnly: true}, "7.0.0", "Runs a Lua script that only reads on the server."),
		s.runRow("evalsha_ro", form{bySHA: true, readOnly: true}, "7.0.0", "Runs a Lua script of the cache that only reads on the server."),
		s.runRow("fcall", form{function: true}, "7.0.0", "Calls a function."),
		s.runRow("fcall_ro", form{function: true, readOnly: true}, "7.0.0", "Calls a function that only reads."),
		{Name: "script", Arity: -2, Doc: command.Doc{Since: "2.6.0", Group: "scripting", Summary: "Groups the commands on the script cache.", Complexity: "Depends on subcommand."}, Sub: []*command.Row{
			scriptingRow("debug", 3, command.NoScript, "3.2.0", "Chooses how scripts of the connection are debugged.", "O(1)", command.For(scriptDebug)),
			scriptingRow("exists", -3, command.NoScript, "2.6.0", "Tells which scripts are in the cache.", "O(N) with N being the number of scripts to check", s.scriptExists),
			scriptingRow("flush", -2, command.NoScript, "2.6.0", "Empties the script cache.", "O(N) with N being the number of scripts in cache", s.scriptFlush),
			scriptingRow("help", 2, command.Loading|command.Stale, "5.0.0", "Lists the sub-commands.", "O(1)", scriptHelp),
			scriptingRow("kill", 2, command.NoScript|command.AllowBusy, "2.6.0", "Ends the script that is running.", "O(1)", s.killHandler(true)),
			scriptingRow("load", 3, command.NoScript|command.Stale, "2.6.0", "Puts a script into the cache.", "O(N) with N being the length in bytes of the script body.", s.scriptLoad),
			scriptingRow("show", 3, command.NoScript, "8.0.0", "Returns the text of a script of the cache.", "O(1)", s.scriptShow),
		}},
		{Name: "function", Arity: -2, Doc: command.Doc{Since: "7.0.0", Group: "scripting", Summary: "Groups the commands on functions.", Complexity: "Depends on subcommand."}, Sub: []*command.Row{
			changing(scriptingRow("delete", 3, command.NoScript|command.Write, "7.0.0", "Deletes a library and its functions.", "O(1)", s.functionDelete)),
			scriptingRow("dump", 2, command.NoScript, "7.0.0", "Returns all libraries as a payload for FUNCTION RESTORE.", "O(N) where N is the number of functions", s.functionDump),
			changing(scriptingRow("flush", -2, command.NoScript|command.Write, "7.0.0", "Deletes all libraries.", "O(N) where N is the number of functions deleted", s.functionFlush)),
			scriptingRow("help", 2, command.Loading|command.Stale, "7.0.0", "Lists the sub-commands.", "O(1)", functionHelp),
			scriptingRow("kill", 2, command.NoScript|command.AllowBusy, "7.0.0", "Ends the function that is running.", "O(1)", s.killHandler(false)),
			scriptingRow("list", -2, command.NoScript, "7.0.0", "Describes the libraries.", "O(N) where N is the number of functions", s.functionList),
			changing(scriptingRow("load", -3, command.NoScript|command.Write|command.DenyOOM, "7.0.0", "Makes a library of Lua code.", "O(1) (considering compilation time is redundant)", s.functionLoad)),
			changing(scriptingRow("restore", -3, command.NoScript|command.Write|command.DenyOOM, "7.0.0", "Brings back the libraries of a payload.", "O(N) where N is the number of functions on the payload", s.functionRestore)),
			scriptingRow("stats", 2, command.NoScript|command.AllowBusy, "7.0.0", "Describes the function that is running, and counts the libraries.", "O(1)", s.functionStats),
		}},
	}
}

func scriptingRow(name string, arity int, flags command.Flags, since, summary, complexity string, run command.Handler) *command.Row {
	return &command.Row{Name: name, Arity: arity, Flags: flags, ACL: command.CatScripting, Lock: command.LockNone, Run: run,
		Doc: command.Doc{Since: since, Group: "scripting", Summary: summary, Complexity: complexity}}
}

// changing makes a row one that changes the libraries.
func changing(r *command.Row) *command.Row {
	r.Lock = command.LockWorld
	return r
}

// runRow is the row of a command that runs a script.
func (s *Server) runRow(name string, f form, since, summary string) *command.Row {
	flags := command.NoScript | command.SkipMonitor | command.NoMandatoryKeys | command.Stale | command.MovableKeys | command.RunsScript
	keys, notes := command.KeyRW|command.KeyAccess|command.KeyUpdate, "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE"
	if f.readOnly {
		flags |= command.ReadOnly
		keys, notes = command.KeyRO|command.KeyAccess, "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS"
	} else {
		flags |= command.MayReplicate
	}
	if f.bySHA {
		notes = ""
	}
	run, what := s.evalHandler(f), "script"
	if f.function {
		run, what = s.functionHandler(f), "function"
	}
	spec := []command.KeySpec{{Flags: keys, Notes: notes, Begin: command.Begin{Index: 2}, Find: command.Find{KeyNum: true, FirstKey: 1, Step: 1}}}
	return &command.Row{Name: name, Arity: -3, Flags: flags, ACL: command.CatScripting, Keys: spec,
		LockFor: s.lockOfScript(f), FlagsFor: s.flagsOfScript(f), Run: run,
		Doc: command.Doc{Since: since, Group: "scripting", Summary: summary, Complexity: "Depends on the " + what + " that is executed."}}
}

func (s *Server) scriptLoad(x *command.Ctx) {
	c, err := s.scripts.load(x.Args[2], true)
	if err != "" {
		x.Out.Error(err)
		return
	}
	x.Out.BulkString(c.SHA())
}

func (s *Server) scriptExists(x *command.Ctx) {
	x.Out.Array(len(x.Args) - 2)
	for _, sha := range x.Args[2:] {
		n := int64(0)
		if s.scripts.find(sha) != nil {
			n = 1
		}
		x.Out.Int(n)
	}
}

// scriptShow is that of Valkey 8.
func (s *Server) scriptShow(x *command.Ctx) {
	if c := s.scripts.find(x.Args[2]); c != nil {
		x.Out.BulkString(c.Body())
	} else {
		x.Out.Error(resp.ErrNoScript)
	}
}

// flushMode reads the last word of a FLUSH. Memory is freed by the collector in
// either mode.
func flushMode(x *command.Ctx, refusal resp.Error) bool {
	ok := len(x.Args) == 2 || len(x.Args) == 3 && (resp.EqualFold(x.Args[2], "sync") || resp.EqualFold(x.Args[2], "async"))
	if !ok {
		x.Out.Error(refusal)
	}
	return ok
}

func (s *Server) scriptFlush(x *command.Ctx) {
	if flushMode(x, resp.ErrScriptFlush) {
		s.scripts.flush()
		x.Out.OK()
	}
}

func scriptHelp(x *command.Ctx) {
	command.Help(x,
		"DEBUG (YES|SYNC|NO)", "    Have the next EVAL of the connection run under the debugger: beside the",
		"    node on copies of its keys (YES), or within it (SYNC).",
		"EXISTS <sha1> [<sha1> ...]", "    Tell which of the scripts are in the cache.",
		"FLUSH [ASYNC|SYNC]", "    Empty the script cache.",
		"KILL", "    End the script that is running.",
		"LOAD <script>", "    Put a script into the cache without running it.",
		"SHOW <sha1>", "    The text of a script in the cache.")
}

// killHandler is SCRIPT KILL or FUNCTION KILL. It matches scriptKill.
func (s *Server) killHandler(eval bool) command.Handler {
	return func(x *command.Ctx) {
		refusal, killed := resp.ErrNotBusy, false
		s.long.each(func(r *run) bool {
			switch {
			case r.fate.Load() == fateWritten:
				refusal = resp.ErrUnkillable
			case eval && !r.eval:
				refusal = resp.ErrBusyFunction
			case !eval && r.eval:
				refusal = resp.ErrBusyScript
			case !r.killUnwritten():
				refusal = resp.ErrUnkillable
			default:
				killed = true
			}
			return true
		})
		if killed {
			x.Out.OK()
			return
		}
		x.Out.Error(refusal)
	}
}
