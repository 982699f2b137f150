package storage

import "redoubt/slots"

// Entry is a handle on a key that exists, valid until the next write of its
// unit. The zero Entry is no key; none of its methods may be called.
type Entry struct {
	rec record
	tx  *Tx
}

// Type is the type of the value.
func (e Entry) Type() Type { return e.rec.typ() }

// Key is the key's name; it must not be changed.
func (e Entry) Key() []byte { return e.rec.key() }

// ExpireAt is when the key expires, in Unix milliseconds; 0 is never.
func (e Entry) ExpireAt() int64 { return e.rec.expireAt() }

// Encoding is what OBJECT ENCODING says.
func (e Entry) Encoding() string {
	return kinds[e.Type()].encoding(e.rec)
}

// Size is about how many bytes the key occupies, with all that belongs to it.
func (e Entry) Size() int64 { return e.tx.ks.size(e.rec) }

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
	slot    slots.Slot
	hash    uint64
	table   *table // nil if the slot never had a key in the database
	cell    int    // of the record in its segment, at version
	version uint64 // see settle
	rec     record // zero if there is no such key
}

func (p *place) found() bool { return p.rec.p != nil }

// Find looks a key of the selected database up for a command that reads or
// changes it. It counts a hit or miss and renews the key's access bits. A key
// whose time is past is not found, and on a primary it is deleted.
func (tx *Tx) Find(key []byte) (Entry, bool) {
	p := tx.find(key, forRead)
	if !p.found() {
		tx.missed(key)
		return Entry{}, false
	}
	tx.hits++
	tx.ks.access.touch(tx, p.rec)
	return Entry{p.rec, tx}, true
}

// missed accounts for a read that found no key.
func (tx *Tx) missed(key []byte) {
	tx.misses++
	tx.Note(ClassMiss, "keymiss", key)
}

// CountLook counts a hit or miss for a key that has been found before, or was not,
// where Redis looks it up once more.
func (tx *Tx) CountLook(key []byte, found bool) {
	if found {
		tx.hits++
	} else {
		tx.missed(key)
	}
}

// Look is Find without the access bits: the command asks about the key, it does
// not use it (EXISTS, TYPE, TTL).
func (tx *Tx) Look(key []byte) (Entry, bool) {
	p := tx.find(key, forRead)
	if !p.found() {
		tx.missed(key)
		return Entry{}, false
	}
	tx.hits++
	return Entry{p.rec, tx}, true
}

// Inspect is Look without the event of a miss (OBJECT).
func (tx *Tx) Inspect(key []byte) (Entry, bool) {
	p := tx.find(key, forRead)
	if !p.found() {
		tx.misses++
		return Entry{}, false
	}
	tx.hits++
	return Entry{p.rec, tx}, true
}

// Use is Find without hit and miss, which are of reads: the command is about to
// change the key (APPEND, EXPIRE), or would if it did not exist (SETNX).
func (tx *Tx) Use(key []byte) (Entry, bool) {
	p := tx.find(key, forRead)
	if !p.found() {
		return Entry{}, false
	}
	tx.ks.access.touch(tx, p.rec)
	return Entry{p.rec, tx}, true
}

// Peek is Find without hit, miss and access bits, for what no client asked for
// by itself.
func (tx *Tx) Peek(key []byte) (Entry, bool) {
	p := tx.find(key, forRead)
	if !p.found() {
		return Entry{}, false
	}
	return Entry{p.rec, tx}, true
}

// PeekExpired is Peek that finds a key whose time is past as well, and leaves it.
func (tx *Tx) PeekExpired(key []byte) (Entry, bool) {
	p := tx.lookUp(tx.slotOf(key), key)
	if !p.found() {
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
	p := tx.lookUp(n, key)
	if !p.found() || !tx.expired(p.rec) {
		return p
	}
	if tx.deletesExpired() || why == forWrite {
		tx.expire(p)
	}
	p.rec = record{}
	return p
}

// lookUp is find without regard to expiry.
func (tx *Tx) lookUp(n slots.Slot, key []byte) place {
	p := place{slot: n, hash: tx.ks.hash(key), table: tx.ks.slots[n].table(tx.phys), version: tx.e.version}
	if p.table != nil {
		p.cell, p.rec = tx.ks.findIn(p.table.segmentOf(p.hash), p.hash, key)
	}
	return p
}

// expired reports whether the record's time is past for this unit (Redis's
// keyIsExpired: the very millisecond still belongs to the key).
func (tx *Tx) expired(r record) bool {
	return r.expires() && r.expireAt() < tx.now && tx.kind&unitApply == 0
}

// deletesExpired reports whether the unit may delete a key because it expired.
func (tx *Tx) deletesExpired() bool { return tx.recording() && !tx.ks.expiryPaused }
