package script

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"redoubt/internal/resp"
	"redoubt/internal/script/lua"
)

// openRedis makes the table redis of programs that run. Those that only make
// sense for a script are missing in functions, as in Redis.
func (w *world) openRedis(scripts bool) *lua.Table {
	functions := []lua.Function{
		{Name: "call", Call: func(t *lua.Thread) int { return w.command(t, true) }},
		{Name: "pcall", Call: func(t *lua.Thread) int { return w.command(t, false) }},
		{Name: "setresp", Call: w.redisSetResp},
		{Name: "sha1hex", Call: w.redisSHA1Hex},
		{Name: "error_reply", Call: w.redisErrorReply},
		{Name: "status_reply", Call: w.redisStatusReply},
		{Name: "set_repl", Call: w.redisSetRepl},
		{Name: "acl_check_cmd", Call: w.redisACLCheck},
	}
	if scripts {
		functions = append(functions,
			lua.Function{Name: "breakpoint", Call: w.redisBreakpoint},
			lua.Function{Name: "debug", Call: w.redisDebug},
			lua.Function{Name: "replicate_commands", Call: func(t *lua.Thread) int { t.Push(lua.Bool(true)); return 1 }},
		)
	}
	h := w.state.NewTable(0, 32)
	w.state.Register(h, functions)
	for _, c := range []struct {
		name  string
		value Replication
	}{
		{"REPL_NONE", 0}, {"REPL_AOF", ReplicateAOF}, {"REPL_SLAVE", ReplicateReplica}, {"REPL_REPLICA", ReplicateReplica},
		{"REPL_ALL", ReplicateAOF | ReplicateReplica},
	} {
		h.SetStr(c.name, lua.Int(int(c.value)))
	}
	w.addLog(h)
	w.addVersion(h)
	return h
}

// addLog adds redis.log and its levels.
func (w *world) addLog(h *lua.Table) {
	w.state.Register(h, []lua.Function{{Name: "log", Call: w.redisLog}})
	for level, name := range []string{"LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"} {
		h.SetStr(name, lua.Int(level))
	}
}

func (w *world) addVersion(h *lua.Table) {
	c := w.engine.config
	h.SetStr("REDIS_VERSION", lua.String(c.RedisVersion))
	h.SetStr("REDIS_VERSION_NUM", lua.Int(versionNumber(c.RedisVersion)))
	h.SetStr("SERVER_NAME", lua.String(c.ServerName))
	h.SetStr("SERVER_VERSION", lua.String(c.ServerVersion))
	h.SetStr("SERVER_VERSION_NUM", lua.Int(versionNumber(c.ServerVersion)))
}

// versionNumber is 0x00MMmmpp of a version "M.m.p".
func versionNumber(version string) int {
	n := 0
	parts := strings.SplitN(version, ".", 3)
	for i := range 3 {
		part := 0
		if i < len(parts) {
			digits := parts[i]
			if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
				digits = digits[:end]
			}
			part, _ = strconv.Atoi(digits)
		}
		n = n<<8 | part&0xff
	}
	return n
}

