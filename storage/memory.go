package storage

import "redoubt/storage/slab"

// Memory describes the memory of the keyspace, which lies outside of the Go heap.
// All but Blocks are bytes.
type Memory struct {
	Data      int64 // of keys and values
	Tables    int64 // of the hash tables
	Blocks    int64 // in how many pieces both are
	Committed int64 // in memory: Data, Tables, what lies free beside them
	Free      int64 // of Committed: whole pages that are free
	Returned  int64 // given back to the system since the start
	Kept      int64 // of Data: replaced, and kept for snapshots
}

// Memory returns the counts. Anybody may ask at any time; while executors work,
// their last changes may be missing.
func (ks *Keyspace) Memory() Memory {
	s := ks.space.Stats()
	tables := int64(s.ByArea[slab.Tables])
	return Memory{
		Data: int64(s.Allocated) - tables, Tables: tables, Blocks: int64(s.Blocks),
		Committed: int64(s.Committed), Free: int64(s.Free), Returned: int64(s.Returned),
		Kept: ks.Kept(),
	}
}

// TableBytes is how many bytes the hash tables of a database take. The unit must hold
// the world lock. It looks at every array of cells, one for each thousand keys.
func (tx *Tx) TableBytes(db int) (bytes int64) {
	tx.needWorld("TableBytes")
	ks := tx.ks
	phys := int(ks.order[db].Load())
	for n, ok := ks.nextOccupied(phys, 0); ok; n, ok = ks.nextOccupied(phys, n+1) {
		t := ks.slots[n].table(phys)
		for i := range t.segments() {
			if g := t.segmentAt(i); g.cells != nil {
				bytes += int64(ks.space.Size(g.at))
			}
		}
	}
	return bytes
}

// Trim gives memory that is not needed any more back to the system, until budget
// bytes went or enough did, and reports whether there is more to give. It makes
// system calls of up to 0.3 ms while executors go on: the caller is a goroutine of
// its own.
func (ks *Keyspace) Trim(budget int) (more bool) { return ks.space.Trim(budget) }

// Retire lets other executors use the memory that this one keeps at hand, a few
// MiB at most, so that it can be emptied and given back. An executor that has
// nothing to do calls it, outside of a unit.
func (e *Executor) Retire() { e.heap.Retire() }
