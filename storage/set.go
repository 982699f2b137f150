package storage

import (
	"strconv"

	"redoubt/storage/tree"
)

// The encodings of a set by name; a set never gets a lesser one.
const (
	codingIntset = iota
	codingListpackSet
	codingSet
)

// Set is a set as a command works on it.
type Set struct {
	*collection
	t *tree.SetTree
}

// Set is the entry's set; its type must be TypeSet.
func (e Entry) Set() Set {
	c, t := e.read(TypeSet)
	return Set{c, (*tree.SetTree)(t)}
}

// EditSet finds key for a command that changes a set; see collection.
func (tx *Tx) EditSet(key []byte) (Set, bool) {
	c, t, ok := tx.edit(key, TypeSet)
	return Set{c, (*tree.SetTree)(t)}, ok
}

// name follows Redis's setTypeAdd and maybeConvertIntset.
func (s *Set) name(added []byte) byte {
	coding, n, l := s.coding(), s.Len(), &s.tx.ks.limits
	if coding == codingIntset {
		if _, ok := integerOf(added); !ok {
			coding = codingListpackSet
		} else if n > min(l.SetInts, 1<<30) {
			coding = codingSet
		}
	}
	if coding == codingListpackSet && (n > l.SetEntries || len(added) > l.SetValue) {
		coding = codingSet
	}
	return coding
}

// Has reports whether member is in the set.
func (s *Set) Has(member []byte) bool { return s.t != nil && s.t.Has(member) }

// Add adds a member, which is copied, and reports whether it is new.
func (s *Set) Add(member []byte) bool {
	before := s.change()
	if !s.t.Add(member) {
		return false
	}
	s.changed(before, s.name(member), 1)
	return true
}

// Remove takes a member out and reports whether it was there. The key goes with
// its last member.
func (s *Set) Remove(member []byte) bool {
	before := s.change()
	if !s.t.Delete(member) {
		return false
	}
	s.changed(before, s.coding(), 1)
	return true
}

// At is the i-th member in an order that changes with every write: for picking
// at random.
func (s *Set) At(i int) []byte { return s.t.At(i) }

// Each calls f for all members, in no order that means anything, until it
// returns false.
func (s *Set) Each(f func(member []byte) bool) {
	if s.t != nil {
		s.t.Each(f)
	}
}

// Scan is Hash.Scan for members.
func (s *Set) Scan(cursor uint64, count int, f func(member []byte)) (next uint64) {
	if s.t == nil {
		return 0
	}
	return s.t.Scan(cursor, count, f)
}

// integerOf returns the int64 that b is the canonical decimal form of.
func integerOf(b []byte) (int64, bool) {
	if !isInteger(b) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}
