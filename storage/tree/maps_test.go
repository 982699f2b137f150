package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
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
	room        bool // the value has a block of its own, however short it is
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
		// The first set of a small map makes no block.
		room, large := k == 0, !tr.main.small()
		set := tr.Set
		if room {
			set = func(key uint64, name, value []byte) bool { return tr.SetWithRoom(key, name, value, r.IntN(600)) }
		}
		if set(key, name, value) == had {
			t.Fatalf("Set %d %q says the opposite of %v", key, name, had)
		}
		if !had {
			m.rows = slices.Insert(m.rows, i, mrow{key: key, name: string(name)})
		}
		m.rows[i].value, m.rows[i].room = string(value), room && large
	case k < 3 && len(m.rows) > 0:
		i = r.IntN(len(m.rows))
		x := &m.rows[i]
		b := tr.Room(x.key, []byte(x.name), len(value))
		if (b != nil) != (x.room || len(x.value) > maxInline) {
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
		x.room = false
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

// Leaves that have become small join, whether they store their rows in one form or
// not, and what is left does not take more room for it.
func TestLeavesOfMapsJoin(t *testing.T) {
	for _, c := range []struct {
		name  string
		value func(i int) []byte
	}{
		{"values of one form", func(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }},
		{"values of other forms in each leaf", func(i int) []byte { return bytes.Repeat([]byte{byte(i / 100)}, i/100%13) }},
		{"blocks", func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, maxInline+i%2) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			const rows = 4000
			r := rand.New(rand.NewPCG(1, 13))
			e, tr, m := newEnv(t), new(MapTree), &mapModel{}
			tr.Open(e, nil)
			for i := range 2 * rows {
				x := mrow{key: uint64(i / rows), name: string(binary.BigEndian.AppendUint64(nil, uint64(i%rows))), value: string(c.value(i))}
				tr.Set(x.key, []byte(x.name), []byte(x.value))
				m.rows = append(m.rows, x)
			}
			for len(m.rows) > 0 {
				for range min(len(m.rows), 400) {
					i := r.IntN(len(m.rows))
					if !tr.Delete(m.rows[i].key, []byte(m.rows[i].name)) {
						t.Fatalf("row %d was not there", i)
					}
					m.rows = slices.Delete(m.rows, i, i+1)
				}
				if err := errors.Join(tr.Validate(), m.check(r, tr)); err != nil {
					t.Fatalf("with %d rows: %v", len(m.rows), err)
				}
				used := 0
				tr.Ascend(0, nil, func(_ uint64, name, value []byte) bool {
					used += len(name)
					if len(value) <= maxInline {
						used += len(value) + 1
					} else {
						used += 2 * len(value)
					}
					return true
				})
				if most := 4*used + 4*maxLeaf; tr.Bytes() > most {
					t.Fatalf("%d bytes for %d of %d rows", tr.Bytes(), used, len(m.rows))
				}
			}
		})
	}
}

// Rows that come in descending order behind the last one of a full leaf are not the
// end of a table, and do not get a leaf each.
func TestDescendingRowsShareLeaves(t *testing.T) {
	const gap = 1 << 20
	e, tr := newEnv(t), new(MapTree)
	tr.Open(e, nil)
	set := func(i int) { tr.Set(1, binary.BigEndian.AppendUint64(nil, uint64(i)), []byte("value")) }
	for i := range 4000 {
		set(i * gap)
	}
	var ends []int // the last row of every leaf but the last
	s := &tr.main
	for s.downAt(0); ; {
		last := int(binary.BigEndian.Uint64(tr.nameAt(s.leaf.n - 1)))
		if !s.next() {
			break
		}
		ends = append(ends, last)
	}
	tr.Open(e, tr.Value())
	before, added := tr.Bytes(), 0
	for _, end := range ends {
		for j := 19; j > 0; j-- {
			set(end + 1<<j)
			added++
		}
	}
	if err := tr.Validate(); err != nil {
		t.Fatal(err)
	}
	// A leaf each would be 64 bytes a row.
	if most := 32 * added; len(ends) < 5 || tr.Bytes()-before > most {
		t.Errorf("%d bytes more for %d rows at %d places", tr.Bytes()-before, added, len(ends))
	}
}
