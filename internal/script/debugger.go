package script

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"redoubt/internal/resp"
	"redoubt/internal/script/lua"
)

// A Terminal is the client of a debugging session. The debugger writes to it, and
// waits for it, on the goroutine of Engine.Debug.
type Terminal interface {
	// Send writes bytes to the client. That it has failed shows in Receive.
	Send(b []byte)
	// Receive returns bytes that the client has sent. If none come within a moment it
	// returns none, so that the caller can look whether the session was killed. open is
	// false if the client has gone.
	Receive() (b []byte, open bool)
}

// A Debugger is a debugging session: the script stops before a line, and the client
// looks at variables, sets breakpoints and has the script go on. What the debugger says
// at a stop or to a command of the client is a round: an array of simple strings, as
// redis-cli --ldb reads it. It matches ldb in Redis's eval.c.
//
// A session is made with NewDebugger, runs in Engine.Debug and ends with End.
type Debugger struct {
	terminal Terminal
	patience time.Duration
	// endsWithClient says that the script is ended when the client has gone; else it
	// runs on without stopping.
	endsWithClient bool

	world  *world
	source []string // the lines of the script
	log    []string // the lines of the next round
	logged int      // their bytes

	line        int       // at which the script is
	breakpoints []int     // lines
	step        bool      // stop at the next line
	stop        bool      // likewise: redis.breakpoint has been called
	since       time.Time // when the script began, or went on after its last stop
	gone        bool      // the client has gone
	refused     bool      // the command at hand has not run

	input  []byte // what the client has sent and is not parsed yet
	parser resp.Parser

	maxLen int  // of a value that is shown; 0: no bound
	hinted bool // the client knows of maxlen
}

const (
	maxBreakpoints = 64
	defaultMaxLen  = 256
	leastMaxLen    = 60
	// defaultPatience is how long a script runs without a stop if there is no
	// busy-reply-threshold.
	defaultPatience = 5 * time.Second
	// maxDebugInput, maxDebugArgs and maxDebugArg bound a command of the client in
	// bytes, arguments, and bytes of an argument.
	maxDebugInput = 1 << 20
	maxDebugArgs  = 1024
	maxDebugArg   = 1024
)

// NewDebugger begins a session on the script body. A script that runs for longer than
// patience without a stop is stopped, in case it is in an endless loop; 0 is five
// seconds. endsWithClient has the script end when the client has gone; else it runs on
// without stopping.
func NewDebugger(body []byte, t Terminal, patience time.Duration, endsWithClient bool) *Debugger {
	if patience <= 0 {
		patience = defaultPatience
	}
	text := strings.TrimRight(string(body), "\r\n")
	return &Debugger{
		terminal: t, patience: patience, endsWithClient: endsWithClient,
		source: strings.Split(text, "\n"), step: true, maxLen: defaultMaxLen,
		parser: resp.Parser{Limits: resp.Limits{MaxBulk: maxDebugArg}},
	}
}

// End tells the client that the session is over. Then the caller sends the script's reply.
func (d *Debugger) End() {
	d.say("<endsession>")
	d.flush()
}

// Debug is Run under a debugger. It must be the only run of its engine.
func (e *Engine) Debug(s *Script, keys, args [][]byte, host Host, w *resp.Writer, d *Debugger) Result {
	world := newWorld(e, true)
	e.scripts.Store(world)
	world.debugger, d.world = d, world
	world.state.Trace(d)
	d.since = time.Now()
	return e.run(world, world.state.Load(s.proto.Traced()), s.sha, keys, args, host, w)
}

// maxDebugLog bounds the bytes of a round: a script may say much before it stops.
const maxDebugLog = 4 << 20

// say adds a line to the next round.
func (d *Debugger) say(line string) {
	if d.logged > maxDebugLog {
		return
	}
	if d.logged += len(line) + 1; d.logged > maxDebugLog {
		line = "<hint> There was more than this; it is left out."
	}
	d.log = append(d.log, line)
}

// flush sends the round.
func (d *Debugger) flush() {
	w := resp.NewWriter(nil, resp.Proto2)
	w.Array(len(d.log))
	for _, line := range d.log {
		w.Simple(oneLine(line))
	}
	d.log, d.logged = d.log[:0], 0
	d.terminal.Send(w.Bytes())
}

// stepping reports whether what the script does is shown.
func (d *Debugger) stepping() bool { return d != nil && d.step }

