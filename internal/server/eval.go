package server

import (
	"bytes"
	"sync/atomic"
	"time"

	"redoubt/internal/admin"
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/internal/script"
	"redoubt/internal/version"
	"redoubt/slots"
)

// newEngine makes an engine for scripts or functions.
func newEngine() *script.Engine {
	return script.New(script.Config{RedisVersion: version.Redis, ServerVersion: version.Build})
}

// newScriptHost makes the host of a desk, or with nil that of streams.
func (s *Server) newScriptHost(d *desk) *scriptHost {
	h := &scriptHost{srv: s, desk: d, failures: map[string]int64{}}
	h.missing = h.countMissing
	if d != nil {
		h.runner = &d.runner
	}
	return h
}

// hostOf is the host of the scripts that a caller runs: a client, or the applier of a
// stream. Others have none: nil.
func (s *Server) hostOf(x *command.Ctx) *scriptHost {
	c, ok := x.Caller.(*conn)
	if !ok {
		h := s.streamHost
		if h.runner = s.applied.runner.Load(); h.runner == nil || &h.runner.Ctx != x {
			x.Out.Error(resp.ErrNotForCaller)
			return nil
		}
		return h
	}
	l := c.home.Load()
	h := l.host
	h.conn, h.cfg = c, l.cfg
	h.readOnly, h.asking = c.is(stateReadOnly), c.is(stateAsking)
	if h.user, h.client = c.user, ""; c.conds&condRestricted != 0 {
		h.client = c.info(l).String()
	}
	h.outOfMemory = l.outOfMemory && s.is(condMemory)
	return h
}

// evaluator is the engine for EVAL, a new one after SCRIPT FLUSH.
func (h *scriptHost) evaluator() *script.Engine {
	if n := h.srv.scripts.flushes.Load(); h.evals == nil || h.flush != n {
		h.evals, h.flush = newEngine(), n
	}
	return h.evals
}

// A form is one of the commands that run scripts.
type form struct {
	bySHA, readOnly, function bool
}

// keysOf splits the arguments of a script behind the number of its keys. badCount is
// the error of what is no number.
func keysOf(args [][]byte, badCount resp.Error) (keys, rest [][]byte, err resp.Error) {
	n, ok := resp.ParseInt(args[2])
	switch args = args[3:]; {
	case !ok:
		return nil, nil, badCount
	case n > int64(len(args)):
		return nil, nil, resp.ErrKeysOverArgs
	case n < 0:
		return nil, nil, resp.ErrKeysNegative
	}
	return args[:n], args[n:], ""
}

// evalHandler matches evalGenericCommand.
func (s *Server) evalHandler(f form) command.Handler {
	return func(x *command.Ctx) {
		h := s.hostOf(x)
		if h == nil {
			return
		}
		h.tellMonitors(x.Args)
		if f.bySHA && len(x.Args[1]) != 40 {
			x.Out.Error(resp.ErrNoScript)
			return
		}
		if h.desk != nil && h.conn.debug != debugOff {
			s.debug(x, h, f)
			return
		}
		s.evaluate(x, h, f, nil)
	}
}

// scriptOf is the script that an EVAL or its like calls, with its keys and arguments.
func (s *Server) scriptOf(words [][]byte, f form) (c *cached, keys, args [][]byte, err resp.Error) {
	keys, args, err = keysOf(words, resp.ErrNotInteger)
	switch {
	case err != "":
	case !f.bySHA:
		c, err = s.scripts.load(words[1], false)
	default:
		if c = s.scripts.find(words[1]); c == nil {
			err = resp.ErrNoScript
		}
	}
	return c, keys, args, err
}

// evaluate runs the script of a call, under a debugger unless that is nil.
func (s *Server) evaluate(x *command.Ctx, h *scriptHost, f form, d *script.Debugger) {
	c, keys, args, err := s.scriptOf(x.Args, f)
	if err == "" {
		err = h.prepare(x, f, c.Flags(), keys)
	}
	if err != "" {
		x.Out.Error(err)
		return
	}
	if d == nil {
		h.engine = h.evaluator()
	} else {
		h.engine = newEngine()
	}
	h.boundMemory()
	h.watched(x, c.SHA(), true)
	var result script.Result
	if d != nil {
		result = h.engine.Debug(c.Script, keys, args, h, &h.reply, d)
	} else {
		result = h.engine.Run(c.Script, keys, args, h, &h.reply)
		memory, _ := h.engine.Memory()
		h.memory.Store(memory)
	}
	h.conclude(x, result, &c.wide)
}

