package storage

import (
	"strconv"

	"redoubt/slots"
)

// members is the value of a set.
type members struct {
	fields
	bytes  int
	coding setCoding
}

// setCoding is the name of a set's encoding; a set never gets a lesser one.
type setCoding uint8

const (
	codingIntset setCoding = iota
	codingListpack
	codingHashtable
)

func newMembers() value { return new(members) }

func (v *members) typ() Type { return TypeSet }

func (v *members) encoding() string {
	return [...]string{"intset", "listpack", "hashtable"}[v.coding]
}

func (v *members) size() int { return v.bytes + 56*v.n }

func (v *members) clone() value {
	c := *v
	c.sequence = v.sequence.clone()
	return &c
}

func (v *members) image() value { return v.clone() }

func (v *members) digest(d *digester) {
	v.ascend(0, func(f field) bool {
		d.xor(f.name)
		return true
	})
}

// name follows Redis's setTypeAdd and maybeConvertIntset.
func (v *members) name(added []byte, l *Limits) {
	if v.coding == codingIntset {
		if _, ok := integerOf(added); !ok {
			v.coding = codingListpack
			if v.n > l.SetEntries {
				v.coding = codingHashtable
			}
		} else if v.n > min(l.SetInts, 1<<30) {
			v.coding = codingHashtable
		}
	}
	if v.coding == codingListpack && (v.n > l.SetEntries || len(added) > l.SetValue) {
		v.coding = codingHashtable
	}
}

// Set is a set as a command works on it.
type Set struct{ collection }

// Set is the entry's set; its type must be TypeSet.
func (e Entry) Set() Set {
	return Set{collection{tx: e.tx, key: e.rec.key(), p: place{slot: slots.Of(e.rec.key()), rec: e.rec}}}
}

// EditSet finds key for a command that changes a set; see collection.
func (tx *Tx) EditSet(key []byte) (Set, bool) {
	c, ok := tx.edit(key, TypeSet)
	return Set{c}, ok
}

func (s *Set) value() *members { return s.collection.value().(*members) }

// Len is the number of members; 0 if the key does not exist.
func (s *Set) Len() int {
	if !s.p.found() {
		return 0
	}
	return s.value().n
}

// Has reports whether member is in the set.
func (s *Set) Has(member []byte) bool {
	if !s.p.found() {
		return false
	}
	_, ok := s.value().find(s.tx.ks.hash(member), member)
	return ok
}

// Add adds a member, which is copied, and reports whether it is new.
func (s *Set) Add(member []byte) bool {
	if s.Has(member) {
		return false
	}
	before := s.change(newMembers)
	v, hash := s.value(), s.tx.ks.hash(member)
	i, _ := v.find(hash, member)
	v.insert(i, field{hash: hash, name: append([]byte(nil), member...)})
	v.bytes += len(member)
	v.name(member, &s.tx.ks.limits)
	s.changed(before, v.n, 1)
	return true
}

// Remove takes a member out and reports whether it was there. The key goes with
// its last member.
func (s *Set) Remove(member []byte) bool {
	if !s.Has(member) {
		return false
	}
	before := s.change(newMembers)
	v := s.value()
	i, _ := v.find(s.tx.ks.hash(member), member)
	v.bytes -= len(member)
	v.remove(i)
	s.changed(before, v.n, 1)
	return true
}

// At is the i-th member in an order that changes with every write: for picking
// at random.
func (s *Set) At(i int) []byte { return s.value().at(i).name }

// Each calls f for all members, in no order that means anything, until it
// returns false.
func (s *Set) Each(f func(member []byte) bool) {
	if s.p.found() {
		s.value().ascend(0, func(x field) bool { return f(x.name) })
	}
}

// Scan is Hash.Scan for members.
func (s *Set) Scan(cursor uint64, count int, f func(member []byte)) (next uint64) {
	if !s.p.found() {
		return 0
	}
	return s.value().scan(cursor, count, func(x field) { f(x.name) })
}

// integerOf returns the int64 that b is the canonical decimal form of.
func integerOf(b []byte) (int64, bool) {
	if !isInteger(b) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}
