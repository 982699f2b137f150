package storage

import "redoubt/slots"

// Type is the type of a value.
type Type uint8

// The types there are. Their numbers are Redis's OBJ_ constants, which the
// digest contains.
const (
	TypeString Type = 0
	TypeList   Type = 1
	TypeSet    Type = 2
	TypeZSet   Type = 3
	TypeHash   Type = 4
	TypeModule Type = 5
	TypeStream Type = 6
)

var typeNames = [...]string{"string", "list", "set", "zset", "hash", "module", "stream"}

// String returns the name that the command TYPE gives.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "unknown"
}

// value is what a key holds. A type is one file with a struct that implements
// it.
type value interface {
	// typ is the type that commands ask for.
	typ() Type
	// encoding is what OBJECT ENCODING says.
	encoding() string
	// size is about how many bytes the value occupies.
	size() int
	// clone returns a copy that shares nothing that can change.
	clone() value
	// image returns the value as it is now, for a snapshot: what it returns
	// stays as it is while the value goes on changing. Values that are large
	// share their memory and remember to leave it alone.
	image() value
	// digest mixes the value into a digest as Redis's DEBUG DIGEST does.
	digest(d *digester)
}

// valueOf is the value of a record that lies in a box.
func (ks *Keyspace) valueOf(n slots.Slot, r record) value {
	return ks.slots[n].rare.Load().boxes.values[boxOf(r)]
}

// outsideSize is about how many bytes the value of a record occupies that does
// not lie in it.
func (ks *Keyspace) outsideSize(r record) int64 {
	return int64(ks.valueOf(slots.Of(r.key()), r).size())
}
