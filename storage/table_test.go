package storage

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"redoubt/storage/slab"
)

// tableModel is a table beside a map that says what must be in it. Hashes are
// the test's own, so it looks records up by them.
type tableModel struct {
	*table
	e    *Executor
	want map[string]uint64 // key to hash
}

func newTableModel() tableModel {
	return tableModel{new(table), New(Config{Reserve: 64 << 20}).NewExecutor(), map[string]uint64{}}
}

func (m tableModel) find(hash uint64, key string) (int, record) {
	return m.e.ks.findIn(m.segmentOf(hash), hash, []byte(key))
}

func (m tableModel) insert(key string, hash uint64) {
	m.want[key] = hash
	r := m.e.tx.newRecord(kindOf(TypeString), []byte(key), 0, 0)
	m.table.insert(m.e, hash, r.ref)
}

func (m tableModel) remove(t *testing.T, key string) {
	t.Helper()
	hash := m.want[key]
	i, r := m.find(hash, key)
	if r.p == nil || string(r.key()) != key {
		t.Fatalf("%q is not found", key)
	}
	m.removeAt(m.e, hash, i)
	m.e.heap.Free(r.ref)
	delete(m.want, key)
}

func (m tableModel) check(t *testing.T) {
	t.Helper()
	if got := m.len(); got != len(m.want) {
		t.Errorf("count is %d, want %d", got, len(m.want))
	}
	for key, hash := range m.want {
		if _, r := m.find(hash, key); r.p == nil {
			t.Fatalf("%q is not found", key)
		}
		if _, r := m.find(hash, key+"x"); r.p != nil {
			t.Fatalf("%qx is found", key)
		}
	}
	for _, walk := range []struct {
		count int
		more  bool
	}{{3, true}, {math.MaxInt32, false}, {math.MaxInt32, true}} {
		seen := map[string]int{}
		for cursor, first := uint64(0), true; first || cursor != 0; first = false {
			cursor = m.walk(m.e.ks.space, cursor, walk.count, func(r slab.Ref) bool {
				seen[string(m.e.ks.at(r).key())]++
				return walk.more
			})
		}
		for key := range m.want {
			if seen[key] != 1 {
				t.Errorf("a walk by %v sees %q %d times", walk, key, seen[key])
			}
		}
		if len(seen) != len(m.want) {
			t.Errorf("a walk by %v sees %d keys, want %d", walk, len(seen), len(m.want))
		}
	}
	picked := map[slab.Ref]bool{}
	for i := range m.len() {
		picked[m.nth(i)] = true
	}
	if len(picked) != m.len() {
		t.Errorf("nth returns %d records of %d", len(picked), m.len())
	}
}

// keyOf returns a new key with the hash that the table's splits will compute.
func (m tableModel) keyOf(r *rand.Rand) (key string, hash uint64) {
	for {
		key = fmt.Sprint(r.Uint64())
		if _, taken := m.want[key]; !taken {
			return key, m.e.ks.hash([]byte(key))
		}
	}
}

func TestATableHoldsWhatWasPutIn(t *testing.T) {
	for _, n := range []int{1, 7, 300, 5000, 40000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(n), 3))
			m := newTableModel()
			for range n {
				m.insert(m.keyOf(r))
			}
			m.check(t)
			for _, key := range slices.Sorted(maps.Keys(m.want))[:n/2] {
				m.remove(t, key)
			}
			m.check(t)
			for range n / 3 {
				m.insert(m.keyOf(r))
			}
			m.check(t)
			for _, key := range slices.Sorted(maps.Keys(m.want)) {
				m.remove(t, key)
			}
			m.check(t)
			if s := m.e.ks.space.Stats(); s.Blocks != 0 {
				t.Errorf("%d blocks are left of an empty table", s.Blocks)
			}
		})
	}
}

// A walk that is interrupted by any changes sees what is there all the time.
func TestAWalkSurvivesSplitsAndRemovals(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 5))
	m := newTableModel()
	for range 3000 {
		m.insert(m.keyOf(r))
	}
	stay := slices.Sorted(maps.Keys(m.want))[:1000]
	staying := map[string]bool{}
	for _, key := range stay {
		staying[key] = true
	}
	seen := map[string]bool{}
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		cursor = m.walk(m.e.ks.space, cursor, 20, func(ref slab.Ref) bool {
			seen[string(m.e.ks.at(ref).key())] = true
			return true
		})
		for range 60 {
			m.insert(m.keyOf(r))
		}
		for key := range m.want {
			if !staying[key] && r.IntN(100) == 0 {
				m.remove(t, key)
			}
		}
	}
	for _, key := range stay {
		if !seen[key] {
			t.Errorf("%q was there all the time and was not seen", key)
		}
	}
}

func TestTableStats(t *testing.T) {
	ks := New(Config{Databases: 2})
	ks.World(0, func(tx *Tx) {
		if s := tx.TableStats(0); s != (TableStats{}) {
			t.Errorf("empty: %+v", s)
		}
		tx.Select(1)
		for i := range 20_000 {
			at := int64(0)
			if i%4 == 0 {
				at = 1 << 40
			}
			tx.SetString(fmt.Appendf(nil, "{a}%d", i), nil, at, 0) // one slot: its table splits
		}
		s := tx.TableStats(1)
		if s.Keys != 20_000 || s.Volatile != 5_000 || s.Cells < s.Keys || s.Homes > s.Keys || s.Homes < s.Keys/4 || s.Longest < 2 || s.Longest > 32 {
			t.Errorf("%+v", s)
		}
		if s := tx.TableStats(0); s != (TableStats{}) {
			t.Errorf("the other database: %+v", s)
		}
	})
}
