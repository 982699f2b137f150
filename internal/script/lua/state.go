package lua

import (
	"fmt"
	"sync/atomic"
)

const (
	maxCalls   = 16384 // Lua calls within each other
	maxGoCalls = 200   // Go calls within each other: metamethods, pcall, gsub …
	minStack   = 20    // slots that a Go function finds free
	goStackMax = 8000  // slots that a Go function may use
)

// Options bound a state.
type Options struct {
	// MaxMemory is how many bytes the values of a state may take.
	MaxMemory int
	// OnInterrupt is called by the goroutine that runs the state after Interrupt.
	// If it returns an error, the run ends with it: Lua cannot catch it.
	OnInterrupt func() error
	// Caught is what pcall makes of an error that it catches, nil for as it is.
	Caught func(t *Thread, v Value) Value
}

// A State is a Lua world: globals and the threads that run in it. One goroutine
// at a time uses it; others may call Interrupt.
type State struct {
	options    Options
	main       *Thread
	globals    *Table
	stringMeta *Table
	goDepth    int
	interrupt  atomic.Uint32
	memory     memory
	ids        uint32
	kept       map[Value]struct{} // by Go code
	tracing    tracing
}

// A Thread is a coroutine, or the main thread of a state.
type Thread struct {
	state    *State
	stack    []Value
	top      int // first free slot
	high     int // no slot from here on was used since Reset
	calls    []*callInfo
	depth    int // of the call that runs, an index of calls
	open     *upvalue
	env      *Table
	handler  Value // of xpcall: called with errors where they are raised
	handling bool  // the handler runs
	status   threadStatus
	base     int // goDepth when the thread was resumed; it can yield only there
	id       uint32
	mark     uint32
	traced   []int // of each call of a traced program the instruction at work
}

type threadStatus uint8

const (
	statusNew     threadStatus = iota // suspended before its function began
	statusYielded                     // suspended in a yield
	statusRunning                     // or waiting for one that it resumed
	statusDead
)

// A callInfo is a call that has not returned. Slot fn holds the function; its
// variables are from base to top.
type callInfo struct {
	closure       *Closure
	fn, base, top int
	results       int // wanted; -1 is all
	pc            int // of the next instruction
	tails         int // tail calls that were lost before
}

// NewState makes a state without any globals.
func NewState(options Options) *State {
	s := &State{options: options, kept: make(map[Value]struct{})}
	s.memory.limit = options.MaxMemory
	s.memory.next = memoryFirst
	s.globals = s.newTable(0, 0)
	s.main = s.newThread()
	s.main.env = s.globals
	s.main.status = statusRunning
	return s
}

// Globals is the table of global variables.
func (s *State) Globals() *Table { return s.globals }

// SetGlobals replaces the table of global variables for functions that are made
// from now on.
func (s *State) SetGlobals(h *Table) {
	s.globals = h
	s.main.env = h
}

// Interrupt has OnInterrupt called soon, by the goroutine that runs the state: at
// the next call or jump backwards.
func (s *State) Interrupt() { s.interrupt.Store(1) }

// interrupted asks whether the run goes on. It is called where a program cannot
// avoid to come by.
func (t *Thread) interrupted() {
	t.state.interrupt.Store(0)
	if t.state.options.OnInterrupt == nil {
		return
	}
	if err := t.state.options.OnInterrupt(); err != nil {
		e := &abort{thrown{value: String(err.Error())}}
		for i := t.depth; i > 0; i-- {
			if c := t.calls[i]; c.closure.proto != nil {
				e.source, e.line = c.closure.proto.source, t.currentLine(c)
				break
			}
		}
		panic(e)
	}
}

// Poll looks for an interrupt. Go functions that may take long call it.
func (t *Thread) Poll() {
	if t.state.interrupt.Load() != 0 {
		t.interrupted()
	}
}

// Reserve is asked before a Go function makes a string of so many bytes.
func (t *Thread) Reserve(n int) { t.state.reserve(n) }

// State is the state that the thread belongs to.
func (t *Thread) State() *State { return t.state }

// An abort ends a run; no pcall catches it.
type abort struct{ thrown }

func (s *State) nextID() uint32 {
	s.ids += 0x9e3779b1 // spreads the hashes of objects
	return s.ids
}

func (s *State) newThread() *Thread {
	t := &Thread{state: s, stack: make([]Value, 2*minStack), calls: make([]*callInfo, 0, 8), id: s.nextID()}
	t.calls = append(t.calls, &callInfo{base: 1, top: 1 + minStack, results: -1})
	t.top = 1
	s.allocated(1024)
	return t
}

