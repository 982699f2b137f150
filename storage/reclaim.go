package storage

import "redoubt/slots"

// detachedTable is a table that a flush took out of its slot, with all its
// records.
type detachedTable struct {
	slot slots.Slot
	phys int
	table
}

// discard leaves a detached table to Reclaim. The caller is in a unit.
func (ks *Keyspace) discard(d detachedTable) {
	ks.refuseMu.Lock()
	ks.refuse = append(ks.refuse, d)
	ks.refuseMu.Unlock()
	ks.unfreed.Add(int64(d.len()))
}

// Unfreed is how many keys have been deleted whose memory is not free yet (INFO's
// lazyfree_pending_objects).
func (ks *Keyspace) Unfreed() int64 { return ks.unfreed.Load() }

// Reclaim frees memory of what flushes took away, at most about budget records,
// and reports whether there is more. The executor must not be in a unit. It takes
// no lock of storage but a brief one.
func (e *Executor) Reclaim(budget int) (more bool) {
	ks := e.ks
	if ks.unfreed.Load() == 0 {
		return false
	}
	for budget > 0 {
		ks.refuseMu.Lock()
		n := len(ks.refuse)
		if n == 0 {
			ks.refuseMu.Unlock()
			return false
		}
		d := ks.refuse[n-1]
		ks.refuse = ks.refuse[:n-1]
		ks.refuseMu.Unlock()
		// A table is freed whole, but for one that is larger than a budget.
		budget -= e.reclaim(&d, budget)
		if d.len() > 0 {
			ks.refuseMu.Lock()
			ks.refuse = append(ks.refuse, d)
			ks.refuseMu.Unlock()
		}
	}
	return true
}

// reclaim frees about budget records of a table, and the table with the last.
func (e *Executor) reclaim(d *detachedTable, budget int) (freed int) {
	d.eachSegment(func(g *segment) {
		if freed >= budget || g.used == 0 {
			return
		}
		for i := range int(g.size) {
			if ref := g.ref(i); ref != 0 {
				if r := e.ks.at(ref); r.outside() {
					e.one[0] = d.slot
					e.Begin(0, e.one[:])
					e.ks.slots[d.slot].rare.Load().boxes.drop(boxOf(r))
					e.End()
				}
				e.heap.Free(ref)
				g.set(i, 0, 0)
			}
		}
		freed += int(g.used)
		g.used = 0
	})
	d.add(-freed)
	e.ks.unfreed.Add(int64(-freed))
	if d.len() == 0 {
		d.free(e)
	}
	return freed
}
