package lua

import "math"

// noJump ends a list of jumps. The jumps of a list are chained through their own
// offsets until their target is known.
const noJump = -1

// An expKind says where the value of an expression is.
type expKind uint8

const (
	expVoid      expKind = iota
	expNil               //
	expTrue              //
	expFalse             //
	expK                 // info: constant
	expNumber            // number
	expLocal             // info: register
	expUpval             // info: upvalue
	expGlobal            // info: constant with the name
	expIndexed           // info: register of the table, aux: RK of the key
	expJump              // info: pc of the jump
	expRelocable         // info: pc of an instruction whose A is still open
	expFixed             // info: register
	expCall              // info: pc
	expVararg            // info: pc
)

// An expression is what the parser knows of one whose code is not complete.
type expression struct {
	kind      expKind
	info, aux int
	number    float64
	t, f      int // lists of jumps that leave when it is true, false
}

func newExpression(kind expKind, info int) expression {
	return expression{kind: kind, info: info, t: noJump, f: noJump}
}

func (e *expression) hasJumps() bool  { return e.t != e.f }
func (e *expression) isNumeral() bool { return e.kind == expNumber && !e.hasJumps() }
func (e *expression) isMulti() bool   { return e.kind == expCall || e.kind == expVararg }

// A block is a scope of local variables.
type block struct {
	outer     *block
	breaks    int // list of jumps out of the loop
	active    int // variables active outside of it
	captured  bool
	breakable bool
}

type upvalDesc struct {
	kind expKind // expLocal or expUpval of the function around
	info int
}

// A funcState is a function that is being compiled.
type funcState struct {
	proto      *Proto
	outer      *funcState
	lex        *lexer
	block      *block
	constants  map[Value]int // numbers, booleans, nil
	strings    map[string]int
	free       int   // first free register
	active     []int // of the variables in scope: their indexes in proto.locals
	upvals     []upvalDesc
	lastTarget int
	pending    int // jumps to the next instruction
}

func (f *funcState) pc() int { return len(f.proto.code) }

func (f *funcState) emit(i instruction, line int) int {
	f.patchAux(f.pending, f.pc(), noRegister, f.pc())
	f.pending = noJump
	f.proto.code = append(f.proto.code, i)
	f.proto.lines = append(f.proto.lines, int32(line))
	return f.pc() - 1
}

func (f *funcState) codeABC(op opcode, a, b, c int) int {
	return f.emit(makeABC(op, a, b, c), f.lex.last)
}

func (f *funcState) codeABx(op opcode, a, bx int) int {
	return f.emit(makeABx(op, a, bx), f.lex.last)
}

func (f *funcState) fixLine(line int) { f.proto.lines[f.pc()-1] = int32(line) }

func (f *funcState) at(e *expression) *instruction { return &f.proto.code[e.info] }

// loadNil sets n registers to nil, if possible by the instruction before.
func (f *funcState) loadNil(from, n int) {
	if pc := f.pc(); pc > f.lastTarget {
		if pc == 0 {
			if from >= len(f.active) {
				return // a function starts with clean registers
			}
		} else if prev := &f.proto.code[pc-1]; prev.op() == opLoadNil {
			if prev.a() <= from && from <= prev.b()+1 {
				if from+n-1 > prev.b() {
					prev.setB(from + n - 1)
				}
				return
			}
		}
	}
	f.codeABC(opLoadNil, from, from+n-1, 0)
}

func (f *funcState) jump() int {
	pending := f.pending
	f.pending = noJump
	j := f.codeABx(opJmp, 0, noJump+maxSBx)
	f.chain(&j, pending)
	return j
}

func (f *funcState) ret(first, n int) { f.codeABC(opReturn, first, n+1, 0) }

func (f *funcState) condJump(op opcode, a, b, c int) int {
	f.codeABC(op, a, b, c)
	return f.jump()
}

func (f *funcState) fixJump(pc, dest int) {
	offset := dest - (pc + 1)
	if offset > maxSBx || offset < -maxSBx {
		f.lex.syntax("control structure too long")
	}
	f.proto.code[pc].setSBx(offset)
}

// label makes the next instruction one that is jumped to.
func (f *funcState) label() int {
	f.lastTarget = f.pc()
	return f.pc()
}

func (f *funcState) jumpTarget(pc int) int {
	if offset := f.proto.code[pc].sbx(); offset != noJump {
		return pc + 1 + offset
	}
	return noJump
}

// control is the instruction that decides on a jump: the test before it, if any.
func (f *funcState) control(pc int) *instruction {
	if pc >= 1 {
		switch i := &f.proto.code[pc-1]; i.op() {
		case opEq, opLt, opLe, opTest, opTestSet, opTForLoop:
			return i
		}
	}
	return &f.proto.code[pc]
}

