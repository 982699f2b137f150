package snapshot

import "redoubt/storage"

// item is a record as it was at the snapshot's moment.
type item struct {
	db    int
	value storage.Frozen
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
	n := e.FrozenBytes()
	if len(b.arena)+n > cap(b.arena) {
		// An arena that is used up stays with the items that point into it.
		b.arena = make([]byte, 0, max(arenaBytes, n))
	}
	var f storage.Frozen
	f, b.arena = e.Freeze(b.arena)
	b.mixed = b.mixed || len(b.items) > 0 && b.items[0].db != db
	b.items = append(b.items, item{db, f})
	b.bytes += itemOverhead + n
	return !b.full()
}

const (
	// itemOverhead is about what an item occupies beside its key and value.
	itemOverhead = 112
	arenaBytes   = 32 << 10
)
