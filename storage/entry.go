package storage

import "redoubt/slots"

// Entry is a handle on a key that exists, valid until the next write of its
// unit. The zero Entry is no key; none of its methods may be called.
type Entry struct {
	rec *record
	tx  *Tx
}

// Type is the type of the value.
func (e Entry) Type() Type { return e.rec.val.typ() }

// Key is the key's name; it must not be changed.
func (e Entry) Key() []byte { return e.rec.key }

// ExpireAt is when the key expires, in Unix milliseconds; 0 is never.
func (e Entry) ExpireAt() int64 { return e.rec.expireAt }

// Encoding is what OBJECT ENCODING says.
func (e Entry) Encoding() string { return e.rec.val.encoding() }

// Size is about how many bytes the key occupies, with all that belongs to it.
func (e Entry) Size() int64 { return e.rec.size() }

// IdleSeconds is how long the key has not been touched.
func (e Entry) IdleSeconds() int64 { return e.tx.ks.access.idleSeconds(e.rec, e.tx.now) }

// Freq is the key's access counter, 0 to 255, decayed to now, if the keyspace
// counts (Tx.UseLFU).
func (e Entry) Freq() int { return e.tx.ks.access.freq(e.rec, e.tx.now) }

// purpose says why a key is looked up.
type purpose uint8

const (
	forRead purpose = iota
	forWrite
)

// place is where a key is, or would be.
type place struct {
	slot  slots.Slot
	hash  uint64
	table *table  // nil if the slot has no key in the database
	rec   *record // nil if there is no such key
}

// Find looks a key of the selected database up for a command that reads or
// changes it. It counts a hit or miss and renews the key's access bits. A key
// whose time is past is not found, and on a primary it is deleted.
func (tx *Tx) Find(key []byte) (Entry, bool) {
	p := tx.find(key, forRead)
	if p.rec == nil {
		tx.misses++
		return Entry{}, false
	}
	tx.hits++
	tx.ks.access.touch(tx, p.rec)
	return Entry{p.rec, tx}, true
}

// Look is Find for who asks about a key without using its value (EXISTS, TYPE,
// TTL, OBJECT): it counts, but the access bits stay.
func (tx *Tx) Look(key []byte) (Entry, bool) {
	e, found := tx.Peek(key)
	if found {
		tx.hits++
	} else {
		tx.misses++
	}
	return e, found
}

// Use is Find for who changes a key (INCR, EXPIRE, the check of SETNX): it is an
// access, but neither hit nor miss.
func (tx *Tx) Use(key []byte) (Entry, bool) {
	e, found := tx.Peek(key)
	if found {
		tx.ks.access.touch(tx, e.rec)
	}
	return e, found
}

// Peek is Find without hit, miss and access bits.
func (tx *Tx) Peek(key []byte) (Entry, bool) {
	p := tx.find(key, forRead)
	if p.rec == nil {
		return Entry{}, false
	}
	return Entry{p.rec, tx}, true
}

// find looks key up. An expired key is as good as absent, except to a unit
// that applies: then it exists until its DEL arrives. Who may delete does so at
// once; and whoever is about to write the key deletes it in any role, since
// otherwise the old value would be written to.
func (tx *Tx) find(key []byte, why purpose) place {
	n := tx.slotOf(key)
	p := place{slot: n, hash: tx.ks.hash(key), table: tx.ks.slots[n].table(tx.phys)}
	if p.table == nil {
		return p
	}
	p.rec = tx.ks.slots[n].find(tx.phys, p.hash, key)
	if p.rec == nil || !tx.expired(p.rec) {
		return p
	}
	if tx.deletesExpired() || why == forWrite {
		tx.expire(p)
		p.table = tx.ks.slots[n].table(tx.phys)
	}
	p.rec = nil
	return p
}

// expired reports whether the record's time is past for this unit (Redis's
// keyIsExpired: the very millisecond still belongs to the key).
func (tx *Tx) expired(r *record) bool {
	return r.expireAt != 0 && r.expireAt < tx.now && tx.kind&unitApply == 0
}

// deletesExpired reports whether the unit may delete a key because it expired.
func (tx *Tx) deletesExpired() bool { return tx.recording() && !tx.ks.expiryHeld }
