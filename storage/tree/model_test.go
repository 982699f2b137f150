package tree

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"redoubt/storage/slab"
)

// newEnv returns an environment with a space of its own.
func newEnv(t testing.TB) *Env {
	t.Helper()
	return newEnvOf(t, 1<<30)
}

func newEnvOf(t testing.TB, reserve int64) *Env {
	t.Helper()
	space, err := slab.New(slab.Config{Reserve: reserve})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(space.Close)
	seed := maphash.MakeSeed()
	return &Env{
		Heap: space.NewHeap(), Space: space, Epoch: 1,
		Hash: func(b []byte) uint64 { return maphash.Bytes(seed, b) },
		Keep: func(slab.Ref) { t.Error("kept without a capture") },
	}
}

// A gen makes texts of different natures.
type gen struct {
	*rand.Rand
	of    int // how many different ones
	style int
}

const styles = 7

func (g *gen) text() []byte {
	i := g.IntN(g.of)
	switch g.style {
	case 0:
		return fmt.Appendf(nil, "%d", i)
	case 1:
		return fmt.Appendf(nil, "member:%08d", i)
	case 2:
		return fmt.Appendf(nil, "%x", i*2654435761)
	case 3:
		return []byte(strings.Repeat("x", i%300) + fmt.Sprint(i))
	case 4:
		return []byte(strings.Repeat("y", i*3%700) + fmt.Sprint(i))
	case 5:
		return []byte(strings.Repeat("z", i%40))
	}
	return fmt.Appendf(nil, "%.*d", 1+i%20, i)
}

// steps runs random changes: op(grow) changes the collection once, more often
// adding to it if grow. The collection is stored and opened anew at times.
type harness struct {
	t     *testing.T
	env   *Env
	value []byte
	tree  *Tree
	open  func(value []byte)
}

func (h *harness) reopen() {
	v := h.tree.Value()
	if h.tree.Changed() && len(v) > 0 && len(h.value) == len(v) && &v[0] != &h.value[0] && IsLarge(v) == IsLarge(h.value) {
		h.t.Fatal("a value of the same length is not changed in place")
	}
	h.value = bytes.Clone(v)
	h.open(h.value)
}

func (h *harness) check(step int, err error) {
	h.t.Helper()
	if err == nil {
		err = h.tree.Validate()
	}
	if err != nil {
		h.t.Fatalf("step %d, %d elements: %v", step, h.tree.Len(), err)
	}
	if got := h.env.Space.Stats().Allocated; got != h.tree.Bytes() {
		h.t.Fatalf("step %d: %d bytes allocated, the collection says %d", step, got, h.tree.Bytes())
	}
}

func run(t *testing.T, seed uint64, h *harness, r *rand.Rand, change func(grow bool), check func() error) {
	h.open(nil)
	size := 1
	for i := range 1000 {
		if i%100 == 0 {
			size = []int{5, 30, 200, 1000, 3000}[r.IntN(5)]
		}
		change(h.tree.Len() < size && r.IntN(8) > 0)
		if r.IntN(20) == 0 {
			h.reopen()
		}
		if i%29 == 0 || i > 980 {
			h.check(i, check())
		}
	}
}

func TestListsAgreeWithTheirModel(t *testing.T) {
	for seed := uint64(0); seed < 4*styles; seed += seedStep {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			g := &gen{r, 3000, int(seed) % styles}
			e, l := newEnv(t), new(ListTree)
			h := &harness{t: t, env: e, tree: &l.Tree, open: func(v []byte) { l.Open(e, v) }}
			var model [][]byte
			run(t, seed, h, r, func(grow bool) { model = listStep(r, g, l, model, grow) }, func() error {
				var up, down [][]byte
				from := r.IntN(len(model) + 1)
				l.Ascend(from, func(b []byte) bool { up = append(up, bytes.Clone(b)); return true })
				l.Descend(from, func(b []byte) bool { down = append(down, bytes.Clone(b)); return true })
				slices.Reverse(down)
				if !slices.EqualFunc(up, model[from:], bytes.Equal) || !slices.EqualFunc(down, model[:min(from+1, len(model))], bytes.Equal) {
					return fmt.Errorf("from %d: %q and %q, not %q", from, down, up, model)
				}
				for range min(len(model), 20) {
					if i := r.IntN(len(model)); !bytes.Equal(l.At(i), model[i]) {
						return fmt.Errorf("%q at %d, not %q", l.At(i), i, model[i])
					}
				}
				return nil
			})
		})
	}
}

