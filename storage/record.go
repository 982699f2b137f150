package storage

import (
	"bytes"
	"encoding/binary"
	"unsafe"

	"redoubt/storage/slab"
	"redoubt/storage/tree"
)

// record is a key with all that belongs to it, in one block outside the heap:
//
//	0    kind: bits 0–2 the type plus one (0 is no record), bits 3–4 the
//	     encoding, bit 5 outside (the value has memory besides), bit 6 shared
//	     (a snapshot was given the block, see Entry.Share), bit 7 has an expiry
//	1    epoch: the last byte of the number of the newest snapshot that has the
//	     record, or began before it; see Capture
//	2–4  access bits, see accessPolicy
//	5    length of the key; long: four bytes of it follow the header
//	6    length of the value; long: four bytes more
//	     [length of the key 4] [length of the value 4] [expiry 8] key, value
//
// The block may be longer. A record is a view: whatever moves or frees the block
// ends it.
type record struct {
	p   unsafe.Pointer // nil: no record
	ref slab.Ref
}

const (
	headBytes = 7
	long      = 255 // in place of a length that does not fit a byte
	longBytes = 4
	timeBytes = 8

	kindType     = 0x07
	kindCoding   = 0x18
	kindOutside  = 0x20
	kindShared   = 0x40
	kindDue      = byte(TypeHash) + 1 | codingHashDue<<codingShift // of type and encoding
	kindExpires  = 0x80
	codingShift  = 3
	accessMask   = 1<<24 - 1
	recordMargin = 8 // what a table keeps for a record: cell, share of what is empty
)

// MaxString is the length that no string may exceed, in bytes: a record has four
// bytes for it, and a block has room for one as long as that under a key as long.
const MaxString = 1<<32 - 1

// layout is where the parts of a record lie.
type layout struct{ time, key, value, end int }

// layoutOf returns the layout of a record with a key and a value of these
// lengths.
func layoutOf(key, value int, expires bool) (l layout) {
	at := headBytes
	if key >= long {
		at += longBytes
	}
	if value >= long {
		at += longBytes
	}
	l.time = at
	if expires {
		at += timeBytes
	}
	l.key = at
	l.value = at + key
	l.end = l.value + value
	return l
}

func (r record) byte(i int) *byte { return (*byte)(unsafe.Add(r.p, i)) }

// view is the bytes from i to j of the block.
func (r record) view(i, j int) []byte { return unsafe.Slice(r.byte(i), j-i) }

func (r record) length(i int) int { return int(binary.LittleEndian.Uint32(r.view(i, i+longBytes))) }

// lengths returns the lengths of key and value.
func (r record) lengths() (key, value int) {
	key, value = int(*r.byte(5)), int(*r.byte(6))
	at := headBytes
	if key == long {
		key = r.length(at)
		at += longBytes
	}
	if value == long {
		value = r.length(at)
	}
	return key, value
}

func (r record) layout() layout {
	key, value := r.lengths()
	return layoutOf(key, value, r.expires())
}

func (r record) typ() Type         { return Type(*r.byte(0)&kindType) - 1 }
func (r record) expires() bool     { return *r.byte(0)&kindExpires != 0 }
func (r record) outside() bool     { return *r.byte(0)&kindOutside != 0 }
func (r record) due() bool         { return *r.byte(0)&(kindType|kindCoding) == kindDue }
func (r record) shared() bool      { return *r.byte(0)&kindShared != 0 }
func (r record) share()            { *r.byte(0) |= kindShared }
func (r record) coding() byte      { return *r.byte(0) & kindCoding >> codingShift }
func (r record) epoch() byte       { return *r.byte(1) }
func (r record) setKind(kind byte) { *r.byte(0) = *r.byte(0)&kindExpires | kind&^kindExpires }
func (r record) setEpoch(e byte)   { *r.byte(1) = e }
func (r record) access() uint32 {
	return uint32(*r.byte(2)) | uint32(*r.byte(3))<<8 | uint32(*r.byte(4))<<16
}
func (r record) setAccess(bits uint32) {
	if r.access() != bits { // the line stays clean where nothing changes
		*r.byte(2), *r.byte(3), *r.byte(4) = byte(bits), byte(bits>>8), byte(bits>>16)
	}
}

// key is the key's name.
func (r record) key() []byte {
	// A short key without an expiry is what nearly all are.
	if n := int(*r.byte(5)); n != long && *r.byte(6) != long && !r.expires() {
		return r.view(headBytes, headBytes+n)
	}
	l := r.layout()
	return r.view(l.key, l.value)
}

// value is the bytes of the value in the record.
func (r record) value() []byte {
	l := r.layout()
	return r.view(l.value, l.end)
}

// tree is the part of the value of a collection that its tree has.
func (r record) tree() []byte { return treeOf(r.typ(), r.value()) }

func treeOf(t Type, value []byte) []byte {
	if t == TypeStream {
		return value[logHead:]
	}
	return value
}

// is reports whether the record's key is key.
func (r record) is(key []byte) bool {
	return int(*r.byte(5)) == min(len(key), long) && bytes.Equal(r.key(), key)
}

// expireAt is when the key expires, in Unix milliseconds; 0 is never.
func (r record) expireAt() int64 {
	if !r.expires() {
		return 0
	}
	l := r.layout()
	return int64(binary.LittleEndian.Uint64(r.view(l.time, l.key)))
}

// write makes a record of the block, which is long enough, but for the bytes of
// the value.
func (r record) write(kind byte, epoch byte, access uint32, key []byte, value int, expireAt int64) layout {
	l := layoutOf(len(key), value, expireAt != 0)
	kind &^= kindExpires | kindShared
	if expireAt != 0 {
		kind |= kindExpires
	}
	*r.byte(0), *r.byte(1) = kind, epoch
	*r.byte(2), *r.byte(3), *r.byte(4) = byte(access), byte(access>>8), byte(access>>16)
	*r.byte(5), *r.byte(6) = byte(min(len(key), long)), byte(min(value, long))
	at := headBytes
	if len(key) >= long {
		binary.LittleEndian.PutUint32(r.view(at, at+longBytes), uint32(len(key)))
		at += longBytes
	}
	if value >= long {
		binary.LittleEndian.PutUint32(r.view(at, at+longBytes), uint32(value))
	}
	if expireAt != 0 {
		binary.LittleEndian.PutUint64(r.view(l.time, l.key), uint64(expireAt))
	}
	copy(r.view(l.key, l.value), key)
	return l
}

// kindOf is the kind byte of a type.
func kindOf(t Type) byte { return byte(t) + 1 }

// at returns the record in a block.
func (ks *Keyspace) at(ref slab.Ref) record { return record{ks.space.Pointer(ref), ref} }

// firstDue is when the first field of a hash expires, 0 if none does.
func (ks *Keyspace) firstDue(r record) int64 {
	if !r.due() {
		return 0
	}
	return tree.Earliest(ks.space, r.value())
}

// size is how many bytes the record occupies with all that belongs to it.
func (ks *Keyspace) size(r record) int64 {
	n := int64(ks.space.Size(r.ref)) + recordMargin
	if r.outside() {
		n += int64(tree.Outside(ks.space, r.typ().tree(), r.tree()))
	}
	return n
}