func (s *State) newTable(array, hash int) *Table {
	h := &Table{id: s.nextID()}
	if array != 0 || hash != 0 {
		h.resize(array, hash)
		s.allocated(h.bytes())
		return h
	}
	s.allocated(tableBytes)
	return h
}

// NewTable makes a table with room for so many items and other keys.
func (s *State) NewTable(array, hash int) *Table { return s.newTable(array, hash) }

// NewFunction makes a value of a Go function.
func (s *State) NewFunction(f GoFunction) Value {
	return (&Closure{native: f, env: s.globals, id: s.nextID()}).value()
}

// Load makes a function of a compiled chunk, with the state's globals.
func (s *State) Load(p *Proto) Value {
	return (&Closure{proto: p, env: s.globals, id: s.nextID()}).value()
}

// SetMeta sets a table's metatable, nil for none.
func (h *Table) SetMeta(meta *Table) { h.meta = meta }

// Meta is a table's metatable, nil if there is none.
func (h *Table) Meta() *Table { return h.meta }

// Reset forgets what a run left on the stack. It is called between runs. Variables of
// a run that OnInterrupt has ended may still be those of closures.
func (s *State) Reset() {
	t := s.main
	t.closeUpvalues(0)
	t.depth = 0
	s.goDepth = 0
	t.handler, t.handling = Nil, false
	t.status = statusRunning
	if len(t.stack) > 4096 {
		t.stack = make([]Value, 2*minStack)
	} else {
		clear(t.stack[:min(t.high+minStack, len(t.stack))])
	}
	if len(t.calls) > 256 {
		clear(t.calls[64:])
		t.calls = t.calls[:64]
	}
	t.high, t.top = 0, 1
	s.interrupt.Store(0)
}

// The stack.

func (t *Thread) ensure(n int) {
	if t.top+n > len(t.stack) {
		t.growStack(t.top + n)
	}
	if t.top+n > t.high { // Reset clears up to there
		t.high = t.top + n
	}
}

func (t *Thread) growStack(need int) {
	size := max(2*len(t.stack), need+minStack)
	stack := make([]Value, size)
	copy(stack, t.stack)
	t.state.allocated((size - len(t.stack)) * valueBytes)
	t.stack = stack
	for u := t.open; u != nil; u = u.next {
		u.v = &stack[u.slot]
	}
}

// Push puts a value on the stack.
func (t *Thread) Push(v Value) {
	if t.top >= len(t.stack) {
		t.ensure(1)
	}
	t.stack[t.top] = v
	t.top++
}

// Set replaces a value on the stack, counted from its end: -1 is the last.
func (t *Thread) Set(n int, v Value) { t.stack[t.top+n] = v }

// Pop takes the last value off the stack again.
func (t *Thread) Pop() Value {
	t.top--
	return t.stack[t.top]
}

// PushString is Push for a string that was made just now.
func (t *Thread) PushString(s string) {
	t.state.allocated(len(s))
	t.Push(String(s))
}

// PushBytes is PushString for bytes, which are copied.
func (t *Thread) PushBytes(b []byte) { t.PushString(string(b)) }

// Count is the number of arguments of the Go function that runs.
func (t *Thread) Count() int { return t.top - t.calls[t.depth].base }

// Arg is the n-th argument, from 1; nil if there are fewer.
func (t *Thread) Arg(n int) Value {
	if i := t.calls[t.depth].base + n - 1; i < t.top {
		return t.stack[i]
	}
	return Nil
}

// Upvalues.

func (t *Thread) findUpvalue(slot int) *upvalue {
	at := &t.open
	for *at != nil && (*at).slot >= slot {
		if (*at).slot == slot {
			return *at
		}
		at = &(*at).next
	}
	u := &upvalue{v: &t.stack[slot], slot: slot, next: *at}
	*at = u
	return u
}

// closeUpvalues gives the variables from slot on a place of their own.
func (t *Thread) closeUpvalues(slot int) {
	for t.open != nil && t.open.slot >= slot {
		u := t.open
		t.open = u.next
		u.closed = *u.v
		u.v = &u.closed
		u.next = nil
	}
}

// Errors.

// An Error is a Lua error that nobody caught.
type Error struct {
	Value Value
	// Source and Line are where it was raised: the Lua function at work, or the
	// one that called the Go function at work. Source is the name given to
	// Compile, "=[C]" for a Go function that another called, empty if unknown.
	Source string
	Line   int
	// Aborted is set if it is what OnInterrupt returned.
	Aborted bool
}

