package storage

import (
	"redoubt/slots"
	"redoubt/storage/slab"
)

// Scan calls f for keys of slot n in the selected database, from cursor on (0
// at first), until about count have been seen, and returns the cursor at which
// to go on, 0 at the end. Every key that is there from the first call to the
// last is seen, whatever happens to the others between the calls; a key may be
// seen twice. Expired keys are passed over and, on a primary, deleted in the
// end. f must not write, and keeps no Entry. Cursors have 48 bits; any number is
// taken as one.
func (tx *Tx) Scan(n slots.Slot, cursor uint64, count int, f func(Entry)) (next uint64) {
	if checked {
		tx.checkHeld(n, nil)
	}
	p := place{slot: n, table: tx.ks.slots[n].table(tx.phys)}
	if p.table == nil {
		return 0
	}
	tx.picked = tx.picked[:0]
	next = p.table.walk(tx.ks.space, cursor&(1<<cursorBits-1), max(count, 1), func(ref slab.Ref) bool {
		if r := tx.ks.at(ref); tx.expired(r) {
			tx.picked = append(tx.picked, ref)
		} else {
			f(Entry{r, tx})
		}
		return true
	})
	if tx.deletesExpired() {
		tx.expirePicked(p)
	}
	return next
}

// Survey calls f for all keys of slot n in the selected database as Scan does, those
// whose time is past among them; f may return false when it has enough, and still
// gets a few. It deletes nothing.
func (tx *Tx) Survey(n slots.Slot, cursor uint64, count int, f func(Entry) bool) (next uint64) {
	if checked {
		tx.checkHeld(n, nil)
	}
	t := tx.ks.slots[n].table(tx.phys)
	if t == nil {
		return 0
	}
	return t.walk(tx.ks.space, cursor, count, func(ref slab.Ref) bool { return f(Entry{tx.ks.at(ref), tx}) })
}

// RandomKey returns a key of the selected database, each with the same
// likelihood. It looks at the size of every slot in use. A primary deletes the
// expired keys it meets; a replica that meets only those returns one of them in
// the end, as Redis does. The unit must hold the world lock.
func (tx *Tx) RandomKey() (Entry, bool) {
	tx.needWorld("RandomKey")
	const tries = 100
	for i := 0; ; i++ {
		p, ok := tx.randomPlace()
		switch {
		case !ok:
			return Entry{}, false
		case !tx.expired(p.rec):
			return Entry{p.rec, tx}, true
		case tx.deletesExpired():
			tx.expire(p)
		case i >= tries:
			return Entry{p.rec, tx}, true
		}
	}
}

func (tx *Tx) randomPlace() (place, bool) {
	keys := tx.ks.Len(tx.db)
	if keys == 0 {
		return place{}, false
	}
	i := int(tx.e.rand.Uint64() % uint64(keys))
	n, _ := tx.ks.nextOccupied(tx.phys, 0)
	for {
		t := tx.ks.slots[n].table(tx.phys)
		if count := t.len(); i >= count {
			i -= count
			n, _ = tx.ks.nextOccupied(tx.phys, n+1)
			continue
		}
		p := place{slot: n, table: t, rec: tx.ks.at(t.nth(i))}
		p.hash = tx.ks.hash(p.rec.key())
		p.cell, _ = tx.ks.findIn(t.segmentOf(p.hash), p.hash, p.rec.key())
		p.version = tx.e.version
		return p, true
	}
}
