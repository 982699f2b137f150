package storage

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"redoubt/slots"
)

// heard is an audience that keeps the keys of which it was told, with their readers.
type heard struct {
	stale map[string][]uint64
	all   int
}

func (h *heard) Heard(o *Outcome) {
	for _, s := range o.Stale {
		h.stale[string(s.Key)] = append(h.stale[string(s.Key)], s.Readers...)
	}
	if o.AllStale {
		h.all++
	}
}

func (h *heard) take() map[string][]uint64 {
	stale := h.stale
	h.stale = map[string][]uint64{}
	return stale
}

// TestMarksAgainstAMap has random reads, changes and losses of slots, with a map of maps
// as the model.
func TestMarksAgainstAMap(t *testing.T) {
	ks := New(Config{})
	h := &heard{stale: map[string][]uint64{}}
	ks.SetAudience(h)
	e := ks.NewExecutor()
	model := map[string]map[uint64]bool{}
	r := rand.New(rand.NewPCG(1, 2))
	total := func() (keys, marks int64) {
		for _, m := range model {
			marks += int64(len(m))
		}
		return int64(len(model)), marks
	}
	expect := func(key string) {
		t.Helper()
		got := h.take()
		want := slices.Sorted(maps.Keys(model[key]))
		if !slices.Equal(got[key], want) {
			t.Fatalf("%s is stale for %v, want %v", key, got[key], want)
		}
		delete(model, key)
	}
	for i := range 60_000 {
		key := fmt.Sprintf("{%d}%d", r.IntN(3), r.IntN(40))
		n := slots.Of([]byte(key))
		tx := e.Begin(1, []slots.Slot{n})
		switch r.IntN(12) {
		case 0:
			tx.SetString([]byte(key), []byte("v"), 0, 0)
			e.End()
			expect(key)
		default:
			reader := uint64(r.IntN(20))
			tx.Track([]byte(key), reader)
			e.End()
			if model[key] == nil {
				model[key] = map[uint64]bool{}
			}
			model[key][reader] = true
			if len(h.take()) > 0 {
				t.Fatal("a read made something stale")
			}
		}
		if i%1000 == 0 {
			tx := e.Begin(1, []slots.Slot{n})
			tx.UntrackSlot(n)
			e.End()
			for key, readers := range h.take() {
				if !slices.Equal(slices.Sorted(maps.Keys(model[key])), readers) {
					t.Fatalf("%s of a lost slot: %v, want %v", key, readers, model[key])
				}
				delete(model, key)
			}
			for key := range model {
				if slots.Of([]byte(key)) == n {
					t.Fatalf("%s was not told of", key)
				}
			}
		}
		keys, marks := ks.Tracked()
		if wantKeys, wantMarks := total(); keys != wantKeys || marks != wantMarks {
			t.Fatalf("%d keys and %d marks, want %d and %d", keys, marks, wantKeys, wantMarks)
		}
	}
	e.BeginWorld(1).FlushAll()
	e.End()
	if keys, marks := ks.Tracked(); h.all != 1 || keys != 0 || marks != 0 {
		t.Errorf("after a flush: told %d times, %d keys, %d marks", h.all, keys, marks)
	}
}

func TestMarksAreLimited(t *testing.T) {
	ks := New(Config{})
	h := &heard{stale: map[string][]uint64{}}
	ks.SetAudience(h)
	e := ks.NewExecutor()
	for i := range 500 {
		key := fmt.Appendf(nil, "key:%d", i)
		e.Begin(1, []slots.Slot{slots.Of(key)}).Track(key, 7)
		e.End()
	}
	if over := e.LimitTracked(1, 10, 100); !over {
		t.Error("100 of 490 keys are enough")
	}
	if n := len(h.take()); n != 100 {
		t.Errorf("%d keys were told of, want 100", n)
	}
	if over := e.LimitTracked(1, 10, 1000); over {
		t.Error("it is still over")
	}
	if keys, marks := ks.Tracked(); keys != 10 || marks != 10 || len(h.take()) != 390 {
		t.Errorf("%d keys, %d marks are left", keys, marks)
	}
}

// BenchmarkTrack is a mark for a read: of many readers of many keys, most of which have
// read the key before (again), or none of which has (first).
func BenchmarkTrack(b *testing.B) {
	const keys, readers = 10_000, 50
	var names [keys][]byte
	for i := range names {
		names[i] = fmt.Appendf(nil, "key:%012d", i)
	}
	for _, again := range []bool{true, false} {
		b.Run(fmt.Sprintf("again=%v", again), func(b *testing.B) {
			ks := New(Config{})
			e := ks.NewExecutor()
			pass := func(n int) {
				for i := range n {
					if !again && i%(keys*readers) == 0 {
						e.BeginWorld(1).FlushAll()
						e.End()
					}
					key := names[i*7919%keys]
					tx := e.Begin(1, []slots.Slot{slots.Of(key)})
					tx.Only(key)
					tx.Track(key, uint64(i/keys%readers))
					e.End()
				}
			}
			if again {
				pass(keys * readers)
			}
			b.ResetTimer()
			pass(b.N)
		})
	}
}
