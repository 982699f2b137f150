package lua

// statement compiles one statement and reports whether it must be the last of its
// block.
func (p *parser) statement() (last bool) {
	line := p.line
	switch p.tok {
	case tokIf:
		p.ifStatement(line)
	case tokWhile:
		p.whileStatement(line)
	case tokDo:
		p.next()
		p.blockBody()
		p.match(tokEnd, tokDo, line)
	case tokFor:
		p.forStatement(line)
	case tokRepeat:
		p.repeatStatement(line)
	case tokFunction:
		p.functionStatement(line)
	case tokLocal:
		p.next()
		if p.accept(tokFunction) {
			p.localFunction()
		} else {
			p.localStatement()
		}
	case tokReturn:
		p.returnStatement()
		return true
	case tokBreak:
		p.next()
		p.breakStatement()
		return true
	default:
		p.exprStatement()
	}
	return false
}

// condition compiles one and returns the jumps that leave when it is false.
func (p *parser) condition() int {
	e := p.expr()
	if e.kind == expNil {
		e.kind = expFalse
	}
	p.fn.goIfTrue(&e)
	return e.f
}

func (p *parser) ifStatement(line int) {
	f := p.fn
	escape := noJump
	otherwise := p.thenBlock()
	for p.tok == tokElseif {
		f.chain(&escape, f.jump())
		f.patchHere(otherwise)
		otherwise = p.thenBlock()
	}
	if p.tok == tokElse {
		f.chain(&escape, f.jump())
		f.patchHere(otherwise)
		p.next()
		p.blockBody()
	} else {
		f.chain(&escape, otherwise)
	}
	f.patchHere(escape)
	p.match(tokEnd, tokIf, line)
}

func (p *parser) thenBlock() int {
	p.next()
	otherwise := p.condition()
	p.expect(tokThen)
	p.blockBody()
	return otherwise
}

func (p *parser) whileStatement(line int) {
	f := p.fn
	p.next()
	start := f.label()
	exit := p.condition()
	p.enterBlock(true)
	p.expect(tokDo)
	p.blockBody()
	f.patch(f.jump(), start)
	p.match(tokEnd, tokWhile, line)
	p.leaveBlock()
	f.patchHere(exit)
}

func (p *parser) repeatStatement(line int) {
	f := p.fn
	start := f.label()
	p.enterBlock(true)
	scope := p.enterBlock(false)
	p.next()
	p.chunkBody()
	p.match(tokUntil, tokRepeat, line)
	again := p.condition() // sees the variables of the block
	if !scope.captured {
		p.leaveBlock()
		f.patch(again, start)
	} else {
		// The variables must be closed on both ways out.
		p.breakStatement()
		f.patchHere(again)
		p.leaveBlock()
		f.patch(f.jump(), start)
	}
	p.leaveBlock()
}

func (p *parser) breakStatement() {
	f := p.fn
	b := f.block
	captured := false
	for b != nil && !b.breakable {
		captured = captured || b.captured
		b = b.outer
	}
	if b == nil {
		p.syntax("no loop to break")
	}
	if captured {
		f.codeABC(opClose, b.active, 0, 0)
	}
	f.chain(&b.breaks, f.jump())
}

func (p *parser) forStatement(line int) {
	p.enterBlock(true)
	p.next()
	name := p.identifier()
	switch p.tok {
	case '=':
		p.numericFor(name, line)
	case ',', tokIn:
		p.genericFor(name)
	default:
		p.syntax("'=' or 'in' expected")
	}
	p.match(tokEnd, tokFor, line)
	p.leaveBlock()
}

func (p *parser) numericFor(name string, line int) {
	f := p.fn
	base := f.free
	p.declare("(for index)", 0)
	p.declare("(for limit)", 1)
	p.declare("(for step)", 2)
	p.declare(name, 3)
	p.expect('=')
	p.toNextReg()
	p.expect(',')
	p.toNextReg()
	if p.accept(',') {
		p.toNextReg()
	} else {
		f.codeABx(opLoadK, f.free, f.constant(Number(1)))
		f.reserve(1)
	}
	p.forBody(base, line, 1, true)
}

func (p *parser) toNextReg() {
	e := p.expr()
	p.fn.toNextReg(&e)
}

func (p *parser) genericFor(name string) {
	base := p.fn.free
	p.declare("(for generator)", 0)
	p.declare("(for state)", 1)
	p.declare("(for control)", 2)
	p.declare(name, 3)
	n := 1
	for p.accept(',') {
		p.declare(p.identifier(), 3+n)
		n++
	}
	p.expect(tokIn)
	line := p.line
	values, e := p.exprList()
	p.adjust(3, values, &e)
	p.fn.checkStack(3)
	p.forBody(base, line, n, false)
}

