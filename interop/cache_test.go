package interop

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"redoubt/internal/redistest"
)

// TestRueidisCaches: rueidis reads from its cache, and from the node again when a key
// has changed, on one node.
func TestRueidisCaches(t *testing.T) {
	t.Parallel()
	s := start(t, ours())
	for _, tracking := range [][]string{nil, {"NOLOOP"}, {"PREFIX", "cached:", "BCAST"}} {
		t.Run(fmt.Sprint(tracking), func(t *testing.T) {
			rueidisCaches(t, []string{s.Addr()}, rueidis.ClientOption{ClientTrackingOptions: tracking, ForceSingleClient: true})
		})
	}
}

// rueidisCaches has writers change keys while a client reads them through its cache. Each
// reader must see values go up; when the writers have stopped, the cache has the last.
func rueidisCaches(t *testing.T, addrs []string, o rueidis.ClientOption) {
	ctx := t.Context()
	o.InitAddress = addrs
	c, err := rueidis.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	writer, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: addrs, DisableCache: true, ForceSingleClient: o.ForceSingleClient, TLSConfig: o.TLSConfig})
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()

	const keys, writes = 20, 300
	key := func(i int) string { return "cached:" + strconv.Itoa(i) }
	write := func(i, n int) error {
		return writer.Do(ctx, writer.B().Set().Key(key(i)).Value(strconv.Itoa(n)).Build()).Error()
	}
	read := func(i int) (n int64, cached bool, err error) {
		r := c.DoCache(ctx, c.B().Get().Key(key(i)).Cache(), time.Minute)
		n, err = r.AsInt64()
		return n, r.IsCacheHit(), err
	}
	for i := range keys {
		if err := write(i, 0); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	done := make(chan struct{})
	hits := make([]int, 4)
	for r := range hits {
		all.Go(func() {
			var last [keys]int64
			for i := r; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				n, cached, err := read(i % keys)
				if err != nil {
					t.Error(err)
					return
				}
				if cached {
					hits[r]++
				}
				if n < last[i%keys] {
					t.Errorf("key %d was %d and is %d", i%keys, last[i%keys], n)
					return
				}
				last[i%keys] = n
			}
		})
	}
	for n := range writes {
		for i := range keys {
			if err := write(i, n+1); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(done)
	all.Wait()
	for i := range keys {
		redistest.Until(t, patience, "the cache has what was written last", func() error {
			if n, _, err := read(i); n != writes || err != nil {
				return fmt.Errorf("key %d is %d, %v", i, n, err)
			}
			return nil
		})
	}
	for i := range keys {
		if _, cached, _ := read(i); !cached {
			t.Errorf("key %d is not cached", i)
		}
	}
	sum := 0
	for _, n := range hits {
		sum += n
	}
	if sum == 0 {
		t.Error(errors.New("nothing was read from the cache meanwhile"))
	}
}

// TestCachesOfASlotThatLeaves: when another node takes a slot over, clients are told of
// all keys of it that they have read, also of one that does not exist: nobody here will
// hear of its changes.
func TestCachesOfASlotThatLeaves(t *testing.T) {
	t.Parallel()
	oursOnly(t) // Redis tells of the keys that it deletes
	c := startCluster(t, patience, nil)
	ps := primaries(t, c)
	from, to := ps[0], ps[1]
	slot := myself(t, from).first(t)
	key, stays := keyIn(slot, "none:"), keyIn(slot+1, "stays:")
	reader := listenTo(t, from, "HELLO 3", "CLIENT TRACKING ON", "GET "+key, "GET "+stays)
	id := myself(t, to).id
	for _, s := range []*redistest.Server{to, from} {
		if reply := fmt.Sprint(s.Do("CLUSTER", "SETSLOT", int(slot), "NODE", id)); reply != "OK" {
			t.Fatal(reply)
		}
	}
	reader.wants("invalidate " + key)
	if _, err := from.Client().Do("SET", stays, "v"); err != nil {
		t.Fatal(err)
	}
	reader.wants("invalidate " + stays)
}
