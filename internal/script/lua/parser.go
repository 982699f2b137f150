package lua

import "fmt"

const (
	maxLevels   = 200 // of nesting
	maxLocals   = 200
	maxUpvalues = 60
)

// A parser compiles in one pass, as PUC Lua does.
type parser struct {
	lexer
	fn     *funcState
	levels int
}

// Compile makes a function of a source. The name tells errors where it comes
// from: "@user_script" is shown as user_script. The error is a line as PUC Lua
// words it.
func Compile(source, name string) (proto *Proto, err error) {
	if len(source) > 0 && source[0] == '\x1b' {
		return nil, &syntaxError{chunkName(name, sourceNameSize) + ": bad binary format"}
	}
	p := &parser{lexer: lexer{src: source, chunk: chunkName(name, sourceNameSize), line: 1, last: 1}}
	defer func() {
		if r := recover(); r != nil {
			failure, ok := r.(*syntaxError)
			if !ok {
				panic(r)
			}
			proto, err = nil, failure
		}
	}()
	p.open(0)
	p.fn.proto.source = name
	p.fn.proto.vararg = isVararg
	p.next()
	p.chunkBody()
	p.check(tokEOF)
	return p.close(), nil
}

func (x *lexer) syntax(message string) { x.fail(message, x.tok) }

func (p *parser) expected(tok token) { p.syntax("'" + tokenName(tok) + "' expected") }

func (p *parser) limit(n, limit int, what string) {
	if n <= limit {
		return
	}
	where := "main function"
	if line := p.fn.proto.line; line != 0 {
		where = fmt.Sprintf("function at line %d", line)
	}
	p.fail(fmt.Sprintf("%s has more than %d %s", where, limit, what), 0)
}

func (p *parser) accept(tok token) bool {
	if p.tok != tok {
		return false
	}
	p.next()
	return true
}

func (p *parser) check(tok token) {
	if p.tok != tok {
		p.expected(tok)
	}
}

func (p *parser) expect(tok token) {
	p.check(tok)
	p.next()
}

// match expects what closes who, which was opened on a line.
func (p *parser) match(what, who token, line int) {
	if p.accept(what) {
		return
	}
	if line == p.line {
		p.expected(what)
	}
	p.syntax(fmt.Sprintf("'%s' expected (to close '%s' at line %d)", tokenName(what), tokenName(who), line))
}

func (p *parser) identifier() string {
	p.check(tokName)
	name := p.text
	p.next()
	return name
}

func (p *parser) enter() {
	if p.levels++; p.levels > maxLevels {
		p.fail("chunk has too many syntax levels", 0)
	}
}

func (p *parser) leave() { p.levels-- }

func (p *parser) open(line int) {
	f := &funcState{
		proto: &Proto{line: line, maxStack: 2}, outer: p.fn, lex: &p.lexer,
		constants: make(map[Value]int), strings: make(map[string]int), lastTarget: -1, pending: noJump,
	}
	if p.fn != nil {
		f.proto.source = p.fn.proto.source
	}
	p.fn = f
}

func (p *parser) close() *Proto {
	f := p.fn
	p.dropLocals(0)
	f.ret(0, 0)
	f.proto.upvals = len(f.upvals)
	f.proto.run = f.proto.code
	p.fn = f.outer
	return f.proto
}

// Variables.

// declare adds a local variable, which comes into scope with activate; n is how
// many were declared before it and are not active.
func (p *parser) declare(name string, n int) {
	f := p.fn
	p.limit(len(f.active)+n+1, maxLocals, "local variables")
	f.proto.locals = append(f.proto.locals, localName{name: name})
}

// activate brings the last n declared variables into scope.
func (p *parser) activate(n int) {
	f := p.fn
	first := len(f.proto.locals) - n
	for i := range n {
		f.proto.locals[first+i].start = f.pc()
		f.active = append(f.active, first+i)
	}
}

func (p *parser) dropLocals(to int) {
	f := p.fn
	for len(f.active) > to {
		f.proto.locals[f.active[len(f.active)-1]].end = f.pc()
		f.active = f.active[:len(f.active)-1]
	}
}

