package storage

import (
	"bytes"

	"redoubt/slots"
)

// field is a field of a hash, or, without a value, a member of a set.
type field struct {
	hash  uint64
	name  []byte
	value []byte
}

// fields are sorted by hash and name, so that a hash prefix is a cursor.
type fields struct{ sequence[field] }

// find returns the position of a name, or that at which it would stand.
func (s *fields) find(hash uint64, name []byte) (int, bool) {
	i := s.search(func(f field) bool {
		return f.hash < hash || f.hash == hash && bytes.Compare(f.name, name) < 0
	})
	if i == s.n {
		return i, false
	}
	f := s.at(i)
	return i, f.hash == hash && bytes.Equal(f.name, name)
}

// scan calls f for elements from cursor on, until about count of them were seen,
// and returns the next cursor, 0 at the end. It never ends between elements that
// one cursor would stand for.
func (s *fields) scan(cursor uint64, count int, f func(field)) (next uint64) {
	const low = 64 - cursorBits
	first := s.search(func(x field) bool { return x.hash>>low < cursor })
	seen, last := 0, uint64(0)
	s.ascend(first, func(x field) bool {
		at := x.hash >> low
		if seen >= count && at != last {
			next = at
			return false
		}
		seen, last = seen+1, at
		f(x)
		return true
	})
	return next
}

// dict is the value of a hash.
type dict struct {
	fields
	bytes int
	large bool // what OBJECT ENCODING calls hashtable, for good
}

func newDict() value { return new(dict) }

func (v *dict) typ() Type { return TypeHash }

func (v *dict) encoding() string {
	if v.large {
		return "hashtable"
	}
	return "listpack"
}

func (v *dict) size() int { return v.bytes + 56*v.n }

func (v *dict) clone() value {
	c := *v
	c.sequence = v.sequence.clone()
	return &c
}

// image shares names and values, which are never changed in place.
func (v *dict) image() value { return v.clone() }

func (v *dict) digest(d *digester) {
	v.ascend(0, func(f field) bool {
		var one digester
		one.mix(f.name)
		one.mix(f.value)
		d.xor(one.sum[:])
		return true
	})
}

// Hash is a hash as a command works on it.
type Hash struct{ collection }

// Hash is the entry's hash; its type must be TypeHash.
func (e Entry) Hash() Hash {
	return Hash{collection{tx: e.tx, key: e.rec.key(), p: place{slot: slots.Of(e.rec.key()), rec: e.rec}}}
}

// EditHash finds key for a command that changes a hash; see collection.
func (tx *Tx) EditHash(key []byte) (Hash, bool) {
	c, ok := tx.edit(key, TypeHash)
	return Hash{c}, ok
}

func (h *Hash) value() *dict { return h.collection.value().(*dict) }

// Len is the number of fields; 0 if the key does not exist.
func (h *Hash) Len() int {
	if !h.p.found() {
		return 0
	}
	return h.value().n
}

// Get returns the value of a field.
func (h *Hash) Get(name []byte) (value []byte, ok bool) {
	if !h.p.found() {
		return nil, false
	}
	v := h.value()
	i, ok := v.find(h.tx.ks.hash(name), name)
	if !ok {
		return nil, false
	}
	return v.at(i).value, true
}

// Set gives a field a value and reports whether the field is new. Both are
// copied.
func (h *Hash) Set(name, value []byte) (added bool) {
	before := h.change(newDict)
	v, hash := h.value(), h.tx.ks.hash(name)
	i, found := v.find(hash, name)
	if found {
		f := v.at(i)
		v.bytes += len(value) - len(f.value)
		f.value = append([]byte(nil), value...)
		v.set(i, f)
	} else {
		v.insert(i, field{hash, append([]byte(nil), name...), append([]byte(nil), value...)})
		v.bytes += len(name) + len(value)
	}
	l := &h.tx.ks.limits
	v.large = v.large || v.n > l.HashEntries || max(len(name), len(value)) > l.HashValue
	h.changed(before, v.n, 1)
	return !found
}

// Delete removes a field and reports whether it existed. The key goes with its
// last field.
func (h *Hash) Delete(name []byte) bool {
	if !h.p.found() {
		return false
	}
	v := h.value()
	i, found := v.find(h.tx.ks.hash(name), name)
	if !found {
		return false
	}
	before := h.change(newDict)
	v = h.value()
	f := v.at(i)
	v.bytes -= len(f.name) + len(f.value)
	v.remove(i)
	h.changed(before, v.n, 1)
	return true
}

// At is the i-th field in an order that changes with every write: for picking at
// random.
func (h *Hash) At(i int) (name, value []byte) {
	f := h.value().at(i)
	return f.name, f.value
}

// Each calls f for all fields, in no order that means anything, until it returns
// false.
func (h *Hash) Each(f func(name, value []byte) bool) {
	if h.p.found() {
		h.value().ascend(0, func(x field) bool { return f(x.name, x.value) })
	}
}

// Scan calls f for fields from cursor on (0 at first) until about count were
// seen, and returns the next cursor, 0 at the end. A field that is there from
// the first call to the last is seen, whatever happens to others. f must not
// write.
func (h *Hash) Scan(cursor uint64, count int, f func(name, value []byte)) (next uint64) {
	if !h.p.found() {
		return 0
	}
	return h.value().scan(cursor, count, func(x field) { f(x.name, x.value) })
}