// functionHandler matches fcallCommandGeneric.
func (s *Server) functionHandler(f form) command.Handler {
	return func(x *command.Ctx) {
		h := s.hostOf(x)
		if h == nil {
			return
		}
		h.tellMonitors(x.Args)
		set := s.functions.set.Load()
		fn := set.function(x.Args[1])
		if fn == nil {
			x.Out.Error(resp.ErrNoFunction)
			return
		}
		keys, args, err := keysOf(x.Args, resp.ErrBadKeyCount)
		if err == "" {
			err = h.prepare(x, f, fn.Flags, keys)
		}
		if err == "" && !s.functions.take(s) {
			err = s.busy()
		}
		if err != "" {
			x.Out.Error(err)
			return
		}
		h.hasFunctions = true
		defer func() {
			h.hasFunctions = false
			s.functions.give()
		}()
		h.engine = set.engine
		h.boundMemory()
		h.watched(x, fn.Name, false)
		result := h.engine.Call(fn.Function, keys, args, h, &h.reply)
		_, memory := h.engine.Memory()
		s.functions.memory.Store(memory)
		h.conclude(x, result, &fn.wide)
	}
}

// boundMemory gives the engine the bound of lua-memory-limit. What a stream brings has
// run elsewhere, within the bound there.
func (h *scriptHost) boundMemory() {
	if h.desk != nil {
		h.engine.SetMaxMemory(h.cfg.LuaMemoryLimit)
	}
}

// prepare makes the host ready for a script, or tells why it may not run. It matches
// scriptPrepareForRun.
func (h *scriptHost) prepare(x *command.Ctx, f form, flags script.Flags, keys [][]byte) resp.Error {
	h.tx, h.db, h.noTouch = x.Tx, x.DB(), x.Caller.NoTouch()
	h.began = time.Now()
	h.wrote, h.acted, h.beyond, h.strayed, h.crossed = false, false, false, false, false
	clear(h.failures)
	h.calls = 0
	h.reply.SetBuffer(h.reply.Bytes()[:0])
	h.reply.SetProto(x.Out.Proto())
	h.flags, h.slot = 0, -1
	if len(keys) > 0 {
		h.slot = int(slots.Of(keys[0]))
	}
	compatible := flags&script.Compatible != 0
	if compatible || flags&script.AllowCrossSlotKeys != 0 {
		h.flags |= runCrossSlot
	}
	if f.readOnly || flags&script.NoWrites != 0 {
		h.flags |= runReadOnly
	}
	if flags&script.AllowOOM != 0 {
		h.flags |= runAllowOOM
	}
	switch {
	case h.desk == nil:
		return ""
	case compatible:
		if h.srv.is(condStale) {
			return resp.ErrMasterDown
		}
		return ""
	}
	return h.refusesScript(f, flags)
}

// refusesScript is prepare's part for a script that says what it is.
func (h *scriptHost) refusesScript(f form, flags script.Flags) resp.Error {
	s := h.srv
	if flags&script.NoCluster != 0 && s.cluster != nil {
		return resp.ErrScriptNoCluster
	}
	if flags&script.AllowStale == 0 && s.is(condStale) {
		return resp.ErrScriptStale
	}
	if flags&script.NoWrites == 0 {
		switch err := s.readOnly(h.cfg, s.IsReplica()); err {
		case "":
		case resp.ErrReadOnly:
			return resp.ErrScriptReadOnly
		default:
			return err
		}
		if err := s.diskError(); err != "" {
			return scriptMisconf(err)
		}
		if f.readOnly {
			return resp.ErrScriptWrites
		}
		if s.fewReplicas(h.cfg) {
			return resp.ErrNoReplicas
		}
	}
	if h.outOfMemory && flags&(script.AllowOOM|script.NoWrites) == 0 {
		return resp.ErrScriptOOM
	}
	return ""
}

// scriptMisconf is the disk's error for a script.
func scriptMisconf(err resp.Error) resp.Error {
	if err == resp.ErrMisconfSnapshot {
		return resp.ErrScriptMisconf
	}
	_, reason, _ := bytes.Cut([]byte(err), []byte(": "))
	return resp.ErrScriptMisconfJournal(string(reason))
}

// watched puts the script that is about to run on h.engine under the eyes of
// watchScripts, if a client has called it.
func (h *scriptHost) watched(x *command.Ctx, name string, eval bool) {
	d := h.desk
	if d == nil {
		return
	}
	r := &d.run
	r.engine.Store(h.engine)
	r.loop, r.conn, r.tx, r.eval, r.name, r.args = h.conn.home.Load(), h.conn, h.tx, eval, name, x.Args
	r.begin(h.began.Sub(h.srv.started))
	if h.srv.endsScripts.Load() {
		r.kill()
	}
}

