package storage

import (
	"redoubt/storage/slab"
	"redoubt/storage/tree"
)

// garbage is memory that nobody reaches any more and that is freed bit by bit:
// one of a table with its records, the tables of a whole database, the value of a
// collection, or blocks that were kept for a snapshot.
type garbage struct {
	table  *detachedTable
	tables []detachedTable // taken out of refuse one at a time
	kind   tree.Kind
	value  []byte
	refs   []slab.Ref
}

// objects is how many keys or blocks there are to free.
func (g *garbage) objects() int64 {
	switch {
	case g.table != nil:
		return int64(g.table.len())
	case g.value != nil:
		return 1
	}
	return int64(len(g.refs))
}

// deleted is how many of the objects clients have deleted: not what was kept for a
// snapshot.
func (g *garbage) deleted() int64 {
	if g.refs != nil {
		return 0
	}
	return g.objects()
}

// discard leaves garbage to Reclaim.
func (ks *Keyspace) discard(g garbage) {
	n := g.objects()
	if n == 0 {
		return
	}
	ks.refuseMu.Lock()
	ks.refuse = append(ks.refuse, g)
	ks.refuseMu.Unlock()
	ks.unfreed.Add(n)
	ks.deleted.Add(g.deleted())
}

// discardTables is discard of many tables, which hold so many keys. Everybody waits
// meanwhile, so it takes as long for a thousand tables as for one.
func (ks *Keyspace) discardTables(all []detachedTable, keys int) {
	if keys == 0 {
		return
	}
	ks.refuseMu.Lock()
	ks.refuse = append(ks.refuse, garbage{tables: all})
	ks.refuseMu.Unlock()
	ks.unfreed.Add(int64(keys))
	ks.deleted.Add(int64(keys))
}

// nextRefuse takes what is freed next out of refuse.
func (ks *Keyspace) nextRefuse() (g garbage, ok bool) {
	ks.refuseMu.Lock()
	defer ks.refuseMu.Unlock()
	n := len(ks.refuse)
	if n == 0 {
		return garbage{}, false
	}
	last := &ks.refuse[n-1]
	if i := len(last.tables) - 1; i > 0 {
		g = garbage{table: &last.tables[i]}
		last.tables = last.tables[:i]
		return g, true
	} else if i == 0 {
		last.table, last.tables = &last.tables[0], nil
	}
	g = *last
	*last = garbage{}
	ks.refuse = ks.refuse[:n-1]
	return g, true
}

// Unfreed is how many keys and values have been deleted whose memory is not free
// yet (INFO's lazyfree_pending_objects).
func (ks *Keyspace) Unfreed() int64 { return ks.deleted.Load() }

// Freed is how many of them Reclaim has freed (INFO's lazyfreed_objects).
func (ks *Keyspace) Freed() int64 { return ks.freed.Load() }

// Reclaim frees memory that flushes, deletions of large values and snapshots have
// left, about budget blocks of it, and reports whether there is more. The
// executor must not be in a unit. Reclaim holds no slot.
func (e *Executor) Reclaim(budget int) (more bool) {
	ks := e.ks
	for ks.unfreed.Load() > 0 && budget > 0 {
		// Within a unit no snapshot begins or is released, which decides what
		// becomes of a tree's nodes.
		tx := e.Begin(0, nil)
		if tx == nil {
			return false
		}
		g, ok := ks.nextRefuse()
		if !ok {
			e.End()
			return false // another executor is at the rest
		}
		before, deleted := g.objects(), g.deleted()
		budget -= e.reclaim(tx, &g, budget)
		e.End()
		ks.freed.Add(deleted - g.deleted())
		ks.deleted.Add(-deleted)
		ks.unfreed.Add(-before)
		ks.discard(g)
	}
	return ks.unfreed.Load() > 0
}

// reclaim frees about budget blocks of g and returns how many.
func (e *Executor) reclaim(tx *Tx, g *garbage, budget int) (freed int) {
	switch {
	case g.table != nil:
		return e.reclaimTable(tx, g.table, budget)
	case g.value != nil:
		g.value = e.freeTree(tx.env(), g.kind, g.value, budget)
		return budget
	}
	n := max(len(g.refs)-budget, 0)
	for _, r := range g.refs[n:] {
		e.heap.Free(r)
		freed++
	}
	g.refs = g.refs[:n]
	return freed
}

// reclaimTable frees about budget records of a table, and the table with the
// last.
func (e *Executor) reclaimTable(tx *Tx, d *detachedTable, budget int) (freed int) {
	d.eachSegment(func(g *segment) {
		if freed >= budget || g.used == 0 {
			return
		}
		for i := range int(g.size) {
			ref := g.ref(i)
			if ref == 0 {
				continue
			}
			r := e.ks.at(ref)
			if r.outside() {
				tx.freeTree(r)
			}
			tx.freeRecord(r)
			g.set(i, 0, 0)
		}
		freed += int(g.used)
		g.used = 0
	})
	d.add(-freed)
	if d.len() == 0 {
		d.free(e)
	}
	return freed
}
