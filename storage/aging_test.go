package storage

import (
	"fmt"
	"testing"

	"redoubt/slots"
)

// Thousands of snapshots of one slot each never make a new one wait for a pass over
// all records, and an old one that is open all the time, as long as it may be, still
// gets every record.
func TestEpochsAreRaisedBitByBit(t *testing.T) {
	b := newBench(t, 2)
	const keys = 500
	for i := range keys {
		b.set(fmt.Sprint("key", i), "v", 0)
		b.set(fmt.Sprint("{one}", i), "v", 0)
	}
	begin := func(set *slots.Set, got map[string]bool) (c *Capture) {
		add := func(_ int, e Entry) bool {
			if got[string(e.Key())] {
				t.Errorf("%s is handed over twice", e.Key())
			}
			got[string(e.Key())] = true
			return true
		}
		b.World(b.now, func(tx *Tx) {
			var err error
			if c, err = tx.BeginCapture(set, func(db int, e Entry) { add(db, e) }); err != nil {
				t.Fatal(err)
			}
		})
		return c
	}
	finish := func(c *Capture, got map[string]bool) {
		b.World(b.now, func(tx *Tx) {
			for n, ok := c.NextSlot(0, 0); ok; n, ok = c.NextSlot(0, n+1) {
				for cursor, more := uint64(0), true; more; more = cursor != 0 {
					cursor, _ = c.Walk(tx, 0, n, cursor, 10, func(_ int, e Entry) bool {
						if got[string(e.Key())] {
							t.Errorf("%s comes twice", e.Key())
						}
						got[string(e.Key())] = true
						return true
					})
				}
			}
			if c.set != nil { // one of all slots would raise the epochs
				tx.Complete(c)
			}
			tx.Release(c)
		})
	}
	passes := 0
	before := b.known
	for round := range 10 {
		all := map[string]bool{}
		old := begin(nil, all)
		want := b.Len(0)
		for i := range 100 {
			key := fmt.Sprint("key", (round*100+i)%keys)
			set := new(slots.Set)
			set.Add(slots.Of([]byte(key)))
			got := map[string]bool{}
			c := begin(set, got)
			b.set(fmt.Sprint("{one}", i*5), "w", 0)
			finish(c, got)
			if !got[key] {
				t.Fatalf("the snapshot of the slot of %s has %v", key, got)
			}
			b.now++
			b.Compact(b.now, 3000)
			if b.captures-b.known >= epochs-2 {
				t.Fatal("the next one would have to look at all records at once")
			}
			if b.known != before {
				passes, before = passes+1, b.known
			}
		}
		if round%2 == 0 {
			finish(old, all)
			if len(all) != want {
				t.Fatalf("the old one has %d keys of %d", len(all), want)
			}
		} else {
			b.World(b.now, func(tx *Tx) { tx.Release(old) })
		}
	}
	if passes < 3 {
		t.Errorf("epochs have been raised %d times", passes)
	}
}
