// Package slots maps keys to hash slots and holds sets of slots.
//
// A hash slot is CRC16(key) modulo 16384, where only the hash tag counts if
// the key has one: the bytes between the first '{' and the first '}' after
// it, when there is at least one. Everything in Redoubt is organised by slot:
// locks, tables, statistics, migration, routing. The package is pure and
// imports the standard library only.
package slots

import (
	"bytes"
	"fmt"
)

// Count is the number of hash slots of a Redis Cluster.
const Count = 16384

// Slot is a hash slot, 0 to Count-1.
type Slot uint16

// Valid reports whether s is within 0 to Count-1.
func (s Slot) Valid() bool { return s < Count }

// Of returns the slot of key, as Redis's keyHashSlot does.
func Of(key []byte) Slot { return Slot(crc16(Tag(key)) & (Count - 1)) }

// Tag returns the part of key that is hashed: its hash tag, or all of it.
func Tag(key []byte) []byte {
	open := bytes.IndexByte(key, '{')
	if open < 0 {
		return key
	}
	length := bytes.IndexByte(key[open+1:], '}')
	if length <= 0 {
		return key
	}
	return key[open+1 : open+1+length]
}

// Range is the slots from First to Last, both included.
type Range struct{ First, Last Slot }

// String writes a range as CLUSTER NODES does: "5" or "0-5460".
func (r Range) String() string {
	if r.First == r.Last {
		return fmt.Sprint(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}
