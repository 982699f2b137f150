package storage

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"redoubt/slots"
)

// After random changes of all types, among them of elements outside of records,
// under snapshots that begin, overlap and end, the totals are those of the keys;
// and nothing is left of the memory when all keys are gone.
func TestNothingIsLeftBehind(t *testing.T) {
	seeds := uint64(4)
	if raceDetector {
		seeds = 1
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 5))
		b := newBench(t, 2)
		var captures []*Capture
		for step := range 3000 {
			switch k := r.IntN(400); {
			case k < 4:
				b.World(b.now, func(tx *Tx) {
					if c, err := tx.BeginCapture(nil, func(_ int, e Entry) { e.Share(nil) }); err == nil {
						captures = append(captures, c)
					}
				})
			case k < 8 && len(captures) > 0:
				b.World(b.now, func(tx *Tx) {
					tx.EndCapture(captures[len(captures)-1])
					if r.IntN(2) == 0 {
						tx.Release(captures[0])
						captures = captures[1:]
					}
				})
			case k < 12:
				b.World(b.now, func(tx *Tx) { tx.FlushDB(r.IntN(2)) })
			case k < 14:
				b.World(b.now, func(tx *Tx) { tx.SwapDB(0, 1) })
			case k < 60:
				b.Reclaim(1 + r.IntN(50))
			case k < 70:
				b.now += 10
				b.ExpireCycle(b.now, 100)
			default:
				b.changeAtRandom(r)
			}
			if step%500 == 0 {
				b.checkTotals()
			}
		}
		b.checkTotals()
		b.World(b.now, func(tx *Tx) {
			tx.FlushAll()
			for _, c := range captures {
				tx.Release(c)
			}
		})
		for b.Reclaim(1000) {
		}
		if s := b.space.Stats(); s.Blocks != 0 || s.Allocated != 0 {
			t.Errorf("seed %d: %d blocks of %d bytes are left", seed, s.Blocks, s.Allocated)
		}
		b.want("Unfreed", b.unfreed.Load(), int64(0))
		b.want("Kept", b.Kept(), int64(0))
		held, _ := b.Held()
		b.want("Held", held, int64(0))
	}
}

// changeAtRandom does a unit of several commands on two keys of one slot.
func (b *bench) changeAtRandom(r *rand.Rand) {
	key := fmt.Appendf(nil, "{%d}%d", r.IntN(8), r.IntN(4))
	other := fmt.Appendf(nil, "%s%d", key[:3], r.IntN(4))
	text := func() []byte {
		n := r.IntN(400)
		if n%20 == 0 {
			return bytes.Repeat([]byte{'x'}, sharedFrom+n)
		}
		return []byte(strings.Repeat(fmt.Sprint("text", n), 1+n%2*r.IntN(60)))
	}
	at := []int64{0, b.now + int64(r.IntN(200))}[r.IntN(2)]
	b.unit(func(tx *Tx) {
		for range 1 + r.IntN(4) {
			tx.Select(r.IntN(2))
			switch r.IntN(14) {
			case 0:
				tx.SetString(key, text(), at, 0)
			case 1:
				tx.Delete(key)
			case 2:
				tx.SetExpire(key, at)
			case 3:
				tx.Rename(key, other)
			case 4:
				tx.Copy(key, r.IntN(2), other)
			case 5:
				tx.Move(key, r.IntN(2))
			case 6:
				if e, ok := tx.Peek(key); !ok || e.Type() == TypeString {
					tx.GrowString(key, r.IntN(2*sharedFrom))
				}
			default:
				b.twoHandles(tx, r, key, other, text)
			}
		}
	}, string(key), string(other))
}

// twoHandles changes two collections side by side, as commands do that move
// elements.
func (b *bench) twoHandles(tx *Tx, r *rand.Rand, key, other []byte, text func() []byte) {
	n := 1 + r.IntN(4)*r.IntN(60)
	if bytes.Equal(key, other) {
		other = fmt.Append(key[:len(key):len(key)], "'")
	}
	switch r.IntN(5) {
	case 4:
		changeLog(tx, r, key, n, text)
	case 0:
		x, ok := tx.EditList(key)
		y, and := tx.EditList(other)
		for range n {
			if !ok || !and {
				break
			}
			if x.Len() > 0 && r.IntN(3) > 0 {
				y.PushBack(x.At(0))
				x.Remove(0, 1)
			} else {
				x.PushFront(text())
			}
		}
	case 1:
		x, ok := tx.EditSet(key)
		y, and := tx.EditSet(other)
		for range n {
			if !ok || !and {
				break
			}
			if x.Len() > 0 && r.IntN(3) > 0 {
				m := bytes.Clone(x.At(r.IntN(x.Len())))
				x.Remove(m)
				y.Add(m)
			} else {
				x.Add(text())
			}
		}
	case 2:
		h, ok := tx.EditHash(key)
		for range n {
			switch k := r.IntN(6); {
			case !ok:
			case h.Len() == 0 || k < 2:
				h.Set(text(), text())
			case k < 4:
				name, due := text(), dueAt(r, b.now)
				h.DropExpired([][]byte{name}, 1)
				h.SetDue(name, text(), due)
			case k == 4:
				if name, _, visible := h.At(r.IntN(h.Len())); visible {
					h.ExpireAt(bytes.Clone(name), dueAt(r, b.now))
				}
			default:
				name, _, _ := h.At(r.IntN(h.Len()))
				h.Delete(bytes.Clone(name))
			}
		}
	case 3:
		z, ok := tx.EditZSet(key)
		for range n {
			if ok && (z.Len() == 0 || r.IntN(3) > 0) {
				z.Set(text(), float64(r.IntN(50)))
			} else if ok {
				z.RemoveRange(r.IntN(z.Len()), 1)
			}
		}
	}
}

// dueAt is when a field expires, 0 for never.
func dueAt(r *rand.Rand, now int64) int64 {
	return []int64{0, now + 1 + int64(r.IntN(200))}[r.IntN(2)]
}

// checkTotals compares the totals with what the keys say themselves.
func (b *bench) checkTotals() {
	b.Helper()
	tx := b.BeginApplyWorld(b.now, 0) // sees what has expired
	defer b.Executor.End()
	for db := range b.Databases() {
		tx.Select(db)
		keys, volatile, withDue, size := 0, 0, 0, int64(0)
		for n, ok := b.NextSlot(db, 0); ok; n, ok = b.NextSlot(db, n+1) {
			for cursor, more := uint64(0), true; more; more = cursor != 0 {
				cursor = tx.Scan(n, cursor, 100, func(e Entry) {
					keys++
					size += e.Size()
					if e.ExpireAt() != 0 {
						volatile++
					}
					if e.Type() == TypeHash && b.dueFields(e) > 0 {
						withDue++
					}
				})
			}
		}
		b.want("keys", b.Len(db), keys)
		b.want("volatile", b.Volatile(db), volatile)
		b.want("hashes with fields that expire", b.WithDue(db), withDue)
		b.want("bytes", b.Bytes(db), size)
	}
}

// dueFields is how many fields of a hash expire. It checks that the slot knows of
// the first of them.
func (b *bench) dueFields(e Entry) (n int) {
	b.Helper()
	h := e.Hash()
	first := b.earliest[slots.Of(e.Key())].Load()
	h.EachDue(func(name, _ []byte, due int64) bool {
		if due != 0 {
			n++
		}
		if due != 0 && due < first {
			b.Errorf("%q of %q expires at %d, the slot says %d", name, e.Key(), due, first)
		}
		return true
	})
	e.tx.e.closeAll()
	return n
}
