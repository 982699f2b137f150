package storage

import (
	"errors"
	"slices"

	"redoubt/slots"
	"redoubt/storage/slab"
)

// ErrCaptureOpen is returned when a snapshot is begun while another is open.
var ErrCaptureOpen = errors.New("storage: a snapshot is in progress")

// Capture is an open snapshot: all records as they were when it began. Each of
// them reaches the Capture's owner exactly once, either because Walk came by,
// or because a writer was about to change it (or to delete it), or because it
// was in a table that a flush let go. Records that came later do not.
//
// A record carries the epoch of the newest snapshot that has it, so nothing is
// compared but two numbers, and the order of the walk is free. Databases are
// named as they were numbered when the snapshot began, whatever SWAPDB did.
type Capture struct {
	ks      *Keyspace
	epoch   byte
	order   []int // physical database of each logical one, at the beginning
	logical []int // and back
	changed func(db int, e Entry)

	// detached are the tables that flushes let go, guarded by being in a unit
	// and taken by the one that walks.
	detached []*detachedTable
	cursor   uint64 // in the last of them
	released bool
}

// BeginCapture begins a snapshot of this moment. changed is called with every
// record that a writer is about to change and that was not handed over before,
// under the lock of its slot; it must copy what it wants (or Freeze the entry)
// and must not wait. The unit must hold the world lock and must have changed
// nothing. The error is ErrCaptureOpen.
func (tx *Tx) BeginCapture(changed func(db int, e Entry)) (*Capture, error) {
	tx.needWorld("BeginCapture")
	ks := tx.ks
	if ks.capture != nil {
		return nil, ErrCaptureOpen
	}
	c := &Capture{ks: ks, changed: changed, logical: make([]int, len(ks.order))}
	for db := range ks.order {
		phys := int(ks.order[db].Load())
		c.order = append(c.order, phys)
		c.logical[phys] = db
	}
	if ks.captures-ks.walked >= epochs-1 {
		ks.forgetEpochs()
	}
	ks.captures++
	ks.epoch = byte(ks.captures)
	ks.readers++
	c.epoch = ks.epoch
	ks.capture = c
	return c, nil
}

// epochs is how many different epochs a record can have.
const epochs = 1 << 8

// forgetEpochs gives all records the epoch of the newest snapshot. Epochs go
// round: after as many snapshots as there are, of which none was walked to its
// end, the next one would take records that none of them has reached for its own.
// A disk that stays full brings that about, slowly.
func (ks *Keyspace) forgetEpochs() {
	for n := range ks.slots {
		for phys := range ks.order {
			if t := ks.slots[n].table(phys); t != nil {
				t.each(func(ref slab.Ref) { ks.at(ref).setEpoch(ks.epoch) })
			}
		}
	}
	ks.walked = ks.captures
}

// Complete ends a snapshot of which all was walked. The unit must hold the world
// lock.
func (tx *Tx) Complete(c *Capture) {
	if tx.ks.capture == c {
		tx.ks.walked = tx.ks.captures
	}
	tx.EndCapture(c)
}

// EndCapture ends a snapshot, whether all of it was walked or not; an ended one
// stays as it is. The unit must hold the world lock.
func (tx *Tx) EndCapture(c *Capture) {
	tx.needWorld("EndCapture")
	if tx.ks.capture == c {
		tx.ks.capture = nil
	}
	for _, d := range c.detached {
		tx.ks.discard(garbage{table: d})
	}
	c.detached = nil
}

// Release says that nothing that was handed over is read any more: it ends the
// snapshot if need be, and what was kept for it is freed. The unit must hold the
// world lock.
func (tx *Tx) Release(c *Capture) {
	tx.EndCapture(c)
	if c.released {
		return
	}
	c.released = true
	ks := tx.ks
	if ks.readers--; ks.readers > 0 {
		return
	}
	for _, e := range ks.world.running {
		if len(e.kept) > 0 {
			ks.discard(garbage{refs: e.kept})
			e.kept = nil
		}
	}
	ks.keptBytes.Store(0)
}

// Kept is about how many bytes of memory are kept for snapshots: what has been
// replaced since they began.
func (ks *Keyspace) Kept() int64 { return ks.keptBytes.Load() }

