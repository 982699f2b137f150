package snapshot

import (
	"redoubt/storage"
	"redoubt/storage/rdb"
)

// copyMax is the length up to which a string is copied into its batch. A longer
// one is shared with the keyspace until somebody changes it there.
const copyMax = 4 << 10

// item is a record as it was at the snapshot's moment.
type item struct {
	db       int
	key      []byte
	kind     rdb.Type
	value    []byte
	expireAt int64
}

// batch is a number of records on their way to the writer.
type batch struct {
	items []item
	bytes int
	mixed bool   // the records are of several databases
	arena []byte // of copied keys and values
}

func newBatch() *batch { return new(batch) }

func (b *batch) full() bool { return len(b.items) >= batchRecords || b.bytes >= batchBytes }

// add puts a record into the batch and reports whether there is room for more.
func (b *batch) add(db int, e storage.Entry) bool {
	it := item{db: db, kind: rdb.Type(e.Type()), expireAt: e.ExpireAt()}
	if n := len(e.Key()) + len(e.Bytes()); n <= copyMax {
		it.key, it.value = b.copy(e.Key()), b.copy(e.Bytes())
	} else {
		f := e.Freeze()
		it.key, it.value = f.Key, f.Bytes
	}
	b.mixed = b.mixed || len(b.items) > 0 && b.items[0].db != db
	b.items = append(b.items, it)
	b.bytes += itemOverhead + len(it.key) + len(it.value)
	return !b.full()
}

// itemOverhead is about what an item occupies beside its key and value.
const itemOverhead = 80

// copy copies p into the arena. An arena that is used up stays with the items
// that point into it.
func (b *batch) copy(p []byte) []byte {
	if len(b.arena)+len(p) > cap(b.arena) {
		b.arena = make([]byte, 0, max(arenaBytes, len(p)))
	}
	n := len(b.arena)
	b.arena = append(b.arena, p...)
	return b.arena[n : n+len(p) : n+len(p)]
}

const arenaBytes = 32 << 10
