package lua

import "math"

// execute runs the Lua function at work, and those that it calls, until so many
// of them have returned. It returns early if the thread is suspended.
func (t *Thread) execute(frames int) {
enter:
	ci := t.calls[t.depth]
	closure := ci.closure
	proto := closure.proto
	code, k := proto.run, proto.constants
	base := ci.base
	r := t.stack[base:ci.top:ci.top]
	pc := ci.pc
	for {
		i := code[pc]
		pc++
		ci.pc = pc
	dispatch:
		a := int(i>>6) & 0xff
		switch opcode(i & 0x3f) {
		case opMove:
			r[a] = r[i>>23]

		case opLoadK:
			r[a] = k[i>>14]

		case opLoadBool:
			r[a] = Bool(i.b() != 0)
			if i.c() != 0 {
				pc++
			}

		case opLoadNil:
			clear(r[a : i.b()+1])

		case opGetUpval:
			r[a] = *closure.upvals[i>>23].v

		case opGetGlobal:
			key := int(i >> 14)
			v := closure.env.getStr(k[key].Str(), proto.hashes[key])
			if v.IsNil() {
				v = t.Index(closure.env.Value(), k[key])
				r = t.stack[base:ci.top:ci.top]
			}
			r[a] = v

		case opGetTable:
			b, c := i>>23, i>>14&0x1ff
			if h := r[b].Table(); h != nil {
				var v Value
				if c&constantBit != 0 {
					if key := c &^ constantBit; k[key].isString() {
						v = h.getStr(k[key].Str(), proto.hashes[key])
					} else {
						v = h.Get(k[key])
					}
				} else if key := &r[c]; key.isNumber() {
					f := key.Float()
					if n := int(f); float64(n) == f && uint(n-1) < uint(len(h.array)) {
						v = h.array[n-1]
					} else {
						v = h.Get(*key)
					}
				} else {
					v = h.Get(*key)
				}
				if !v.IsNil() || h.meta == nil {
					r[a] = v
					continue
				}
			}
			v := t.index(r[b], *operand(r, k, c), base+int(b))
			r = t.stack[base:ci.top:ci.top]
			r[a] = v

		case opSetGlobal:
			t.setIndex(closure.env.Value(), k[i>>14], r[a], -1)
			r = t.stack[base:ci.top:ci.top]

		case opSetUpval:
			*closure.upvals[i>>23].v = r[a]

		case opSetTable:
			b, c := i>>23, i>>14&0x1ff
			if h := r[a].Table(); h != nil && !h.ReadOnly {
				var slot *Value
				if b&constantBit != 0 {
					if key := b &^ constantBit; k[key].isString() {
						slot = h.strSlot(k[key].Str(), proto.hashes[key])
					} else {
						slot = h.slot(k[key])
					}
				} else if key := &r[b]; key.isNumber() {
					f := key.Float()
					if n := int(f); float64(n) == f && uint(n-1) < uint(len(h.array)) {
						slot = &h.array[n-1]
					} else {
						slot = h.slot(*key)
					}
				} else {
					slot = h.slot(*key)
				}
				if slot != nil && (h.meta == nil || !slot.IsNil()) {
					*slot = *operand(r, k, c)
					h.absent = 0
					continue
				}
			}
			t.setIndex(r[a], *operand(r, k, b), *operand(r, k, c), base+a)
			r = t.stack[base:ci.top:ci.top]

		case opNewTable:
			r[a] = t.state.newTable(fromFloatingByte(i.b()), fromFloatingByte(i.c())).Value()

		case opSelf:
			b, c := i>>23, i>>14&0x1ff
			object := r[b]
			r[a+1] = object
			v := t.index(object, *operand(r, k, c), base+int(b))
			r = t.stack[base:ci.top:ci.top]
			r[a] = v

		case opAdd:
			b, c := operand(r, k, i>>23), operand(r, k, i>>14&0x1ff)
			if b.isNumber() && c.isNumber() {
				r[a] = Number(b.Float() + c.Float())
			} else {
				t.slowArith(i, base, ci)
				r = t.stack[base:ci.top:ci.top]
			}

		case opSub:
			b, c := operand(r, k, i>>23), operand(r, k, i>>14&0x1ff)
			if b.isNumber() && c.isNumber() {
				r[a] = Number(b.Float() - c.Float())
			} else {
				t.slowArith(i, base, ci)
				r = t.stack[base:ci.top:ci.top]
			}

		case opMul:
			b, c := operand(r, k, i>>23), operand(r, k, i>>14&0x1ff)
			if b.isNumber() && c.isNumber() {
				r[a] = Number(b.Float() * c.Float())
			} else {
				t.slowArith(i, base, ci)
				r = t.stack[base:ci.top:ci.top]
			}

		case opDiv:
			b, c := operand(r, k, i>>23), operand(r, k, i>>14&0x1ff)
			if b.isNumber() && c.isNumber() {
				r[a] = Number(b.Float() / c.Float())
			} else {
				t.slowArith(i, base, ci)
				r = t.stack[base:ci.top:ci.top]
			}

		case opMod:
			b, c := operand(r, k, i>>23), operand(r, k, i>>14&0x1ff)
			if b.isNumber() && c.isNumber() {
				x, y := b.Float(), c.Float()
				r[a] = Number(x - float64(math.Floor(x/y)*y))
			} else {
				t.slowArith(i, base, ci)
				r = t.stack[base:ci.top:ci.top]
			}

		case opPow:
			b, c := operand(r, k, i>>23), operand(r, k, i>>14&0x1ff)
			if b.isNumber() && c.isNumber() {
				r[a] = Number(power(b.Float(), c.Float()))
			} else {
				t.slowArith(i, base, ci)
				r = t.stack[base:ci.top:ci.top]
			}

		case opUnm:
			b := &r[i>>23]
			if b.isNumber() {
				r[a] = Number(-b.Float())
			} else {
				slot := base + i.b()
				v := t.arith(opUnm, *b, *b, slot, slot)
				r = t.stack[base:ci.top:ci.top]
				r[a] = v
			}

		case opNot:
			r[a] = Bool(!r[i>>23].Truth())

		case opLen:
			b := i >> 23
			v := t.length(r[b], base+int(b))
			r = t.stack[base:ci.top:ci.top]
			r[a] = v

		case opConcat:
			b, c := i.b(), i.c()
			v := t.concat(base+b, c-b+1)
			r = t.stack[base:ci.top:ci.top]
			r[a] = v

		case opJmp:
			offset := i.sbx()
			pc += offset
			if offset < 0 && t.state.interrupt.Load() != 0 {
				t.interrupted()
			}

		case opEq:
			b, c := operand(r, k, i>>23), operand(r, k, i>>14&0x1ff)
			equal := b.bits == c.bits && b.ref == c.ref && !b.isNumber()
			if !equal {
				equal = t.equal(*b, *c)
				r = t.stack[base:ci.top:ci.top]
			}
			if equal == (a != 0) {
				pc += code[pc].sbx()
			}
			pc++
			if t.state.interrupt.Load() != 0 {
				t.interrupted()
			}

		case opLt:
			b, c := operand(r, k, i>>23), operand(r, k, i>>14&0x1ff)
			var less bool
			if b.isNumber() && c.isNumber() {
				less = b.Float() < c.Float()
			} else {
				less = t.less(*b, *c)
				r = t.stack[base:ci.top:ci.top]
			}
			if less == (a != 0) {
				pc += code[pc].sbx()
			}
			pc++
			if t.state.interrupt.Load() != 0 {
				t.interrupted()
			}

		case opLe:
			b, c := operand(r, k, i>>23), operand(r, k, i>>14&0x1ff)
			var less bool
			if b.isNumber() && c.isNumber() {
				less = b.Float() <= c.Float()
			} else {
				less = t.lessEqual(*b, *c)
				r = t.stack[base:ci.top:ci.top]
			}
			if less == (a != 0) {
				pc += code[pc].sbx()
			}
			pc++
			if t.state.interrupt.Load() != 0 {
				t.interrupted()
			}

		case opTest:
			if r[a].Truth() == (i.c() != 0) {
				pc += code[pc].sbx()
			}
			pc++
			if t.state.interrupt.Load() != 0 {
				t.interrupted()
			}

		case opTestSet:
			if b := r[i>>23]; b.Truth() == (i.c() != 0) {
				r[a] = b
				pc += code[pc].sbx()
			}
			pc++

		case opCall:
			if b := i.b(); b != 0 {
				t.top = base + a + b
			}
			results := i.c() - 1
			if t.state.interrupt.Load() != 0 {
				t.interrupted()
			}
			switch t.precall(base+a, results) {
			case calledLua:
				frames++
				goto enter
			case yielded:
				return
			}
			if results >= 0 {
				t.top = ci.top
			}
			r = t.stack[base:ci.top:ci.top]

		case opTailCall:
			if b := i.b(); b != 0 {
				t.top = base + a + b
			}
			if t.state.interrupt.Load() != 0 {
				t.interrupted()
			}
			switch t.precall(base+a, -1) {
			case calledLua:
				t.replaceFrame()
				goto enter
			case yielded:
				return
			}
			r = t.stack[base:ci.top:ci.top]

		case opReturn:
			if b := i.b(); b != 0 {
				t.top = base + a + b - 1
			}
			if t.open != nil {
				t.closeUpvalues(base)
			}
			fixed := t.finish(base + a)
			if frames--; frames == 0 {
				return
			}
			if fixed {
				t.top = t.calls[t.depth].top
			}
			goto enter

		case opForLoop:
			step := r[a+2].Float()
			index := r[a].Float() + step
			limit := r[a+1].Float()
			if step > 0 && index <= limit || step <= 0 && limit <= index {
				pc += i.sbx()
				r[a] = Number(index)
				r[a+3] = Number(index)
				if t.state.interrupt.Load() != 0 {
					t.interrupted()
				}
			}

		case opForPrep:
			t.prepareFor(r[a : a+3])
			r[a] = Number(r[a].Float() - r[a+2].Float())
			pc += i.sbx()

		case opTForLoop:
			if t.iterate(r[a : a+3+i.c()]) {
				if v := r[a+3]; !v.IsNil() {
					r[a+2] = v
					pc += code[pc].sbx()
				}
				pc++
				if t.state.interrupt.Load() != 0 {
					t.interrupted()
				}
				continue
			}
			at := base + a + 3
			copy(t.stack[at:at+3], r[a:a+3])
			t.top = at + 3
			t.call(at, i.c())
			t.top = ci.top
			r = t.stack[base:ci.top:ci.top]
			if v := r[a+3]; !v.IsNil() {
				r[a+2] = v
				pc += code[pc].sbx()
			}
			pc++
			if t.state.interrupt.Load() != 0 {
				t.interrupted()
			}

		case opSetList:
			n, c := i.b(), i.c()
			if n == 0 {
				n = t.top - (base + a) - 1
				t.top = ci.top
			}
			if c == 0 {
				c = int(code[pc])
				pc++
			}
			t.setList(r[a].Table(), base+a+1, n, (c-1)*fieldsPerFlush)

		case opClose:
			t.closeUpvalues(base + a)

		case opClosure:
			p := proto.protos[i>>14]
			inner := &Closure{proto: p, env: closure.env, id: t.state.nextID()}
			if p.upvals > 0 {
				inner.upvals = make([]*upvalue, p.upvals)
				for j := range inner.upvals {
					if u := code[pc]; u.op() == opGetUpval {
						inner.upvals[j] = closure.upvals[u.b()]
					} else {
						inner.upvals[j] = t.findUpvalue(base + u.b())
					}
					pc++
				}
			}
			t.state.allocated(96 + 64*p.upvals)
			r[a] = inner.value()

		case opVararg:
			t.vararg(ci, base+a, i.b()-1)
			r = t.stack[base:ci.top:ci.top]

		case opTrap:
			t.trap(ci)
			r = t.stack[base:ci.top:ci.top]
			i = proto.code[pc-1]
			goto dispatch
		}
	}
}

