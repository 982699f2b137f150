package tree

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"redoubt/storage/slab"
)

// A subject is a collection of any kind under random changes.
type subject struct {
	kind Kind
	dues bool // fields of the hash are due
	tree *Tree
	list ListTree
	set  SetTree
	hash HashTree
	zset ZSetTree
	rows MapTree
}

// hashWithDue stands for a hash with fields that are due.
const hashWithDue = kinds

func newSubject(k Kind) *subject {
	s := &subject{kind: k}
	if k == hashWithDue {
		s.kind, s.dues = Hash, true
	}
	s.tree = [...]*Tree{List: &s.list.Tree, Set: &s.set.Tree, Hash: &s.hash.Tree, ZSet: &s.zset.Tree, Map: &s.rows.Tree}[s.kind]
	return s
}

// change changes one element, or adds one if grow.
func (s *subject) change(g *gen, grow bool) {
	text, n := g.text(), s.tree.Len()
	switch s.kind {
	case List:
		if grow || n == 0 {
			s.list.Insert(g.IntN(n+1), text)
		} else if i := g.IntN(n); g.IntN(2) == 0 {
			s.list.Set(i, text)
		} else {
			s.list.Remove(i, 1)
		}
	case Set:
		if grow {
			s.set.Add(text)
		} else {
			s.set.Delete(text)
		}
	case Hash:
		if grow {
			s.hash.Set(text, g.text(), s.due(g))
		} else if s.dues && g.IntN(2) == 0 {
			s.hash.SetDue(text, s.due(g))
		} else {
			s.hash.Delete(text)
		}
	case ZSet:
		if grow {
			s.zset.Set(text, g.Float64())
		} else {
			s.zset.Delete(text)
		}
	case Map:
		key := uint64(g.IntN(3)) << 32
		switch {
		case !grow:
			s.rows.Delete(key, text)
		case g.IntN(3) == 0:
			s.extend(key, text, g.text())
		default:
			s.rows.Set(key, text, g.text())
		}
	}
}

// extend appends to a row that has a block of its own.
func (s *subject) extend(key uint64, name, more []byte) {
	if b := s.rows.Room(key, name, len(more)); b != nil {
		s.rows.SetLength(len(append(b, more...)))
	}
}

// due is when a field is due: never, or one of some times.
func (s *subject) due(g *gen) int64 {
	if !s.dues || g.IntN(3) == 0 {
		return 0
	}
	return dueTime(g.IntN(5000))
}

// dueTime is one of many times that differ in some bytes, a few in all.
func dueTime(i int) int64 {
	switch i % 50 {
	case 0:
		return math.MaxInt64
	case 1:
		return 1
	}
	return 1_700_000_000_000 + int64(i%1000)*1000
}

// element is a copy of an Element.
type element struct {
	text, value string
	score       uint64 // as bits, or when the field is due
}

func (s *subject) elements() (all []element) {
	s.tree.ascend(0, func(key uint64, a, b []byte) bool {
		e := element{string(a), string(b), 0}
		switch s.kind {
		case ZSet:
			e.score = math.Float64bits(scoreOf(key))
		case Hash, Map:
			e.score = key
		}
		all = append(all, e)
		return true
	})
	return all
}

func read(space *slab.Space, k Kind, value []byte) (all []element) {
	var r Reader
	r.Open(space, k, value)
	r.Each(func(e Element) bool {
		x := element{string(e.Text), string(e.Value), 0}
		switch k {
		case ZSet:
			x.score = math.Float64bits(e.Score)
		case Hash:
			x.score = uint64(e.Due)
		case Map:
			x.score = e.Key
		}
		all = append(all, x)
		return true
	})
	if r.Len() != len(all) {
		return nil
	}
	return all
}

// eachKind runs a test for collections of all kinds, small and large, with and
// without long items.
func eachKind(t *testing.T, f func(t *testing.T, e *Env, s *subject, g *gen, size int)) {
	for _, style := range []int{0, 1, 4} {
		for _, size := range []int{0, 1, 20, 400, 6000} {
			if seedStep > 1 && size > 400 && style != 4 {
				continue
			}
			for k := range hashWithDue + 1 {
				t.Run(fmt.Sprintf("kind %d style %d size %d", k, style, size), func(t *testing.T) {
					g := &gen{rand.New(rand.NewPCG(uint64(size), uint64(k))), 3 * size, style}
					e, s := newEnv(t), newSubject(k)
					s.tree.Open(e, s.kind, nil)
					for range size {
						s.change(g, true)
					}
					if err := s.tree.Validate(); err != nil {
						t.Fatal(err)
					}
					f(t, e, s, g, size)
				})
			}
		}
	}
}

