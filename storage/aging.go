package storage

import (
	"sync"

	"redoubt/slots"
	"redoubt/storage/slab"
)

// aging raises the epochs of records slot by slot between commands, before numbers
// go round and BeginCapture would have to do it at once (forgetEpochs). Snapshots of
// a few slots each, and those that are given up, use numbers without raising the
// epochs of all records.
type aging struct {
	mu      sync.Mutex // held during a slice
	running bool
	least   uint32 // no open snapshot is at or below it
	slot    int    // where the pass goes on
	db      int
	cursor  uint64
}

// ageFrom is from how many numbers behind the newest on epochs are raised.
const ageFrom = epochs / 2

// age goes on with raising epochs, if that is due, for about budget records. It
// reports whether it is under way. The executor must not be in a unit.
func (e *Executor) age(now int64, budget int) (running bool) {
	ks := e.ks
	a := &ks.aging
	if !a.mu.TryLock() {
		return false // another executor does it
	}
	defer a.mu.Unlock()
	if !a.running {
		if e.Begin(now, nil) == nil { // so that no snapshot begins or ends
			return false
		}
		a.least = ks.oldest()
		a.running = ks.captures-ks.known >= ageFrom && a.least-ks.known >= ageFrom/2
		e.End()
		a.slot, a.db, a.cursor = 0, 0, 0
	}
	for a.running && budget > 0 {
		if a.slot == slots.Count {
			tx := e.BeginWorld(now)
			if tx == nil {
				return false
			}
			a.finish(tx)
			e.End()
			break
		}
		e.one[0] = slots.Slot(a.slot)
		tx := e.Begin(now, e.one[:])
		if tx == nil {
			return false
		}
		budget -= a.goOn(tx, budget)
		e.End()
	}
	return a.running
}

// goOn looks at some records of the slot at hand and returns how many, and one more.
func (a *aging) goOn(tx *Tx, budget int) (looked int) {
	ks := tx.ks
	if t := ks.slots[a.slot].table(a.db); t != nil {
		a.cursor = t.walk(ks.space, a.cursor, budget, func(ref slab.Ref) bool {
			looked++
			ks.raise(ref, a.least)
			return true
		})
	}
	if a.cursor == 0 {
		if a.db++; a.db == len(ks.order) {
			a.slot, a.db = a.slot+1, 0
		}
	}
	return looked + 1
}

// finish ends a pass. Tables that flushes let go were not visited; while a snapshot
// has some, the pass was in vain, and the next one begins when it is due.
func (a *aging) finish(tx *Tx) {
	a.running = false
	for _, c := range tx.ks.open {
		if c.Detached() {
			return
		}
	}
	tx.ks.known = max(tx.ks.known, a.least)
}

// raise gives a record an epoch of at least least, at or below which no snapshot is
// open.
func (ks *Keyspace) raise(ref slab.Ref, least uint32) {
	if r := ks.at(ref); ks.epochOf(r) < least {
		r.setEpoch(byte(least))
	}
}
