package tree

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"redoubt/storage/slab"
)

// FuzzTree reads its input as changes of a collection, which is held to a model.
// Captures are opened and released between them.
func FuzzTree(f *testing.F) {
	for _, k := range []byte{byte(List), byte(Set), byte(Hash), byte(ZSet), byte(Map), byte(Hash) + dueBit} {
		f.Add([]byte{k, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20})
		f.Add(bytes.Repeat([]byte{k, 40, 7, 3, 80, 9, 200, 14, 0}, 60))
		f.Add(bytes.Repeat([]byte{k + 16, 1, 200, 30, 250, 60, 90, 120, 15, 255, 33, 66}, 100))
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) < 2 || len(ops) > 4096 {
			return
		}
		k := Kind(ops[0]&15) % kinds
		if k == Hash && ops[0]&dueBit != 0 {
			k = hashWithDue
		}
		z := &fuzzer{t: t, e: newEnvOf(t, 64<<20), s: newSubject(k), members: map[string]element{}}
		z.e.Keep = func(r slab.Ref) { z.kept = append(z.kept, r) }
		if ops[0]&16 != 0 {
			z.e.Hash = func(b []byte) uint64 { return uint64(len(b)) << 50 }
		}
		z.s.tree.Open(z.e, z.s.kind, nil)
		for ops = ops[1:]; len(ops) >= 3; ops = ops[3:] {
			z.step(ops[0], ops[1], ops[2])
		}
		z.check()
		z.release()
		for rest := bytes.Clone(z.s.tree.Value()); len(rest) > 0; {
			rest = z.s.tree.Free(z.e, z.s.kind, rest, 2)
		}
		if n := z.e.Space.Stats().Allocated; n != 0 {
			t.Fatalf("%d bytes left", n)
		}
	})
}

// dueBit makes fields of a hash due.
const dueBit = 32

type fuzzer struct {
	t       *testing.T
	e       *Env
	s       *subject
	list    []element
	members map[string]element
	kept    []slab.Ref
	frozen  []byte
	then    []element // what frozen has
}

// text makes texts of many lengths, some of which have much in common.
func (z *fuzzer) text(a, b byte) string {
	switch a % 5 {
	case 0:
		return fmt.Sprint(int(a)<<8 | int(b))
	case 1:
		return fmt.Sprintf("user:%03d:%d", a, b)
	case 2:
		return string(bytes.Repeat([]byte{a}, int(b)))
	case 3:
		return string(bytes.Repeat([]byte{'k'}, int(b)*3)) + string(a)
	}
	return string([]byte{a, b, 0, 255})
}

func (z *fuzzer) step(op, a, b byte) {
	s := z.s
	switch op % 16 {
	case 15:
		z.check()
		z.release()
		z.e.Epoch, z.e.Captured = z.e.Epoch+1, z.e.Epoch+1
		z.frozen, z.then = bytes.Clone(s.tree.Value()), s.elements()
	case 14:
		s.tree.Open(z.e, s.kind, bytes.Clone(s.tree.Value()))
	case 13:
		if n := s.tree.Len(); n > 0 && (s.kind == List || s.kind == ZSet) {
			from := int(a) % n
			z.cut(from, min(int(b), n-from))
		}
	default:
		// Many at once, so that a short input makes a large collection.
		for i := range 1 + op/64*op%8 {
			z.change(op%16 < 9, a+i*31, b+i*7)
		}
	}
}

func (z *fuzzer) cut(from, n int) {
	if z.s.kind == List {
		z.s.list.Remove(from, n)
		z.list = slices.Delete(z.list, from, from+n)
		return
	}
	var gone []string
	z.s.zset.Ascend(from, func(m []byte, _ float64) bool {
		if len(gone) < n {
			gone = append(gone, string(m))
		}
		return len(gone) < n
	})
	z.s.zset.Remove(from, n)
	for _, m := range gone {
		delete(z.members, m)
	}
}

func (z *fuzzer) change(grow bool, a, b byte) {
	text, n := z.text(a, b), z.s.tree.Len()
	e := element{text: text}
	_, had := z.members[text]
	got := had
	switch {
	case z.s.kind == List && (grow || n == 0):
		i := int(b) % (n + 1)
		z.s.list.Insert(i, []byte(text))
		z.list = slices.Insert(z.list, i, e)
		return
	case z.s.kind == List:
		i := int(b) % n
		z.s.list.Set(i, []byte(text))
		z.list[i] = e
		return
	case z.s.kind == Set && grow:
		got = !z.s.set.Add([]byte(text))
	case z.s.kind == Set:
		got = z.s.set.Delete([]byte(text))
	case z.s.kind == Hash && grow:
		e.value = z.text(b, a)
		if z.s.dues && b%3 > 0 {
			e.score = uint64(dueTime(int(b) * 7))
		}
		got = !z.s.hash.Set([]byte(text), []byte(e.value), int64(e.score))
	case z.s.dues && b%2 == 0:
		due := dueTime(int(a))
		if got = z.s.hash.SetDue([]byte(text), due); got {
			e = z.members[text]
			e.score = uint64(due)
		}
		grow = had
	case z.s.kind == Hash:
		got = z.s.hash.Delete([]byte(text))
	case z.s.kind == Map && grow && had && a%2 == 0:
		e = z.members[text]
		if more := z.text(b, a); len(e.value) > maxInline {
			e.value += more
		}
		z.s.extend(e.score, []byte(text), []byte(z.text(b, a)))
	case z.s.kind == Map && grow:
		e.value, e.score = z.text(b, a), uint64(len(text)%3)
		got = !z.s.rows.Set(e.score, []byte(text), []byte(e.value))
	case z.s.kind == Map:
		got = z.s.rows.Delete(uint64(len(text)%3), []byte(text))
	case grow:
		score := float64(int8(a)) / float64(1+b%4)
		e.score = scoreBits(score)
		got = !z.s.zset.Set([]byte(text), score)
	default:
		got = z.s.zset.Delete([]byte(text))
	}
	if got != had {
		z.t.Fatalf("%q was there: %v, not %v", text, got, had)
	}
	if delete(z.members, text); grow {
		z.members[text] = e
	}
}

// check compares the collection with the model, and the frozen value with what
// it was.
func (z *fuzzer) check() {
	if err := z.s.tree.Validate(); err != nil {
		z.t.Fatal(err)
	}
	got := z.s.elements()
	want := z.list
	if z.s.kind != List {
		want = slices.SortedFunc(maps.Values(z.members), compareElements)
		slices.SortFunc(got, compareElements)
	}
	if !slices.Equal(got, want) {
		z.t.Fatalf("%v, not %v", got, want)
	}
	if z.e.Captured != 0 && !slices.Equal(read(z.e.Space, z.s.kind, z.frozen), z.then) {
		z.t.Fatal("the frozen value has changed")
	}
}

func (z *fuzzer) release() {
	z.e.Captured = 0
	for _, r := range z.kept {
		z.e.Heap.Free(r)
	}
	z.kept = nil
}