func TestFreeWithSmallBudgets(t *testing.T) {
	eachKind(t, func(t *testing.T, e *Env, s *subject, g *gen, size int) {
		for _, budget := range []int{1, 7, 1 << 30} {
			rest := s.tree.Clone()
			with, calls := e.Space.Stats().Blocks, 0
			var other Tree
			for len(rest) > 0 {
				before := e.Space.Stats().Blocks
				rest = other.Free(e, s.kind, rest, budget)
				calls++
				if gone := before - e.Space.Stats().Blocks; gone > budget*maxLeaf/8 {
					t.Fatalf("%d blocks freed for a budget of %d", gone, budget)
				}
			}
			if got := e.Space.Stats().Allocated; got != s.tree.Bytes() {
				t.Fatalf("%d bytes allocated, the original has %d", got, s.tree.Bytes())
			}
			if calls > with+4 {
				t.Fatalf("%d calls to free %d blocks", calls, with)
			}
		}
	})
}

func TestCloneSharesNothing(t *testing.T) {
	eachKind(t, func(t *testing.T, e *Env, s *subject, g *gen, size int) {
		want := s.elements()
		value := s.tree.Clone()
		for range size {
			s.change(g, g.IntN(2) == 0)
		}
		s.tree.removeAll()
		c := newSubject(s.kind)
		c.dues = s.dues
		c.tree.Open(e, s.kind, value)
		if err := c.tree.Validate(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(c.elements(), want) {
			t.Fatal("the copy has other elements")
		}
		for range size {
			c.change(g, g.IntN(2) == 0)
		}
		if err := c.tree.Validate(); err != nil {
			t.Fatal(err)
		}
		if got := e.Space.Stats().Allocated; got != c.tree.Bytes() {
			t.Fatalf("%d bytes allocated, the copy has %d", got, c.tree.Bytes())
		}
	})
}

func TestMoveEmptiesSparsePages(t *testing.T) {
	for k := range hashWithDue + 1 {
		t.Run(fmt.Sprint("kind ", k), func(t *testing.T) {
			g := &gen{rand.New(rand.NewPCG(1, uint64(k))), 60000, 3}
			e, s, other := newEnv(t), newSubject(k), newSubject(k)
			s.tree.Open(e, s.kind, nil)
			other.tree.Open(e, s.kind, nil)
			// The nodes of two collections lie side by side, until one of them goes.
			for range 30000 {
				s.change(g, true)
				other.change(g, true)
			}
			other.tree.removeAll()
			want := s.elements()
			before := e.Space.Stats()
			for range 10 {
				if e.Space.ChooseSparse(0.05, 0).Blocks() == 0 {
					break
				}
				for calls := 0; s.tree.Move(3); calls++ {
					if calls > 20000 {
						t.Fatal("Move does not end")
					}
					// A value carries where Move goes on.
					s.tree.Open(e, s.kind, bytes.Clone(s.tree.Value()))
				}
			}
			e.Space.EndCompaction()
			after := e.Space.Stats()
			if err := s.tree.Validate(); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.elements(), want) {
				t.Fatal("other elements")
			}
			if after.Allocated != s.tree.Bytes() {
				t.Fatalf("%d bytes allocated, the collection has %d", after.Allocated, s.tree.Bytes())
			}
			lost := func(s slab.Stats) int { return s.Committed - s.Free - s.Allocated }
			if lost(after) > lost(before)*3/4 {
				t.Errorf("%d bytes lost before, %d after", lost(before), lost(after))
			}
		})
	}
}

