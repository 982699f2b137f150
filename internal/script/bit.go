package script

import (
	"math"
	"math/bits"

	"redoubt/internal/script/lua"
)

func (w *world) openBit() {
	w.makeLibrary("bit", []lua.Function{
		{Name: "tobit", Call: bitUnary(func(b uint32) uint32 { return b })},
		{Name: "bnot", Call: bitUnary(func(b uint32) uint32 { return ^b })},
		{Name: "bswap", Call: bitUnary(bits.ReverseBytes32)},
		{Name: "band", Call: bitFold(func(a, b uint32) uint32 { return a & b })},
		{Name: "bor", Call: bitFold(func(a, b uint32) uint32 { return a | b })},
		{Name: "bxor", Call: bitFold(func(a, b uint32) uint32 { return a ^ b })},
		{Name: "lshift", Call: bitShift(func(b uint32, n int) uint32 { return b << n })},
		{Name: "rshift", Call: bitShift(func(b uint32, n int) uint32 { return b >> n })},
		{Name: "arshift", Call: bitShift(func(b uint32, n int) uint32 { return uint32(int32(b) >> n) })},
		{Name: "rol", Call: bitShift(bits.RotateLeft32)},
		{Name: "ror", Call: bitShift(func(b uint32, n int) uint32 { return bits.RotateLeft32(b, -n) })},
		{Name: "tohex", Call: bitToHex},
	})
}

// bitArgument is an argument as 32 bits: rounded to the nearest integer, of which
// the lowest count.
func bitArgument(t *lua.Thread, n int) uint32 {
	f := t.CheckNumber(n)
	const magic = 1<<52 + 1<<51 // the sum has the integer in its lowest bits
	return uint32(math.Float64bits(f + magic))
}

func bitResult(t *lua.Thread, b uint32) int {
	t.Push(lua.Number(float64(int32(b))))
	return 1
}

func bitUnary(f func(uint32) uint32) lua.GoFunction {
	return func(t *lua.Thread) int { return bitResult(t, f(bitArgument(t, 1))) }
}

func bitFold(f func(a, b uint32) uint32) lua.GoFunction {
	return func(t *lua.Thread) int {
		b := bitArgument(t, 1)
		for i := t.Count(); i > 1; i-- {
			b = f(b, bitArgument(t, i))
		}
		return bitResult(t, b)
	}
}

func bitShift(f func(b uint32, n int) uint32) lua.GoFunction {
	return func(t *lua.Thread) int {
		b := bitArgument(t, 1)
		return bitResult(t, f(b, int(bitArgument(t, 2)&31)))
	}
}

func bitToHex(t *lua.Thread) int {
	b := bitArgument(t, 1)
	n := 8
	if t.Count() >= 2 {
		n = int(int32(bitArgument(t, 2)))
	}
	digits := hexDigits
	if n < 0 {
		n, digits = -n, "0123456789ABCDEF"
	}
	n = min(n, 8)
	var buf [8]byte
	for i := n - 1; i >= 0; i-- {
		buf[i] = digits[b&15]
		b >>= 4
	}
	t.PushString(string(buf[:n]))
	return 1
}
