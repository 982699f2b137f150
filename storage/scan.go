package storage

import (
	"math"

	"redoubt/slots"
)

// Scan calls f for keys of slot n in the selected database, from cursor on (0
// at first), until about count have been seen, and returns the cursor at which
// to go on, 0 at the end. Every key that is there from the first call to the
// last is seen, whatever happens to the others between the calls; a key may be
// seen twice. Expired keys are passed over; they are not deleted. f must not
// write. Cursors have 48 bits.
func (tx *Tx) Scan(n slots.Slot, cursor uint64, count int, f func(Entry)) (next uint64) {
	if checked {
		tx.checkHeld(n, nil)
	}
	t := tx.ks.slots[n].table(tx.phys)
	if t == nil {
		return 0
	}
	return t.walk(cursor&(1<<cursorBits-1), max(count, 1), func(_ uint64, r *record) bool {
		if !tx.expired(r) {
			f(Entry{r, tx})
		}
		return true
	})
}

// RandomKey returns some key of the selected database: of a random slot that
// has any, one after a random place in it. Keys that follow a gap are a little
// more likely. A primary deletes the expired keys it meets; a replica gives up
// after some and returns an expired key, as Redis does. The unit must hold the
// world lock.
func (tx *Tx) RandomKey() (Entry, bool) {
	tx.needWorld("RandomKey")
	const tries = 100
	for i := 0; ; i++ {
		n, ok := tx.ks.nextOccupied(tx.phys, slots.Slot(tx.e.rand.Uint64()%slots.Count))
		if !ok {
			if n, ok = tx.ks.nextOccupied(tx.phys, 0); !ok {
				return Entry{}, false
			}
		}
		p := tx.randomIn(n)
		switch {
		case !tx.expired(p.rec):
			return Entry{p.rec, tx}, true
		case tx.deletesExpired():
			tx.expire(p)
		case i >= tries:
			return Entry{p.rec, tx}, true
		}
	}
}

// randomIn picks a record of slot n, which has some.
func (tx *Tx) randomIn(n slots.Slot) place {
	p := place{slot: n, table: tx.ks.slots[n].table(tx.phys)}
	cursor := tx.e.rand.Uint64() >> (64 - cursorBits)
	for p.rec == nil {
		cursor = p.table.walk(cursor, math.MaxInt32, func(hash uint64, r *record) bool {
			p.hash, p.rec = hash, r
			return false
		})
	}
	return p
}