func (f *funcState) searchLocal(name string) int {
	for i := len(f.active) - 1; i >= 0; i-- {
		if f.proto.locals[f.active[i]].name == name {
			return i
		}
	}
	return -1
}

func (p *parser) upvalue(f *funcState, name string, kind expKind, info int) int {
	for i, u := range f.upvals {
		if u.kind == kind && u.info == info {
			return i
		}
	}
	if len(f.upvals)+1 > maxUpvalues {
		saved := p.fn
		p.fn = f
		p.limit(len(f.upvals)+1, maxUpvalues, "upvalues")
		p.fn = saved
	}
	f.upvals = append(f.upvals, upvalDesc{kind, info})
	f.proto.upvalues = append(f.proto.upvalues, name)
	return len(f.upvals) - 1
}

// resolve finds a variable from a function outwards.
func (p *parser) resolve(f *funcState, name string, own bool) (expKind, int) {
	if f == nil {
		return expGlobal, noRegister
	}
	if reg := f.searchLocal(name); reg >= 0 {
		if !own {
			b := f.block
			for b != nil && b.active > reg {
				b = b.outer
			}
			if b != nil {
				b.captured = true
			}
		}
		return expLocal, reg
	}
	kind, info := p.resolve(f.outer, name, false)
	if kind == expGlobal {
		return kind, info
	}
	return expUpval, p.upvalue(f, name, kind, info)
}

func (p *parser) variable() expression {
	name := p.identifier()
	kind, info := p.resolve(p.fn, name, true)
	if kind == expGlobal {
		info = p.fn.stringConstant(name)
	}
	return newExpression(kind, info)
}

func (p *parser) adjust(variables, values int, e *expression) {
	f := p.fn
	extra := variables - values
	if e.isMulti() {
		extra = max(extra+1, 0)
		f.setReturns(e, extra)
		if extra > 1 {
			f.reserve(extra - 1)
		}
		return
	}
	if e.kind != expVoid {
		f.toNextReg(e)
	}
	if extra > 0 {
		reg := f.free
		f.reserve(extra)
		f.loadNil(reg, extra)
	}
}

// Blocks.

func (p *parser) enterBlock(breakable bool) *block {
	f := p.fn
	f.block = &block{outer: f.block, breaks: noJump, active: len(f.active), breakable: breakable}
	return f.block
}

func (p *parser) leaveBlock() {
	f := p.fn
	b := f.block
	f.block = b.outer
	p.dropLocals(b.active)
	if b.captured {
		f.codeABC(opClose, b.active, 0, 0)
	}
	f.free = len(f.active)
	f.patchHere(b.breaks)
}

func (p *parser) blockBody() {
	p.enterBlock(false)
	p.chunkBody()
	p.leaveBlock()
}

func (p *parser) endsBlock() bool {
	switch p.tok {
	case tokElse, tokElseif, tokEnd, tokUntil, tokEOF:
		return true
	}
	return false
}

func (p *parser) chunkBody() {
	p.enter()
	for last := false; !last && !p.endsBlock(); {
		last = p.statement()
		p.accept(';')
		p.fn.free = len(p.fn.active)
	}
	p.leave()
}

// Expressions.

func (p *parser) field(e *expression) {
	p.fn.toAnyReg(e)
	p.next()
	key := newExpression(expK, p.fn.stringConstant(p.identifier()))
	p.fn.indexed(e, &key)
}

func (p *parser) index() expression {
	p.next()
	e := p.expr()
	p.fn.toValue(&e)
	p.expect(']')
	return e
}

// A constructor is a table constructor that is being compiled.
type constructor struct {
	item    expression // the last list item, not stored yet
	table   int
	records int
	items   int
	pending int // items in registers
}