func (p *parser) forBody(base, line, n int, numeric bool) {
	f := p.fn
	// The control variables come first of those declared.
	first := len(f.proto.locals) - n - 3
	for i := range 3 {
		f.proto.locals[first+i].start = f.pc()
		f.active = append(f.active, first+i)
	}
	p.expect(tokDo)
	var prep int
	if numeric {
		prep = f.codeABx(opForPrep, base, noJump+maxSBx)
	} else {
		prep = f.jump()
	}
	p.enterBlock(false)
	for i := range n {
		f.proto.locals[first+3+i].start = f.pc()
		f.active = append(f.active, first+3+i)
	}
	f.reserve(n)
	p.blockBody()
	p.leaveBlock()
	f.patchHere(prep)
	var end int
	if numeric {
		end = f.codeABx(opForLoop, base, noJump+maxSBx)
	} else {
		end = f.codeABC(opTForLoop, base, 0, n)
	}
	f.fixLine(line)
	if !numeric {
		end = f.jump()
	}
	f.patch(end, prep+1)
}

func (p *parser) functionStatement(line int) {
	p.next()
	e := p.variable()
	for p.tok == '.' {
		p.field(&e)
	}
	method := p.tok == ':'
	if method {
		p.field(&e)
	}
	body := p.function(method, line)
	p.fn.store(&e, &body)
	p.fn.fixLine(line)
}

func (p *parser) localFunction() {
	f := p.fn
	p.declare(p.identifier(), 0)
	local := newExpression(expLocal, f.free)
	f.reserve(1)
	p.activate(1)
	body := p.function(false, p.line)
	f.store(&local, &body)
	f.proto.locals[f.active[len(f.active)-1]].start = f.pc()
}

func (p *parser) localStatement() {
	n := 0
	var names []string
	for {
		names = append(names, p.identifier())
		p.limit(len(p.fn.active)+len(names), maxLocals, "local variables")
		n++
		if !p.accept(',') {
			break
		}
	}
	values, e := 0, newExpression(expVoid, 0)
	if p.accept('=') {
		values, e = p.exprList()
	}
	p.adjust(n, values, &e)
	for i, name := range names {
		p.declare(name, i)
	}
	p.activate(n)
}

func (p *parser) returnStatement() {
	f := p.fn
	p.next()
	if p.endsBlock() || p.tok == ';' {
		f.ret(0, 0)
		return
	}
	n, e := p.exprList()
	first := len(f.active)
	switch {
	case e.isMulti():
		f.setReturns(&e, -1)
		if e.kind == expCall && n == 1 {
			f.at(&e).setOp(opTailCall)
		}
		n = -1
	case n == 1:
		first = f.toAnyReg(&e)
	default:
		f.toNextReg(&e)
	}
	f.ret(first, n)
}

// A target is a variable on the left of an assignment.
type target struct {
	prev *target
	e    expression
}

func (p *parser) exprStatement() {
	t := target{e: p.primary()}
	if t.e.kind == expCall {
		p.fn.at(&t.e).setC(1)
		return
	}
	p.assignment(&t, 1)
}

func (p *parser) assignment(t *target, n int) {
	f := p.fn
	if t.e.kind < expLocal || t.e.kind > expIndexed {
		p.syntax("syntax error")
	}
	var e expression
	if p.accept(',') {
		next := target{prev: t, e: p.primary()}
		if next.e.kind == expLocal {
			p.resolveConflict(t, &next.e)
		}
		p.limit(n, maxLevels-p.levels, "variables in assignment")
		p.assignment(&next, n+1)
	} else {
		p.expect('=')
		var values int
		values, e = p.exprList()
		if values == n {
			f.setOneReturn(&e)
			f.store(&t.e, &e)
			return
		}
		p.adjust(n, values, &e)
		if values > n {
			f.free -= values - n
		}
	}
	e = newExpression(expFixed, f.free-1)
	f.store(&t.e, &e)
}

// resolveConflict copies a local variable that is assigned to and also a table or
// a key of a target before it.
func (p *parser) resolveConflict(t *target, local *expression) {
	f := p.fn
	extra := f.free
	conflict := false
	for ; t != nil; t = t.prev {
		if t.e.kind != expIndexed {
			continue
		}
		if t.e.info == local.info {
			conflict, t.e.info = true, extra
		}
		if t.e.aux == local.info {
			conflict, t.e.aux = true, extra
		}
	}
	if conflict {
		f.codeABC(opMove, f.free, local.info, 0)
		f.reserve(1)
	}
}