// operand is a register or a constant.
func operand(r, k []Value, x instruction) *Value {
	if x&constantBit != 0 {
		return &k[x&^constantBit]
	}
	return &r[x]
}

// slowArith is an arithmetic instruction whose operands are not both numbers.
func (t *Thread) slowArith(i instruction, base int, ci *callInfo) {
	r, k := t.stack[base:ci.top], ci.closure.proto.constants
	b, c := i.b(), i.c()
	slotB, slotC := base+b, base+c
	if b&constantBit != 0 {
		slotB = -1
	}
	if c&constantBit != 0 {
		slotC = -1
	}
	v := t.arith(i.op(), *operand(r, k, instruction(b)), *operand(r, k, instruction(c)), slotB, slotC)
	t.stack[base+i.a()] = v
}

// replaceFrame puts the call that has just begun in the place of the one below
// it, which made it as its last act.
func (t *Thread) replaceFrame() {
	ci, callee := t.calls[t.depth-1], t.calls[t.depth]
	if t.open != nil {
		t.closeUpvalues(ci.base)
	}
	fn := ci.fn
	n := copy(t.stack[fn:], t.stack[callee.fn:t.top])
	ci.base = fn + (callee.base - callee.fn)
	t.top = fn + n
	ci.top = t.top
	ci.closure = callee.closure
	ci.pc = callee.pc
	ci.tails++
	t.depth--
}

