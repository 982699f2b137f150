package storage

import "slices"

// wrote accounts for one change by the command in progress.
func (tx *Tx) wrote(p place, key []byte) {
	tx.dirty++
	tx.changed(p.slot, key)
}

// insert puts r, whose key p did not find, in its place.
func (tx *Tx) insert(p place, r *record) {
	r.epoch = tx.ks.epoch
	if r.access == 0 {
		r.access = tx.ks.access.fresh(tx.now)
	}
	t := p.table
	if t == nil {
		t = newTable()
		tx.ks.setTable(p.slot, tx.phys, t)
	}
	t.insert(p.hash, r)
	tx.ks.slots[p.slot].changed(tx.phys)
	c := tx.counts()
	c.keys.Add(1)
	c.bytes.Add(r.size())
	if r.expireAt != 0 {
		c.volatile.Add(1)
		c.expiry.Add(expiryUnits(r.expireAt))
		tx.ks.lowerEarliest(p.slot, r.expireAt)
	}
}

// remove takes the record that p found out of its table, and the table out of
// its slot when it was the last.
func (tx *Tx) remove(p place) {
	r := p.rec
	tx.preimage(r)
	p.table.remove(p.hash, r.key)
	if p.table.count.Load() == 0 {
		tx.ks.setTable(p.slot, tx.phys, nil)
	} else {
		tx.ks.slots[p.slot].changed(tx.phys)
	}
	c := tx.counts()
	c.keys.Add(-1)
	c.bytes.Add(-r.size())
	if r.expireAt != 0 {
		c.volatile.Add(-1)
		c.expiry.Add(-expiryUnits(r.expireAt))
	}
}

// resized accounts for a value that grew by d bytes, or shrank.
func (tx *Tx) resized(d int64) {
	if d != 0 {
		tx.counts().bytes.Add(d)
	}
}

// Delete removes a key and reports whether it existed. A key that was found
// expired did not.
func (tx *Tx) Delete(key []byte) bool {
	p := tx.find(key, forWrite)
	if p.rec == nil {
		return false
	}
	tx.remove(p)
	tx.wrote(p, key)
	return true
}

// Rename moves what from holds, with its expiry, to the key to, whose value is
// lost. It reports whether from existed. Renaming a key to itself changes
// nothing.
func (tx *Tx) Rename(from, to []byte) bool {
	if slices.Equal(from, to) {
		_, ok := tx.Peek(from)
		return ok
	}
	tx.find(to, forWrite) // if it is expired, it goes before anything changes
	p := tx.find(from, forWrite)
	if p.rec == nil {
		return false
	}
	old := p.rec
	tx.remove(p)
	tx.changed(p.slot, from)
	tx.put(to, &record{val: old.val, expireAt: old.expireAt, access: old.access})
	return true
}

// Move moves what key holds, with its expiry, to the same key of database toDB,
// whose value is lost. It reports whether key existed. It is one change.
func (tx *Tx) Move(key []byte, toDB int) bool {
	own := tx.db
	tx.Select(toDB)
	tx.find(key, forWrite) // if it is expired, it goes before anything changes
	tx.Select(own)
	p := tx.find(key, forWrite)
	if p.rec == nil {
		return false
	}
	old := p.rec
	tx.remove(p)
	tx.changed(p.slot, key)
	tx.Select(toDB)
	tx.put(key, &record{val: old.val, expireAt: old.expireAt, access: old.access})
	tx.Select(own)
	return true
}

// Copy puts a copy of from, with its expiry, at the key to of database toDB,
// whose value is lost.
func (tx *Tx) Copy(from Entry, toDB int, to []byte) {
	r := &record{val: from.rec.val.clone(), expireAt: from.rec.expireAt}
	selected := tx.db
	tx.Select(toDB)
	tx.put(to, r)
	tx.Select(selected)
}

// put makes r the record of key, of which it gets a copy, whatever key held.
func (tx *Tx) put(key []byte, r *record) {
	r.key = slices.Clone(key)
	p := tx.find(key, forWrite)
	if p.rec != nil {
		tx.remove(p)
		p.table = tx.ks.slots[p.slot].table(tx.phys)
		p.rec = nil
	}
	tx.insert(p, r)
	tx.wrote(p, key)
}

// SetExpire makes key expire at at (Unix milliseconds), never if that is 0, and
// reports whether the key exists. A time in the past is set like any other.
func (tx *Tx) SetExpire(key []byte, at int64) bool {
	p := tx.find(key, forWrite)
	if p.rec == nil {
		return false
	}
	if p.rec.expireAt != at {
		tx.preimage(p.rec)
		tx.setExpiry(p, at)
	}
	tx.wrote(p, key)
	return true
}

func (tx *Tx) setExpiry(p place, at int64) {
	r := p.rec
	if r.expireAt == at {
		return
	}
	c := tx.counts()
	if r.expireAt != 0 {
		c.volatile.Add(-1)
		c.expiry.Add(-expiryUnits(r.expireAt))
	}
	r.expireAt = at
	if at != 0 {
		c.volatile.Add(1)
		c.expiry.Add(expiryUnits(at))
		g := p.table.segment(p.hash)
		g.earliest = min(g.earliest, at)
		tx.ks.lowerEarliest(p.slot, at)
	}
}
