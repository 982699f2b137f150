package storage

import (
	"bytes"

	"redoubt/slots"
	"redoubt/storage/slab"
)

// expire deletes a record whose time is past and records its DEL. That is not
// a change by the command in progress: it does not make a GET a write.
func (tx *Tx) expire(p place) {
	key := append(tx.expiring[:0], p.rec.key()...) // the record's own goes with it
	tx.expiring = key
	tx.remove(p)
	tx.e.stats.expired.Add(1)
	tx.expiredEffect(key)
	by := tx.by
	tx.by = nil // it is not the client's doing that looks at it
	tx.changed(p.slot, key)
	tx.by = by
	tx.Note(ClassExpired, "expired", key)
}

// lowerEarliest notes that a key of slot n expires at at. The slot is locked.
func (ks *Keyspace) lowerEarliest(n slots.Slot, at int64) {
	if e := &ks.earliest[n]; at < e.Load() {
		e.Store(at)
	}
	// A walk under way may have passed the key.
	if r := ks.slots[n].rare.Load(); r != nil && r.expiry.earliest != 0 {
		r.expiry.earliest = min(r.expiry.earliest, at)
	}
}

// ExpireCycle deletes keys and fields of hashes whose time is past, slot by slot in
// units of its own, until none is left or about budget records were looked at; more
// says that some may be left. Slots know when their first key or field expires, so
// only those are visited that have something to delete, or had when that was noted
// (see bounds.go): unlike Redis's sampling it finds all. The DELs and HDELs of a slot
// need no MULTI, they are independent. On a replica it deletes only what its own
// clients have given an expiry.
func (e *Executor) ExpireCycle(now int64, budget int) (expired int, more bool) {
	ks := e.ks
	if ks.local.next.Load() < now {
		expired = e.expireLocal(now, budget)
	}
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
		if tx == nil {
			return expired, false
		}
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

// expiryWalk is how far the walk over a slot's keys for expiry has come.
type expiryWalk struct {
	db       int
	cursor   uint64
	earliest int64 // expiry of those that were walked and stay; 0: no walk is under way
}

// restartExpiry makes the walks under way begin again, for databases have changed
// places: what a walk has seen of one counts for another otherwise. The bounds of
// the slots stand.
func (ks *Keyspace) restartExpiry() {
	for n := range ks.slots {
		if r := ks.slots[n].rare.Load(); r != nil {
			r.expiry = expiryWalk{}
		}
	}
}

// expireSlot deletes the slot's expired keys until about budget records were
// looked at; the next call goes on from there. When it comes to the end it makes
// the slot's bound exact.
func (tx *Tx) expireSlot(n slots.Slot, budget int) (deleted, looked int) {
	s := &tx.ks.slots[n]
	w := expiryWalk{earliest: neverExpires}
	if r := s.rare.Load(); r != nil && r.expiry.earliest != 0 {
		w, r.expiry = r.expiry, expiryWalk{}
	}
	for ; w.db < len(tx.ks.order); w.db++ {
		tx.Select(w.db)
		t := s.table(tx.phys)
		if t == nil {
			w.cursor = 0
			continue
		}
		for more := true; more; more = w.cursor != 0 {
			if looked >= budget {
				s.rarity().expiry = w
				return deleted, looked
			}
			died, saw, earliest := 0, 0, int64(0)
			w.cursor, died, saw, earliest = tx.expireSome(place{slot: n, table: t}, w.cursor)
			deleted, looked, w.earliest = deleted+died, looked+saw, min(w.earliest, earliest)
		}
	}
	tx.ks.earliest[n].Store(w.earliest)
	return deleted, looked
}

// expireChunk is how many records expireSome looks at, and how many fields it
// deletes about.
const expireChunk = 512

// expireSome deletes the expired records among those from cursor on; earliest is
// when the first of the others expires.
func (tx *Tx) expireSome(p place, cursor uint64) (next uint64, deleted, looked int, earliest int64) {
	// Deletion moves cells, so what is to go is picked first.
	tx.picked, tx.pickedDue, earliest = tx.picked[:0], tx.pickedDue[:0], neverExpires
	next = p.table.walk(tx.ks.space, cursor, expireChunk, func(ref slab.Ref) bool {
		looked++
		r := tx.ks.at(ref)
		switch {
		case !r.expires():
		case tx.expired(r):
			tx.picked = append(tx.picked, ref)
			return true
		default:
			earliest = min(earliest, r.expireAt())
		}
		if !r.due() {
			return true
		}
		if due := tx.ks.firstDue(r); due < tx.now {
			tx.pickedDue = append(tx.pickedDue, ref)
		} else {
			earliest = min(earliest, due)
		}
		return true
	})
	deleted = len(tx.picked)
	tx.expirePicked(p)
	left := expireChunk
	for _, ref := range tx.pickedDue {
		if left <= 0 {
			earliest = min(earliest, tx.ks.firstDue(tx.ks.at(ref)))
			continue
		}
		n, due := tx.expireFields(p, ref, left)
		left, deleted, looked, earliest = left-n, deleted+n, looked+n, min(earliest, due)
	}
	return next, deleted, looked, earliest
}

// expireFields deletes up to most fields that are due from the hash in a record of
// the table of p, and the key with the last field. It returns how many went, and
// when the next is due. It matches Valkey's dbReclaimExpiredFields.
func (tx *Tx) expireFields(p place, ref slab.Ref, most int) (n int, next int64) {
	p = tx.placeOf(p, ref)
	key := bytes.Clone(p.rec.key())
	h := tx.hashOf(tx.open(key, &p, TypeHash))
	n = h.expire(h.due(tx.now, most))
	next = neverExpires
	if h.Exists() {
		if due := tx.ks.firstDue(h.p.rec); due != 0 {
			next = due
		}
	}
	tx.Note(ClassExpired, "hexpired", key)
	if !h.Exists() {
		tx.Note(ClassGeneric, "del", key)
	}
	tx.e.closeAll()
	return n, next
}

// expirePicked deletes the records in tx.picked, all of the table of p.
func (tx *Tx) expirePicked(p place) {
	for _, ref := range tx.picked {
		tx.expire(tx.placeOf(p, ref))
	}
	tx.picked = tx.picked[:0]
}

// placeOf is the place of a record of the table of p.
func (tx *Tx) placeOf(p place, ref slab.Ref) place {
	key := tx.ks.at(ref).key()
	p.hash = tx.ks.hash(key)
	p.cell, p.rec = tx.ks.findIn(p.table.segmentOf(p.hash), p.hash, key)
	p.version = tx.e.version
	return p
}
