package hll

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

func element(n int) []byte { return fmt.Append(nil, "element:", n) }

// A value counts what was added, whatever its form, and both forms agree.
func TestBothFormsCountTheSame(t *testing.T) {
	full, e := ToDense(New()), Edit(New(), nil, 3000)
	for n := 1; n <= 100_000; n++ {
		register, count := Locate(element(n))
		a, b := DenseRaise(full, register, count), e.Raise(register, count)
		if a != b {
			t.Fatalf("element %d: changed %v and %v", n, a, b)
		}
		if e.Raise(register, count) {
			t.Fatalf("element %d changes the value twice", n)
		}
		if n&(n-1) != 0 && n%997 != 0 {
			continue
		}
		if !Is(e.Value()) || !Check(e.Value()) {
			t.Fatalf("after %d elements the value is broken", n)
		}
		want, _ := Count(full)
		got, ok := Count(e.Value())
		if off := float64(got)/float64(n) - 1; !ok || got != want || off < -0.05 || off > 0.05 && n > 50 {
			t.Fatalf("%d elements are counted as %d and %d", n, got, want)
		}
		if v := e.Value(); !IsDense(v) && !bytes.Equal(ToDense(v)[headerBytes:], full[headerBytes:]) {
			t.Fatalf("after %d elements the forms have other registers", n)
		}
	}
	if !IsDense(e.Value()) {
		t.Error("the value has stayed sparse")
	}
}

// The first change copies: what an editor was given is not its own.
func TestAnEditorLeavesTheOriginalAlone(t *testing.T) {
	v := New()
	before := bytes.Clone(v)
	e := Edit(v, nil, 3000)
	for n := range 1000 {
		e.Raise(Locate(element(n)))
	}
	if !bytes.Equal(v[:len(before)], before) {
		t.Error("it has changed")
	}
}

// An editor goes on from where it was; one that begins anew for each register
// gives the same bytes.
func TestAnEditorFindsItsWayInAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		e, anew := Edit(New(), nil, 3000), New()
		ascending := r.IntN(2) == 0
		register := 0
		for range 1 + r.IntN(1500) {
			if ascending {
				register += r.IntN(12)
			} else {
				register = r.IntN(2000)
			}
			if register >= Registers {
				break
			}
			count := byte(1 + r.IntN(3))
			other := Edit(anew, nil, 3000)
			if e.Raise(register, count) != other.Raise(register, count) {
				t.Fatal("one has changed, the other has not")
			}
			anew = bytes.Clone(other.Value())
			if !bytes.Equal(e.Value(), anew) {
				t.Fatalf("register %d: %s\nnot %s", register, Runs(e.Value()), Runs(anew))
			}
		}
		if !Check(anew) {
			t.Fatal("the value is broken")
		}
	}
}

func TestUnion(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	var u Union
	all := ToDense(New())
	for n := range 8 {
		e := Edit(New(), nil, 3000)
		for range []int{10, 1000, 20_000}[n%3] {
			register, count := Locate(element(r.IntN(50_000)))
			e.Raise(register, count)
			DenseRaise(all, register, count)
		}
		if !u.Merge(e.Value()) {
			t.Fatal("a value is refused")
		}
	}
	stored := ToDense(New())
	u.Store(stored)
	if !bytes.Equal(stored, all) {
		t.Error("the union has other registers")
	}
	if want, _ := Count(all); u.Count() != want {
		t.Errorf("the union has %d elements, not %d", u.Count(), want)
	}
}

func TestCachedCardinality(t *testing.T) {
	v := New()
	if n, ok := Cached(v); n != 0 || !ok {
		t.Error("a new value has none")
	}
	Stale(v)
	if _, ok := Cached(v); ok {
		t.Error("it is not stale")
	}
	Cache(v, 12345)
	if n, ok := Cached(v); n != 12345 || !ok {
		t.Errorf("it is %d", n)
	}
}

// Registers that no elements give have an estimate, too; Redis has the same.
func TestEstimateOfMadeUpRegisters(t *testing.T) {
	v := ToDense(New())
	for i := range v[headerBytes:] {
		v[headerBytes+i] = 0xff
	}
	if n, ok := Count(v); n != tooMany || !ok {
		t.Errorf("all registers at 63: %d", n)
	}
}

// Whatever bytes a value has, nothing panics, and what Check passes stays whole.
func FuzzValue(f *testing.F) {
	e := Edit(New(), nil, 3000)
	f.Add(New(), []byte("a"), uint16(3000))
	for n := range 400 {
		e.Raise(Locate(element(n)))
	}
	f.Add(bytes.Clone(e.Value()), []byte("b"), uint16(3000))
	f.Add(bytes.Clone(e.Value()), []byte("b"), uint16(10))
	f.Add(ToDense(e.Value()), []byte("c"), uint16(0))
	f.Add(append(bytes.Clone(e.Value()), longZeros), []byte("d"), uint16(3000))
	f.Fuzz(func(t *testing.T, v, elements []byte, limit uint16) {
		if len(v) >= headerBytes && len(elements)%2 == 0 {
			copy(v, magic)
			v[encodingAt] = sparse
		}
		if !Is(v) {
			return
		}
		Cached(v)
		if !IsDense(v) {
			Runs(v)
		}
		var u Union
		whole := Check(v)
		if n, ok := Count(v); ok != whole || u.Merge(v) != whole || ok && u.Count() != n {
			t.Fatalf("whole %v, counted %v", whole, ok)
		}
		if !whole {
			return
		}
		full := bytes.Clone(v)
		if !IsDense(v) {
			full = ToDense(v)
		}
		e := Edit(v, nil, int(limit))
		for len(elements) >= 3 {
			register, count := int(binary.LittleEndian.Uint16(elements))%Registers, 1+elements[2]%51
			if e.Raise(register, count) != DenseRaise(full, register, count) {
				t.Fatalf("register %d, count %d: the forms disagree", register, count)
			}
			elements = elements[3:]
		}
		if !Check(e.Value()) {
			t.Fatal("the value is broken")
		}
		var after, want Union
		after.Merge(e.Value())
		want.Merge(full)
		if after != want {
			t.Fatal("the forms have other registers")
		}
	})
}

func BenchmarkRaise(b *testing.B) {
	for _, elements := range []int{10, 500, 100_000} {
		e := Edit(New(), nil, 3000)
		for n := range elements {
			e.Raise(Locate(element(n)))
		}
		b.Run(fmt.Sprint(len(e.Value()), " bytes"), func(b *testing.B) {
			n := 0
			for b.Loop() {
				n++
				e := Edit(e.Value(), nil, 3000)
				e.Raise(Locate(element(n)))
			}
		})
	}
}

func BenchmarkCount(b *testing.B) {
	v := ToDense(New())
	for n := range 100_000 {
		register, count := Locate(element(n))
		DenseRaise(v, register, count)
	}
	var u Union
	b.Run("dense", func(b *testing.B) {
		for b.Loop() {
			Count(v)
		}
	})
	b.Run("merge", func(b *testing.B) {
		for b.Loop() {
			u.Merge(v)
		}
	})
}
