package storage

import (
	"fmt"
	"testing"
)

func TestMemoryOfDeletedKeysIsGivenBack(t *testing.T) {
	b := newBench(t, 1)
	empty := b.Keyspace.Memory()
	key := func(i int) []byte { return fmt.Appendf(nil, "key:%d", i) }
	const keys = 150_000
	for i := range keys {
		tx := b.Begin(b.now, slotsOf(string(key(i))))
		tx.SetString(key(i), make([]byte, 40), 0, 0)
		b.Executor.End()
	}
	full := b.Keyspace.Memory()
	if got := full.Data - empty.Data; got < keys*48 || full.Tables <= empty.Tables || full.Committed < full.Data+full.Tables {
		t.Errorf("with %d keys: %+v", keys, full)
	}
	for i := range keys {
		tx := b.Begin(b.now, slotsOf(string(key(i))))
		tx.Delete(key(i))
		b.Executor.End()
	}
	b.Executor.Retire()
	for b.Keyspace.Trim(1 << 20) {
	}
	got := b.Keyspace.Memory()
	if got.Data != empty.Data || got.Tables != empty.Tables || got.Committed-empty.Committed > (full.Committed-empty.Committed)/2 || got.Returned == 0 {
		t.Errorf("without keys: %+v; it was %+v", got, full)
	}
}

// What a snapshot has kept is freed like deleted keys, but is none.
func TestBlocksKeptForASnapshotAreNoDeletedKeys(t *testing.T) {
	b := newBench(t, 1)
	fill := func(text string) {
		for i := range 100 {
			key := fmt.Sprint("key", i)
			b.unit(func(tx *Tx) {
				h, _ := tx.EditHash([]byte(key))
				for j := range 1000 {
					h.Set(fmt.Append(nil, "field", j), fmt.Append(nil, text, j))
				}
			}, key)
		}
	}
	fill("before")
	var c *Capture
	b.World(b.now, func(tx *Tx) { c, _ = tx.BeginCapture(nil, func(int, Entry) {}) })
	fill("after")
	b.World(b.now, func(tx *Tx) { tx.Release(c) })
	if b.unfreed.Load() == 0 {
		t.Fatal("nothing was kept")
	}
	b.want("Unfreed", b.Unfreed(), int64(0))
	for b.Reclaim(100) {
	}
	b.want("Freed", b.Freed(), int64(0))
	b.World(b.now, func(tx *Tx) { tx.FlushAll() })
	b.want("Unfreed", b.Unfreed(), int64(100))
	for b.Reclaim(100) {
	}
	b.want("Unfreed", b.Unfreed(), int64(0))
	if got := b.Freed(); got < 100 {
		t.Errorf("%d objects were freed, want 100", got)
	}
	b.ResetStats()
	b.want("Freed", b.Freed(), int64(0))
}

func TestTableBytesOfEachDatabase(t *testing.T) {
	b := newBench(t, 3)
	for i := range 20_000 {
		key := fmt.Sprint("key", i)
		b.unit(func(tx *Tx) {
			tx.Select(i % 4 / 3) // three in the first for each in the second
			tx.SetString([]byte(key), []byte("v"), 0, 0)
		}, key)
	}
	var sizes [3]int64
	b.World(b.now, func(tx *Tx) {
		for db := range sizes {
			sizes[db] = tx.TableBytes(db)
		}
	})
	if sum := sizes[0] + sizes[1]; sum != b.Keyspace.Memory().Tables {
		t.Errorf("the tables take %v, and %d together", sizes, b.Keyspace.Memory().Tables)
	}
	if sizes[2] != 0 || sizes[0] < 15_000*6 || sizes[1] < 5_000*6 || sizes[1] >= sizes[0] {
		t.Errorf("the tables take %v", sizes)
	}
}
