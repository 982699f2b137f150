package script

import (
	"errors"
	"sync/atomic"
	"time"

	"redoubt/internal/resp"
	"redoubt/internal/script/lua"
)

// A Config is what an engine is made with.
type Config struct {
	// MaxMemory is how many bytes a script may hold, 0 for 512 MiB. A script that
	// needs more ends in the error "not enough memory".
	MaxMemory int64
	// RedisVersion is redis.REDIS_VERSION; empty is "7.2.4".
	RedisVersion string
	// Seed is where math.random starts. 0 gives each engine of the process another,
	// so that those that work side by side do not draw the same numbers; the first
	// starts as Redis does.
	Seed int32
	// ServerName and ServerVersion are server.SERVER_NAME and
	// server.SERVER_VERSION; empty is "redoubt" and RedisVersion.
	ServerName, ServerVersion string
}

const defaultMaxMemory = 512 << 20

// withDefaults fills in what is missing.
func (c Config) withDefaults() Config {
	if c.MaxMemory <= 0 {
		c.MaxMemory = defaultMaxMemory
	}
	if c.RedisVersion == "" {
		c.RedisVersion = "7.2.4"
	}
	if c.ServerName == "" {
		c.ServerName = "redoubt"
	}
	if c.ServerVersion == "" {
		c.ServerVersion = c.RedisVersion
	}
	return c
}

// An Engine runs scripts and functions, each kind in a Lua world of its own as in
// Redis. One goroutine at a time uses it.
type Engine struct {
	config   Config
	killed   atomic.Bool
	timedOut atomic.Bool
	random   random
	// The worlds are made when they are first needed. Kill looks at them from
	// outside.
	scripts   atomic.Pointer[world]
	functions atomic.Pointer[world]
}

// A Result says how a run ended. The reply has been written.
type Result struct {
	// Err is the error line that was written, empty if the reply is no error.
	Err resp.Error
	// Counted is set if Err came from a command, whose execution has counted it
	// for INFO errorstats.
	Counted bool
	// Killed is set if Kill ended the run.
	Killed bool
}

// engines counts those that were made without a seed.
var engines atomic.Int32

// New makes an engine.
func New(config Config) *Engine {
	e := &Engine{config: config.withDefaults(), random: random{randomStart}}
	if seed := config.Seed; seed != 0 {
		e.random.seed(seed)
	} else if n := engines.Add(1) - 1; n > 0 {
		e.random.seed(n)
	}
	return e
}

// SetMaxMemory changes Config.MaxMemory for the runs from now on.
func (e *Engine) SetMaxMemory(bytes int64) {
	if bytes == e.config.MaxMemory {
		return
	}
	e.config.MaxMemory = bytes
	for _, w := range []*world{e.scripts.Load(), e.functions.Load()} {
		if w != nil {
			w.state.SetMaxMemory(int(bytes))
		}
	}
}

// Kill ends the current run, if there is one, within a few milliseconds. The
// script cannot catch the error. It may be called by any goroutine while a Run,
// Call or Load is under way; the next one is not affected.
func (e *Engine) Kill() {
	e.killed.Store(true)
	e.interrupt()
}

func (e *Engine) interrupt() {
	if w := e.scripts.Load(); w != nil {
		w.state.Interrupt()
	}
	if w := e.functions.Load(); w != nil {
		w.state.Interrupt()
	}
}

var (
	errKilled   = errors.New("ERR Script killed by user with SCRIPT KILL...")
	errTimedOut = errors.New("ERR FUNCTION LOAD timeout")
)

// goOn is asked by the running program after interrupt.
func (e *Engine) goOn() error {
	switch {
	case e.killed.Load():
		return errKilled
	case e.timedOut.Load():
		return errTimedOut
	}
	return nil
}

// Memory is about the bytes that the Lua values take, those of scripts and those
// of functions, as they were after the last run. It may be called by any
// goroutine.
func (e *Engine) Memory() (scripts, functions int64) {
	if w := e.scripts.Load(); w != nil {
		scripts = w.memory.Load()
	}
	if w := e.functions.Load(); w != nil {
		functions = w.memory.Load()
	}
	return scripts, functions
}

// Run executes a script and writes its reply to w.
func (e *Engine) Run(s *Script, keys, args [][]byte, host Host, w *resp.Writer) Result {
	world := e.scripts.Load()
	if world == nil {
		world = newWorld(e, true)
		e.scripts.Store(world)
	}
	return e.run(world, world.function(s), s.sha, keys, args, host, w)
}

// run calls a script that is ready.
func (e *Engine) run(world *world, script lua.Value, name string, keys, args [][]byte, host Host, w *resp.Writer) Result {
	world.begin(host)
	world.json.reset()
	world.state.Unbounded(func() { world.setKeys(keys, args) })
	value, err := world.state.PCall(script)
	if err != nil {
		return e.failed(world, err, name, w)
	}
	return e.succeeded(world, value, w)
}

// Call runs a function and writes its reply to w.
func (e *Engine) Call(f *Function, keys, args [][]byte, host Host, w *resp.Writer) Result {
	world := e.functions.Load()
	world.begin(host)
	var lists [2]lua.Value
	world.state.Unbounded(func() { lists = [2]lua.Value{world.strings(keys), world.strings(args)} })
	value, err := world.state.PCall(f.callback, lists[0], lists[1])
	if err != nil {
		return e.failed(world, err, f.Name, w)
	}
	return e.succeeded(world, value, w)
}

// succeeded writes what a program returned, and ends its run.
func (e *Engine) succeeded(world *world, value lua.Value, w *resp.Writer) Result {
	result := world.writeReply(value, w)
	e.end(world)
	return result
}

// failed writes the error in which a program ended, and ends its run. A panic of
// the host goes on to whom it concerns. Should the machine be broken, a state of
// scripts is thrown away; that of functions is kept, with what they hold.
func (e *Engine) failed(world *world, err error, name string, w *resp.Writer) Result {
	var failure *lua.Error
	if !errors.As(err, &failure) {
		if fault := (*lua.Fault)(nil); world.outside && errors.As(err, &fault) {
			panic(fault.Cause)
		}
		line := resp.Error("ERR Error running script " + name + ", " + err.Error())
		w.Error(line)
		world.host = nil
		if world == e.scripts.Load() {
			e.scripts.Store(nil)
		} else {
			world.state.Reset()
		}
		return Result{Err: line}
	}
	line, counted := errorLine(failure, name)
	w.Error(line)
	result := Result{Err: line, Counted: counted, Killed: failure.Aborted && e.killed.Load()}
	e.end(world)
	return result
}

func (e *Engine) end(world *world) {
	world.end()
	e.killed.Store(false)
	e.timedOut.Store(false)
}

// startTimer interrupts a load that takes too long; the result stops it.
func (e *Engine) startTimer(timeout time.Duration) (stop func()) {
	if timeout <= 0 {
		return func() {}
	}
	timer := time.AfterFunc(timeout, func() {
		e.timedOut.Store(true)
		e.interrupt()
	})
	return func() { timer.Stop() }
}
