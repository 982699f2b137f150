package lua

import (
	"fmt"
	"slices"
)

// typeError says that an operation does not work on a value. If the value is in a
// register of the function at work, slot is it and the message names what is
// there; otherwise slot is -1.
func (t *Thread) typeError(slot int, v Value, operation string) {
	kind := v.Kind().String()
	c := t.calls[t.depth]
	if c.closure != nil && c.closure.proto != nil && slot >= c.base && slot < c.top {
		if what, name := t.nameOf(c, slot-c.base); what != "" {
			t.runError("attempt to %s %s '%s' (a %s value)", operation, what, name, kind)
		}
	}
	t.runError("attempt to %s a %s value", operation, kind)
}

// nameOf says what the register of a function holds: a local or global variable,
// an upvalue, a field, a method. Both are empty if the code does not tell.
func (t *Thread) nameOf(c *callInfo, reg int) (what, name string) {
	return c.closure.proto.nameOf(reg, c.pc-1)
}

func (p *Proto) nameOf(reg, pc int) (what, name string) {
	if name := p.localAt(reg+1, pc); name != "" {
		return "local", name
	}
	i := p.lastChange(pc, reg)
	switch i.op() {
	case opGetGlobal:
		return "global", p.constants[i.bx()].Str()
	case opMove:
		if i.b() < i.a() {
			return p.nameOf(i.b(), pc)
		}
	case opGetTable:
		return "field", p.keyName(i.c())
	case opGetUpval:
		return "upvalue", p.upvalues[i.b()]
	case opSelf:
		return "method", p.keyName(i.c())
	}
	return "", ""
}

func (p *Proto) keyName(rk int) string {
	if rk&constantBit != 0 {
		if k := p.constants[rk&^constantBit]; k.isString() {
			return k.Str()
		}
	}
	return "?"
}

// lastChange is the instruction before pc that gave a register its value, as far
// as that is plain; otherwise the final return.
func (p *Proto) lastChange(until, reg int) instruction {
	last := len(p.code) - 1
	for pc := 0; pc < until; pc++ {
		i := p.code[pc]
		a := i.a()
		changed := false
		switch i.op() {
		case opSetGlobal, opSetUpval, opSetTable, opEq, opLt, opLe, opTest, opReturn, opClose:
		case opLoadNil:
			changed = a <= reg && reg <= i.b()
		case opSelf:
			changed = reg == a || reg == a+1
		case opTForLoop:
			changed = reg >= a+2
		case opJmp, opForLoop, opForPrep:
			changed = i.op() != opJmp && a == reg
			if dest := pc + 1 + i.sbx(); pc < dest && dest <= until {
				pc += i.sbx()
			}
		case opCall, opTailCall:
			changed = reg >= a
		case opSetList:
			if i.c() == 0 {
				pc++
			}
		case opClosure:
			changed = a == reg
			if changed {
				last = pc
			}
			pc += p.protos[i.bx()].upvals
			continue
		default:
			changed = a == reg
		}
		if changed {
			last = pc
		}
	}
	return p.code[last]
}

// calledName is how the function that called the one at work names it.
func (t *Thread) calledName() (what, name string) { return t.nameOfCall(t.depth) }

// nameOfCall is calledName of the call at a depth.
func (t *Thread) nameOfCall(depth int) (what, name string) {
	c := t.calls[depth]
	if c.closure != nil && c.closure.proto != nil && c.tails > 0 || depth < 2 {
		return "", ""
	}
	caller := t.calls[depth-1]
	if caller.closure == nil || caller.closure.proto == nil {
		return "", ""
	}
	switch i := caller.closure.proto.code[max(caller.pc-1, 0)]; i.op() {
	case opCall, opTailCall, opTForLoop:
		return t.nameOf(caller, i.a())
	}
	return "", ""
}

// ArgError raises the error of a bad argument; luaL_argerror.
func (t *Thread) ArgError(n int, message string) {
	what, name := t.calledName()
	if what == "method" {
		if n--; n == 0 {
			t.Errorf("calling '%s' on bad self (%s)", name, message)
		}
	}
	if name == "" {
		name = "?"
	}
	t.Errorf("bad argument #%d to '%s' (%s)", n, name, message)
}

func (t *Thread) wrongType(n int, expected string) {
	got := "no value"
	if n <= t.Count() {
		got = t.Arg(n).Kind().String()
	}
	t.ArgError(n, fmt.Sprintf("%s expected, got %s", expected, got))
}

// CheckString is the n-th argument as a string.
func (t *Thread) CheckString(n int) string {
	v := t.Arg(n)
	if v.isString() {
		return v.Str()
	}
	s, ok := v.ToString()
	if !ok {
		t.wrongType(n, "string")
	}
	return s
}

// CheckNumber is the n-th argument as a number.
func (t *Thread) CheckNumber(n int) float64 {
	f, ok := t.Arg(n).ToNumber()
	if !ok {
		t.wrongType(n, "number")
	}
	return f
}

// CheckInt is the n-th argument as a C int: a fraction is cut off, and of what is
// too large the lowest 32 bits count.
func (t *Thread) CheckInt(n int) int { return int(int32(toInt(t.CheckNumber(n)))) }

// toInt converts as C does on amd64: what does not fit is the smallest integer.
func toInt(f float64) int {
	if f >= -(1<<63) && f < 1<<63 {
		return int(f)
	}
	return -1 << 63
}

// OptInt is CheckInt with a value for a missing argument.
func (t *Thread) OptInt(n, missing int) int {
	if t.Arg(n).IsNil() {
		return missing
	}
	return t.CheckInt(n)
}

// CheckInteger is the n-th argument as an integer of 64 bits.
func (t *Thread) CheckInteger(n int) int { return toInt(t.CheckNumber(n)) }

// OptInteger is CheckInteger with a value for a missing argument.
func (t *Thread) OptInteger(n, missing int) int {
	if t.Arg(n).IsNil() {
		return missing
	}
	return t.CheckInteger(n)
}

// CheckOption is the index of the n-th argument among some words.
func (t *Thread) CheckOption(n int, words []string) int {
	name := t.CheckString(n)
	i := slices.Index(words, name)
	if i < 0 {
		t.ArgError(n, "invalid option '"+name+"'")
	}
	return i
}

// SetArgs replaces the arguments of the function at work.
func (t *Thread) SetArgs(args ...Value) {
	t.top = t.calls[t.depth].base
	for _, v := range args {
		t.Push(v)
	}
}

// CheckTable is the n-th argument as a table.
func (t *Thread) CheckTable(n int) *Table {
	h := t.Arg(n).Table()
	if h == nil {
		t.wrongType(n, "table")
	}
	return h
}

func (t *Thread) checkFunction(n int) Value {
	v := t.Arg(n)
	if !v.isFunction() {
		t.wrongType(n, "function")
	}
	return v
}

func (t *Thread) checkAny(n int) Value {
	if n > t.Count() {
		t.ArgError(n, "value expected")
	}
	return t.Arg(n)
}
