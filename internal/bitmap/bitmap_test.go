package bitmap

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func bitOf(b []byte, i int64) bool { return i>>3 < int64(len(b)) && b[i>>3]&(0x80>>(i&7)) != 0 }

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		// Long runs of the same bits, too.
		switch r.IntN(3) {
		case 0:
			b[i] = byte(r.Uint32())
		case 1:
			b[i] = 0xff
		}
	}
	return b
}

func TestCountAndFindLookAtExactlyTheRange(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		b := randomBytes(r, 1+r.IntN(100))
		if r.IntN(3) == 0 {
			for i := range b {
				b[i] = byte(-r.IntN(2)) // nothing but 0 and 0xff
			}
		}
		first := r.Int64N(int64(len(b)) * 8)
		last := first + r.Int64N(int64(len(b))*8-first)
		want, at := int64(0), map[bool]int64{false: -1, true: -1}
		for i := last; i >= first; i-- {
			if bitOf(b, i) {
				want++
			}
			at[bitOf(b, i)] = i
		}
		in := Range{first, last}
		if got := CountIn(b, in); got != want {
			t.Fatalf("%x has %d bits in %v, not %d", b, want, in, got)
		}
		for _, set := range []bool{false, true} {
			if got := Find(b, set, in); got != at[set] {
				t.Fatalf("the first %v of %x in %v is %d, not %d", set, b, in, at[set], got)
			}
		}
	}
}

func TestCombine(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	for op, f := range map[Operation]func(a, b bool) bool{
		And: func(a, b bool) bool { return a && b }, Or: func(a, b bool) bool { return a || b }, Xor: func(a, b bool) bool { return a != b },
	} {
		for range 300 {
			var src [][]byte
			longest := 0
			for range 1 + r.IntN(5) {
				src = append(src, randomBytes(r, r.IntN(3*block)))
				longest = max(longest, len(src[len(src)-1]))
			}
			want := make([]byte, longest)
			for i := range int64(longest) * 8 {
				v := bitOf(src[0], i)
				for _, s := range src[1:] {
					v = f(v, bitOf(s, i))
				}
				if v {
					want[i>>3] |= 0x80 >> (i & 7)
				}
			}
			got := make([]byte, longest)
			Combine(got, op, src)
			if !bytes.Equal(got, want) {
				t.Fatalf("operation %d of %d strings is wrong", op, len(src))
			}
			// One of them is where the result goes.
			i := r.IntN(len(src))
			src[i] = append(src[i], make([]byte, longest-len(src[i]))...)
			Combine(src[i], op, src)
			if !bytes.Equal(src[i], want) {
				t.Fatalf("operation %d in the place of string %d of %d is wrong", op, i, len(src))
			}
		}
	}
}

// Bit by bit: what the first string has, and how many of the others.
func TestCombineTheFirstWithTheRest(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	for op, f := range map[Operation]func(first bool, rest int) bool{
		Diff:  func(first bool, rest int) bool { return first && rest == 0 },
		Diff1: func(first bool, rest int) bool { return !first && rest > 0 },
		AndOr: func(first bool, rest int) bool { return first && rest > 0 },
		One:   func(first bool, rest int) bool { return first && rest == 0 || !first && rest == 1 },
	} {
		for range 100 {
			var src [][]byte
			longest := 0
			for range op.Least() + r.IntN(4) {
				src = append(src, randomBytes(r, r.IntN(3*block)))
				longest = max(longest, len(src[len(src)-1]))
			}
			want := make([]byte, longest)
			for i := range int64(longest) * 8 {
				rest := 0
				for _, s := range src[1:] {
					if bitOf(s, i) {
						rest++
					}
				}
				if f(bitOf(src[0], i), rest) {
					want[i>>3] |= 0x80 >> (i & 7)
				}
			}
			got := make([]byte, longest)
			Combine(got, op, src)
			if !bytes.Equal(got, want) {
				t.Fatalf("operation %d of %d strings is wrong", op, len(src))
			}
			// One of them is where the result goes.
			i := r.IntN(len(src))
			src[i] = append(src[i], make([]byte, longest-len(src[i]))...)
			Combine(src[i], op, src)
			if !bytes.Equal(src[i], want) {
				t.Fatalf("operation %d in the place of string %d of %d is wrong", op, i, len(src))
			}
		}
	}
}

