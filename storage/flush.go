package storage

import "math/bits"

// FlushDB removes all keys of database db and returns how many there were. The
// tables are let go whole. The unit must hold the world lock.
func (tx *Tx) FlushDB(db int) int {
	tx.needWorld("FlushDB")
	ks := tx.ks
	tx.touchWatchedDB(db, -1)
	tx.untrackAll()
	removed := ks.Len(db)
	phys := int(ks.order[db].Load())
	ks.adopt(ks.detachAll(phys))
	for _, e := range ks.world.running {
		c := &e.stats.dbs[phys]
		c.keys.Store(0)
		c.volatile.Store(0)
		c.due.Store(0)
		c.bytes.Store(0)
		c.expiry.Store(0)
	}
	tx.signalDB(db)
	tx.dirty += removed
	return removed
}

// detachAll empties the tables of a physical database and returns them with how
// many keys they hold. There may be 16,384, and everybody waits meanwhile: so they
// are allocated, and adopted, together.
func (ks *Keyspace) detachAll(phys int) (all []detachedTable, keys int) {
	occupied := 0
	for i := range ks.occupied[phys] {
		occupied += bits.OnesCount64(ks.occupied[phys][i].Load())
	}
	all = make([]detachedTable, occupied)
	n, _ := ks.nextOccupied(phys, 0)
	for i := range all {
		t, d := ks.slots[n].table(phys), &all[i]
		d.slot, d.phys, d.table = n, phys, *t
		t.segment, t.more = segment{}, nil
		keys += t.len()
		t.add(-t.len()) // which anybody may read
		n, _ = ks.nextOccupied(phys, n+1)
	}
	for i := range ks.occupied[phys] {
		ks.occupied[phys][i].Store(0)
	}
	return all, keys
}

// FlushAll is FlushDB of every database.
func (tx *Tx) FlushAll() int {
	removed := 0
	for db := range tx.ks.order {
		removed += tx.FlushDB(db)
	}
	for n := range tx.ks.earliest {
		tx.ks.earliest[n].Store(neverExpires)
	}
	return removed
}

// SwapDB exchanges the contents of two databases. No table moves. The unit must
// hold the world lock.
func (tx *Tx) SwapDB(a, b int) {
	tx.needWorld("SwapDB")
	if a != b {
		tx.touchWatchedDB(a, b)
		tx.touchWatchedDB(b, a)
		physA, physB := tx.ks.order[a].Load(), tx.ks.order[b].Load()
		tx.ks.order[a].Store(physB)
		tx.ks.order[b].Store(physA)
		tx.Select(tx.db)
		tx.ks.restartExpiry()
		tx.untrackAll() // a reader of a key has one database in mind, which we do not know
		tx.signalDB(a)
		tx.signalDB(b)
	}
	tx.dirty++
}