// Line is called before each line of the script: lua.Tracer.
func (d *Debugger) Line(t *lua.Thread, line int) {
	d.line = line
	switch {
	case d.stop:
		d.pause(t, "redis.breakpoint() called")
	case slices.Contains(d.breakpoints, line):
		d.pause(t, "break point")
	case d.step:
		d.pause(t, "step over")
	}
}

// Count is called now and then: lua.Tracer. A script that has run for longer than
// patience is stopped, or ended if the client has gone.
func (d *Debugger) Count(t *lua.Thread, line int) {
	if d.step || d.stop || time.Since(d.since) < d.patience {
		return
	}
	d.line = line
	if !d.gone {
		d.pause(t, "timeout reached, infinite loop?")
	}
	if d.gone {
		d.world.fail(t, "timeout during Lua debugging with client closing connection")
	}
}

// pause stops the script until the client has it go on.
func (d *Debugger) pause(t *lua.Thread, reason string) {
	if d.gone {
		return
	}
	d.step, d.stop = false, false
	d.say(fmt.Sprintf("* Stopped at %d, stop reason = %s", d.line, reason))
	d.showLine(d.line)
	d.flush()
	for goesOn := false; !goesOn; {
		args := d.command(t)
		if args == nil {
			d.leave(t)
			break
		}
		goesOn = d.execute(t, args)
	}
	d.since = time.Now()
}

// leave goes on without the client, or ends the script.
func (d *Debugger) leave(t *lua.Thread) {
	d.gone, d.step, d.breakpoints = true, false, nil
	if d.endsWithClient {
		d.world.engine.Kill()
		t.Poll()
	}
}

// command waits for a command of the client; nil: it has gone.
func (d *Debugger) command(t *lua.Thread) (args []string) {
	for {
		n, err := d.parser.Parse(d.input)
		if err != nil || len(d.parser.Args) > maxDebugArgs {
			d.input = nil
			d.parser.Reset()
			d.world.fail(t, "protocol error")
		}
		for _, a := range d.parser.Args {
			args = append(args, string(a))
		}
		d.input = d.input[n:]
		if len(args) > 0 {
			return args
		}
		if n > 0 {
			continue
		}
		b, open := d.terminal.Receive()
		if !open {
			return nil
		}
		t.Poll()
		if d.input = append(d.input, b...); len(d.input) > maxDebugInput {
			d.input = nil
			d.parser.Reset()
			d.world.fail(t, "max client buffer reached")
		}
	}
}

// debugCommand is a command of the debugger. It reports whether the script goes on.
type debugCommand struct {
	short string // the other name
	least int    // arguments, with the name
	run   func(d *Debugger, t *lua.Thread, args []string) (goesOn bool)
}

// debugCommands are the commands by their long names.
var debugCommands = map[string]debugCommand{
	"step":     {"s", 1, (*Debugger).doStep},
	"next":     {"n", 1, (*Debugger).doStep},
	"continue": {"c", 1, func(*Debugger, *lua.Thread, []string) bool { return true }},
	"trace":    {"t", 1, (*Debugger).doTrace},
	"maxlen":   {"m", 1, (*Debugger).doMaxLen},
	"break":    {"b", 1, (*Debugger).doBreak},
	"eval":     {"e", 1, (*Debugger).doEval},
	"abort":    {"a", 1, (*Debugger).doAbort},
	"redis":    {"r", 2, (*Debugger).doRedis},
	"print":    {"p", 1, (*Debugger).doPrint},
	"list":     {"l", 1, (*Debugger).doList},
	"whole":    {"w", 1, (*Debugger).doWhole},
	"help":     {"h", 1, (*Debugger).doHelp},
}

// execute runs a command of the client, and answers it unless the script goes on.
func (d *Debugger) execute(t *lua.Thread, args []string) (goesOn bool) {
	name := strings.ToLower(args[0])
	c, ok := debugCommands[name]
	for long, x := range debugCommands {
		if x.short == name {
			c, ok = debugCommands[long], true
		}
	}
	if !ok || len(args) < c.least {
		d.say("<error> Unknown Redis Lua debugger command or wrong number of arguments.")
	} else if c.run(d, t, args) {
		return true
	}
	d.flush()
	return false
}

func (d *Debugger) doStep(*lua.Thread, []string) bool {
	d.step = true
	return true
}