func (p *parser) constructor() expression {
	f := p.fn
	line := p.line
	pc := f.codeABC(opNewTable, 0, 0, 0)
	t := newExpression(expRelocable, pc)
	f.toNextReg(&t)
	c := constructor{item: newExpression(expVoid, 0), table: t.info}
	p.expect('{')
	for p.tok != '}' {
		p.closeItem(&c)
		switch {
		case p.tok == tokName && p.peek() == '=', p.tok == '[':
			p.record(&c)
		default:
			c.item = p.expr()
			c.items++
			c.pending++
		}
		if !p.accept(',') && !p.accept(';') {
			break
		}
	}
	p.match('}', '{', line)
	p.lastItem(&c)
	f.proto.code[pc].setB(toFloatingByte(c.items))
	f.proto.code[pc].setC(toFloatingByte(c.records))
	return t
}

func (p *parser) closeItem(c *constructor) {
	if c.item.kind == expVoid {
		return
	}
	p.fn.toNextReg(&c.item)
	c.item.kind = expVoid
	if c.pending == fieldsPerFlush {
		p.fn.setList(c.table, c.items, c.pending)
		c.pending = 0
	}
}

func (p *parser) lastItem(c *constructor) {
	if c.pending == 0 {
		return
	}
	if c.item.isMulti() {
		p.fn.setReturns(&c.item, -1)
		p.fn.setList(c.table, c.items, 0)
		c.items-- // it counts as unknown
		return
	}
	if c.item.kind != expVoid {
		p.fn.toNextReg(&c.item)
	}
	p.fn.setList(c.table, c.items, c.pending)
}

func (p *parser) record(c *constructor) {
	f := p.fn
	reg := f.free
	var key expression
	if p.tok == tokName {
		key = newExpression(expK, f.stringConstant(p.identifier()))
	} else {
		key = p.index()
	}
	c.records++
	p.expect('=')
	k := f.toRK(&key)
	value := p.expr()
	f.codeABC(opSetTable, c.table, k, f.toRK(&value))
	f.free = reg
}

// toFloatingByte packs a size as (1xxx) * 2^(eeeee-1), rounded up.
func toFloatingByte(n int) int {
	e := 0
	for n >= 16 {
		n = (n + 1) >> 1
		e++
	}
	if n < 8 {
		return n
	}
	return (e+1)<<3 | (n - 8)
}

func fromFloatingByte(b int) int {
	e := b >> 3 & 31
	if e == 0 {
		return b
	}
	return (b&7 + 8) << (e - 1)
}

func (p *parser) parameters() {
	f := p.fn
	n := 0
	if p.tok != ')' {
		for {
			switch p.tok {
			case tokName:
				p.declare(p.identifier(), n)
				n++
			case tokDots:
				p.next()
				p.declare("arg", n)
				n++
				f.proto.vararg = isVararg | hasArgVar
				f.proto.needsArg = true
			default:
				p.syntax("<name> or '...' expected")
			}
			if f.proto.vararg != 0 || !p.accept(',') {
				break
			}
		}
	}
	p.activate(n)
	f.proto.params = len(f.active)
	if f.proto.vararg&hasArgVar != 0 {
		f.proto.params--
	}
	f.reserve(len(f.active))
}

func (p *parser) function(method bool, line int) expression {
	p.open(line)
	inner := p.fn
	p.expect('(')
	if method {
		p.declare("self", 0)
		p.activate(1)
	}
	p.parameters()
	p.expect(')')
	p.chunkBody()
	p.match(tokEnd, tokFunction, line)
	proto := p.close()

	f := p.fn
	f.proto.protos = append(f.proto.protos, proto)
	e := newExpression(expRelocable, f.codeABx(opClosure, 0, len(f.proto.protos)-1))
	for _, u := range inner.upvals {
		op := opGetUpval
		if u.kind == expLocal {
			op = opMove
		}
		f.codeABC(op, 0, u.info, 0)
	}
	return e
}

func (p *parser) exprList() (int, expression) {
	n := 1
	e := p.expr()
	for p.accept(',') {
		p.fn.toNextReg(&e)
		e = p.expr()
		n++
	}
	return n, e
}

