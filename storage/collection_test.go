package storage

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"redoubt/slots"
)

// Each type against a model of the standard library, through the interface that
// commands use.
func TestCollectionsAgreeWithTheirModels(t *testing.T) {
	seeds := uint64(4)
	if raceDetector {
		seeds = 1
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 1))
		b := newBench(t, 1)
		key := []byte("k")
		word := func() []byte { return fmt.Appendf(nil, "%d", r.IntN(700)) }
		models := []func(*Tx) bool{hashModel(r, key, word), dueModel(r, b, key, word), listModel(r, key, word), zsetModel(r, key, word)}
		for _, step := range models {
			b.World(b.now, func(tx *Tx) { tx.Delete(key) })
			for i := range 1000 {
				ok := true
				b.World(b.now, func(tx *Tx) { ok = step(tx) })
				if !ok {
					t.Fatalf("seed %d, step %d: the collection differs from its model", seed, i)
				}
			}
		}
	}
}

func hashModel(r *rand.Rand, key []byte, word func() []byte) func(*Tx) bool {
	model := map[string]string{}
	return func(tx *Tx) bool {
		h, _ := tx.EditHash(key)
		name, value := word(), word()
		_, had := model[string(name)]
		if r.IntN(5) < 3 {
			if h.Set(name, value) == had {
				return false
			}
			model[string(name)] = string(value)
		} else {
			if h.Delete(name) != had {
				return false
			}
			delete(model, string(name))
		}
		got := map[string]string{}
		for cursor, more := uint64(0), true; more; more = cursor != 0 {
			cursor = h.Scan(cursor, 50, func(n, v []byte) { got[string(n)] = string(v) })
		}
		_, exists := tx.Peek(key)
		return h.Len() == len(model) && exists == (len(model) > 0) && maps.Equal(got, model)
	}
}

// dueModel is a hash whose fields expire, while time goes on and the cycle comes
// by.
func dueModel(r *rand.Rand, b *bench, key []byte, word func() []byte) func(*Tx) bool {
	type field struct {
		value string
		due   int64
	}
	model := map[string]field{}
	return func(tx *Tx) bool {
		b.now += int64(r.IntN(3))
		tx.now = b.now
		live := map[string]string{}
		for name, f := range model {
			if f.due == 0 || f.due >= b.now {
				live[name] = f.value
			}
		}
		h, _ := tx.EditHash(key)
		name, value := word(), word()
		_, had := live[string(name)]
		due := []int64{0, b.now + int64(r.IntN(40))}[r.IntN(2)]
		h.DropExpired([][]byte{name}, 1)
		if _, got := h.Get(name); got != had {
			return false
		}
		switch k := r.IntN(5); {
		case k < 3:
			if h.SetDue(name, value, due) == had {
				return false
			}
			model[string(name)], live[string(name)] = field{string(value), due}, string(value)
		case k == 3 && had:
			h.ExpireAt(name, due)
			model[string(name)] = field{live[string(name)], due}
		default:
			if h.Delete(name) != had {
				return false
			}
			delete(model, string(name))
			delete(live, string(name))
		}
		if r.IntN(20) == 0 {
			tx.expireSlot(slots.Of(key), 1<<20)
			maps.DeleteFunc(model, func(_ string, f field) bool { return f.due != 0 && f.due < b.now })
			if h, _ = tx.EditHash(key); h.Len() != len(live) {
				return false
			}
		}
		got, places := map[string]string{}, h.Len() > 0 && len(h.Places()) != len(live)
		h.Each(func(n, v []byte) bool { got[string(n)] = string(v); return true })
		_, exists := tx.Peek(key)
		return maps.Equal(got, live) && h.Visible() == len(live) && !places && exists == (h.Len() > 0)
	}
}