// prepareFor makes the control values of a loop numbers.
func (t *Thread) prepareFor(r []Value) {
	for j, name := range [...]string{"initial value", "limit", "step"} {
		if r[j].isNumber() {
			continue
		}
		f, ok := r[j].ToNumber()
		if !ok {
			t.runError("'for' %s must be a number", name)
		}
		r[j] = Number(f)
	}
}

// iterate makes a step of a loop over pairs or ipairs, whose function, table and
// key are the first three values; the variables of the loop follow. It reports
// false if the loop is of another kind, or has an error to raise.
func (t *Thread) iterate(r []Value) bool {
	c, h := r[0].Closure(), r[1].Table()
	if c == nil || h == nil || c.loops == noIterator {
		return false
	}
	var k, v Value
	if c.loops == nextIterator {
		var ok bool
		if k, v, ok = h.Next(r[2]); !ok {
			return false
		}
	} else {
		if !r[2].isNumber() {
			return false
		}
		i := toInt(r[2].Float()) + 1
		if v = h.GetInt(i); !v.IsNil() {
			k = Int(i)
		}
	}
	r[3] = k
	if len(r) > 4 {
		r[4] = v
		clear(r[5:])
	}
	return true
}

// setList stores n items, from a slot on, behind the first entries of a table.
func (t *Thread) setList(h *Table, slot, n, offset int) {
	if n == 0 {
		return
	}
	if last := offset + n; last > len(h.array) {
		grown := h.resize(last, len(h.nodes))
		t.state.allocated(grown)
	}
	copy(h.array[offset:offset+n], t.stack[slot:slot+n])
}

// vararg copies wanted of the extra arguments of a function to a slot, all if
// wanted is -1.
func (t *Thread) vararg(ci *callInfo, slot, wanted int) {
	n := max(0, ci.base-ci.fn-1-ci.closure.proto.params)
	if wanted < 0 {
		wanted = n
		t.ensureAt(slot + n)
		t.top = slot + n
	}
	from := ci.base - n
	for j := range wanted {
		if j < n {
			t.stack[slot+j] = t.stack[from+j]
		} else {
			t.stack[slot+j] = Nil
		}
	}
}

// ensureAt makes slots below end usable, and some after it.
func (t *Thread) ensureAt(end int) {
	if end+minStack > len(t.stack) {
		t.growStack(end + minStack)
	}
	if end > t.high {
		t.high = end
	}
}