// errorTable makes the table by which Redis's functions tell of an error: its
// text in the field err. A text that begins with '-' has a code of its own,
// others get ERR; luaPushErrorBuff.
func (w *world) errorTable(text string) *lua.Table {
	if w.debugger.stepping() {
		w.debugger.showError(text)
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	code, message := "ERR", text
	if strings.HasPrefix(text, "-") {
		if first, rest, found := strings.Cut(text[1:], " "); found {
			code, message = first, rest
		} else {
			message = text[1:]
		}
	}
	h := w.state.NewTable(0, 1)
	h.SetStr("err", lua.String(code+" "+strings.Trim(message, "\r\n")))
	return h
}

// fail raises an error table.
func (w *world) fail(t *lua.Thread, text string) { t.Throw(w.errorTable(text).Value()) }

// running refuses what needs a run while a library loads.
func (w *world) running(t *lua.Thread, name string) {
	if w.host == nil {
		w.fail(t, name+" can only be called inside a script invocation")
	}
}

// command is redis.call and, if it does not raise errors, redis.pcall.
func (w *world) command(t *lua.Thread, raise bool) int {
	w.running(t, "redis.call/pcall")
	args, problem := w.arguments(t)
	if problem != "" {
		h := w.errorTable(problem)
		if raise {
			t.Throw(h.Value())
		}
		t.Push(h.Value())
		return 1
	}
	if w.debugger.stepping() {
		w.debugger.showCommand(args)
	}
	w.reply.Truncate(0)
	w.outside = true
	ran := w.host.Call(args, &w.reply)
	w.outside = false
	if w.debugger != nil {
		w.debugger.refused = !ran
	}
	d := decoder{w: w, t: t, buf: w.reply.Bytes()}
	v := d.value()
	if w.debugger.stepping() && ran {
		w.debugger.showReply(w.reply.Bytes())
	}
	if raise && len(d.buf) > 0 && d.buf[0] == '-' {
		t.Throw(v)
	}
	t.Push(v)
	return 1
}

// arguments makes the arguments of a command of those of the function at work.
// They are views of the strings.
func (w *world) arguments(t *lua.Thread) (args [][]byte, problem string) {
	n := t.Count()
	if n == 0 {
		return nil, "Please specify at least one argument for this redis lib call"
	}
	w.args, w.digits = w.args[:0], w.digits[:0]
	for i := 1; i <= n; i++ {
		switch v := t.Arg(i); v.Kind() {
		case lua.KindString:
			w.args = append(w.args, v.Bytes())
		case lua.KindNumber:
			start := len(w.digits)
			w.digits = resp.AppendDouble(w.digits, v.Float())
			w.args = append(w.args, w.digits[start:len(w.digits):len(w.digits)])
		default:
			return nil, "Lua redis lib command arguments must be strings or integers"
		}
	}
	return w.args, ""
}

func (w *world) redisSetResp(t *lua.Thread) int {
	w.running(t, "redis.setresp")
	if t.Count() != 1 {
		w.fail(t, "redis.setresp() requires one argument.")
	}
	proto, _ := t.Arg(1).ToNumber()
	if int(proto) != resp.Proto2 && int(proto) != resp.Proto3 {
		w.fail(t, "RESP version must be 2 or 3.")
	}
	w.reply.SetProto(int(proto))
	return 0
}

func (w *world) redisSHA1Hex(t *lua.Thread) int {
	if t.Count() != 1 {
		w.fail(t, "wrong number of arguments")
	}
	s, _ := t.Arg(1).ToString()
	sum := sha1.Sum([]byte(s))
	t.PushString(hex.EncodeToString(sum[:]))
	return 1
}

// singleString is the only argument, if it is a string.
func singleString(t *lua.Thread) (string, bool) {
	if t.Count() != 1 || t.Arg(1).Kind() != lua.KindString {
		return "", false
	}
	return t.Arg(1).Str(), true
}

func (w *world) redisErrorReply(t *lua.Thread) int {
	text, ok := singleString(t)
	switch {
	case !ok:
		text = "wrong number or type of arguments"
	case !strings.HasPrefix(text, "-"):
		text = "-" + text
	}
	t.Push(w.errorTable(text).Value())
	return 1
}

func (w *world) redisStatusReply(t *lua.Thread) int {
	text, ok := singleString(t)
	if !ok {
		t.Push(w.errorTable("wrong number or type of arguments").Value())
		return 1
	}
	h := w.state.NewTable(0, 1)
	h.SetStr("ok", lua.String(text))
	t.Push(h.Value())
	return 1
}

func (w *world) redisSetRepl(t *lua.Thread) int {
	w.running(t, "redis.set_repl")
	if t.Count() != 1 {
		w.fail(t, "redis.set_repl() requires one argument.")
	}
	f, _ := t.Arg(1).ToNumber()
	targets := Replication(f)
	if targets&^(ReplicateAOF|ReplicateReplica) != 0 {
		w.fail(t, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
	}
	w.host.SetReplication(targets)
	return 0
}

func (w *world) redisACLCheck(t *lua.Thread) int {
	w.running(t, "redis.acl_check_cmd")
	args, problem := w.arguments(t)
	if problem != "" {
		w.fail(t, problem)
	}
	allowed, known := w.host.MayRun(args)
	if !known {
		w.fail(t, "Invalid command passed to redis.acl_check_cmd()")
	}
	t.Push(lua.Bool(allowed))
	return 1
}

func (w *world) redisLog(t *lua.Thread) int {
	n := t.Count()
	if n < 2 {
		w.fail(t, "redis.log() requires two arguments or more.")
	}
	f, ok := t.Arg(1).ToNumber()
	if !ok {
		w.fail(t, "First argument must be a number (log level).")
	}
	level := LogLevel(f)
	if level < LogDebug || level > LogWarning {
		w.fail(t, "Invalid debug level.")
	}
	var b strings.Builder
	for i := 2; i <= n; i++ {
		s, ok := t.Arg(i).ToString()
		if !ok {
			continue
		}
		if i != 2 {
			b.WriteByte(' ')
		}
		b.WriteString(s)
	}
	if host := w.logHost(); host != nil {
		host.Log(level, b.String())
	}
	return 0
}

// redisBreakpoint has the debugger stop at the next line, and tells whether there is
// one.
func (w *world) redisBreakpoint(t *lua.Thread) int {
	if w.debugger != nil {
		w.debugger.stop = true
	}
	t.Push(lua.Bool(w.debugger != nil))
	return 1
}

// redisDebug shows its arguments to the debugger.
func (w *world) redisDebug(t *lua.Thread) int {
	d := w.debugger
	if d == nil {
		return 0
	}
	line := fmt.Appendf(nil, "<debug> line %d: ", d.line)
	for i := 1; i <= t.Count(); i++ {
		if i > 1 {
			line = append(line, ", "...)
		}
		line = appendValue(line, t.Arg(i), 0)
	}
	d.say(string(line))
	return 0
}

// logHost is who takes log messages: while a library loads, too.
func (w *world) logHost() Host {
	if w.host == nil && w.loading != nil {
		return w.loading.host
	}
	return w.host
}
