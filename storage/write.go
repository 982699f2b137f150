package storage

import (
	"slices"

	"redoubt/storage/slab"
)

// wrote accounts for one change by the command in progress.
func (tx *Tx) wrote(p place, key []byte) {
	tx.dirty++
	tx.changed(p.slot, key)
}

// alloc returns a block of at least n bytes.
func (e *Executor) alloc(a slab.Area, n int) slab.Ref {
	r := e.heap.Alloc(a, n)
	if r == 0 {
		// The reserve is the machine's memory or more, so there is none left.
		panic("storage: out of memory")
	}
	return r
}

// newRecord makes a record, with no value yet but room for one of so many bytes.
func (tx *Tx) newRecord(kind byte, key []byte, value int, expireAt int64) record {
	l := layoutOf(len(key), value, expireAt != 0)
	r := tx.ks.at(tx.e.alloc(slab.Records, l.end))
	r.write(kind, tx.ks.epoch, tx.ks.access.fresh(tx.now), key, value, expireAt)
	return r
}

// insert puts r, whose key p did not find, in its place.
func (tx *Tx) insert(p *place, r record) {
	t := p.table
	if t == nil {
		t = tx.ks.tableFor(p.slot, tx.phys)
		p.table = t
	}
	if t.len() == 0 {
		tx.ks.setOccupied(p.slot, tx.phys, true)
	}
	t.insert(tx.e, p.hash, r.ref)
	p.rec = r
	tx.e.version++
	tx.settle(p)
	c := tx.counts()
	c.keys.Add(1)
	c.bytes.Add(tx.ks.size(r))
	if at := r.expireAt(); at != 0 {
		c.volatile.Add(1)
		c.expiry.Add(expiryUnits(at))
		tx.ks.lowerEarliest(p.slot, at)
		tx.localExpiry(r.key(), at)
	}
	if r.due() {
		tx.countDue(true)
		tx.ks.lowerEarliest(p.slot, tx.ks.firstDue(r))
	}
	if tx.ks.listened&ClassNew != 0 {
		if !tx.replacing {
			tx.Note(ClassNew, "new", r.key())
		}
		tx.replacing = false
	}
}

// settle finds the cell of a record again if records have come or gone since it
// was found: a command may hold several keys of one table.
func (tx *Tx) settle(p *place) {
	if p.version == tx.e.version {
		return
	}
	p.version = tx.e.version
	g := p.table.segmentOf(p.hash)
	for p.cell = g.home(g.bits(p.hash)); g.ref(p.cell) != p.rec.ref; p.cell++ {
		if p.cell == int(g.size)-1 {
			panic("storage: a record was deleted while a command held it")
		}
	}
}

// remove takes the record that p found out of its table and frees it with all
// that belongs to it.
func (tx *Tx) remove(p place) {
	tx.preimage(p.slot, p.rec)
	tx.detach(p)
	tx.free(p)
}

// detach takes the record that p found out of its table.
func (tx *Tx) detach(p place) {
	at := p.rec.expireAt()
	tx.settle(&p)
	tx.e.version++
	p.table.removeAt(tx.e, p.hash, p.cell)
	if p.table.len() == 0 {
		tx.ks.setOccupied(p.slot, tx.phys, false)
	}
	c := tx.counts()
	c.keys.Add(-1)
	c.bytes.Add(-tx.ks.size(p.rec))
	if at != 0 {
		c.volatile.Add(-1)
		c.expiry.Add(-expiryUnits(at))
	}
	if p.rec.due() {
		tx.countDue(false)
	}
}

// free gives a record's block back and what its value has outside of it.
func (tx *Tx) free(p place) {
	if p.rec.outside() {
		tx.freeTree(p.rec)
	}
	tx.freeRecord(p.rec)
}

// resized accounts for a value that grew by d bytes, or shrank.
func (tx *Tx) resized(d int64) {
	if d != 0 {
		tx.counts().bytes.Add(d)
	}
}