func TestNotTurnsEveryBitOver(t *testing.T) {
	b := randomBytes(rand.New(rand.NewPCG(3, 1)), 3*block+5)
	got := make([]byte, len(b))
	Combine(got, Not, [][]byte{b})
	for i := range b {
		if got[i] != ^b[i] {
			t.Fatalf("byte %d is %x, of %x", i, got[i], b[i])
		}
	}
}

func TestFieldsKeepWhatIsAroundThem(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	for range 50_000 {
		f := Field{Offset: r.Uint64N(100), Width: 1 + r.UintN(64), Signed: r.IntN(2) == 0}
		if !f.Signed {
			f.Width = min(f.Width, 63)
		}
		b := randomBytes(r, int(f.End())+r.IntN(3))
		before := bytes.Clone(b)
		v := r.Uint64() >> r.UintN(64)
		f.Set(b, v)
		if got, want := f.Get(b)<<(64-f.Width), v<<(64-f.Width); got != want {
			t.Fatalf("%+v holds %x, was set to %x", f, got, want)
		}
		if got := int64(f.Get(b)); f.Signed && got != int64(v<<(64-f.Width))>>(64-f.Width) || !f.Signed && got < 0 {
			t.Fatalf("%+v of %x is %d", f, v, got)
		}
		for i := range int64(len(b)) * 8 {
			if within := uint64(i) >= f.Offset && uint64(i) < f.Offset+uint64(f.Width); !within && bitOf(b, i) != bitOf(before, i) {
				t.Fatalf("%+v has changed bit %d", f, i)
			}
		}
		if got := f.Get(b[:min(len(b), int(f.Offset>>3))]); got != 0 {
			t.Fatalf("%+v behind the end is %x", f, got)
		}
	}
}

func TestFit(t *testing.T) {
	i8, u8, i64, u63 := Field{Width: 8, Signed: true}, Field{Width: 8}, Field{Width: 64, Signed: true}, Field{Width: 63}
	for _, c := range []struct {
		f            Field
		v, increment int64
		wrap, sat    int64
		overflows    bool
	}{
		{i8, 100, 27, 127, 127, false},
		{i8, 100, 28, -128, 127, true},
		{i8, -100, -29, 127, -128, true},
		{i8, 100, 1000, 76, 127, true},
		{i8, 200, 0, -56, 127, true},
		{u8, 200, 56, 0, 255, true},
		{u8, 10, -11, 255, 0, true},
		{u8, -1, 0, 255, 255, true},
		{u8, 300, 0, 44, 255, true},
		{i64, math.MaxInt64, 1, math.MinInt64, math.MaxInt64, true},
		{i64, math.MinInt64, -1, math.MaxInt64, math.MinInt64, true},
		{i64, math.MinInt64, math.MaxInt64, -1, -1, false},
		{u63, math.MaxInt64, math.MaxInt64, math.MaxInt64 - 1, math.MaxInt64, true},
		{u63, 5, math.MinInt64, 5, 0, true},
	} {
		t.Run(fmt.Sprint(c.f, c.v, c.increment), func(t *testing.T) {
			if got, ok := c.f.Fit(c.v, c.increment, Wrap); int64(got) != c.wrap || !ok {
				t.Errorf("wraps to %d", int64(got))
			}
			if got, ok := c.f.Fit(c.v, c.increment, Saturate); int64(got) != c.sat || !ok {
				t.Errorf("saturates at %d", int64(got))
			}
			if _, ok := c.f.Fit(c.v, c.increment, Fail); ok == c.overflows {
				t.Errorf("fails: %v", !ok)
			}
		})
	}
}

func BenchmarkCount(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := randomBytes(rand.New(rand.NewPCG(5, 1)), size)
			b.SetBytes(int64(size))
			for b.Loop() {
				Count(s)
			}
		})
	}
}

func BenchmarkCombine(b *testing.B) {
	r := rand.New(rand.NewPCG(6, 1))
	src := [][]byte{randomBytes(r, 1<<20), randomBytes(r, 1<<20)}
	dst := make([]byte, 1<<20)
	for op, name := range []string{"and", "or", "xor"} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(1 << 20)
			for b.Loop() {
				Combine(dst, Operation(op), src)
			}
		})
	}
}