func listStep(r *rand.Rand, g *gen, l *ListTree, model [][]byte, grow bool) [][]byte {
	n := len(model)
	switch k := r.IntN(10); {
	case grow || n == 0:
		i := []int{0, n, n, r.IntN(n + 1)}[r.IntN(4)]
		for range 1 + r.IntN(40) {
			b := g.text()
			l.Insert(i, b)
			model = slices.Insert(model, i, b)
		}
	case k == 0:
		i := r.IntN(n)
		b := g.text()
		l.Set(i, b)
		model[i] = b
	case k == 1:
		i, j := r.IntN(n), r.IntN(n)
		l.Set(i, l.At(j))
		model[i] = model[j]
	case k == 2:
		from, to := r.IntN(n), r.IntN(n)
		l.Rotate(from, to)
		b := model[from]
		model = slices.Insert(slices.Delete(slices.Clone(model), from, from+1), to, b)
	case k == 3:
		i := r.IntN(n)
		m := r.IntN(n - i + 1)
		l.Remove(i, m)
		model = slices.Delete(model, i, i+m)
	default:
		i := []int{0, n - 1, r.IntN(n)}[r.IntN(3)]
		m := min(r.IntN(30), n-i)
		l.Remove(i, m)
		model = slices.Delete(model, i, i+m)
	}
	return model
}

// hashes are what a test may hash texts with: the real one, and some that make
// equal hashes.
func hashes(e *Env, seed uint64) {
	real := e.Hash
	switch seed % 4 {
	case 1:
		e.Hash = func(b []byte) uint64 { return real(b) >> 58 << 58 }
	case 2:
		e.Hash = func(b []byte) uint64 { return real(b) % 500 << 10 }
	case 3:
		e.Hash = func(b []byte) uint64 { return real(b) >> 20 << 20 }
	}
}

func TestHashesAgreeWithTheirModel(t *testing.T) {
	for seed := uint64(0); seed < 4*styles; seed += seedStep {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			names, values := &gen{r, 4000, int(seed) % styles}, &gen{r, 3000, r.IntN(styles)}
			e, f := newEnv(t), new(HashTree)
			hashes(e, seed)
			h := &harness{t: t, env: e, tree: &f.Tree, open: func(v []byte) { f.Open(e, v) }}
			model := map[string]string{}
			run(t, seed, h, r, func(grow bool) {
				for range 1 + r.IntN(20) {
					hashStep(t, r, f, model, names.text(), values.text(), grow)
				}
			}, func() error { return hashCheck(r, f, model) })
		})
	}
}

func hashStep(t *testing.T, r *rand.Rand, f *HashTree, model map[string]string, name, value []byte, grow bool) {
	_, had := model[string(name)]
	switch k := r.IntN(4); {
	case grow || k == 0 && had:
		if f.Set(name, value, 0) == had {
			t.Fatalf("Set %q says the opposite of %v", name, had)
		}
		model[string(name)] = string(value)
	case k == 1 && len(model) > 0:
		b, _, _ := f.At(r.IntN(len(model)))
		name = bytes.Clone(b)
		if !f.Delete(b) {
			t.Fatalf("%q is there, but cannot be deleted", name)
		}
		delete(model, string(name))
	default:
		if f.Delete(name) != had {
			t.Fatalf("Delete %q does not say %v", name, had)
		}
		delete(model, string(name))
	}
}