func (p *parser) arguments(e *expression) {
	f := p.fn
	line := p.line
	args := newExpression(expVoid, 0)
	switch p.tok {
	case '(':
		if line != p.last {
			p.syntax("ambiguous syntax (function call x new statement)")
		}
		p.next()
		if p.tok != ')' {
			_, args = p.exprList()
			f.setReturns2(&args)
		}
		p.match(')', '(', line)
	case '{':
		args = p.constructor()
	case tokString:
		args = newExpression(expK, f.stringConstant(p.text))
		p.next()
	default:
		p.syntax("function arguments expected")
	}
	base := e.info
	n := 0 // open
	if !args.isMulti() {
		if args.kind != expVoid {
			f.toNextReg(&args)
		}
		n = f.free - base
	}
	*e = newExpression(expCall, f.codeABC(opCall, base, n, 2))
	f.fixLine(line)
	f.free = base + 1
}

// setReturns2 leaves the number of results open if there may be several.
func (f *funcState) setReturns2(e *expression) {
	if e.isMulti() {
		f.setReturns(e, -1)
	}
}

func (p *parser) prefixExpr() expression {
	switch p.tok {
	case '(':
		line := p.line
		p.next()
		e := p.expr()
		p.match(')', '(', line)
		p.fn.dischargeVars(&e)
		return e
	case tokName:
		return p.variable()
	}
	p.syntax("unexpected symbol")
	return expression{}
}

func (p *parser) primary() expression {
	f := p.fn
	e := p.prefixExpr()
	for {
		switch p.tok {
		case '.':
			p.field(&e)
		case '[':
			f.toAnyReg(&e)
			key := p.index()
			f.indexed(&e, &key)
		case ':':
			p.next()
			key := newExpression(expK, f.stringConstant(p.identifier()))
			f.self(&e, &key)
			p.arguments(&e)
		case '(', tokString, '{':
			f.toNextReg(&e)
			p.arguments(&e)
		default:
			return e
		}
	}
}

func (p *parser) simple() (e expression) {
	switch p.tok {
	case tokNumber:
		e = newExpression(expNumber, 0)
		e.number = p.number
	case tokString:
		e = newExpression(expK, p.fn.stringConstant(p.text))
	case tokNil:
		e = newExpression(expNil, 0)
	case tokTrue:
		e = newExpression(expTrue, 0)
	case tokFalse:
		e = newExpression(expFalse, 0)
	case tokDots:
		f := p.fn
		if f.proto.vararg == 0 {
			p.syntax("cannot use '...' outside a vararg function")
		}
		f.proto.needsArg = false
		e = newExpression(expVararg, f.codeABC(opVararg, 0, 1, 0))
	case '{':
		return p.constructor()
	case tokFunction:
		p.next()
		return p.function(false, p.line)
	default:
		return p.primary()
	}
	p.next()
	return e
}

// priority is how strongly a binary operator binds to its left and right.
func priority(tok token) (left, right int) {
	switch tok {
	case '+', '-':
		return 6, 6
	case '*', '/', '%':
		return 7, 7
	case '^':
		return 10, 9
	case tokConcat:
		return 5, 4
	case tokNe, tokEq, '<', tokLe, '>', tokGe:
		return 3, 3
	case tokAnd:
		return 2, 2
	case tokOr:
		return 1, 1
	}
	return 0, 0
}

const unaryPriority = 8

func (p *parser) expr() expression { return p.subExpr(0) }

// subExpr reads operators that bind more strongly than limit.
func (p *parser) subExpr(limit int) (e expression) {
	p.enter()
	switch op := p.tok; op {
	case tokNot, '-', '#':
		p.next()
		e = p.subExpr(unaryPriority)
		p.fn.prefix(op, &e)
	default:
		e = p.simple()
	}
	for {
		op := p.tok
		left, right := priority(op)
		if left <= limit {
			break
		}
		p.next()
		p.fn.infix(op, &e)
		second := p.subExpr(right)
		p.fn.posfix(op, &e, &second)
	}
	p.leave()
	return e
}
