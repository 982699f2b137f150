package storage

import (
	"strings"

	"redoubt/slots"
)

// Class is a set of classes of keyspace events, with the bits and letters of
// notify-keyspace-events.
type Class uint16

// The classes of events.
const (
	ClassGeneric Class = 1 << (iota + 2) // g: DEL, EXPIRE, RENAME …
	ClassString                          // $
	ClassList                            // l
	ClassSet                             // s
	ClassHash                            // h
	ClassZSet                            // z
	ClassExpired                         // x
	ClassEvicted                         // e
	ClassStream                          // t
	ClassMiss                            // m: a read found no key
	_                                    // Redis's own: a key was loaded
	ClassModule                          // d
	ClassNew                             // n: a key was created
)

// classLetters are the letters of the classes, the lowest bit first. A stands for
// those of allClasses.
const classLetters = "g$lshzxetm\x00dn"

const allClasses = ClassGeneric | ClassString | ClassList | ClassSet | ClassHash | ClassZSet |
	ClassExpired | ClassEvicted | ClassStream | ClassModule

// ParseClasses reads the letters of notify-keyspace-events; those that are no
// class (K and E) mean nothing here.
func ParseClasses(letters string) (c Class) {
	for _, l := range letters {
		if l == 'A' {
			c |= allClasses
		} else if i := strings.IndexRune(classLetters, l); i >= 0 {
			c |= ClassGeneric << i
		}
	}
	return c
}

// Event is one thing that happened to a key in a unit, under the name that
// Redis's keyspace notifications give it.
type Event struct {
	Slot  slots.Slot
	DB    int
	Class Class
	Name  string
	Key   []byte
}

// Outcome is what a unit did, as far as somebody wants to know. All of it is valid
// during the call of Audience.Heard only.
type Outcome struct {
	// Events are what Note was told of the classes in Listen, in order.
	Events []Event
	// Stale are the keys that readers may hold an old value of, in the order of
	// their first change. AllStale says that this is so of any key.
	Stale    []Stale
	AllStale bool
}

// An Audience hears what units do.
//
// Heard is called when the unit's effects have been appended to the stream and its
// locks are still held. So outcomes that concern one key come in the order of its
// changes, on whatever executors they were made, and a reader who holds the lock of
// the key's slot either sees what was there before the change, and is in the list of
// those to be told, or sees what is there after it. Heard must not wait, and must
// not call the keyspace.
type Audience interface{ Heard(o *Outcome) }

// SetAudience says who hears of outcomes. It is called before the first unit, or
// under the world lock.
func (ks *Keyspace) SetAudience(a Audience) { ks.audience = a }

// Listen says in which classes of events the audience is interested; those of other
// classes cost nothing. The unit must hold the world lock.
func (tx *Tx) Listen(classes Class) {
	tx.needWorld("Listen")
	tx.ks.listened = classes
}

// Note adds an event to the unit's outcome, if somebody listens to its class.
// The key is copied. It matches Redis's notifyKeyspaceEvent.
func (tx *Tx) Note(class Class, name string, key []byte) {
	if tx.ks.listened&class == 0 {
		return
	}
	tx.happened = true
	tx.events = append(tx.events, Event{slots.Of(key), tx.db, class, name, tx.keep(key)})
}

// Events are what has been noted in the unit so far, in order; valid until the
// unit ends.
func (tx *Tx) Events() []Event { return tx.events }

// keep copies a key into a buffer that lasts until the unit ends.
func (tx *Tx) keep(key []byte) []byte {
	start := len(tx.names)
	tx.names = append(tx.names, key...)
	return tx.names[start:len(tx.names):len(tx.names)]
}

// keptBuffers bounds what a unit's buffers of outcomes keep for the next one, in
// bytes and in entries.
const (
	outcomeBytes   = 16 << 10
	outcomeEntries = 256
)

// tell gives the audience the outcome of the unit, whose locks are still held.
func (tx *Tx) tell() {
	tx.happened = false
	if a := tx.ks.audience; a != nil {
		a.Heard(&Outcome{Events: tx.events, Stale: tx.stale, AllStale: tx.allStale})
	}
	clear(tx.events)
	clear(tx.stale)
	tx.events, tx.stale, tx.allStale = tx.events[:0], tx.stale[:0], false
	tx.names, tx.readers = tx.names[:0], tx.readers[:0]
	if cap(tx.names) > outcomeBytes || cap(tx.readers) > outcomeEntries || cap(tx.events) > outcomeEntries || cap(tx.stale) > outcomeEntries {
		tx.events, tx.stale, tx.names, tx.readers = nil, nil, nil, nil
	}
}