// needsValue reports whether a jump of the list leaves without a value in a
// register.
func (f *funcState) needsValue(list int) bool {
	for ; list != noJump; list = f.jumpTarget(list) {
		if f.control(list).op() != opTestSet {
			return true
		}
	}
	return false
}

func (f *funcState) patchTest(pc, reg int) bool {
	i := f.control(pc)
	if i.op() != opTestSet {
		return false
	}
	if reg != noRegister && reg != i.b() {
		i.setA(reg)
	} else {
		*i = makeABC(opTest, i.b(), 0, i.c())
	}
	return true
}

func (f *funcState) dropValues(list int) {
	for ; list != noJump; list = f.jumpTarget(list) {
		f.patchTest(list, noRegister)
	}
}

// patchAux sends the jumps that give reg a value to one place, the others to
// another.
func (f *funcState) patchAux(list, valueTarget, reg, target int) {
	for list != noJump {
		next := f.jumpTarget(list)
		if f.patchTest(list, reg) {
			f.fixJump(list, valueTarget)
		} else {
			f.fixJump(list, target)
		}
		list = next
	}
}

func (f *funcState) patch(list, target int) {
	if target == f.pc() {
		f.patchHere(list)
		return
	}
	f.patchAux(list, target, noRegister, target)
}

func (f *funcState) patchHere(list int) {
	f.label()
	f.chain(&f.pending, list)
}

// chain appends the list second to first.
func (f *funcState) chain(first *int, second int) {
	if second == noJump {
		return
	}
	if *first == noJump {
		*first = second
		return
	}
	last := *first
	for next := f.jumpTarget(last); next != noJump; next = f.jumpTarget(last) {
		last = next
	}
	f.fixJump(last, second)
}

const maxRegisters = 250

func (f *funcState) checkStack(n int) {
	if need := f.free + n; need > f.proto.maxStack {
		if need >= maxRegisters {
			f.lex.syntax("function or expression too complex")
		}
		f.proto.maxStack = need
	}
}

func (f *funcState) reserve(n int) {
	f.checkStack(n)
	f.free += n
}

func (f *funcState) freeReg(reg int) {
	if reg&constantBit == 0 && reg >= len(f.active) {
		f.free--
	}
}

func (f *funcState) freeExp(e *expression) {
	if e.kind == expFixed {
		f.freeReg(e.info)
	}
}

func (f *funcState) addConstant(v Value) int {
	if len(f.proto.constants) > maxBx {
		f.lex.syntax("constant table overflow")
	}
	hash := uint32(0)
	if v.isString() {
		hash = stringHash(v.Str())
	}
	f.proto.constants = append(f.proto.constants, v)
	f.proto.hashes = append(f.proto.hashes, hash)
	return len(f.proto.constants) - 1
}

func (f *funcState) stringConstant(s string) int {
	if i, ok := f.strings[s]; ok {
		return i
	}
	i := f.addConstant(String(s))
	f.strings[s] = i
	return i
}

// constant finds the place of a number, a boolean or nil among the constants. As
// in PUC Lua, 0 and -0 are one constant, whichever comes first.
func (f *funcState) constant(v Value) int {
	if v.isNumber() && v.Float() == 0 {
		if i, ok := f.constants[Number(0)]; ok {
			return i
		}
		i := f.addConstant(v)
		f.constants[Number(0)] = i
		return i
	}
	if i, ok := f.constants[v]; ok {
		return i
	}
	i := f.addConstant(v)
	f.constants[v] = i
	return i
}

func (f *funcState) setReturns(e *expression, n int) {
	switch e.kind {
	case expCall:
		f.at(e).setC(n + 1)
	case expVararg:
		f.at(e).setB(n + 1)
		f.at(e).setA(f.free)
		f.reserve(1)
	}
}

func (f *funcState) setOneReturn(e *expression) {
	switch e.kind {
	case expCall:
		e.kind, e.info = expFixed, f.at(e).a()
	case expVararg:
		f.at(e).setB(2)
		e.kind = expRelocable
	}
}

// dischargeVars makes a variable or a call a value.
func (f *funcState) dischargeVars(e *expression) {
	switch e.kind {
	case expLocal:
		e.kind = expFixed
	case expUpval:
		e.kind, e.info = expRelocable, f.codeABC(opGetUpval, 0, e.info, 0)
	case expGlobal:
		e.kind, e.info = expRelocable, f.codeABx(opGetGlobal, 0, e.info)
	case expIndexed:
		f.freeReg(e.aux)
		f.freeReg(e.info)
		e.kind, e.info = expRelocable, f.codeABC(opGetTable, 0, e.info, e.aux)
	case expVararg, expCall:
		f.setOneReturn(e)
	}
}