// conclude answers a script that has ended, or has its call repeated with the world
// locked. wide notes that it needs that.
func (h *scriptHost) conclude(x *command.Ctx, result script.Result, wide *atomic.Bool) {
	d := h.desk
	if d == nil {
		h.tx.Mute(false)
		x.Out.Raw(h.reply.Bytes())
		return
	}
	l := d.run.loop
	l.finish(d)
	h.tx.Mute(false)
	if h.beyond {
		wide.Store(true)
	}
	if h.strayed {
		l.strayed = true
		l.monitored = l.monitored[:0] // all that is in it comes again
		return
	}
	for code, n := range h.failures {
		l.stats.countErrors(code, n, false)
	}
	d.ranIn.add(h)
	l.counted, l.ownError = result.Counted, true
	h.conn.commands += h.calls
	if h.srv.endsScripts.Load() && d.run.killed.Load() {
		h.tx.Abandon()
	}
	x.Out.Raw(h.reply.Bytes())
	if cap(h.reply.Bytes()) > keepBufferBytes {
		h.reply.SetBuffer(nil)
	}
}

// tellMonitors shows the call of a script before what it calls.
func (h *scriptHost) tellMonitors(args [][]byte) {
	if h.desk != nil && h.srv.monitors.any.Load() && !h.srv.Loading() {
		h.desk.monitored = append(h.desk.monitored, admin.MonitorLine(time.Now(), h.conn.db, h.conn.remote, args)...)
	}
}

// flagsOfScript is what a call of a script counts as before it runs, by what the
// script says of itself. It matches evalGetCommandFlags, fcallGetCommandFlags and
// scriptFlagsToCmdFlags.
func (s *Server) flagsOfScript(f form) func(row *command.Row, args [][]byte) command.Flags {
	return func(row *command.Row, args [][]byte) command.Flags {
		flags, known := s.scriptFlags(f, args)
		if !known || flags&script.Compatible != 0 {
			return row.Flags
		}
		is := row.Flags &^ (command.Stale | command.DenyOOM | command.Write | command.MayReplicate)
		if flags&(script.AllowOOM|script.NoWrites) == 0 {
			is |= command.DenyOOM
		}
		if flags&script.NoWrites == 0 {
			is |= command.Write
		}
		if flags&script.AllowStale != 0 {
			is |= command.Stale
		}
		return is
	}
}

// scriptFlags finds the flags of the script that a call runs.
func (s *Server) scriptFlags(f form, args [][]byte) (_ script.Flags, known bool) {
	switch {
	case f.function:
		if fn := s.functions.set.Load().function(args[1]); fn != nil {
			return fn.Flags, true
		}
	case f.bySHA:
		if c := s.scripts.find(args[1]); c != nil {
			return c.Flags(), true
		}
	case bytes.HasPrefix(args[1], shebang):
		// The script is not compiled for that: its caller may not be allowed to run any.
		if flags, err := script.FlagsOf(args[1]); err == nil {
			return flags, true
		}
	}
	return 0, false
}

var shebang = []byte("#!")

// lockOfScript is what the unit of a script locks. Outside of a cluster a script may
// look at any key, so that it has the world. In a cluster the keys that it names
// are of one slot, and it hardly ever needs more.
func (s *Server) lockOfScript(f form) func(args [][]byte) command.Lock {
	return func(args [][]byte) command.Lock {
		if s.cluster == nil || s.isWide(f, args) {
			return command.LockWorld
		}
		return command.LockKeys
	}
}

// isWide reports whether a script needs, or may need, more than the slots of the keys
// that its call names.
func (s *Server) isWide(f form, args [][]byte) bool {
	if len(args) < 3 || string(args[2]) == "0" {
		return true
	}
	var flags script.Flags
	wide := false
	switch {
	case f.function:
		if fn := s.functions.set.Load().function(args[1]); fn != nil {
			flags, wide = fn.Flags, fn.wide.Load()
		}
	default:
		var c *cached
		if f.bySHA {
			c = s.scripts.find(args[1])
		} else {
			c = s.scripts.known(args[1])
		}
		if c != nil {
			flags, wide = c.Flags(), c.wide.Load()
		}
	}
	return wide || flags&script.AllowCrossSlotKeys != 0
}