func hashCheck(r *rand.Rand, f *HashTree, model map[string]string) error {
	seen := map[string]string{}
	f.Each(func(n, v []byte, _ int64) bool { seen[string(n)] = string(v); return true })
	scanned := map[string]string{}
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		cursor = f.Scan(cursor, r.IntN(50), func(n, v []byte, _ int64) {
			if _, twice := scanned[string(n)]; twice {
				scanned["twice"] = ""
			}
			scanned[string(n)] = string(v)
		})
	}
	if f.Len() != len(model) || len(seen) != len(model) || len(scanned) != len(model) {
		return fmt.Errorf("%d fields, %d seen, %d scanned, not %d", f.Len(), len(seen), len(scanned), len(model))
	}
	for n, v := range model {
		got, _, ok := f.Get([]byte(n))
		if !ok || string(got) != v || seen[n] != v || scanned[n] != v {
			return fmt.Errorf("%q is %q, %v, seen as %q, scanned as %q, not %q", n, got, ok, seen[n], scanned[n], v)
		}
	}
	return nil
}

func TestSetsAgreeWithTheirModel(t *testing.T) {
	for seed := uint64(0); seed < 4*styles; seed += seedStep {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			g := &gen{r, 5000, int(seed) % styles}
			e, s := newEnv(t), new(SetTree)
			hashes(e, seed)
			h := &harness{t: t, env: e, tree: &s.Tree, open: func(v []byte) { s.Open(e, v) }}
			model := map[string]bool{}
			run(t, seed, h, r, func(grow bool) {
				for range 1 + r.IntN(20) {
					b := g.text()
					if !grow && r.IntN(3) == 0 && len(model) > 0 {
						b = bytes.Clone(s.At(r.IntN(len(model))))
					}
					if grow && s.Add(b) == model[string(b)] || !grow && s.Delete(b) != model[string(b)] {
						t.Fatalf("%q: not as the model, grow %v", b, grow)
					}
					if delete(model, string(b)); grow {
						model[string(b)] = true
					}
				}
			}, func() error {
				seen := map[string]bool{}
				s.Each(func(b []byte) bool { seen[string(b)] = true; return true })
				for b := range model {
					if !seen[b] || !s.Has([]byte(b)) {
						return fmt.Errorf("%q is lost", b)
					}
				}
				if s.Len() != len(model) || len(seen) != len(model) {
					return fmt.Errorf("%d members, %d seen, not %d", s.Len(), len(seen), len(model))
				}
				return nil
			})
		})
	}
}

type pair struct {
	member string
	score  float64
}

func comparePairs(a, b pair) int {
	switch {
	case a.score < b.score:
		return -1
	case a.score > b.score:
		return 1
	}
	return strings.Compare(a.member, b.member)
}

// zmodel is a sorted set of the standard library.
type zmodel struct {
	by    map[string]float64
	order []pair
}

func (m *zmodel) remove(i int) {
	delete(m.by, m.order[i].member)
	m.order = slices.Delete(m.order, i, i+1)
}

func (m *zmodel) set(member string, score float64) {
	if old, ok := m.by[member]; ok {
		i, _ := slices.BinarySearchFunc(m.order, pair{member, old}, comparePairs)
		m.remove(i)
	}
	m.by[member] = score
	i, _ := slices.BinarySearchFunc(m.order, pair{member, score}, comparePairs)
	m.order = slices.Insert(m.order, i, pair{member, score})
}

func scores(r *rand.Rand, style uint64) float64 {
	switch style % 6 {
	case 0:
		return r.Float64()
	case 1:
		return float64(r.IntN(1000))
	case 2:
		return []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), 1, -1, math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64}[r.IntN(8)]
	case 3:
		return 7
	case 4:
		return r.NormFloat64() * 1e300
	}
	return float64(1700000000000 + r.IntN(1000000))
}

func TestSortedSetsAgreeWithTheirModel(t *testing.T) {
	for seed := uint64(0); seed < 6*styles; seed += seedStep {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 4))
			g := &gen{r, 4000, int(seed) % styles}
			e, z := newEnv(t), new(ZSetTree)
			hashes(e, seed/2)
			h := &harness{t: t, env: e, tree: &z.Tree, open: func(v []byte) { z.Open(e, v) }}
			m := &zmodel{by: map[string]float64{}}
			run(t, seed, h, r, func(grow bool) {
				for range 1 + r.IntN(20) {
					zsetStep(t, r, z, m, g.text(), scores(r, seed), grow)
				}
			}, func() error { return zsetCheck(r, z, m) })
		})
	}
}

