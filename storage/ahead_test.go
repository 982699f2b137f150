package storage

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"redoubt/slots"
)

// TestFetchAheadReachesTheKeys: what it has read last is the first byte of each
// key that is its home cell's.
func TestFetchAheadReachesTheKeys(t *testing.T) {
	ks := New(Config{})
	e := ks.NewExecutor()
	var keys [][]byte
	for i := range AheadKeys {
		key := fmt.Appendf(nil, "%ckey %d", 'a'+i, i)
		keys = append(keys, key)
		e.Begin(1, []slots.Slot{slots.Of(key)}).SetString(key, []byte("v"), 0, 0)
		e.End()
	}
	var want byte
	for _, key := range keys[:5] {
		want += key[0]
	}
	e.FetchAhead(append(keys[:5:5], []byte("absent")))
	if e.fetched != want {
		t.Errorf("read %d, want %d", e.fetched, want)
	}
	e.fetched = 0
	e.FetchAhead(append(keys, keys...)) // more than it takes
	for _, key := range keys[5:] {
		want += key[0]
	}
	if e.fetched != want {
		t.Errorf("read %d, want %d", e.fetched, want)
	}
}

// TestFetchAheadBesideWriters: tables come, grow, shrink and go while somebody
// reads ahead without a lock. The size of an array of cells that is read with a
// pointer must never be that of a larger one: then it would read beyond its end,
// which checkptr, part of the race detector's build, finds.
func TestFetchAheadBesideWriters(t *testing.T) {
	ks := New(Config{})
	var keys [][]byte
	for i := range 200 {
		keys = append(keys, fmt.Appendf(nil, "{one slot}%d", i))
	}
	n := slots.Of(keys[0])
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for seed := range uint64(2) {
		e := ks.NewExecutor()
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, 0))
			for {
				select {
				case <-stop:
					return
				default:
				}
				from := r.IntN(len(keys) - AheadKeys)
				e.FetchAhead(keys[from : from+AheadKeys])
			}
		})
	}
	e := ks.NewExecutor()
	for round := range 60 {
		tx := e.Begin(1, []slots.Slot{n})
		for _, key := range keys[:(round*37)%len(keys)] {
			tx.SetString(key, []byte("v"), 0, 0)
		}
		e.End()
		tx = e.Begin(1, []slots.Slot{n})
		for _, key := range keys {
			tx.Delete(key)
		}
		e.End()
	}
	close(stop)
	wg.Wait()
}

// TestASizeIsNeverLargerThanItsCells is what FetchAhead relies on when it reads
// the two without the lock.
func TestASizeIsNeverLargerThanItsCells(t *testing.T) {
	var s slot
	var done atomic.Bool
	go func() {
		defer done.Store(true)
		for i := range 300000 {
			cells := make([]cell, 8<<(i%3))
			cells[0].hash = uint64(len(cells))
			s.setCells(&cells[0], uint32(len(cells)))
		}
	}()
	for !done.Load() {
		first, size := s.cells.Load(), s.size.Load()
		if first != nil && s.cells.Load() == first && uint64(size) > first.hash {
			t.Fatalf("%d cells have a size of %d", first.hash, size)
		}
	}
}