// Error is the value as text.
func (e *Error) Error() string {
	if s, ok := e.Value.ToString(); ok {
		return s
	}
	return "(error object is a " + e.Value.Kind().String() + " value)"
}

// A Fault is a panic in a Go function or in the machine itself: the state is broken
// and must not be used again.
type Fault struct{ Cause any }

// Error tells of the panic.
func (f *Fault) Error() string { return fmt.Sprintf("lua: %v", f.Cause) }

// A thrown is a Lua error on its way to who catches it.
type thrown struct {
	value  Value
	source string
	line   int
}

// place is where the program is: in the Lua function at work, or in the one that
// called the Go function at work.
func (t *Thread) place() (source string, line int) {
	for i := t.depth; i > 0 && i > t.depth-2; i-- {
		c := t.calls[i]
		if c.closure != nil && c.closure.proto != nil {
			return c.closure.proto.source, t.currentLine(c)
		}
		source, line = "=[C]", -1
	}
	return source, line
}

// Throw raises an error with any value.
func (t *Thread) Throw(v Value) {
	e := &thrown{value: v}
	e.source, e.line = t.place()
	if !t.handler.IsNil() {
		handler := t.handler
		if !handler.isFunction() {
			e.value = String("error in error handling")
			panic(e)
		}
		t.ensure(minStack)
		t.Push(handler)
		t.Push(v)
		t.handling = true
		t.call(t.top-2, 1)
		t.handling = false
		t.top--
		e.value = t.stack[t.top]
	}
	panic(e)
}

// Errorf raises an error with the place of the function that called the Go
// function at work before the text; luaL_error.
func (t *Thread) Errorf(format string, args ...any) {
	t.Throw(String(t.where(1) + fmt.Sprintf(format, args...)))
}

// runError is Errorf for an operation of the function at work; luaG_runerror.
func (t *Thread) runError(format string, args ...any) {
	t.Throw(String(t.where(0) + fmt.Sprintf(format, args...)))
}

// where is "source:line: " of the call so many levels up, if it is a Lua
// function.
func (t *Thread) where(level int) string {
	c := t.level(level)
	if c == nil || c.closure == nil || c.closure.proto == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", chunkName(c.closure.proto.source, chunkNameSize), t.currentLine(c))
}

// level finds a call: 0 is the one that runs. Calls that tail calls replaced
// count, and are nil.
func (t *Thread) level(n int) *callInfo {
	for i := t.depth; i > 0; i-- {
		if n == 0 {
			return t.calls[i]
		}
		n--
		if c := t.calls[i]; c.closure != nil && c.closure.proto != nil {
			if n < c.tails {
				return nil
			}
			n -= c.tails
		}
	}
	return nil
}

func (t *Thread) currentLine(c *callInfo) int {
	return int(c.closure.proto.lines[max(c.pc-1, 0)])
}

// protect calls f and catches a Lua error that it raises.
func (t *Thread) protect(f func(), handler Value) (err *thrown) {
	depth, top, goDepth, saved, handling := t.depth, t.top, t.state.goDepth, t.handler, t.handling
	t.handler, t.handling = handler, false
	defer func() {
		t.handler, t.handling = saved, handling
		r := recover()
		if r == nil {
			return
		}
		failure, ok := r.(*thrown)
		if !ok {
			panic(r)
		}
		err = failure
		t.closeUpvalues(top)
		t.depth, t.top, t.state.goDepth = depth, top, goDepth
	}()
	f()
	return nil
}

// PCall calls a function with arguments and returns its first result. The error
// is an *Error or a *Fault.
func (s *State) PCall(fn Value, args ...Value) (result Value, err error) {
	t := s.main
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *thrown: // the limit of memory, before the call
			err = &Error{r.value, r.source, r.line, false}
		case *abort:
			err = &Error{r.value, r.source, r.line, true}
		default:
			err = &Fault{r}
		}
	}()
	failure := t.protect(func() {
		t.ensure(len(args) + minStack)
		at := t.top
		t.Push(fn)
		for _, a := range args {
			t.Push(a)
		}
		t.call(at, 1)
		t.top--
		result = t.stack[t.top]
	}, Nil)
	if failure != nil {
		return Nil, &Error{failure.value, failure.source, failure.line, false}
	}
	return result, nil
}