func zsetStep(t *testing.T, r *rand.Rand, z *ZSetTree, m *zmodel, member []byte, score float64, grow bool) {
	_, had := m.by[string(member)]
	n := len(m.order)
	switch k := r.IntN(24); {
	case grow:
		if z.Set(member, score) == had {
			t.Fatalf("Set %q says the opposite of %v", member, had)
		}
		m.set(string(member), score)
	case k < 10 && n > 0:
		p := m.order[r.IntN(n)]
		if k < 5 {
			score = p.score + r.NormFloat64()*1e-3*p.score
			if math.IsNaN(score) {
				score = 0
			}
		}
		if z.Set([]byte(p.member), score) {
			t.Fatalf("Set %q says that it is new", p.member)
		}
		m.set(p.member, score)
	case k == 10 && n > 0:
		i := r.IntN(n)
		c := min(r.IntN(300), n-i)
		z.Remove(i, c)
		for range c {
			m.remove(i)
		}
	case k == 11 && n > 0:
		b, _ := z.At(r.IntN(n))
		had, member = true, b
		fallthrough
	default:
		name := string(member)
		if z.Delete(member) != had {
			t.Fatalf("Delete %q does not say %v", member, had)
		}
		if had {
			i, _ := slices.BinarySearchFunc(m.order, pair{name, m.by[name]}, comparePairs)
			m.remove(i)
		}
	}
}

func zsetCheck(r *rand.Rand, z *ZSetTree, m *zmodel) error {
	n := len(m.order)
	if z.Len() != n {
		return fmt.Errorf("%d members, not %d", z.Len(), n)
	}
	from := r.IntN(n + 1)
	i, bad := from, error(nil)
	same := func(b []byte, s float64) bool {
		p := m.order[i]
		if string(b) != p.member || math.Float64bits(s) != math.Float64bits(p.score) {
			bad = fmt.Errorf("%q with %v at rank %d, not %q with %v", b, s, i, p.member, p.score)
		}
		return bad == nil
	}
	z.Ascend(from, func(b []byte, s float64) bool { ok := same(b, s); i++; return ok })
	if i != n && bad == nil {
		bad = fmt.Errorf("ascends to %d of %d", i, n)
	}
	i = min(from, n-1)
	z.Descend(from, func(b []byte, s float64) bool { ok := same(b, s); i--; return ok })
	if i >= 0 && bad == nil {
		bad = fmt.Errorf("descends from %d to %d", from, i)
	}
	for j := r.IntN(9); j < n; j += 1 + r.IntN(18) {
		p := m.order[j]
		if rank, s, ok := z.Rank([]byte(p.member)); !ok || rank != j || math.Float64bits(s) != math.Float64bits(p.score) {
			return fmt.Errorf("%q has rank %d and score %v, %v, not %d and %v", p.member, rank, s, ok, j, p.score)
		}
		for _, inclusive := range []bool{false, true} {
			want, _ := slices.BinarySearchFunc(m.order, p.score, func(q pair, s float64) int {
				if q.score < s || inclusive && q.score == s {
					return -1
				}
				return 1
			})
			if got := z.CountBelow(p.score, inclusive); got != want {
				return fmt.Errorf("%d members below %v (%v), not %d", got, p.score, inclusive, want)
			}
			if i = want; !inclusive {
				z.AscendFrom(p.score, func(b []byte, s float64) bool { ok := same(b, s); i++; return ok && i < want+9 })
				if bad == nil && i != min(want+9, n) {
					bad = fmt.Errorf("from score %v on ascends from %d to %d of %d", p.score, want, i, n)
				}
			}
		}
	}
	scanned := map[string]float64{}
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		cursor = z.Scan(cursor, r.IntN(50), func(b []byte, s float64) {
			if _, twice := scanned[string(b)]; twice {
				bad = fmt.Errorf("%q scanned twice", b)
			}
			scanned[string(b)] = s
		})
	}
	if len(scanned) != n && bad == nil {
		bad = fmt.Errorf("%d scanned, not %d", len(scanned), n)
	}
	return bad
}
