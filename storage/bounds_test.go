package storage

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"redoubt/slots"
)

// Whatever happens to keys and fields that expire while active expiry walks over
// them slice by slice, no bound is above the time of one of them; and in the end
// all that has expired is deleted.
func TestBoundsOfExpiryHold(t *testing.T) {
	seeds, steps, every := uint64(4), 3000, 20
	if checked { // slowly, and units check themselves
		seeds, steps, every = 1, 1500, 150
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 6))
		b := newBench(t, 3)
		check := func() {
			b.World(b.now, func(*Tx) {
				for n := range slots.Slot(slots.Count) {
					if b.earliest[n].Load() != neverExpires || b.SlotLen(n, 0)+b.SlotLen(n, 1)+b.SlotLen(n, 2) > 0 {
						b.checkBounds(n, 1<<30)
					}
				}
			})
		}
		walked := 0
		for step := range steps {
			switch k := r.IntN(100); {
			case k < 1:
				b.World(b.now, func(tx *Tx) { tx.SwapDB(r.IntN(3), r.IntN(3)) })
			case k < 2 && r.IntN(4) == 0:
				b.World(b.now, func(tx *Tx) { tx.FlushDB(r.IntN(3)) })
			case k < 3 && r.IntN(20) == 0:
				b.World(b.now, func(tx *Tx) { tx.FlushAll() })
			case k < 8:
				b.now += int64(r.IntN(300))
			case k < 20:
				if _, more := b.ExpireCycle(b.now, 1+r.IntN(600)); more {
					walked++
				}
			case k < 23:
				b.Evict(b.now, Eviction{By: EvictTTL, Volatile: true, Samples: 3})
			default:
				b.expiriesAtRandom(r)
			}
			if step%every == 0 {
				check()
			}
		}
		check()
		b.now += 1 << 40
		for range 10000 {
			if _, more := b.ExpireCycle(b.now, 100); !more {
				break
			}
		}
		tx := b.BeginApplyWorld(b.now, 0) // sees what has expired
		for db := range b.Databases() {
			b.want("keys that expire", b.Volatile(db), 0)
			b.want("hashes with fields that expire", b.WithDue(db), 0)
		}
		tx.FlushAll()
		b.Executor.End()
		if walked < steps/150 {
			t.Errorf("seed %d: only %d slices ended before all was found", seed, walked)
		}
	}
}

// expiriesAtRandom is a unit that changes keys of one slot, of which there are
// thousands, and their expiries.
func (b *bench) expiriesAtRandom(r *rand.Rand) {
	tag := fmt.Sprintf("{%d}", r.IntN(2))
	key := func() []byte { return fmt.Append(nil, tag, r.IntN(1500)) }
	at := func() int64 { return []int64{0, b.now + int64(r.IntN(3000)) - 10, b.now + 1e6}[r.IntN(3)] }
	b.unit(func(tx *Tx) {
		for range r.IntN(60) {
			tx.Select(r.IntN(3))
			switch k := key(); r.IntN(12) {
			case 0:
				tx.SetExpire(k, at())
			case 1:
				tx.Rename(k, key())
			case 2:
				tx.Copy(k, r.IntN(3), key())
			case 3:
				tx.Move(k, r.IntN(3))
			case 4:
				tx.Delete(k)
			case 5, 6, 7:
				h, ok := tx.EditHash(k)
				for range r.IntN(3) * r.IntN(150) {
					name, due := fmt.Append(nil, r.IntN(400)), max(at(), 0)
					if ok && (h.Len() == 0 || r.IntN(2) == 0) {
						h.DropExpired([][]byte{name}, 1)
						h.SetDue(name, name, due)
					} else if ok {
						if name, _, ok := h.At(r.IntN(h.Len())); ok {
							h.ExpireAt(append([]byte(nil), name...), due)
						}
					}
				}
			case 8:
				tx.SetString(k, k, 0, KeepTTL)
			default:
				tx.SetString(k, k, at(), 0)
			}
		}
	}, tag)
}
