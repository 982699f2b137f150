package lua

import (
	"math"
	"strings"
)

// An event is what a metatable can handle. Those up to eventEq are looked up so
// often that tables remember which of them they do not have.
type event uint8

const (
	eventIndex event = iota
	eventNewIndex
	eventEq
	eventLen
	eventCall
	eventAdd
	eventSub
	eventMul
	eventDiv
	eventMod
	eventPow
	eventUnm
	eventLt
	eventLe
	eventConcat
)

var eventNames = [...]string{"__index", "__newindex", "__eq", "__len", "__call", "__add", "__sub", "__mul", "__div", "__mod",
	"__pow", "__unm", "__lt", "__le", "__concat"}

var eventHashes = func() (hashes [len(eventNames)]uint32) {
	for i, name := range eventNames {
		hashes[i] = stringHash(name)
	}
	return hashes
}()

// handler finds what a metatable has for an event.
func (h *Table) handler(e event) Value {
	if h == nil || e <= eventCall && h.absent&(1<<e) != 0 {
		return Nil
	}
	v := h.getStr(eventNames[e], eventHashes[e])
	if v.IsNil() && e <= eventCall {
		h.absent |= 1 << e
	}
	return v
}

// metatable finds that of any value.
func (t *Thread) metatable(v Value) *Table {
	switch v.Kind() {
	case KindTable:
		return v.Table().meta
	case KindString:
		return t.state.stringMeta
	}
	return nil
}

func (t *Thread) metamethod(v Value, e event) Value { return t.metatable(v).handler(e) }

const maxIndexLoop = 100

// Index is v[key] with metamethods.
func (t *Thread) Index(v, key Value) Value { return t.index(v, key, -1) }

// index is Index; slot is where v is for an error message, -1 if nowhere.
func (t *Thread) index(v, key Value, slot int) Value {
	for range maxIndexLoop {
		var handler Value
		if h := v.Table(); h != nil {
			if r := h.Get(key); !r.IsNil() {
				return r
			}
			if handler = h.meta.handler(eventIndex); handler.IsNil() {
				return Nil
			}
		} else if handler = t.metamethod(v, eventIndex); handler.IsNil() {
			t.typeError(slot, v, "index")
		}
		if handler.isFunction() {
			return t.callMeta(handler, v, key)
		}
		v, slot = handler, -1
	}
	t.runError("loop in gettable")
	return Nil
}

// setIndex is v[key] = value with metamethods.
func (t *Thread) setIndex(v, key, value Value, slot int) {
	for range maxIndexLoop {
		var handler Value
		if h := v.Table(); h != nil {
			if h.ReadOnly {
				t.runError("Attempt to modify a readonly table")
			}
			old := h.slot(key)
			if old == nil {
				t.checkKey(key)
			}
			if old == nil || old.IsNil() {
				handler = h.meta.handler(eventNewIndex)
			}
			if handler.IsNil() {
				h.absent = 0
				if old != nil {
					*old = value
					return
				}
				if grown := h.Set(key, value); grown > 0 {
					t.state.allocated(grown)
				}
				return
			}
		} else if handler = t.metamethod(v, eventNewIndex); handler.IsNil() {
			t.typeError(slot, v, "index")
		}
		if handler.isFunction() {
			t.ensure(minStack)
			at := t.top
			t.Push(handler)
			t.Push(v)
			t.Push(key)
			t.Push(value)
			t.call(at, 0)
			t.top = at
			return
		}
		v, slot = handler, -1
	}
	t.runError("loop in settable")
}

// checkKey raises an error for what cannot be a key.
func (t *Thread) checkKey(key Value) {
	if key.IsNil() {
		t.runError("table index is nil")
	}
	if key.isNumber() && key.Float() != key.Float() {
		t.runError("table index is NaN")
	}
}

func (t *Thread) callMeta(fn, a, b Value) Value {
	t.ensure(minStack)
	at := t.top
	t.Push(fn)
	t.Push(a)
	t.Push(b)
	t.call(at, 1)
	t.top = at
	return t.stack[at]
}

// arithmetic computes an operation on two numbers.
func arithmetic(op opcode, a, b float64) float64 {
	switch op {
	case opAdd:
		return a + b
	case opSub:
		return a - b
	case opMul:
		return a * b
	case opDiv:
		return a / b
	case opMod:
		return modulo(a, b)
	case opPow:
		return power(a, b)
	}
	return -a
}

func modulo(a, b float64) float64 {
	return a - float64(math.Floor(a/b)*b)
}

func power(a, b float64) float64 {
	if b == 2 {
		return a * a
	}
	r := math.Pow(a, b)
	if r != r && a == a && b == b {
		return negativeNaN
	}
	return r
}

var arithEvents = map[opcode]event{opAdd: eventAdd, opSub: eventSub, opMul: eventMul, opDiv: eventDiv, opMod: eventMod,
	opPow: eventPow, opUnm: eventUnm}

