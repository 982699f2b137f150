package storage

import "redoubt/slots"

// expire deletes a record whose time is past and records its DEL. That is not
// a change by the command in progress: it does not make a GET a write.
func (tx *Tx) expire(p place) {
	tx.remove(p)
	tx.e.stats.expired.Add(1)
	tx.expiredEffect(p.rec.key)
	tx.changed(p.slot, p.rec.key)
}

// lowerEarliest notes that a key of slot n expires at at. The slot is locked.
func (ks *Keyspace) lowerEarliest(n slots.Slot, at int64) {
	if e := &ks.earliest[n]; at < e.Load() {
		e.Store(at)
	}
}

// ExpireCycle deletes keys whose time is past, slot by slot in units of its
// own, until none is left or about budget records were looked at; more says
// that some may be left. Segments and slots know when their first key expires,
// so only those are visited that have something to delete, or had when that was
// noted: unlike Redis's sampling it finds all. The DELs of a slot need no MULTI,
// they are independent. On a replica it does nothing.
func (e *Executor) ExpireCycle(now int64, budget int) (expired int, more bool) {
	ks := e.ks
	first := ks.expireFrom.Load()
	for i := range uint32(slots.Count) {
		n := slots.Slot((first + i) % slots.Count)
		if ks.earliest[n].Load() >= now {
			continue
		}
		if budget <= 0 {
			ks.expireFrom.Store(uint32(n))
			return expired, true
		}
		e.one[0] = n
		tx := e.Begin(now, e.one[:])
		tx.Loose()
		idle := !tx.deletesExpired()
		if !idle {
			deleted, looked := tx.expireSlot(n, budget)
			expired += deleted
			budget -= looked
		}
		e.End()
		if idle {
			return expired, false
		}
		if ks.earliest[n].Load() < now {
			ks.expireFrom.Store(uint32(n))
			return expired, true
		}
	}
	return expired, false
}

// expireSlot deletes the slot's expired keys, a segment at a time, until about
// budget records were looked at.
func (tx *Tx) expireSlot(n slots.Slot, budget int) (deleted, looked int) {
	s := &tx.ks.slots[n]
	earliest := int64(neverExpires)
	for db := range tx.ks.order {
		tx.Select(db)
		t := s.table(tx.phys)
		if t == nil {
			continue
		}
		for i := 0; i < len(t.dir); i += t.span(t.dir[i]) {
			g := t.dir[i]
			if g.earliest < tx.now && looked < budget {
				looked += g.used
				deleted += tx.expireSegment(place{slot: n, table: t}, g)
			}
			earliest = min(earliest, g.earliest)
		}
	}
	tx.ks.earliest[n].Store(earliest)
	return deleted, looked
}

// expireSegment deletes the expired records of g and makes its bound exact.
func (tx *Tx) expireSegment(p place, g *segment) (deleted int) {
	// Deletion moves records between cells, so they are picked first.
	tx.picked = tx.picked[:0]
	earliest := int64(neverExpires)
	for _, c := range g.cells {
		switch {
		case c.rec == nil || c.rec.expireAt == 0:
		case tx.expired(c.rec):
			tx.picked = append(tx.picked, c)
		default:
			earliest = min(earliest, c.rec.expireAt)
		}
	}
	deleted = len(tx.picked)
	tx.expirePicked(p)
	g.earliest = earliest
	return deleted
}

// expirePicked deletes the records in tx.picked, all of the table of p.
func (tx *Tx) expirePicked(p place) {
	for _, c := range tx.picked {
		p.hash, p.rec = c.hash, c.rec
		tx.expire(p)
	}
	clear(tx.picked) // keep no record alive
	tx.picked = tx.picked[:0]
}
