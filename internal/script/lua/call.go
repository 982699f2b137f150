package lua

// What came of a call.
type callResult uint8

const (
	calledLua callResult = iota // the frame is there: execute it
	calledGo                    // it has returned
	yielded                     // it wants the thread to be suspended
)

// yieldRequest is what the function coroutine.yield returns.
const yieldRequest = -1 << 30

func (t *Thread) pushCall() *callInfo {
	if t.depth+1 >= maxCalls {
		t.tooDeep()
	}
	t.depth++
	if t.depth < len(t.calls) {
		c := t.calls[t.depth]
		c.pc, c.tails = 0, 0
		return c
	}
	c := &callInfo{}
	t.calls = append(t.calls, c)
	t.state.allocated(80)
	return c
}

// tooDeep raises the error of too many calls within each other. Who handles it
// may go a little deeper.
func (t *Thread) tooDeep() {
	switch {
	case !t.handling:
		t.runError("stack overflow")
	case t.depth+1 >= maxCalls+64:
		panic(&thrown{value: String("error in error handling")})
	}
}

// precall begins a call of the function in slot fn with the arguments behind it.
// A Go function runs at once.
func (t *Thread) precall(fn, results int) callResult {
	closure := t.stack[fn].Closure()
	if closure == nil {
		closure = t.callable(fn)
	}
	if closure.native != nil {
		return t.callGo(closure, fn, results)
	}
	p := closure.proto
	base := fn + 1
	if p.vararg != 0 {
		base = t.varargs(p, fn)
	} else if have := t.top - base; have > p.params {
		t.top = base + p.params
	}
	end := base + p.maxStack
	if end+minStack > len(t.stack) {
		t.growStack(end + minStack)
	}
	if end > t.high {
		t.high = end
	}
	c := t.pushCall()
	c.closure, c.fn, c.base, c.top, c.results = closure, fn, base, end, results
	clear(t.stack[t.top:end])
	t.top = end
	return calledLua
}

// varargs moves the named parameters behind the arguments and returns where they
// are.
func (t *Thread) varargs(p *Proto, fn int) int {
	n := t.top - fn - 1
	t.ensure(p.params + 1 + max(0, p.params-n))
	for ; n < p.params; n++ {
		t.stack[t.top] = Nil
		t.top++
	}
	var arg *Table
	if p.needsArg {
		extra := n - p.params
		arg = t.state.newTable(extra, 1)
		for i := range extra {
			arg.SetInt(i+1, t.stack[t.top-extra+i])
		}
		arg.SetStr("n", Int(extra))
	}
	fixed, base := t.top-n, t.top
	for i := range p.params {
		t.stack[base+i] = t.stack[fixed+i]
		t.stack[fixed+i] = Nil
	}
	t.top = base + p.params
	if p.vararg&hasArgVar != 0 {
		if arg != nil {
			t.stack[t.top] = arg.Value()
		} else {
			t.stack[t.top] = Nil
		}
		t.top++
	}
	return base
}

func (t *Thread) callGo(closure *Closure, fn, results int) callResult {
	t.ensure(minStack)
	c := t.pushCall()
	c.closure, c.fn, c.base, c.top, c.results = closure, fn, fn+1, t.top+minStack, results
	n := closure.native(t)
	if n == yieldRequest {
		return yielded
	}
	t.finish(t.top - n)
	return calledGo
}

// callable finds the function that is called for a value that is none: its
// metamethod, with the value as the first argument.
func (t *Thread) callable(fn int) *Closure {
	meta := t.metamethod(t.stack[fn], eventCall)
	closure := meta.Closure()
	if closure == nil {
		t.typeError(fn, t.stack[fn], "call")
	}
	t.ensure(1)
	copy(t.stack[fn+1:t.top+1], t.stack[fn:t.top])
	t.top++
	t.stack[fn] = meta
	return closure
}

// finish ends the call at work with the results from slot first on, and reports
// whether their number was fixed.
func (t *Thread) finish(first int) bool {
	c := t.calls[t.depth]
	t.depth--
	to, wanted := c.fn, c.results
	if wanted == 1 { // the most common
		if first < t.top {
			t.stack[to] = t.stack[first]
		} else {
			t.stack[to] = Nil
		}
		t.top = to + 1
		return true
	}
	n := t.top - first
	if wanted >= 0 && n > wanted {
		n = wanted
	}
	copy(t.stack[to:to+n], t.stack[first:first+n])
	to += n
	for ; n < wanted; n++ {
		t.stack[to] = Nil
		to++
	}
	t.top = to
	return wanted >= 0
}

// call calls the function in slot fn from Go.
func (t *Thread) call(fn, results int) {
	s := t.state
	s.goDepth++
	if s.goDepth >= maxGoCalls {
		if s.goDepth == maxGoCalls {
			t.runError("C stack overflow")
		} else if s.goDepth >= maxGoCalls+maxGoCalls/8 {
			panic(&thrown{value: String("error in error handling")})
		}
	}
	switch t.precall(fn, results) {
	case calledLua:
		t.execute(1)
	case yielded:
		// yield saw that goDepth is not what it was at the resume.
		panic("lua: yield across a Go call")
	}
	s.goDepth--
}

// Call calls a function with arguments from a Go function and returns its first
// result.
func (t *Thread) Call(fn Value, args ...Value) Value {
	t.ensure(len(args) + minStack)
	at := t.top
	t.Push(fn)
	for _, a := range args {
		t.Push(a)
	}
	t.call(at, 1)
	t.top--
	return t.stack[t.top]
}