func (d *Debugger) doAbort(t *lua.Thread, _ []string) bool {
	d.world.fail(t, "script aborted for user request")
	return false
}

// doTrace shows the calls of the script.
func (d *Debugger) doTrace(t *lua.Thread, _ []string) bool {
	for level, f := range t.Frames() {
		if f.Source != scriptSource {
			continue
		}
		from, name := "From", f.Name
		if level == 0 {
			from = "In"
		}
		if name == "" {
			name = "top level"
		}
		d.say(from + " " + name + ":")
		d.showLine(f.Line)
	}
	return false
}

// scriptSource is how errors show the script.
const scriptSource = "user_script"

func (d *Debugger) doMaxLen(_ *lua.Thread, args []string) bool {
	if len(args) == 2 {
		d.hinted = true
		if d.maxLen = max(number(args[1]), 0); d.maxLen != 0 {
			d.maxLen = max(d.maxLen, leastMaxLen)
		}
	}
	if d.maxLen == 0 {
		d.say("<value> replies are unlimited.")
	} else {
		d.say(fmt.Sprintf("<value> replies are truncated at %d bytes.", d.maxLen))
	}
	return false
}

// number is an argument as a number, 0 if it is none, as C's atoi has it.
func number(arg string) int {
	n, _ := strconv.ParseInt(arg, 10, 32)
	return int(n)
}

// doBreak shows, adds and removes breakpoints.
func (d *Debugger) doBreak(_ *lua.Thread, args []string) bool {
	switch {
	case len(args) > 1:
	case len(d.breakpoints) == 0:
		d.say("No breakpoints set. Use 'b <line>' to add one.")
	default:
		d.say(fmt.Sprintf("%d breakpoints set:", len(d.breakpoints)))
		for _, line := range d.breakpoints {
			d.showLine(line)
		}
	}
	for _, arg := range args[1:] {
		line, ok := resp.ParseInt([]byte(arg))
		switch {
		case !ok:
			d.say("Invalid argument:'" + arg + "'")
		case line == 0:
			d.breakpoints = nil
			d.say("All breakpoints removed.")
		case line > 0:
			d.addBreakpoint(line)
		default:
			d.removeBreakpoint(-line)
		}
	}
	return false
}

func (d *Debugger) addBreakpoint(line int64) {
	switch {
	case len(d.breakpoints) == maxBreakpoints:
		d.say("Too many breakpoints set.")
	case line > int64(len(d.source)) || slices.Contains(d.breakpoints, int(line)):
		d.say("Wrong line number.")
	default:
		d.breakpoints = append(d.breakpoints, int(line))
		d.showLines(int(line), 1)
	}
}

func (d *Debugger) removeBreakpoint(line int64) {
	for i, b := range d.breakpoints {
		if int64(b) == line {
			d.breakpoints = slices.Delete(d.breakpoints, i, i+1)
			d.say("Breakpoint removed.")
			return
		}
	}
	d.say("No breakpoint in the specified line.")
}

// evalSource is how errors show the code of the debugger's command eval.
const evalSource = "@ldb_eval"

// doEval runs Lua code, an expression or a statement, in a call of its own.
func (d *Debugger) doEval(t *lua.Thread, args []string) bool {
	code := strings.Join(args[1:], " ")
	p, err := lua.Compile("return "+code, evalSource)
	if err != nil {
		p, err = lua.Compile(code, evalSource)
	}
	if err != nil {
		d.say("<error> " + err.Error())
		return false
	}
	v, failure := t.Try(t.State().Load(p))
	if failure != nil {
		d.say("<error> " + errorText(failure))
		return false
	}
	d.showValue("<retval> ", v)
	return false
}

// errorText is the message of an error, of error tables too.
func errorText(failure *lua.Error) string {
	if h := failure.Value.Table(); h != nil {
		if text, ok := h.GetStr("err").ToString(); ok {
			return text
		}
	}
	return failure.Error()
}

// doRedis calls a command as the script would, and shows it with its reply.
func (d *Debugger) doRedis(t *lua.Thread, args []string) bool {
	var values []lua.Value
	for _, a := range args[1:] {
		values = append(values, lua.String(a))
	}
	d.step = true
	_, _ = t.Try(d.world.globals.GetStr("redis").Table().GetStr("call"), values...) // an error has been shown
	d.step = false
	return false
}
