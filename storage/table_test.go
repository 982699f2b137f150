package storage

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// tableModel is a table beside a map that says what must be in it.
type tableModel struct {
	*table
	want map[string]uint64 // key to hash
}

func (m tableModel) insert(hash uint64) {
	key := fmt.Sprint(hash, len(m.want))
	m.want[key] = hash
	m.table.insert(hash, &record{key: []byte(key)})
}

func (m tableModel) remove(t *testing.T, key string) {
	t.Helper()
	if r := m.table.remove(m.want[key], []byte(key)); r == nil || string(r.key) != key {
		t.Fatalf("remove(%q) returns %v", key, r)
	}
	delete(m.want, key)
}

func (m tableModel) check(t *testing.T) {
	t.Helper()
	if got := int(m.count.Load()); got != len(m.want) {
		t.Errorf("count is %d, want %d", got, len(m.want))
	}
	for key, hash := range m.want {
		if r := m.find(hash, []byte(key)); r == nil || string(r.key) != key {
			t.Fatalf("find(%q) returns %v", key, r)
		}
	}
	for _, walk := range []struct {
		count int
		more  bool
	}{{3, true}, {math.MaxInt32, false}, {math.MaxInt32, true}} {
		seen := map[string]int{}
		for cursor, first := uint64(0), true; first || cursor != 0; first = false {
			cursor = m.walk(cursor, walk.count, func(_ uint64, r *record) bool {
				seen[string(r.key)]++
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
}

func TestTableGrowsAndShrinks(t *testing.T) {
	for _, c := range []struct {
		name string
		even bool
		hash func(r *rand.Rand) uint64
	}{
		{"with hashes that are evenly spread", true, (*rand.Rand).Uint64},
		{"with hashes that share their first bits", false, func(r *rand.Rand) uint64 { return r.Uint64()>>20 | 0xabc<<52 }},
		{"with hashes that share their last bits", false, func(r *rand.Rand) uint64 { return r.Uint64() << 40 }},
		{"with few different hashes", false, func(r *rand.Rand) uint64 { return r.Uint64() % 50 << 58 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			m := tableModel{newTable(), map[string]uint64{}}
			for _, n := range []int{1, 7, 300, 5000} {
				for len(m.want) < n {
					m.insert(c.hash(r))
				}
				m.check(t)
			}
			if entries := len(m.dir); entries > 2*5000/recordsPerEntry {
				t.Errorf("the directory has %d entries", entries)
			}
			for _, g := range m.dir {
				if c.even && len(g.cells) > maxCells {
					t.Errorf("a segment has %d cells", len(g.cells))
				}
			}
			for _, key := range slices.Sorted(maps.Keys(m.want)) {
				if m.remove(t, key); len(m.want)%500 == 0 {
					m.check(t)
				}
			}
			for _, g := range m.dir {
				if len(g.cells) != minCells {
					t.Errorf("an empty segment keeps %d cells", len(g.cells))
				}
			}
		})
	}
}

// A key that is there from the first call of a walk to the last is seen,
// whatever comes, goes and splits between the calls.
func TestWalkSeesWhatStays(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 3))
		m := tableModel{newTable(), map[string]uint64{}}
		for range 1 + r.IntN(2000) {
			m.insert(r.Uint64())
		}
		missing := maps.Clone(m.want)
		var volatile []string
		for cursor, first := uint64(0), true; first || cursor != 0; first = false {
			cursor = m.walk(cursor, 1+r.IntN(20), func(_ uint64, r *record) bool {
				delete(missing, string(r.key))
				return true
			})
			for range r.IntN(100) {
				m.insert(r.Uint64())
			}
			// Remove some, of those that were there at first too.
			volatile = volatile[:0]
			for key := range m.want {
				if volatile = append(volatile, key); len(volatile) > r.IntN(100) {
					break
				}
			}
			for _, key := range volatile {
				delete(missing, key)
				m.remove(t, key)
			}
		}
		if len(missing) > 0 {
			t.Errorf("seed %d: the walk missed %d keys", seed, len(missing))
		}
		m.check(t)
	}
}