// A frozen value stays as it is while the collection changes, is read side by
// side with the changes, and what only captures read is kept until they end.
func TestFrozenValuesStay(t *testing.T) {
	eachKind(t, func(t *testing.T, e *Env, s *subject, g *gen, size int) {
		var kept []slab.Ref
		e.Keep = func(r slab.Ref) { kept = append(kept, r) }
		for range 3 {
			type capture struct {
				want []element
				done chan []element
			}
			var captures []capture
			for range 2 {
				e.Epoch, e.Captured = e.Epoch+1, e.Epoch+1
				c := capture{s.elements(), make(chan []element, 1)}
				// Long items of a small collection are in blocks that changes keep.
				frozen := bytes.Clone(s.tree.Value())
				go func() {
					for range 3 {
						if got := read(e.Space, s.kind, frozen); !slices.Equal(got, c.want) {
							c.done <- got
							return
						}
					}
					c.done <- read(e.Space, s.kind, frozen)
				}()
				for i := range 2 * size {
					s.change(g, i%3 == 0)
				}
				s.tree.Open(e, s.kind, bytes.Clone(s.tree.Value()))
				captures = append(captures, c)
			}
			if err := s.tree.Validate(); err != nil {
				t.Fatal(err)
			}
			for _, c := range captures {
				if got := <-c.done; !slices.Equal(got, c.want) {
					t.Fatalf("a capture reads %d elements, not the %d there were", len(got), len(c.want))
				}
			}
			e.Captured = 0
			for _, r := range kept {
				e.Heap.Free(r)
			}
			kept = kept[:0]
			if got := e.Space.Stats().Allocated; got != s.tree.Bytes() {
				t.Fatalf("%d bytes allocated, the collection has %d", got, s.tree.Bytes())
			}
			for range size {
				s.change(g, true)
			}
		}
	})
}

// Freeing and moving leave alone what a capture reads.
func TestFreeAndMoveUnderACapture(t *testing.T) {
	eachKind(t, func(t *testing.T, e *Env, s *subject, g *gen, size int) {
		var kept []slab.Ref
		e.Keep = func(r slab.Ref) { kept = append(kept, r) }
		e.Epoch, e.Captured = e.Epoch+1, e.Epoch+1
		want, frozen := s.elements(), bytes.Clone(s.tree.Value())
		for range size {
			s.change(g, g.IntN(2) == 0)
		}
		e.Space.ChooseSparse(0, 0)
		for s.tree.Move(5) {
		}
		e.Space.EndCompaction()
		if err := s.tree.Validate(); err != nil {
			t.Fatal(err)
		}
		var other Tree
		for rest := bytes.Clone(s.tree.Value()); len(rest) > 0; {
			rest = other.Free(e, s.kind, rest, 3)
		}
		if got := read(e.Space, s.kind, frozen); !slices.Equal(got, want) {
			t.Fatalf("the capture reads %d elements, not the %d there were", len(got), len(want))
		}
		for _, r := range kept {
			e.Heap.Free(r)
		}
		if got := e.Space.Stats().Allocated; got != 0 {
			t.Fatalf("%d bytes left", got)
		}
	})
}

// When ids are used up, leaves grow.
func TestSortedSetWithoutIDs(t *testing.T) {
	defer func(n uint32) { maxIDs = n }(maxIDs)
	maxIDs = 20
	e, s := newEnv(t), newSubject(ZSet)
	s.tree.Open(e, ZSet, nil)
	g := &gen{rand.New(rand.NewPCG(1, 1)), 20000, 1}
	for i := range 30000 {
		s.change(g, i%4 > 0)
	}
	if err := s.tree.Validate(); err != nil {
		t.Fatal(err)
	}
}

func scoreBits(f float64) uint64 { return math.Float64bits(f) }

func compareElements(a, b element) int {
	return cmp.Or(strings.Compare(a.text, b.text), strings.Compare(a.value, b.value), cmp.Compare(a.score, b.score))
}

// A Tree that is opened again may have been of another kind.
func TestATreeTakesNothingFromTheOneBefore(t *testing.T) {
	e, z := newEnv(t), new(ZSetTree)
	z.Open(e, nil)
	for i := range 3 {
		z.Set([]byte{'a' + byte(i)}, math.Sqrt(float64(i)))
	}
	z.At(0) // opens the leaf
	s := (*SetTree)(z)
	s.Open(e, nil)
	for _, m := range []string{"-3", "18", "-1", "5"} {
		if !s.Add([]byte(m)) || !s.Has([]byte(m)) {
			t.Fatalf("%s is not there once it is added", m)
		}
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
}
