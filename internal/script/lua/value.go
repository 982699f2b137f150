package lua

import (
	"fmt"
	"math"
	"unsafe"
)

// A Kind is the type of a value.
type Kind uint8

// The kinds of values. LightUserdata is a bare address without content, such as
// cjson.null.
const (
	KindNil Kind = iota
	KindBool
	KindLightUserdata
	KindNumber
	KindString
	KindTable
	KindFunction
	KindThread
)

var kindNames = [...]string{"nil", "boolean", "userdata", "number", "string", "table", "function", "thread"}

// String is the name that type() gives.
func (k Kind) String() string { return kindNames[k] }

// A Value is a Lua value in two words, so that numbers, booleans and strings need
// no box on the heap:
//
//	nil        ref nil              bits 0
//	boolean    ref nil              bits kind | 0 or 1
//	number     ref &numberTag       bits of the float64
//	string     ref to its bytes     bits kind | length
//	others     ref to the object    bits kind
//
// The kind is in the top byte of bits, except for numbers, which ref tells from
// all others. The zero Value is nil.
type Value struct {
	ref  unsafe.Pointer
	bits uint64
}

const (
	kindShift = 56
	lenMask   = 1<<kindShift - 1

	boolBits   = uint64(KindBool) << kindShift
	stringBits = uint64(KindString) << kindShift
	tableBits  = uint64(KindTable) << kindShift
	funcBits   = uint64(KindFunction) << kindShift
)

// numberTag and emptyTag are addresses that nothing else has.
var numberTag, emptyTag byte

// Nil is the absence of a value.
var Nil Value

// Bool makes a boolean.
func Bool(b bool) Value {
	if b {
		return Value{nil, boolBits | 1}
	}
	return Value{nil, boolBits}
}

// Number makes a number.
func Number(f float64) Value {
	return Value{unsafe.Pointer(&numberTag), math.Float64bits(f)}
}

// Int makes a number of an int.
func Int(n int) Value { return Number(float64(n)) }

// String makes a string. It shares the bytes of s.
func String(s string) Value {
	if len(s) == 0 {
		return Value{unsafe.Pointer(&emptyTag), stringBits}
	}
	return Value{unsafe.Pointer(unsafe.StringData(s)), stringBits | uint64(len(s))}
}

// Light makes a light userdata; tag stands for itself.
func Light(tag *byte) Value {
	return Value{unsafe.Pointer(tag), uint64(KindLightUserdata) << kindShift}
}

// Value makes a value of the table.
func (h *Table) Value() Value { return Value{unsafe.Pointer(h), tableBits} }

func (c *Closure) value() Value { return Value{unsafe.Pointer(c), funcBits} }

func (t *Thread) value() Value { return Value{unsafe.Pointer(t), uint64(KindThread) << kindShift} }

// Kind is the value's type.
func (v Value) Kind() Kind {
	if v.isNumber() {
		return KindNumber
	}
	return Kind(v.bits >> kindShift)
}

// IsNil reports whether v is nil.
func (v Value) IsNil() bool { return v.ref == nil && v.bits == 0 }

// Truth is the value as a condition: everything but nil and false is true.
func (v Value) Truth() bool { return v.ref != nil || v.bits&1 != 0 }

func (v Value) isNumber() bool   { return v.ref == unsafe.Pointer(&numberTag) }
func (v Value) isString() bool   { return v.bits>>kindShift == uint64(KindString) && !v.isNumber() }
func (v Value) isTable() bool    { return v.bits == tableBits && !v.isNumber() }
func (v Value) isFunction() bool { return v.bits == funcBits && !v.isNumber() }

// Float is the number of a value that is one.
func (v Value) Float() float64 { return math.Float64frombits(v.bits) }

// Str is the string of a value that is one.
func (v Value) Str() string {
	return unsafe.String((*byte)(v.ref), int(v.bits&lenMask))
}

// Bytes is Str as bytes, which must not be changed.
func (v Value) Bytes() []byte {
	return unsafe.Slice((*byte)(v.ref), int(v.bits&lenMask))
}

// strLen is the length of a value that is a string.
func (v Value) strLen() int { return int(v.bits & lenMask) }

// Table is the table of a value, nil if it is none.
func (v Value) Table() *Table {
	if v.isTable() {
		return (*Table)(v.ref)
	}
	return nil
}

// Closure is the function of a value, nil if it is none.
func (v Value) Closure() *Closure {
	if v.isFunction() {
		return (*Closure)(v.ref)
	}
	return nil
}

func (v Value) thread() *Thread {
	if v.Kind() == KindThread {
		return (*Thread)(v.ref)
	}
	return nil
}

// rawEqual compares without metamethods.
func rawEqual(a, b Value) bool {
	if a.isNumber() || b.isNumber() {
		return a.ref == b.ref && a.Float() == b.Float()
	}
	if a.bits != b.bits {
		return false
	}
	return a.ref == b.ref || a.bits>>kindShift == uint64(KindString) && a.Str() == b.Str()
}

// ToNumber converts as arithmetic does: numbers, and strings that look like one.
func (v Value) ToNumber() (float64, bool) {
	if v.isNumber() {
		return v.Float(), true
	}
	if v.isString() {
		return parseNumber(v.Str())
	}
	return 0, false
}

// ToString converts as concatenation does: strings and numbers.
func (v Value) ToString() (string, bool) {
	if v.isString() {
		return v.Str(), true
	}
	if v.isNumber() {
		return FormatNumber(v.Float()), true
	}
	return "", false
}

// Text is tostring() without metamethods.
func (v Value) Text() string {
	switch v.Kind() {
	case KindNil:
		return "nil"
	case KindBool:
		if v.Truth() {
			return "true"
		}
		return "false"
	case KindNumber:
		return FormatNumber(v.Float())
	case KindString:
		return v.Str()
	case KindLightUserdata:
		return "userdata: (nil)"
	}
	return fmt.Sprintf("%s: %p", v.Kind(), v.ref)
}

// An upvalue is a variable that a function shares with the one around it. While
// that runs, v points into its stack; afterwards to closed.
type upvalue struct {
	v      *Value
	closed Value
	slot   int // of the stack while it is open
	next   *upvalue
}

// A GoFunction is a function written in Go. Its arguments are t.Arg(1) and on;
// it pushes its results and returns their number.
type GoFunction func(t *Thread) int

// An iterator is a native function that loops know, so that they need not call it.
type iterator uint8

const (
	noIterator    iterator = iota
	nextIterator           // next, as of pairs
	indexIterator          // of ipairs
)

// A Closure is a Lua function with its variables, or a Go function.
type Closure struct {
	proto  *Proto
	native GoFunction
	env    *Table
	upvals []*upvalue
	bound  Value // what a native closure carries
	loops  iterator
	id     uint32
	mark   uint32
}
