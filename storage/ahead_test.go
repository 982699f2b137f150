package storage

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"redoubt/slots"
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