func listModel(r *rand.Rand, key []byte, word func() []byte) func(*Tx) bool {
	var model [][]byte
	return func(tx *Tx) bool {
		l, _ := tx.EditList(key)
		n := len(model)
		switch k := r.IntN(8); {
		case k < 4 || n == 0:
			i, w := r.IntN(n+1), word()
			l.Insert(i, w)
			model = slices.Insert(model, i, w)
		case k == 4:
			i, w := r.IntN(n), word()
			l.Set(i, w)
			model[i] = w
		case k == 5:
			from, to := r.IntN(n), r.IntN(n)
			l.Rotate(from, to)
			w := model[from]
			model = slices.Insert(slices.Delete(model, from, from+1), to, w)
		default:
			i := r.IntN(n)
			m := min(r.IntN(4), n-i)
			l.Remove(i, m)
			model = slices.Delete(model, i, i+m)
		}
		var up, down [][]byte
		l.Ascend(0, func(e []byte) bool { up = append(up, bytes.Clone(e)); return true })
		l.Descend(l.Len(), func(e []byte) bool { down = append(down, bytes.Clone(e)); return true })
		slices.Reverse(down)
		return slices.EqualFunc(up, model, bytes.Equal) && slices.EqualFunc(down, model, bytes.Equal)
	}
}

func zsetModel(r *rand.Rand, key []byte, word func() []byte) func(*Tx) bool {
	model := map[string]float64{}
	return func(tx *Tx) bool {
		z, _ := tx.EditZSet(key)
		member, score := word(), float64(r.IntN(100))/4
		_, had := model[string(member)]
		switch r.IntN(6) {
		case 0, 1, 2, 3:
			if z.Set(member, score) == had {
				return false
			}
			model[string(member)] = score
		case 4:
			if z.Remove(member) != had {
				return false
			}
			delete(model, string(member))
		case 5:
			if n := z.Len(); n > 0 {
				at := r.IntN(n)
				m, _ := z.At(at)
				delete(model, string(m))
				z.RemoveRange(at, 1)
			}
		}
		members := slices.SortedFunc(maps.Keys(model), func(a, b string) int {
			if model[a] != model[b] {
				if model[a] < model[b] {
					return -1
				}
				return 1
			}
			return bytes.Compare([]byte(a), []byte(b))
		})
		i, below, same := 0, 0, true
		z.Ascend(0, func(m []byte, s float64) bool {
			same = same && i < len(members) && string(m) == members[i] && s == model[members[i]]
			if s < 12 {
				below++
			}
			i++
			return same
		})
		if len(members) > 0 {
			m := members[r.IntN(len(members))]
			rank, s, ok := z.Rank([]byte(m))
			same = same && ok && members[rank] == m && s == model[m]
		}
		return same && i == len(members) && z.CountBelow(12, false) == below
	}
}

// Removing all elements at once deletes the key: the nodes of a large collection
// are left to Reclaim, and the next element makes a new one.
func TestRemovingAllElementsFreesLater(t *testing.T) {
	b := newBench(t, 1)
	key := []byte("k")
	for name, c := range map[string]struct{ fill, empty func(tx *Tx) (exists bool) }{
		"list": {
			func(tx *Tx) bool {
				l, _ := tx.EditList(key)
				for i := range 50000 {
					l.PushBack(fmt.Appendf(nil, "element:%d", i))
				}
				return l.Exists()
			},
			func(tx *Tx) bool {
				l, _ := tx.EditList(key)
				l.Remove(0, l.Len())
				return l.Exists() || l.Len() > 0
			},
		},
		"sorted set": {
			func(tx *Tx) bool {
				z, _ := tx.EditZSet(key)
				for i := range 50000 {
					z.Set(fmt.Appendf(nil, "member:%d", i), float64(i))
				}
				return z.Exists()
			},
			func(tx *Tx) bool {
				z, _ := tx.EditZSet(key)
				z.RemoveRange(0, z.Len())
				return z.Exists() || z.Len() > 0
			},
		},
	} {
		before := b.space.Stats().Allocated
		for range 2 {
			b.World(b.now, func(tx *Tx) {
				if !c.fill(tx) {
					t.Errorf("%s: does not exist when filled", name)
				}
			})
		}
		full := b.space.Stats().Allocated
		b.World(b.now, func(tx *Tx) {
			if c.empty(tx) {
				t.Errorf("%s: exists when empty", name)
			}
			if _, ok := tx.Peek(key); ok {
				t.Errorf("%s: the key is still there", name)
			}
		})
		if now := b.space.Stats().Allocated; now < full*9/10 || b.Unfreed() != 1 {
			t.Errorf("%s: %d of %d bytes left in the command, %d objects to free", name, now, full, b.Unfreed())
		}
		for b.Reclaim(100) {
		}
		if now := b.space.Stats().Allocated; now > before+4096 {
			t.Errorf("%s: %d bytes are left over, %d before", name, now, before)
		}
	}
}

