package tree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A mrow is a row of the model of a map.
type mrow struct {
	key         uint64
	name, value string
}

func compareRows(a, b mrow) int {
	if a.key != b.key {
		return int(int64(a.key - b.key))
	}
	return strings.Compare(a.name, b.name)
}

type mapModel struct{ rows []mrow }

func (m *mapModel) find(key uint64, name []byte) (int, bool) {
	return slices.BinarySearchFunc(m.rows, mrow{key: key, name: string(name)}, compareRows)
}

func TestMapsAgreeWithTheirModel(t *testing.T) {
	for seed := uint64(0); seed < 4*styles; seed += seedStep {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 9))
			g := &gen{r, 2000, int(seed) % styles}
			e, tr := newEnv(t), new(MapTree)
			h := &harness{t: t, env: e, tree: &tr.Tree, open: func(v []byte) { tr.Open(e, v) }}
			m := &mapModel{}
			run(t, seed, h, r, func(grow bool) {
				for range 1 + r.IntN(10) {
					m.step(t, r, tr, uint64(r.IntN(4)), g.text(), g.text(), grow)
				}
			}, func() error { return m.check(r, tr) })
		})
	}
}

func (m *mapModel) step(t *testing.T, r *rand.Rand, tr *MapTree, key uint64, name, value []byte, grow bool) {
	i, had := m.find(key, name)
	switch k := r.IntN(10); {
	case grow:
		if tr.Set(key, name, value) == had {
			t.Fatalf("Set %d %q says the opposite of %v", key, name, had)
		}
		if !had {
			m.rows = slices.Insert(m.rows, i, mrow{key: key, name: string(name)})
		}
		m.rows[i].value = string(value)
	case k < 3 && len(m.rows) > 0:
		i = r.IntN(len(m.rows))
		x := &m.rows[i]
		b := tr.Room(x.key, []byte(x.name), len(value))
		if (b != nil) != (len(x.value) > maxInline) {
			t.Fatalf("Room of a value of %d bytes: %v", len(x.value), b != nil)
		}
		if b != nil && len(x.value)+len(value) < 2000 {
			b = append(b, value...)
			tr.SetLength(len(b))
			x.value += string(value)
		}
	case k == 3 && len(m.rows) > 0:
		x := &m.rows[r.IntN(len(m.rows))]
		tr.Fit(x.key, []byte(x.name))
	case k == 4 && len(m.rows) > 0:
		n := min(r.IntN(100), len(m.rows)-i)
		tr.Remove(i, n)
		m.rows = slices.Delete(m.rows, i, i+n)
	default:
		if tr.Delete(key, name) != had {
			t.Fatalf("Delete %d %q does not say %v", key, name, had)
		}
		if had {
			m.rows = slices.Delete(m.rows, i, i+1)
		}
	}
}

func (m *mapModel) check(r *rand.Rand, tr *MapTree) (bad error) {
	n := len(m.rows)
	if tr.Len() != n {
		return fmt.Errorf("%d rows, not %d", tr.Len(), n)
	}
	i := 0
	same := func(key uint64, name, value []byte) bool {
		if i < 0 || i >= n {
			bad = fmt.Errorf("row %d of %d", i, n)
		} else if x := m.rows[i]; x.key != key || x.name != string(name) || x.value != string(value) {
			bad = fmt.Errorf("row %d is %d %.40q %.40q, not %d %.40q %.40q", i, key, name, value, x.key, x.name, x.value)
		}
		return bad == nil
	}
	key, name := uint64(r.IntN(5)), []byte(fmt.Sprint(r.IntN(2000)))
	from, found := m.find(key, name)
	i = from
	tr.Ascend(key, name, func(k uint64, a, b []byte) bool { ok := same(k, a, b); i++; return ok })
	if bad == nil && i != n {
		return fmt.Errorf("ascends to %d of %d", i, n)
	}
	i = from - 1
	tr.Descend(key, name, func(k uint64, a, b []byte) bool { ok := same(k, a, b); i--; return ok })
	if bad == nil && i != -1 {
		return fmt.Errorf("descends to %d", i)
	}
	if i = from; !found && i > 0 {
		i--
	}
	tr.AscendFloor(key, name, func(k uint64, a, b []byte) bool { ok := same(k, a, b); i++; return ok })
	if got := tr.Rank(key, name); got != from {
		return fmt.Errorf("rank %d, not %d", got, from)
	}
	if v, ok := tr.Get(key, name); ok != found || ok && string(v) != m.rows[from].value {
		return fmt.Errorf("Get %d %q: %.40q, %v", key, name, v, ok)
	}
	return bad
}

// Rows that are appended to a table leave full leaves behind, although other
// tables follow.
func TestAppendedRowsFillLeaves(t *testing.T) {
	e, tr := newEnv(t), new(MapTree)
	tr.Open(e, nil)
	for i := range 5000 {
		for key := range uint64(3) {
			tr.Set(key, fmt.Appendf(nil, "%08x", i*2654435761%1000003+i*1000003), bytes.Repeat([]byte{byte(i)}, 10))
		}
	}
	if err := tr.Validate(); err != nil {
		t.Fatal(err)
	}
	if per := tr.Bytes() / 15000; per > 20 {
		t.Errorf("%d bytes a row of 18 bytes", per)
	}
}
