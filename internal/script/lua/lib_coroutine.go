package lua

var coroutineFunctions = []Function{
	{"create", coroutineCreate}, {"resume", coroutineResume}, {"running", coroutineRunning}, {"status", coroutineStatus},
	{"wrap", coroutineWrap}, {"yield", coroutineYield},
}

// newCoroutine makes a thread that will call a function.
func (t *Thread) newCoroutine(fn Value) *Thread {
	if c := fn.Closure(); c == nil || c.proto == nil {
		t.ArgError(1, "Lua function expected")
	}
	co := t.state.newThread()
	co.env = t.env
	co.Push(fn)
	return co
}

func coroutineCreate(t *Thread) int {
	t.Push(t.newCoroutine(t.Arg(1)).value())
	return 1
}

func (t *Thread) statusOf(co *Thread) string {
	switch {
	case co == t:
		return "running"
	case co.status == statusRunning:
		return "normal"
	case co.status == statusDead:
		return "dead"
	}
	return "suspended"
}

func (t *Thread) checkCoroutine() *Thread {
	co := t.Arg(1).thread()
	if co == nil {
		t.ArgError(1, "coroutine expected")
	}
	return co
}

func coroutineStatus(t *Thread) int {
	t.Push(String(t.statusOf(t.checkCoroutine())))
	return 1
}

func coroutineRunning(t *Thread) int {
	if t == t.state.main {
		t.Push(Nil)
	} else {
		t.Push(t.value())
	}
	return 1
}

func coroutineYield(t *Thread) int {
	if t.state.goDepth != t.base || t == t.state.main {
		t.runError("attempt to yield across metamethod/C-call boundary")
	}
	return yieldRequest
}

// resume runs a thread with the arguments from slot first of t on. What it yields
// or returns is pushed; its error is returned.
func (t *Thread) resume(co *Thread, first int) (results int, failure *thrown) {
	if status := t.statusOf(co); status != "suspended" {
		return 0, &thrown{value: String("cannot resume " + status + " coroutine")}
	}
	s := t.state
	if s.goDepth+1 >= maxGoCalls {
		return 0, &thrown{value: String("C stack overflow")}
	}
	n := t.top - first
	co.ensure(n + minStack)
	fresh := co.status == statusNew
	copy(co.stack[co.top:], t.stack[first:t.top])
	co.top += n
	co.status = statusRunning
	s.goDepth++
	co.base = s.goDepth
	failure = co.protect(func() { co.proceed(fresh, n) }, Nil)
	s.goDepth--
	if failure != nil {
		co.status = statusDead
		return 0, failure
	}
	from := 1
	if co.depth == 0 {
		co.status = statusDead
	} else {
		co.status = statusYielded
		from = co.calls[co.depth].base
	}
	results = co.top - from
	t.ensure(results + minStack)
	copy(t.stack[t.top:], co.stack[from:co.top])
	t.top += results
	co.top = from
	return results, nil
}

// proceed begins or continues a thread, whose n arguments are on its stack.
func (t *Thread) proceed(fresh bool, n int) {
	if fresh {
		if t.precall(t.top-n-1, -1) == calledLua {
			t.execute(1)
		}
		return
	}
	// The call of yield returns the arguments.
	if t.finish(t.top-n) && t.depth > 0 {
		t.top = t.calls[t.depth].top
	}
	if t.depth > 0 {
		t.execute(t.depth)
	}
}

func coroutineResume(t *Thread) int {
	co := t.checkCoroutine()
	at := t.calls[t.depth].base
	n, failure := t.resume(co, at+1)
	if failure != nil {
		t.Push(Bool(false))
		t.Push(failure.value)
		return 2
	}
	t.ensure(1)
	from := t.top - n
	copy(t.stack[from+1:t.top+1], t.stack[from:t.top])
	t.stack[from] = Bool(true)
	t.top++
	return n + 1
}

func coroutineWrap(t *Thread) int {
	co := t.newCoroutine(t.Arg(1))
	c := &Closure{native: wrapped, env: t.env, bound: co.value(), id: t.state.nextID()}
	t.Push(c.value())
	return 1
}

func wrapped(t *Thread) int {
	c := t.calls[t.depth]
	n, failure := t.resume(c.closure.bound.thread(), c.base)
	if failure != nil {
		v := failure.value
		if s, ok := v.ToString(); ok {
			v = String(t.where(1) + s)
		}
		t.Throw(v)
	}
	return n
}
