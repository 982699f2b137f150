package storage

import "redoubt/storage/tree"

// The encodings of a hash by name; a hash never becomes a listpack again.
const (
	codingListpackHash = iota
	codingHash
)

// Hash is a hash as a command works on it.
type Hash struct {
	*collection
	t *tree.HashTree
}

// Hash is the entry's hash; its type must be TypeHash.
func (e Entry) Hash() Hash {
	c, t := e.read(TypeHash)
	return Hash{c, (*tree.HashTree)(t)}
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
	return Hash{c, (*tree.HashTree)(t)}, ok
}

// Get returns the value of a field.
func (h *Hash) Get(name []byte) (value []byte, ok bool) {
	if h.t == nil {
		return nil, false
	}
	return h.t.Get(name)
}

// Set gives a field a value and reports whether the field is new. Both are
// copied.
func (h *Hash) Set(name, value []byte) (added bool) {
	before := h.change()
	added = h.t.Set(name, value)
	coding := h.coding()
	if l := &h.tx.ks.limits; h.Len() > l.HashEntries || max(len(name), len(value)) > l.HashValue {
		coding = codingHash
	}
	h.changed(before, coding, 1)
	return added
}

// Delete removes a field and reports whether it existed. The key goes with its
// last field.
func (h *Hash) Delete(name []byte) bool {
	before := h.change()
	if !h.t.Delete(name) {
		return false
	}
	h.changed(before, h.coding(), 1)
	return true
}

// At is the i-th field in an order that changes with every write: for picking at
// random.
func (h *Hash) At(i int) (name, value []byte) { return h.t.At(i) }

// Each calls f for all fields, in no order that means anything, until it returns
// false.
func (h *Hash) Each(f func(name, value []byte) bool) {
	if h.t != nil {
		h.t.Each(f)
	}
}

// Scan calls f for fields from cursor on (0 at first) until about count were
// seen, and returns the next cursor, 0 at the end. A field that is there from
// the first call to the last is seen, whatever happens to others. f must not
// write.
func (h *Hash) Scan(cursor uint64, count int, f func(name, value []byte)) (next uint64) {
	if h.t == nil {
		return 0
	}
	return h.t.Scan(cursor, count, f)
}
