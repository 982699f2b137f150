package storage

import (
	"bytes"

	"redoubt/storage/tree"
)

// The encodings of a hash by name; a hash never becomes a listpack again. One with
// fields that expire is a table, and its record says that there are such fields.
const (
	codingListpackHash = iota
	codingHash
	codingHashDue
)

// Hash is a hash as a command works on it.
//
// A field may have an expiry of its own. A field whose time is past is hidden from
// all methods but Len and those that set a field, as in Valkey, until it is deleted:
// by ExpireCycle, or by a command that sets the field, which calls DropExpired
// first. A unit that applies the effects of somebody else sees all fields.
type Hash struct {
	*collection
	t *tree.HashTree
}

// hashOf returns the handle of a collection that has been opened.
func (tx *Tx) hashOf(c *collection, t *tree.ListTree) Hash {
	if c.now = tx.now; tx.Applying() {
		c.now = 0
	}
	return Hash{c, (*tree.HashTree)(t)}
}

// Hash is the entry's hash; its type must be TypeHash.
func (e Entry) Hash() Hash {
	return e.tx.hashOf(e.read(TypeHash))
}

// Field is Hash().Get of an entry whose type is TypeHash, for commands that look
// at any number of hashes: the value is valid until the next look-up.
func (e Entry) Field(name []byte) (value []byte, ok bool) {
	h := e.Hash()
	value, ok = h.Get(name)
	e.tx.e.inUse--
	return value, ok
}

// EditHash finds key for a command that changes a hash; see collection.
func (tx *Tx) EditHash(key []byte) (Hash, bool) {
	c, t, ok := tx.edit(key, TypeHash)
	if !ok {
		return Hash{}, false
	}
	return tx.hashOf(c, t), true
}

// hashCoding is the encoding of a hash with a value that had another one before.
func hashCoding(value []byte, before byte) byte {
	switch {
	case tree.HasDue(value):
		return codingHashDue
	case before == codingHashDue:
		return codingHash
	}
	return before
}

// hides reports whether a field is hidden that is due at a time, 0 for never.
func (h *Hash) hides(due int64) bool { return due != 0 && due < h.now }

// Show shows the fields that are hidden.
func (h *Hash) Show() { h.now = 0 }

// HasDue reports whether fields have an expiry.
func (h *Hash) HasDue() bool { return h.t != nil && h.t.HasDue() }

// Hides reports whether any field is hidden.
func (h *Hash) Hides() bool { return h.HasDue() && h.hides(h.t.Earliest()) }

// Get returns the value of a field.
func (h *Hash) Get(name []byte) (value []byte, ok bool) {
	value, _, ok = h.GetDue(name)
	return value, ok
}

// GetDue is Get with the field's expiry in Unix milliseconds, 0 if it has none.
func (h *Hash) GetDue(name []byte) (value []byte, due int64, ok bool) {
	if h.t == nil {
		return nil, 0, false
	}
	value, due, ok = h.t.Get(name)
	if !ok || h.hides(due) {
		return nil, 0, false
	}
	return value, due, true
}

// Set gives a field a value and no expiry, and reports whether the field is new.
// Both are copied.
func (h *Hash) Set(name, value []byte) (added bool) { return h.SetDue(name, value, 0) }

// SetDue is Set with an expiry in Unix milliseconds, 0 for none. A hash whose
// fields expire has the encoding of a table, as in Valkey.
func (h *Hash) SetDue(name, value []byte, due int64) (added bool) {
	before := h.change()
	added = h.t.Set(name, value, due)
	coding := h.coding()
	if l := &h.tx.ks.limits; due != 0 || h.Len() > l.HashEntries || max(len(name), len(value)) > l.HashValue {
		coding = codingHash
	}
	h.changed(before, coding, 1)
	h.mayExpire(due)
	return added
}

// mayExpire notes that a field expires at due, 0 for never.
func (h *Hash) mayExpire(due int64) {
	if due != 0 {
		h.tx.ks.lowerEarliest(h.p.slot, due)
	}
}

