package storage

import "redoubt/slots"

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

// Event is one thing that happened to a key in a unit, under the name that
// Redis's keyspace notifications give it.
type Event struct {
	Slot  slots.Slot
	DB    int
	Class Class
	Name  string
	Key   []byte
}

// Listen says in which classes of events somebody is interested; those of other
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
	tx.events = append(tx.events, Event{slots.Of(key), tx.db, class, name, append([]byte(nil), key...)})
}

// Events are what has been noted in the unit so far, in order; valid until the
// unit ends.
func (tx *Tx) Events() []Event { return tx.events }