// arith is an operation whose operands are not both numbers. Their slots are for
// the error message.
func (t *Thread) arith(op opcode, a, b Value, slotA, slotB int) Value {
	if x, ok := a.ToNumber(); ok {
		if y, ok := b.ToNumber(); ok {
			return Number(arithmetic(op, x, y))
		}
	}
	e := arithEvents[op]
	handler := t.metamethod(a, e)
	if handler.IsNil() {
		handler = t.metamethod(b, e)
	}
	if handler.IsNil() {
		if _, ok := a.ToNumber(); ok {
			a, slotA = b, slotB
		}
		t.typeError(slotA, a, "perform arithmetic on")
	}
	return t.callMeta(handler, a, b)
}

// concat joins the n values from slot first on.
func (t *Thread) concat(first, n int) Value {
	last := first + n - 1
	for last > first {
		a, b := t.stack[last-1], t.stack[last]
		if !isText(a) || !isText(b) {
			handler := t.metamethod(a, eventConcat)
			if handler.IsNil() {
				handler = t.metamethod(b, eventConcat)
			}
			if handler.IsNil() {
				slot := last - 1
				if isText(a) {
					a, slot = b, last
				}
				t.typeError(slot, a, "concatenate")
			}
			r := t.callMeta(handler, a, b)
			last--
			t.stack[last] = r
			continue
		}
		from := last - 1
		for from > first && isText(t.stack[from-1]) {
			from--
		}
		t.stack[from] = t.join(from, last)
		last = from
	}
	return t.stack[first]
}

func isText(v Value) bool { return v.isString() || v.isNumber() }

// join makes one string of strings and numbers.
func (t *Thread) join(from, last int) Value {
	if last == from+1 { // "" .. x and x .. ""
		a, b := t.stack[from], t.stack[last]
		if a.isString() && b.isString() {
			if a.strLen() == 0 {
				return b
			}
			if b.strLen() == 0 {
				return a
			}
		}
	}
	var buf [256]byte
	total := 0
	for _, v := range t.stack[from : last+1] {
		if v.isString() {
			total += v.strLen()
		} else {
			total += 24
		}
	}
	if total > len(buf) {
		t.state.reserve(total)
	}
	if total <= len(buf) {
		b := buf[:0]
		for _, v := range t.stack[from : last+1] {
			b = appendText(b, v)
		}
		t.state.allocated(len(b))
		return String(string(b))
	}
	var b strings.Builder
	b.Grow(total)
	for _, v := range t.stack[from : last+1] {
		if v.isString() {
			b.WriteString(v.Str())
		} else {
			b.Write(AppendNumber(buf[:0], v.Float(), 14))
		}
	}
	t.state.allocated(b.Len())
	return String(b.String())
}

func appendText(b []byte, v Value) []byte {
	if v.isString() {
		return append(b, v.Str()...)
	}
	return AppendNumber(b, v.Float(), 14)
}

// length is #v.
func (t *Thread) length(v Value, slot int) Value {
	if h := v.Table(); h != nil {
		return Int(h.Len()) // Lua 5.1 has no __len for tables
	}
	if v.isString() {
		return Int(v.strLen())
	}
	handler := t.metamethod(v, eventLen)
	if handler.IsNil() {
		t.typeError(slot, v, "get length of")
	}
	return t.callMeta(handler, v, Nil)
}

// equal is a == b.
func (t *Thread) equal(a, b Value) bool {
	if rawEqual(a, b) {
		return true
	}
	kind := a.Kind()
	if kind != b.Kind() || kind != KindTable {
		return false
	}
	handler := t.sameHandler(t.metatable(a), t.metatable(b), eventEq)
	return !handler.IsNil() && t.callMeta(handler, a, b).Truth()
}

// sameHandler is what two metatables both have for an event.
func (t *Thread) sameHandler(a, b *Table, e event) Value {
	x := a.handler(e)
	if x.IsNil() || a == b {
		return x
	}
	if y := b.handler(e); rawEqual(x, y) {
		return x
	}
	return Nil
}

// less is a < b.
func (t *Thread) less(a, b Value) bool {
	if a.isNumber() && b.isNumber() {
		return a.Float() < b.Float()
	}
	if a.isString() && b.isString() {
		return a.Str() < b.Str()
	}
	r, ok := t.compareMeta(a, b, eventLt)
	if !ok {
		t.compareError(a, b)
	}
	return r
}

// lessEqual is a <= b.
func (t *Thread) lessEqual(a, b Value) bool {
	if a.isNumber() && b.isNumber() {
		return a.Float() <= b.Float()
	}
	if a.isString() && b.isString() {
		return a.Str() <= b.Str()
	}
	if a.Kind() != b.Kind() {
		t.compareError(a, b)
	}
	if r, ok := t.compareMeta(a, b, eventLe); ok {
		return r
	}
	r, ok := t.compareMeta(b, a, eventLt)
	if !ok {
		t.compareError(a, b)
	}
	return !r
}

func (t *Thread) compareMeta(a, b Value, e event) (result, ok bool) {
	if a.Kind() != b.Kind() {
		return false, false
	}
	handler := t.sameHandler(t.metatable(a), t.metatable(b), e)
	if handler.IsNil() {
		return false, false
	}
	return t.callMeta(handler, a, b).Truth(), true
}

func (t *Thread) compareError(a, b Value) {
	x, y := a.Kind().String(), b.Kind().String()
	if x[2] == y[2] { // sic: thread and string are the same to it
		t.runError("attempt to compare two %s values", x)
	}
	t.runError("attempt to compare %s with %s", x, y)
}
