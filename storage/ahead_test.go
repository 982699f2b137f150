package storage

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"redoubt/slots"
	"redoubt/storage/slab"
)

// TestFetchAheadBesideWriters: tables come, grow, shrink and go while somebody
// reads ahead without a lock: it must read nothing but memory of the keyspace.
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

// TestFetchAheadFindsTheRecords: what is looked at ahead are the cells at the
// homes of the keys.
func TestFetchAheadFindsTheRecords(t *testing.T) {
	if checked {
		t.Skip("with checks nothing is fetched ahead")
	}
	ks := New(Config{})
	e := ks.NewExecutor()
	for i := range AheadKeys {
		key := fmt.Appendf(nil, "key %d", i)
		n := slots.Of(key)
		e.Begin(1, []slots.Slot{n}).SetString(key, []byte("v"), 0, 0)
		e.End()
		g := &ks.slots[n].first.segment
		_, r := ks.findIn(g, ks.hash(key), key)
		cell, ok := ks.space.Peek(g.at, g.home(g.bits(ks.hash(key)))*cellBytes)
		if !ok || slab.Ref(cell>>prefixBits) != r.ref {
			t.Errorf("the cell of %q reads %x, and its record is %x", key, cell, r.ref)
		}
	}
}
