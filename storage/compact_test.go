package storage

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// fillForCompaction puts keys of all types and many sizes in, deletes most of
// them at random, and returns the digest of the rest.
func fillForCompaction(b *bench, r *rand.Rand, keys int) Digest {
	for i := range keys {
		key := []byte(fmt.Sprint("key", i))
		b.unit(func(tx *Tx) {
			switch r.IntN(7) {
			case 0, 1:
				tx.SetString(key, []byte(strings.Repeat("x", r.IntN(4)*150)), int64(r.IntN(2))*(t0+1e9), 0)
			case 2:
				l, _ := tx.EditList(key)
				for range 5 + 80*r.IntN(2) {
					l.PushBack([]byte(strings.Repeat("e", 30)))
				}
			case 3:
				h, _ := tx.EditHash(key)
				for j := range 5 + 50*r.IntN(2) {
					h.Set([]byte(fmt.Sprint("field", j)), []byte(strings.Repeat("v", 20+280*r.IntN(2))))
				}
			case 4:
				s, _ := tx.EditSet(key)
				for range 5 + 150*r.IntN(2) {
					s.Add([]byte(fmt.Sprint(1e9 + r.IntN(1e9))))
				}
			case 6:
				changeLog(tx, r, key, 5+150*r.IntN(2), func() []byte { return []byte(strings.Repeat("t", r.IntN(60))) })
			case 5:
				z, _ := tx.EditZSet(key)
				for range 5 + 120*r.IntN(2) {
					z.Set([]byte(fmt.Sprint("member", 1e9+r.IntN(1e9))), float64(r.IntN(1e6)))
				}
			}
		}, string(key))
	}
	for i := range keys {
		if key := fmt.Sprint("key", i); r.IntN(10) > 0 {
			b.unit(func(tx *Tx) { tx.Delete([]byte(key)) }, key)
		}
	}
	for b.Reclaim(1000) {
	}
	return b.digest()
}

func (b *bench) digest() (d Digest) {
	b.World(b.now, func(tx *Tx) { d = tx.Digest() })
	return d
}

// After a deletion of most keys a compaction takes less memory for the rest and
// changes nothing of the data, also with a snapshot open that still reads some of
// it.
func TestCompactionMovesEverythingAndChangesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("it has one goroutine, and takes minutes: it runs in other builds")
	}
	for _, captured := range []bool{false, true} {
		b := newBench(t, 1)
		r := rand.New(rand.NewPCG(7, 7))
		want := fillForCompaction(b, r, 12000)
		var c *Capture
		if captured {
			b.World(b.now, func(tx *Tx) { c, _ = tx.BeginCapture(nil, func(int, Entry) {}) })
		}
		before := b.Keyspace.space.Stats()
		slices := 0
		for range 5 {
			for b.Compact(b.now, 50) {
				slices++
				if slices%7 == 0 { // writes in between
					b.set(fmt.Sprint("other", slices), "v", 0)
				}
			}
			b.now += 2 * compactRestMs
		}
		for i := range slices + 1 {
			if i%7 == 0 {
				key := fmt.Sprint("other", i)
				b.unit(func(tx *Tx) { tx.Delete([]byte(key)) }, key)
			}
		}
		if captured {
			b.World(b.now, func(tx *Tx) { tx.Release(c) })
			for b.Reclaim(1000) {
			}
		}
		for b.Keyspace.space.Trim(1 << 30) {
		}
		after := b.Keyspace.space.Stats()
		if n := b.Compaction(); n.Hits == 0 || n.Running || n.KeyHits == 0 || n.KeyHits > n.Hits || n.KeyMisses == 0 {
			t.Errorf("captured %v: %+v", captured, n)
		}
		if got := b.digest(); got != want {
			t.Errorf("captured %v: the data have changed", captured)
		}
		// There are some hundred sizes of blocks, each with a page that is filled in
		// part, so of this little memory not much can be won.
		was, is := before.Committed-before.Free, after.Committed-after.Free
		if !captured && is > was*9/10 {
			t.Errorf("%d bytes are in use for %d of blocks; %d were before", is, after.Allocated, was)
		}
	}
}

// The tables of all slots grow at about the same time while keys are loaded, and
// leave their old pages nearly empty. A compaction wins these pages back without a
// look at the keys. The number of keys is one at which most tables have just grown.
func TestCompactionOfTablesLooksAtNoKey(t *testing.T) {
	if raceDetector {
		t.Skip("no fewer keys will do, and it has one goroutine: it runs in other builds")
	}
	b := newBench(t, 1)
	const keys = 550_000
	for i := range keys {
		b.set(fmt.Sprint(i), "", 0)
	}
	loaded := b.Memory()
	before := b.digest()
	for range 3 {
		for b.Compact(b.now, 1000) {
		}
		b.now += 2 * compactRestMs
	}
	after, counts := b.Memory(), b.Compaction()
	if won := (loaded.Committed - loaded.Free) - (after.Committed - after.Free); won < loaded.Tables/8 {
		t.Errorf("%d bytes were won of pages for %d bytes of tables", won, loaded.Tables)
	}
	if counts.KeyHits+counts.KeyMisses > 0 || counts.Hits == 0 {
		t.Errorf("keys were looked at: %+v", counts)
	}
	if after := b.digest(); after != before {
		t.Errorf("the data were changed: %v, then %v", before, after)
	}
	t.Logf("%d bytes of tables: %+v, then %+v", loaded.Tables, loaded, after)
}
