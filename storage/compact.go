package storage

import (
	"sync"

	"redoubt/slots"
	"redoubt/storage/slab"
)

// compaction empties extents of memory that are used little, so that they can go
// back to the system: it walks all references and moves what lies in them. It is
// what Redis calls active defragmentation. One executor at a time is at it, slice
// by slice between commands.
type compaction struct {
	mu      sync.Mutex // held during a slice
	running bool
	nextAt  int64 // Unix milliseconds: not looked for sparse extents before

	// Where the walk goes on.
	slot    int
	db      int
	segment int
	cell    int

	moved int64 // blocks, since the start
}

const (
	// compactLoss is the share of committed memory that may be lost before a
	// compaction begins.
	compactLoss = 1.0 / 8
	// compactRestMs is how long after a compaction, or a look that found nothing
	// to do, the next look is.
	compactRestMs = 1000
	// moveLeaves is how many leaves of one large collection a slice looks at.
	moveLeaves = 16
)

// Compact moves blocks out of extents that are used little, and looks at about
// budget records for that. It reports whether a compaction is under way. now is
// the time in Unix milliseconds. The executor must not be in a unit.
func (e *Executor) Compact(now int64, budget int) (running bool) {
	c := &e.ks.compaction
	if !c.mu.TryLock() {
		return false // another executor does it
	}
	defer c.mu.Unlock()
	if !c.running {
		if now < c.nextAt {
			return false
		}
		c.nextAt = now + compactRestMs
		if e.ks.space.ChooseSparse(compactLoss) == 0 {
			return false
		}
		c.running = true
		c.slot, c.db, c.segment, c.cell = 0, 0, 0, 0
	}
	for budget > 0 && c.slot < slots.Count {
		e.one[0] = slots.Slot(c.slot)
		tx := e.Begin(now, e.one[:])
		budget -= tx.compactSlot(c, budget) + 1
		e.End()
	}
	if c.slot == slots.Count {
		e.ks.space.EndCompaction()
		c.running = false
	}
	return c.running
}

// Compacted is how many blocks compactions have moved since the start, and
// whether one is under way (INFO's active_defrag_hits and active_defrag_running).
func (ks *Keyspace) Compacted() (moved int64, running bool) {
	ks.compaction.mu.Lock()
	defer ks.compaction.mu.Unlock()
	return ks.compaction.moved, ks.compaction.running
}

// compactSlot goes on with the slot at hand, at most budget records, and then to
// the next. It returns how many records it has looked at.
func (tx *Tx) compactSlot(c *compaction, budget int) (looked int) {
	s := &tx.ks.slots[c.slot]
	for ; c.db < len(tx.ks.order); c.db, c.segment, c.cell = c.db+1, 0, 0 {
		tx.phys = c.db // tables are physical
		t := s.table(c.db)
		if t == nil || t.len() == 0 {
			continue
		}
		for n := t.segments(); c.segment < n; c.segment, c.cell = c.segment+1, 0 {
			g := t.segmentAt(c.segment)
			if g.cells == nil {
				continue
			}
			if c.cell == 0 && tx.ks.space.Sparse(g.at) {
				g.move(tx.e)
				c.moved++
			}
			for ; c.cell < int(g.size); c.cell++ {
				if looked >= budget {
					return looked
				}
				ref := g.ref(c.cell)
				if ref == 0 {
					continue
				}
				looked++
				if !tx.compactRecord(c, g, ref) {
					return looked + moveLeaves
				}
			}
		}
	}
	c.slot, c.db, c.segment, c.cell = c.slot+1, 0, 0, 0
	return looked
}

// compactRecord moves the record in the cell at hand, and what its value has
// outside, where that is to move. It reports false if there is more of the value
// to be looked at.
func (tx *Tx) compactRecord(c *compaction, g *segment, ref slab.Ref) (done bool) {
	r := tx.ks.at(ref)
	if tx.ks.space.Sparse(ref) {
		old := tx.ks.space.Bytes(ref)
		next := tx.e.alloc(slab.Records, len(old))
		copy(tx.ks.space.Bytes(next), old)
		g.setRef(c.cell, next)
		tx.e.heap.Free(ref)
		r = tx.ks.at(next)
		c.moved++
	}
	if !r.outside() {
		return true
	}
	t := tx.e.scratchTree()
	defer tx.e.closeAll()
	t.Tree.Open(tx.env(), r.typ().tree(), r.value())
	more := t.Move(moveLeaves)
	if t.Changed() {
		// The value of a large collection keeps its length, and so does a small
		// one whose references change.
		copy(r.value(), t.Value())
	}
	return !more
}

// segments is the number of segments of the table.
func (t *table) segments() int {
	if t.more == nil {
		return 1
	}
	return len(t.more.segs)
}

func (t *table) segmentAt(i int) *segment {
	if t.more == nil {
		return &t.segment
	}
	return &t.more.segs[i]
}

// move gives the segment's array another block.
func (g *segment) move(e *Executor) {
	old := e.ks.space.Bytes(g.at)
	at := e.alloc(slab.Tables, len(old))
	copy(e.ks.space.Bytes(at), old)
	e.heap.Free(g.at)
	g.at, g.cells = at, e.ks.space.Pointer(at)
}