// ExpireAt gives a field that is there another expiry in Unix milliseconds, 0 for
// none.
func (h *Hash) ExpireAt(name []byte, due int64) {
	before := h.change()
	h.t.SetDue(name, due)
	coding := h.coding()
	if due != 0 {
		coding = codingHash
	}
	h.changed(before, coding, 1)
	h.mayExpire(due)
}

// DropExpired deletes those of the named fields that are hidden, for a command that is
// about to set them: every step-th of names, from the first on. So the command
// finds the same wherever the stream is applied, in which an HDEL precedes its own
// effect. That is no change by the command. It returns how many there were.
func (h *Hash) DropExpired(names [][]byte, step int) int {
	if !h.Hides() {
		return 0
	}
	var gone [][]byte
	for i := 0; i < len(names); i += step {
		if _, due, ok := h.t.Get(names[i]); ok && h.hides(due) {
			gone = append(gone, names[i])
		}
	}
	return h.expire(gone)
}

// due returns copies of the names of up to most fields that are due before a time.
func (h *Hash) due(before int64, most int) (names [][]byte) {
	h.t.Due(before, most, func(name []byte) { names = append(names, bytes.Clone(name)) })
	return names
}

// expire deletes fields because their time is past, and records the HDEL. A name
// may stand there twice.
func (h *Hash) expire(names [][]byte) (n int) {
	if len(names) == 0 {
		return 0
	}
	before := h.change()
	for _, name := range names {
		if h.t.Delete(name) {
			n++
		}
	}
	h.changed(before, h.coding(), 0)
	h.tx.e.stats.fields.Add(int64(n))
	h.tx.expiredFieldsEffect(h.key, names)
	return n
}

// CountExpired counts fields that a command has deleted because it was told to let
// them expire in the past (INFO's expired_fields).
func (tx *Tx) CountExpired(fields int) { tx.e.stats.fields.Add(int64(fields)) }

// Delete removes a field and reports whether it existed. The key goes with its last
// field.
func (h *Hash) Delete(name []byte) bool {
	if h.Hides() {
		if _, due, _ := h.t.Get(name); h.hides(due) {
			return false
		}
	}
	before := h.change()
	if !h.t.Delete(name) {
		return false
	}
	h.changed(before, h.coding(), 1)
	return true
}

// At is the i-th field in an order that changes with every write: for picking at
// random. ok is false if the field is hidden.
func (h *Hash) At(i int) (name, value []byte, ok bool) {
	name, value, due := h.t.At(i)
	return name, value, !h.hides(due)
}

// Each calls f for all fields, in no order that means anything, until it returns
// false.
func (h *Hash) Each(f func(name, value []byte) bool) {
	switch {
	case h.t == nil:
	case h.Hides():
		h.EachDue(func(name, value []byte, _ int64) bool { return f(name, value) })
	default:
		h.t.Fields(f)
	}
}

// EachDue is Each with the fields' expiries.
func (h *Hash) EachDue(f func(name, value []byte, due int64) bool) {
	if h.t == nil {
		return
	}
	h.t.Each(func(name, value []byte, due int64) bool { return h.hides(due) || f(name, value, due) })
}

// Visible is the number of fields that are not hidden. It looks at all of them if
// any is.
func (h *Hash) Visible() int {
	if !h.Hides() {
		return h.Len()
	}
	n := 0
	h.Each(func(_, _ []byte) bool { n++; return true })
	return n
}

// Places is where the fields are that are not hidden: arguments of At.
func (h *Hash) Places() (places []int) {
	i := 0
	h.t.Each(func(_, _ []byte, due int64) bool {
		if !h.hides(due) {
			places = append(places, i)
		}
		i++
		return true
	})
	return places
}

// Scan calls f for fields from cursor on (0 at first) until about count were
// seen, and returns the next cursor, 0 at the end. A field that is there from
// the first call to the last is seen, whatever happens to others. f must not
// write.
func (h *Hash) Scan(cursor uint64, count int, f func(name, value []byte)) (next uint64) {
	if h.t == nil {
		return 0
	}
	return h.t.Scan(cursor, count, func(name, value []byte, due int64) {
		if !h.hides(due) {
			f(name, value)
		}
	})
}
