package storage

import "redoubt/slots"

// FlushDB removes all keys of database db and returns how many there were. The
// tables are let go whole. The unit must hold the world lock.
func (tx *Tx) FlushDB(db int) int {
	tx.needWorld("FlushDB")
	ks := tx.ks
	tx.touchWatchedDB(db, -1)
	tx.untrackAll()
	removed := ks.Len(db)
	phys := int(ks.order[db].Load())
	for n, ok := ks.nextOccupied(phys, 0); ok; n, ok = ks.nextOccupied(phys, n+1) {
		tx.take(n, phys)
	}
	for _, e := range ks.world.running {
		c := &e.stats.dbs[phys]
		c.keys.Store(0)
		c.volatile.Store(0)
		c.due.Store(0)
		c.bytes.Store(0)
		c.expiry.Store(0)
	}
	tx.dirty += removed
	return removed
}

// take empties a slot's table of a physical database: its records go to the open
// snapshots, if there are any, and are freed bit by bit.
func (tx *Tx) take(n slots.Slot, phys int) {
	ks := tx.ks
	t := ks.slots[n].table(phys)
	d := &detachedTable{slot: n, phys: phys, table: *t}
	t.segment, t.more = segment{}, nil
	t.add(-t.len())
	ks.setOccupied(n, phys, false)
	ks.adopt(d)
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
