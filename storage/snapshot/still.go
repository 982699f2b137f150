package snapshot

import (
	"io"

	"redoubt/slots"
	"redoubt/storage"
	"redoubt/storage/rdb"
)

// Write writes the present moment to out, with header h, and returns when that is
// done. tx must hold the world lock until then, so nothing is changed meanwhile;
// what the unit has changed before is in the file. Other snapshots may be under
// way. Options.Slots and Wake are not looked at.
func Write(ks *storage.Keyspace, tx *storage.Tx, out io.Writer, h rdb.Header, o Options) error {
	s := newSnapshot(ks, Options{})
	s.batch = s.newBatch()
	go s.write(newWriter(ks, out, Options{RDB: o.RDB, Each: o.Each}), h)
	own := tx.DB()
	defer tx.Select(own)
	for db := range ks.Databases() {
		tx.Select(db)
		for n, ok := ks.NextSlot(db, 0); ok; n, ok = ks.NextSlot(db, n+1) {
			if !s.still(tx, db, n) {
				return s.Err()
			}
		}
	}
	if s.push() {
		close(s.out)
	}
	return s.Err()
}

// still takes all records of a slot, and reports false if the writer has ended.
func (s *Snapshot) still(tx *storage.Tx, db int, n slots.Slot) bool {
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		cursor = tx.Survey(n, cursor, batchRecords, func(e storage.Entry) bool { return s.batch.add(db, e) })
		if s.batch.full() && !s.push() {
			return false
		}
	}
	return true
}

// push passes the batch to the writer and waits for room; false means that there
// is no writer any more.
func (s *Snapshot) push() bool {
	select {
	case s.out <- s.batch:
		s.batch = s.newBatch()
		return true
	case <-s.done:
		return false
	}
}