// reshape gives the record that p found room for a value of so many bytes and
// the expiry expireAt, and makes it one of this kind. The first kept bytes of the
// value stay as they are; the others are undefined. slack is how much longer
// than needed its block may be. A block that a snapshot reads is not changed: the
// record gets another one.
func (tx *Tx) reshape(p *place, kind byte, value, kept int, expireAt int64, slack int) {
	old := p.rec
	was := old.layout()
	key := was.value - was.key
	want := layoutOf(key, value, expireAt != 0)
	have := tx.ks.space.Size(old.ref)
	fits := slab.Records.SizeFor(want.end)
	if (fits == have || fits < have && have <= fits+slack) && !tx.ks.leased(old) {
		if want.key == was.key {
			old.write(kind, old.epoch(), old.access(), old.view(was.key, was.value), value, expireAt)
			return
		}
		// The header changes its length: what stays moves within the block.
		moved := min(kept, was.end-was.value)
		copy(old.view(want.key, want.value+moved), old.view(was.key, was.value+moved))
		old.write(kind, old.epoch(), old.access(), old.view(want.key, want.value), value, expireAt)
		return
	}
	next := tx.ks.at(tx.e.alloc(slab.Records, want.end+min(slack, value/8)))
	next.write(kind, old.epoch(), old.access(), old.view(was.key, was.value), value, expireAt)
	copy(next.view(want.value, want.value+kept), old.view(was.value, was.end))
	tx.settle(p)
	p.table.segmentOf(p.hash).setRef(p.cell, next.ref)
	tx.freeRecord(old)
	p.rec = next
}

// Delete removes a key and reports whether it existed. A key that was found
// expired did not.
func (tx *Tx) Delete(key []byte) bool {
	p := tx.find(key, forWrite)
	if !p.found() {
		return false
	}
	tx.remove(p)
	tx.wrote(p, key)
	return true
}

// Replace is Delete for a command that goes on to give the key another value: that
// is not a key that is new, as it is not for Redis's setKey.
func (tx *Tx) Replace(key []byte) bool {
	existed := tx.Delete(key)
	tx.replacing = existed
	return existed
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
	if !p.found() {
		return false
	}
	tx.preimage(p.slot, p.rec)
	tx.detach(p)
	tx.changed(p.slot, from)
	tx.adopt(to, p, false)
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
	if !p.found() {
		return false
	}
	tx.preimage(p.slot, p.rec)
	tx.detach(p)
	tx.changed(p.slot, key)
	tx.Select(toDB)
	tx.adopt(key, p, false)
	tx.Select(own)
	return true
}

// Copy puts a copy of the value at from, with its expiry, at the key to of
// database toDB, whose value is lost. It reports whether from exists.
func (tx *Tx) Copy(from []byte, toDB int, to []byte) bool {
	selected := tx.db
	tx.Select(toDB)
	tx.find(to, forWrite) // if it is expired, it goes before anything is held
	tx.Select(selected)
	p := tx.find(from, forWrite)
	if !p.found() {
		return false
	}
	if toDB == selected && slices.Equal(from, to) {
		tx.wrote(p, to) // it replaces itself
		return true
	}
	tx.Select(toDB)
	tx.adopt(to, p, true)
	tx.Select(selected)
	return true
}

// adopt makes the value of a record that is in no table that of key, whatever
// key held, or with clone a copy of it.
func (tx *Tx) adopt(key []byte, from place, clone bool) {
	p := tx.find(key, forWrite)
	if p.found() {
		tx.remove(p)
		p.rec = record{}
	}
	old := from.rec
	value := old.value()
	if clone && old.outside() {
		t := tx.e.scratchTree()
		head := len(value) - len(old.tree())
		t.Tree.Open(tx.env(), old.typ().tree(), old.tree())
		value = append(value[:head:head], t.Clone()...)
	}
	r := tx.newRecord(*old.byte(0), key, len(value), old.expireAt())
	copy(r.value(), value)
	if !clone {
		r.setAccess(old.access())
		tx.freeRecord(old)
	}
	tx.insert(&p, r)
	tx.wrote(p, key)
}

// SetExpire makes key expire at at (Unix milliseconds), never if that is 0, and
// reports whether the key exists. A time in the past is set like any other.
func (tx *Tx) SetExpire(key []byte, at int64) bool {
	p := tx.find(key, forWrite)
	if !p.found() {
		return false
	}
	if p.rec.expireAt() != at {
		tx.preimage(p.slot, p.rec)
		before := tx.ks.size(p.rec)
		_, value := p.rec.lengths()
		was := p.rec.expireAt()
		tx.reshape(&p, *p.rec.byte(0), value, value, at, 0)
		tx.expiryChanged(p, was, at)
		tx.resized(tx.ks.size(p.rec) - before)
	}
	tx.wrote(p, key)
	return true
}

// expiryChanged accounts for a record whose expiry was was and is at.
func (tx *Tx) expiryChanged(p place, was, at int64) {
	if was == at {
		return
	}
	c := tx.counts()
	if was != 0 {
		c.volatile.Add(-1)
		c.expiry.Add(-expiryUnits(was))
	}
	if at != 0 {
		c.volatile.Add(1)
		c.expiry.Add(expiryUnits(at))
		tx.ks.lowerEarliest(p.slot, at)
		tx.localExpiry(p.rec.key(), at)
	}
}
