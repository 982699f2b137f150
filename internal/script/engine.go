package script

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"redoubt/internal/resp"
)

// A Config is what an engine is made with.
type Config struct {
	// MaxMemory is how many bytes a script may hold, 0 for 512 MiB. A script that
	// needs more ends in the error "not enough memory".
	MaxMemory int64
	// RedisVersion is redis.REDIS_VERSION; empty is "7.2.4".
	RedisVersion string
	// ServerName and ServerVersion are server.SERVER_NAME and
	// server.SERVER_VERSION; empty is "redoubt" and RedisVersion.
	ServerName, ServerVersion string
}

// An Engine is a Lua state. One goroutine at a time uses it.
type Engine struct {
	config Config
	killed atomic.Bool
	host   Host
	state  *lua.LState
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

// New makes an engine.
func New(config Config) *Engine {
	e := &Engine{config: config, state: lua.NewState()}
	table := e.state.NewTable()
	table.RawSetString("call", e.state.NewFunction(e.call))
	e.state.SetGlobal("redis", table)
	return e
}

// Kill ends the current run, if there is one, within a few milliseconds. The
// script cannot catch the error. It may be called by any goroutine; the next run
// is not affected.
func (e *Engine) Kill() { e.killed.Store(true) }

// Compile makes a script of the body of an EVAL. Its error is a resp.Error for
// the client.
func Compile(body []byte) (*Script, error) {
	s := &Script{sha: SHA1(body), body: string(body)}
	flags, code, err := parseShebang(s.body)
	if err != nil {
		return nil, err
	}
	s.flags = flags
	if s.proto, err = compile(code, "user_script"); err != nil {
		return nil, resp.Error("ERR Error compiling script (new function): " + err.Error())
	}
	return s, nil
}

func compile(code, name string) (*lua.FunctionProto, error) {
	chunk, err := parse.Parse(strings.NewReader(code), name)
	if err != nil {
		return nil, err
	}
	return lua.Compile(chunk, name)
}

// Run executes a script and writes its reply to w.
func (e *Engine) Run(s *Script, keys, args [][]byte, host Host, w *resp.Writer) Result {
	e.host = host
	defer func() { e.host = nil }()
	e.state.SetGlobal("KEYS", e.strings(keys))
	e.state.SetGlobal("ARGV", e.strings(args))
	e.state.Push(e.state.NewFunctionFromProto(s.proto))
	if err := e.state.PCall(0, 1, nil); err != nil {
		return e.fail(err, s.sha, w)
	}
	value := e.state.Get(-1)
	e.state.Pop(1)
	e.write(value, w)
	return Result{}
}

func (e *Engine) fail(err error, name string, w *resp.Writer) Result {
	text := err.Error()
	var failure *lua.ApiError
	if errors.As(err, &failure) {
		text = failure.Object.String()
	}
	line := resp.Error(fmt.Sprintf("ERR %s script: %s, on @user_script:1.", text, name))
	w.Error(line)
	return Result{Err: line}
}

func (e *Engine) strings(list [][]byte) *lua.LTable {
	table := e.state.CreateTable(len(list), 0)
	for _, s := range list {
		table.Append(lua.LString(s))
	}
	return table
}

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
}

// Load runs the code of a library, which registers its functions; timeout bounds
// the time, 0 does not. Its error is a resp.Error for the client. Libraries that
// were loaded before are not changed: what names are taken is the caller's
// business.
func (e *Engine) Load(code string, timeout time.Duration, host Host) (*Library, error) {
	return nil, resp.Error("ERR No functions registered")
}

// Call runs a function and writes its reply to w.
func (e *Engine) Call(f *Function, keys, args [][]byte, host Host, w *resp.Writer) Result {
	return Result{}
}

func (e *Engine) call(l *lua.LState) int {
	args := make([][]byte, 0, l.GetTop())
	for i := 1; i <= l.GetTop(); i++ {
		args = append(args, []byte(l.ToString(i)))
	}
	var w resp.Writer
	e.host.Call(args, &w)
	reply := string(w.Bytes())
	switch {
	case strings.HasPrefix(reply, "-"):
		l.RaiseError("%s", strings.TrimSpace(reply[1:]))
	case strings.HasPrefix(reply, "$-1"):
		l.Push(lua.LFalse)
	case strings.HasPrefix(reply, ":"):
		l.Push(lua.LNumber(lua.LVAsNumber(lua.LString(strings.TrimSpace(reply[1:])))))
	default:
		_, text, _ := strings.Cut(reply, "\r\n")
		l.Push(lua.LString(strings.TrimSuffix(text, "\r\n")))
	}
	return 1
}

func (e *Engine) write(value lua.LValue, w *resp.Writer) {
	switch v := value.(type) {
	case lua.LString:
		w.BulkString(string(v))
	case lua.LNumber:
		w.Int(int64(v))
	default:
		w.Null()
	}
}
