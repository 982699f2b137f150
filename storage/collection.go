package storage

// collection is a key of one type as a command works on it: what Hash, List, Set
// and ZSet have in common. It stays valid until another key of the unit is
// written. Views of elements that it returns are valid until its next change.
type collection struct {
	tx  *Tx
	key []byte
	p   place // its record is zero while the key does not exist
}

// edit finds key for a command that changes a collection of type t. The key need
// not exist: then the first element makes it. ok is false if it holds another
// type.
func (tx *Tx) edit(key []byte, t Type) (c collection, ok bool) {
	p := tx.find(key, forWrite)
	if p.found() {
		if p.rec.typ() != t {
			return collection{}, false
		}
		tx.ks.access.touch(tx, p.rec)
	}
	return collection{tx, key, p}, true
}

// Exists reports whether the key exists: it does from the first element to the
// last.
func (c *collection) Exists() bool { return c.p.found() }

// value is the collection's value; the key exists.
func (c *collection) value() value { return c.tx.ks.valueOf(c.p.slot, c.p.rec) }

// change precedes every change of the value, which fresh makes if the key does
// not exist. It returns the value's size before.
func (c *collection) change(fresh func() value) (before int64) {
	if !c.p.found() {
		v := fresh()
		r := c.tx.newRecord(kindOf(v.typ())|kindOutside, c.key, boxBytes, 0)
		setBox(r, c.tx.ks.slots[c.p.slot].rarity().boxes.put(v))
		c.tx.insert(&c.p, r)
	} else {
		c.tx.preimage(c.p.rec)
	}
	return c.tx.ks.size(c.p.rec)
}

// changed follows a change of n elements. A collection without elements does
// not exist: its key is removed.
func (c *collection) changed(before int64, elements, n int) {
	c.tx.resized(c.tx.ks.size(c.p.rec) - before)
	if elements == 0 {
		c.tx.remove(c.p)
		c.p.rec = record{}
	}
	c.tx.dirty += n
	c.tx.changed(c.p.slot, c.key)
}
