package storage

// Limits say which name OBJECT ENCODING gives a collection: the directives
// hash-max-listpack-entries and their like. They change no representation; a
// collection is stored in one way whatever its size, and the names are what
// clients and tests of Redis look at.
type Limits struct {
	HashEntries, HashValue int // hash-max-listpack-entries, -value
	SetInts                int // set-max-intset-entries
	SetEntries, SetValue   int // set-max-listpack-entries, -value
	ZSetEntries, ZSetValue int // zset-max-listpack-entries, -value
	// ListSize is list-max-listpack-size: a number of elements, or, negative, -1
	// for 4 KiB to -5 for 64 KiB.
	ListSize int
	// NodeBytes and NodeItems are how large a node of a stream becomes in Redis, by
	// which approximate trimming goes (stream-node-max-bytes, -entries); 0 is no
	// limit.
	NodeBytes, NodeItems int
	// Packed is above which length an element of a list has a node of its own in
	// Redis (DEBUG QUICKLIST-PACKED-THRESHOLD).
	Packed int
}

// DefaultLimits are Redis's defaults.
var DefaultLimits = Limits{
	HashEntries: 512, HashValue: 64,
	SetInts: 512, SetEntries: 128, SetValue: 64,
	ZSetEntries: 128, ZSetValue: 64,
	NodeBytes: 4096, NodeItems: 100,
	ListSize: -2, Packed: 1 << 30,
}

// SetLimits changes the names of encodings from the next change of each
// collection on. The unit must hold the world lock.
func (tx *Tx) SetLimits(l Limits) {
	tx.needWorld("SetLimits")
	tx.ks.limits = l
}

// Limits are those in force.
func (tx *Tx) Limits() Limits { return tx.ks.limits }

// listBytes is the most bytes of a listpack under ListSize, and the most
// elements; what does not count is unlimited (quicklistNodeLimit).
func (l *Limits) list() (bytes, elements int) {
	const unlimited = 1 << 62
	if l.ListSize >= 0 {
		// A limit of elements still leaves Redis's safety limit of bytes.
		return 8 << 10, max(l.ListSize, 1)
	}
	return 4 << 10 << min(-l.ListSize-1, 4), unlimited
}