func (f *funcState) discharge(e *expression, reg int) {
	f.dischargeVars(e)
	switch e.kind {
	case expNil:
		f.loadNil(reg, 1)
	case expTrue, expFalse:
		b := 0
		if e.kind == expTrue {
			b = 1
		}
		f.codeABC(opLoadBool, reg, b, 0)
	case expK:
		f.codeABx(opLoadK, reg, e.info)
	case expNumber:
		f.codeABx(opLoadK, reg, f.constant(Number(e.number)))
	case expRelocable:
		f.at(e).setA(reg)
	case expFixed:
		if reg != e.info {
			f.codeABC(opMove, reg, e.info, 0)
		}
	default:
		return
	}
	e.kind, e.info = expFixed, reg
}

func (f *funcState) dischargeAny(e *expression) {
	if e.kind != expFixed {
		f.reserve(1)
		f.discharge(e, f.free-1)
	}
}

func (f *funcState) toReg(e *expression, reg int) {
	f.discharge(e, reg)
	if e.kind == expJump {
		f.chain(&e.t, e.info)
	}
	if e.hasJumps() {
		loadFalse, loadTrue := noJump, noJump
		if f.needsValue(e.t) || f.needsValue(e.f) {
			over := noJump
			if e.kind != expJump {
				over = f.jump()
			}
			f.label()
			loadFalse = f.codeABC(opLoadBool, reg, 0, 1)
			f.label()
			loadTrue = f.codeABC(opLoadBool, reg, 1, 0)
			f.patchHere(over)
		}
		end := f.label()
		f.patchAux(e.f, end, reg, loadFalse)
		f.patchAux(e.t, end, reg, loadTrue)
	}
	*e = newExpression(expFixed, reg)
}

func (f *funcState) toNextReg(e *expression) {
	f.dischargeVars(e)
	f.freeExp(e)
	f.reserve(1)
	f.toReg(e, f.free-1)
}

func (f *funcState) toAnyReg(e *expression) int {
	f.dischargeVars(e)
	if e.kind == expFixed {
		if !e.hasJumps() {
			return e.info
		}
		if e.info >= len(f.active) {
			f.toReg(e, e.info)
			return e.info
		}
	}
	f.toNextReg(e)
	return e.info
}

func (f *funcState) toValue(e *expression) {
	if e.hasJumps() {
		f.toAnyReg(e)
	} else {
		f.dischargeVars(e)
	}
}

// toRK makes an expression an operand: a constant or a register.
func (f *funcState) toRK(e *expression) int {
	f.toValue(e)
	switch e.kind {
	case expNumber, expTrue, expFalse, expNil:
		if len(f.proto.constants) < constantBit {
			v := Nil
			switch e.kind {
			case expNumber:
				v = Number(e.number)
			case expTrue, expFalse:
				v = Bool(e.kind == expTrue)
			}
			e.kind, e.info = expK, f.constant(v)
			return e.info | constantBit
		}
	case expK:
		if e.info < constantBit {
			return e.info | constantBit
		}
	}
	return f.toAnyReg(e)
}

func (f *funcState) store(variable, e *expression) {
	switch variable.kind {
	case expLocal:
		f.freeExp(e)
		f.toReg(e, variable.info)
		return
	case expUpval:
		f.codeABC(opSetUpval, f.toAnyReg(e), variable.info, 0)
	case expGlobal:
		f.codeABx(opSetGlobal, f.toAnyReg(e), variable.info)
	case expIndexed:
		f.codeABC(opSetTable, variable.info, variable.aux, f.toRK(e))
	}
	f.freeExp(e)
}

func (f *funcState) self(e, key *expression) {
	f.toAnyReg(e)
	f.freeExp(e)
	fn := f.free
	f.reserve(2)
	f.codeABC(opSelf, fn, e.info, f.toRK(key))
	f.freeExp(key)
	e.kind, e.info = expFixed, fn
}

func (f *funcState) invertJump(e *expression) {
	i := f.control(e.info)
	i.setA(1 - i.a())
}

func (f *funcState) jumpOn(e *expression, cond int) int {
	if e.kind == expRelocable {
		if i := *f.at(e); i.op() == opNot {
			f.proto.code = f.proto.code[:f.pc()-1]
			f.proto.lines = f.proto.lines[:len(f.proto.code)]
			return f.condJump(opTest, i.b(), 0, 1-cond)
		}
	}
	f.dischargeAny(e)
	f.freeExp(e)
	return f.condJump(opTestSet, noRegister, e.info, cond)
}

func (f *funcState) goIfTrue(e *expression) {
	f.dischargeVars(e)
	pc := noJump
	switch e.kind {
	case expK, expNumber, expTrue:
	case expJump:
		f.invertJump(e)
		pc = e.info
	default:
		pc = f.jumpOn(e, 0)
	}
	f.chain(&e.f, pc)
	f.patchHere(e.t)
	e.t = noJump
}