// TestManyChangesAreWrittenOnce compares the same changes made one by one and
// between BeginMany and EndMany, up to the last element's removal: data, effects on
// the counters, and the encoding's name.
func TestManyChangesAreWrittenOnce(t *testing.T) {
	one, many := newBench(t, 1), newBench(t, 1)
	r := rand.New(rand.NewPCG(3, 9))
	for step := range 300 {
		key := []byte(fmt.Sprint("key", r.IntN(20)))
		typ := [...]Type{TypeList, TypeSet, TypeHash, TypeZSet}[int(key[len(key)-1])%4]
		n, remove, seed := 1+r.IntN(40), r.IntN(3) == 0, r.Uint64()
		change := func(b *bench, together bool) {
			b.unit(func(tx *Tx) {
				v := rand.New(rand.NewPCG(seed, 1))
				c, do := changerOf(tx, key, typ, remove, v)
				if together {
					c.BeginMany()
				}
				for range n {
					do()
				}
				if together {
					c.EndMany()
				}
			}, string(key))
		}
		change(one, false)
		change(many, true)
		if a, b := one.digest(), many.digest(); a != b {
			t.Fatalf("step %d: one by one the digest is %v, together %v", step, a, b)
		}
		if a, b := one.WithDue(0), many.WithDue(0); a != b {
			t.Fatalf("step %d: one by one %d hashes have fields that expire, together %d", step, a, b)
		}
		if a, b := encodingOf(one, key), encodingOf(many, key); a != b {
			t.Fatalf("step %d: %s is a %s, together a %s", step, key, a, b)
		}
	}
	for i := range 20 {
		key := []byte(fmt.Sprint("key", i))
		many.unit(func(tx *Tx) { tx.Delete(key) }, string(key))
	}
	for many.Reclaim(1000) {
	}
	if n := many.Keyspace.Bytes(0); n != 0 {
		t.Errorf("%d bytes are counted for no key", n)
	}
	if m := many.Memory(); m.Data+m.Tables != 0 {
		t.Errorf("without a key there are %+v", m)
	}
}

// changerOf opens a collection and returns what changes an element of it.
func changerOf(tx *Tx, key []byte, typ Type, remove bool, r *rand.Rand) (*collection, func()) {
	text := func() []byte { return bytes.Repeat([]byte(fmt.Sprint(r.IntN(30))), 1+r.IntN(2)*r.IntN(60)) }
	switch typ {
	case TypeList:
		l, _ := tx.EditList(key)
		return l.collection, func() { l.PushFront(text()) }
	case TypeSet:
		s, _ := tx.EditSet(key)
		return s.collection, func() {
			if remove {
				s.Remove(text())
			} else {
				s.Add(text())
			}
		}
	case TypeHash:
		h, _ := tx.EditHash(key)
		return h.collection, func() {
			name := text()
			_, there := h.Get(name)
			switch k := r.IntN(4); {
			case remove:
				h.Delete(name)
			case k == 0 && there:
				h.ExpireAt(name, []int64{0, t0 + 1e9}[r.IntN(2)])
			case k == 1:
				h.SetDue(name, text(), t0+1e9+int64(r.IntN(5000)))
			default:
				h.Set(name, text())
			}
		}
	}
	z, _ := tx.EditZSet(key)
	return z.collection, func() {
		if remove {
			z.Remove(text())
		} else {
			z.Set(text(), float64(r.IntN(9)))
		}
	}
}

func encodingOf(b *bench, key []byte) (name string) {
	b.unit(func(tx *Tx) {
		if e, ok := tx.Peek(key); ok {
			name = e.Encoding()
		}
	}, string(key))
	return name
}
