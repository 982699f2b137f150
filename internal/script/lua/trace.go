package lua

import "slices"

// A Tracer is told what a traced program does (Proto.Traced). Its methods may look at
// the thread and call functions; what these do is not traced.
type Tracer interface {
	// Line is called before the program begins a line: on entry to a function, at an
	// instruction whose line is not that of the one before, and after a jump backwards.
	Line(t *Thread, line int)
	// Count is called after each traceEvery instructions.
	Count(t *Thread, line int)
}

// traceEvery is how many instructions a program executes between two calls of
// Tracer.Count.
const traceEvery = 100_000

// tracing is what a state keeps for a Tracer.
type tracing struct {
	tracer Tracer
	within bool // the tracer is at work
	count  int  // instructions since the last call of Count
}

// Trace sets the tracer that is told of the traced programs the state runs; nil is none.
func (s *State) Trace(tracer Tracer) { s.tracing = tracing{tracer: tracer} }

// Traced returns the program in a form that tells the state's tracer what it does:
// the machine meets a trap in the place of each instruction. Programs in their
// ordinary form pay nothing for that.
func (p *Proto) Traced() *Proto {
	traced := *p
	traced.run = slices.Clone(p.code)
	for pc := 0; pc < len(p.code); pc++ {
		traced.run[pc].setOp(opTrap)
		// What an instruction reads of the code behind it stays as it is.
		switch i := p.code[pc]; i.op() {
		case opEq, opLt, opLe, opTest, opTestSet, opTForLoop:
			pc++
		case opSetList:
			if i.c() == 0 {
				pc++
			}
		case opClosure:
			pc += p.protos[i.bx()].upvals
		}
	}
	traced.protos = make([]*Proto, len(p.protos))
	for i, inner := range p.protos {
		traced.protos[i] = inner.Traced()
	}
	return &traced
}

// trap is called before each instruction of a traced program. It matches traceexec of
// PUC Lua.
func (t *Thread) trap(c *callInfo) {
	s := &t.state.tracing
	if s.tracer == nil || s.within {
		return
	}
	lines, pc := c.closure.proto.lines, c.pc-1
	for len(t.traced) <= t.depth {
		t.traced = append(t.traced, 0)
	}
	before := t.traced[t.depth]
	t.traced[t.depth] = pc
	if s.count++; s.count >= traceEvery {
		s.count = 0
		t.tell(c, func() { s.tracer.Count(t, int(lines[pc])) })
	}
	if pc == 0 || pc <= before || lines[pc] != lines[before] {
		t.tell(c, func() { s.tracer.Line(t, int(lines[pc])) })
	}
}

// tell calls the tracer. Meanwhile all registers of the function at work count as in
// use, so that what the tracer calls does not overwrite them.
func (t *Thread) tell(c *callInfo, f func()) {
	s, top := &t.state.tracing, t.top
	s.within = true
	t.top = max(top, c.top)
	defer func() {
		s.within = false
		t.top = top
	}()
	f()
}

// A Frame is a call that has not returned, as a tracer sees it.
type Frame struct {
	Source string // as errors show it, "[C]" for a Go function
	Line   int    // at which the call is; -1 for a Go function
	// Name is how the caller names the function, empty if that cannot be told.
	Name   string
	Locals []Local
}

// A Local is a local variable in scope.
type Local struct {
	Name  string
	Value Value
}

// Frames are the calls of the thread, the one at work first.
func (t *Thread) Frames() []Frame {
	var frames []Frame
	for i := t.depth; i > 0; i-- {
		c := t.calls[i]
		if c.closure == nil || c.closure.proto == nil {
			frames = append(frames, Frame{Source: "[C]", Line: -1})
			continue
		}
		_, name := t.nameOfCall(i)
		frames = append(frames, Frame{
			Source: chunkName(c.closure.proto.source, chunkNameSize), Line: t.currentLine(c), Name: name, Locals: t.localsOf(c),
		})
	}
	return frames
}

func (t *Thread) localsOf(c *callInfo) (locals []Local) {
	for n := 1; ; n++ {
		name := c.closure.proto.localAt(n, c.pc-1)
		if name == "" {
			return locals
		}
		locals = append(locals, Local{name, t.stack[c.base+n-1]})
	}
}

// Try calls a function and returns its first result, or the error that it raises. It
// does not catch what ends the run as a whole.
func (t *Thread) Try(fn Value, args ...Value) (result Value, err *Error) {
	failure := t.protect(func() { result = t.Call(fn, args...) }, Nil)
	if failure != nil {
		return Nil, &Error{failure.value, failure.source, failure.line, false}
	}
	return result, nil
}