func (f *funcState) goIfFalse(e *expression) {
	f.dischargeVars(e)
	pc := noJump
	switch e.kind {
	case expNil, expFalse:
	case expJump:
		pc = e.info
	default:
		pc = f.jumpOn(e, 1)
	}
	f.chain(&e.t, pc)
	f.patchHere(e.f)
	e.f = noJump
}

func (f *funcState) not(e *expression) {
	f.dischargeVars(e)
	switch e.kind {
	case expNil, expFalse:
		e.kind = expTrue
	case expK, expNumber, expTrue:
		e.kind = expFalse
	case expJump:
		f.invertJump(e)
	case expRelocable, expFixed:
		f.dischargeAny(e)
		f.freeExp(e)
		e.kind, e.info = expRelocable, f.codeABC(opNot, 0, e.info, 0)
	}
	e.t, e.f = e.f, e.t
	f.dropValues(e.f)
	f.dropValues(e.t)
}

func (f *funcState) indexed(table, key *expression) {
	table.aux = f.toRK(key)
	table.kind = expIndexed
}

// fold computes an operation on two numerals now, if that has a plain result.
func fold(op opcode, a, b *expression) bool {
	if !a.isNumeral() || !b.isNumeral() {
		return false
	}
	if (op == opDiv || op == opMod) && b.number == 0 || op == opLen || op == opConcat {
		return false
	}
	r := arithmetic(op, a.number, b.number)
	if math.IsNaN(r) {
		return false
	}
	a.number = r
	return true
}

func (f *funcState) arith(op opcode, a, b *expression) {
	if fold(op, a, b) {
		return
	}
	rb := 0
	if op != opUnm && op != opLen {
		rb = f.toRK(b)
	}
	ra := f.toRK(a)
	if ra > rb {
		f.freeExp(a)
		f.freeExp(b)
	} else {
		f.freeExp(b)
		f.freeExp(a)
	}
	a.info = f.codeABC(op, 0, ra, rb)
	a.kind = expRelocable
}

func (f *funcState) compare(op opcode, cond int, a, b *expression) {
	ra, rb := f.toRK(a), f.toRK(b)
	f.freeExp(b)
	f.freeExp(a)
	if cond == 0 && op != opEq {
		ra, rb, cond = rb, ra, 1 // > and >= are < and <= the other way round
	}
	a.kind, a.info = expJump, f.condJump(op, cond, ra, rb)
}

func (f *funcState) prefix(tok token, e *expression) {
	zero := newExpression(expNumber, 0)
	switch tok {
	case '-':
		if !e.isNumeral() {
			f.toAnyReg(e)
		}
		f.arith(opUnm, e, &zero)
	case tokNot:
		f.not(e)
	case '#':
		f.toAnyReg(e)
		f.arith(opLen, e, &zero)
	}
}

// infix prepares the left operand.
func (f *funcState) infix(op token, e *expression) {
	switch op {
	case tokAnd:
		f.goIfTrue(e)
	case tokOr:
		f.goIfFalse(e)
	case tokConcat:
		f.toNextReg(e)
	case '+', '-', '*', '/', '%', '^':
		if !e.isNumeral() {
			f.toRK(e)
		}
	default:
		f.toRK(e)
	}
}

var arithOps = map[token]opcode{'+': opAdd, '-': opSub, '*': opMul, '/': opDiv, '%': opMod, '^': opPow}

func (f *funcState) posfix(op token, a, b *expression) {
	switch op {
	case tokAnd:
		f.dischargeVars(b)
		f.chain(&b.f, a.f)
		*a = *b
	case tokOr:
		f.dischargeVars(b)
		f.chain(&b.t, a.t)
		*a = *b
	case tokConcat:
		f.toValue(b)
		if b.kind == expRelocable && f.at(b).op() == opConcat {
			f.freeExp(a)
			f.at(b).setB(a.info)
			a.kind, a.info = expRelocable, b.info
			return
		}
		f.toNextReg(b)
		f.arith(opConcat, a, b)
	case tokEq:
		f.compare(opEq, 1, a, b)
	case tokNe:
		f.compare(opEq, 0, a, b)
	case '<':
		f.compare(opLt, 1, a, b)
	case tokLe:
		f.compare(opLe, 1, a, b)
	case '>':
		f.compare(opLt, 0, a, b)
	case tokGe:
		f.compare(opLe, 0, a, b)
	default:
		f.arith(arithOps[op], a, b)
	}
}

func (f *funcState) setList(base, elements, pending int) {
	c := (elements-1)/fieldsPerFlush + 1
	if c <= maxC {
		f.codeABC(opSetList, base, pending, c)
	} else {
		f.codeABC(opSetList, base, pending, 0)
		f.emit(instruction(c), f.lex.last)
	}
	f.free = base + 1
}
