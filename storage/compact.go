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
	mu      sync.Mutex // held during a slice, which takes slots: nobody waits for it
	running bool
	// tablesOnly: nothing but tables is to move, so no record is looked at.
	tablesOnly bool
	nextAt     int64 // Unix milliseconds: not looked for sparse extents before

	// Where the walk goes on.
	slot    int
	db      int
	segment int
	cell    int
	keyHit  bool // something of the key at hand has moved

	beganAt int64      // Unix milliseconds
	slice   Compaction // what the slice at hand has done

	sharedMu sync.Mutex // held while no slot is waited for
	policy   CompactionPolicy
	counts   Compaction
}

// CompactionPolicy says when memory is compacted.
type CompactionPolicy struct {
	Off bool // activedefrag no
	// LostPercent is how much more memory than the blocks need may be in use, in
	// percent of what they need (active-defrag-threshold-lower).
	LostPercent int
	// IgnoreBytes is how much it may be at any rate (active-defrag-ignore-bytes).
	IgnoreBytes int64
}

// DefaultCompaction is the policy of a new keyspace. Less than an extent cannot be
// won.
var DefaultCompaction = CompactionPolicy{LostPercent: 10, IgnoreBytes: 2 << 20}

// Compaction counts what compactions have done since the start or the last
// ResetStats, in INFO's words.
type Compaction struct {
	Running   bool  // one is under way (active_defrag_running)
	Hits      int64 // blocks that were moved (active_defrag_hits)
	Misses    int64 // blocks that lay where they could stay (active_defrag_misses)
	KeyHits   int64 // keys of which something was moved (active_defrag_key_hits)
	KeyMisses int64 // the others that were looked at (active_defrag_key_misses)
	TotalMs   int64 // how long compactions were under way (total_active_defrag_time)
	CurrentMs int64 // … of it the one that is (current_active_defrag_time)
}

const (
	// compactRestMs is how long after a compaction, or a look that found nothing
	// to do, the next look is.
	compactRestMs = 1000
	// moveLeaves is how many leaves of one large collection a slice looks at.
	moveLeaves = 16
)

// SetCompaction makes the policy another one. A compaction that is under way ends
// with its next slice if there are to be none.
func (ks *Keyspace) SetCompaction(p CompactionPolicy) {
	c := &ks.compaction
	c.sharedMu.Lock()
	defer c.sharedMu.Unlock()
	c.policy = p
}

func (c *compaction) currentPolicy() CompactionPolicy {
	c.sharedMu.Lock()
	defer c.sharedMu.Unlock()
	return c.policy
}

// loss is the share of the memory in use that may be lost.
func (p CompactionPolicy) loss() float64 {
	return float64(p.LostPercent) / float64(100+p.LostPercent)
}

// Compact moves blocks out of extents that are used little, and looks at about
// budget records for that. It reports whether a compaction is under way. now is
// the time in Unix milliseconds. The executor must not be in a unit. The other
// upkeep that walks over all records is done here as well, before that: raising the
// epochs of records that no snapshot has visited for long. Where the executor gives
// up it says that nothing is under way; the next call goes on.
func (e *Executor) Compact(now int64, budget int) (running bool) {
	if e.age(now, budget) {
		return true
	}
	c := &e.ks.compaction
	if !c.mu.TryLock() {
		return false // another executor does it
	}
	defer c.mu.Unlock()
	policy := c.currentPolicy()
	if !c.running && !e.beginCompaction(c, policy, now) {
		return false
	}
	for budget > 0 && c.slot < slots.Count && !policy.Off {
		e.one[0] = slots.Slot(c.slot)
		tx := e.Begin(now, e.one[:])
		if tx == nil {
			c.endSlice(now)
			return false
		}
		budget -= tx.compactSlot(c, budget) + 1
		e.End()
	}
	if c.slot == slots.Count || policy.Off {
		e.ks.space.EndCompaction()
		c.running = false
	}
	c.endSlice(now)
	return c.running
}

// beginCompaction begins one if it is time to look and enough memory is lost.
func (e *Executor) beginCompaction(c *compaction, p CompactionPolicy, now int64) bool {
	if now < c.nextAt || p.Off {
		return false
	}
	c.nextAt = now + compactRestMs
	marked := e.ks.space.ChooseSparse(p.loss(), int(p.IgnoreBytes))
	if marked.Blocks() == 0 {
		return false
	}
	c.running, c.beganAt = true, now
	c.tablesOnly = marked.Others == 0
	c.slot, c.db, c.segment, c.cell, c.keyHit = 0, 0, 0, 0, false
	return true
}

// endSlice adds up what a slice has done.
func (c *compaction) endSlice(now int64) {
	c.sharedMu.Lock()
	defer c.sharedMu.Unlock()
	n, s := &c.counts, &c.slice
	n.Hits, n.Misses = n.Hits+s.Hits, n.Misses+s.Misses
	n.KeyHits, n.KeyMisses = n.KeyHits+s.KeyHits, n.KeyMisses+s.KeyMisses
	*s = Compaction{}
	n.Running, n.CurrentMs = c.running, max(now-c.beganAt, 0)
	if !c.running {
		n.TotalMs, n.CurrentMs = n.TotalMs+n.CurrentMs, 0
	}
}

// Compaction returns the counts.
func (ks *Keyspace) Compaction() Compaction {
	c := &ks.compaction
	c.sharedMu.Lock()
	defer c.sharedMu.Unlock()
	counts := c.counts
	counts.TotalMs += counts.CurrentMs
	return counts
}

// resetCompaction is CONFIG RESETSTAT.
func (ks *Keyspace) resetCompaction() {
	c := &ks.compaction
	c.sharedMu.Lock()
	defer c.sharedMu.Unlock()
	c.counts = Compaction{Running: c.counts.Running, CurrentMs: c.counts.CurrentMs}
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
			if c.cell == 0 {
				sparse := tx.ks.space.Sparse(g.at)
				if sparse {
					g.move(tx.e)
				}
				c.block(sparse)
				c.keyHit = false // it was the table's
			}
			for ; c.cell < int(g.size) && !c.tablesOnly; c.cell++ {
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
				c.key()
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
	sparse := tx.ks.space.Sparse(ref) && !tx.ks.leased(r)
	if c.block(sparse); sparse {
		old := tx.ks.space.Bytes(ref)
		next := tx.e.alloc(slab.Records, len(old))
		copy(tx.ks.space.Bytes(next), old)
		g.setRef(c.cell, next)
		tx.e.heap.Free(ref)
		r = tx.ks.at(next)
	}
	if !r.outside() {
		return true
	}
	t := tx.e.scratchTree()
	defer tx.e.closeAll()
	t.Tree.Open(tx.env(), r.typ().tree(), r.tree())
	more := t.Move(moveLeaves)
	moves := t.Moves()
	c.slice.Hits += int64(moves.Moved)
	c.slice.Misses += int64(moves.Stayed)
	c.keyHit = c.keyHit || moves.Moved > 0
	if t.Changed() {
		// The value of a large collection keeps its length, and so does a small
		// one whose references change.
		copy(r.tree(), t.Value())
	}
	return !more
}

// block counts a block of the key or table at hand.
func (c *compaction) block(moved bool) {
	if moved {
		c.slice.Hits++
		c.keyHit = true
	} else {
		c.slice.Misses++
	}
}

// key counts the key at hand, which has been looked at as a whole.
func (c *compaction) key() {
	if c.keyHit {
		c.slice.KeyHits++
	} else {
		c.slice.KeyMisses++
	}
	c.keyHit = false
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