// NextSlot returns the first slot at or after from that may have records for
// the snapshot in db. It must be called within a unit.
func (c *Capture) NextSlot(db int, from slots.Slot) (slots.Slot, bool) {
	return c.ks.nextOccupied(c.order[db], from)
}

// Walk calls f for records of slot n in db from cursor on that were not handed
// over before, until about count were looked at or f has enough (it returns
// false, and still gets a few), and returns the next cursor, 0 at the end. The unit holds the slot. f
// sees the entry during the call only, and has it then: it does not come again.
func (c *Capture) Walk(tx *Tx, db int, n slots.Slot, cursor uint64, count int, f func(db int, e Entry) bool) (next uint64) {
	if checked {
		tx.checkHeld(n, nil)
	}
	if c.ks.capture != c {
		return 0 // ended: marks of this epoch would confuse the next snapshot
	}
	t := c.ks.slots[n].table(c.order[db])
	if t == nil {
		return 0
	}
	return c.walk(tx, t, db, cursor, count, f)
}

// WalkDetached is Walk over the tables that flushes let go, with its own
// cursor; any unit will do, but only one at a time. It reports whether some are
// left.
func (c *Capture) WalkDetached(tx *Tx, count int, f func(db int, e Entry) bool) (more bool) {
	if n := len(c.detached); n > 0 {
		d := c.detached[n-1]
		if c.cursor = c.walk(tx, &d.table, c.logical[d.phys], c.cursor, count, f); c.cursor == 0 {
			c.detached = slices.Delete(c.detached, n-1, n)
			tx.ks.discard(garbage{table: d})
		}
	}
	return len(c.detached) > 0
}

// Detached reports whether tables that flushes let go have not been walked. It
// must be called within a unit.
func (c *Capture) Detached() bool { return len(c.detached) > 0 }

func (c *Capture) walk(tx *Tx, t *table, db int, cursor uint64, count int, f func(db int, e Entry) bool) uint64 {
	return t.walk(cursor, count, func(ref slab.Ref) bool {
		r := c.ks.at(ref)
		if r.epoch() == c.epoch {
			return true
		}
		r.setEpoch(c.epoch)
		return f(db, Entry{r, tx})
	})
}

// preimage hands a record of the selected database over to the open snapshot,
// if there is one that lacks it. It precedes every change of a record.
func (tx *Tx) preimage(r record) {
	if c := tx.ks.capture; c != nil && r.epoch() != c.epoch {
		r.setEpoch(c.epoch)
		c.changed(c.logical[tx.phys], Entry{r, tx})
	}
}

// adopt takes over a table that a flush lets go.
func (c *Capture) adopt(d *detachedTable) {
	// The table at the end is the one whose walk the cursor belongs to.
	c.detached = slices.Insert(c.detached, 0, d)
}

// Frozen is a key as it was at one moment, for any goroutine to read until the
// snapshot for which it was frozen is released.
type Frozen struct {
	Type     Type
	Key      []byte
	ExpireAt int64 // Unix milliseconds; 0 is never

	space  *slab.Space
	coding byte
	value  []byte // as the record had it
}

// Freeze returns the entry as it is now. Its key and value are appended to arena,
// which is returned too; the nodes of a large collection are not copied, for
// while a snapshot is open they are replaced instead of changed.
func (e Entry) Freeze(arena []byte) (Frozen, []byte) {
	l := e.rec.layout()
	start, n := len(arena), l.value-l.key
	arena = append(arena, e.rec.view(l.key, l.end)...)
	all := arena[start:len(arena):len(arena)]
	return Frozen{
		Type: e.Type(), Key: all[:n:n], ExpireAt: e.ExpireAt(),
		space: e.tx.ks.space, coding: e.rec.coding(), value: all[n:],
	}, arena
}

// FrozenBytes is how many bytes Freeze appends.
func (e Entry) FrozenBytes() int {
	key, value := e.rec.lengths()
	return key + value
}

// Bytes is the string, nil for another type.
func (f *Frozen) Bytes() []byte {
	if f.Type != TypeString {
		return nil
	}
	return f.value
}
