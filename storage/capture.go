package storage

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"redoubt/slots"
	"redoubt/storage/slab"
)

// ErrTooManyCaptures is returned when a snapshot is begun while one is open that
// began so many snapshots ago that a record could not tell the two apart.
var ErrTooManyCaptures = errors.New("storage: a snapshot that began 254 snapshots ago is still open")

// Capture is an open snapshot: all records as they were when it began, or those
// of a set of slots. Each of them reaches the Capture's owner exactly once:
// because Walk came by, or because somebody else came by first (a writer that is
// about to change or delete it, or the walk of a later snapshot), or because it
// was in a table that a flush let go. Records that came later do not.
// Databases are named as they were numbered when the snapshot began, whatever
// SWAPDB did.
//
// Several may be open. They are numbered in the order in which they began, and a
// record carries one number, its epoch. What holds, under the lock of its slot, is
//
//	an open capture that covers the slot lacks the record if and only if
//	the capture's number is above the record's epoch
//
// so that nothing is compared but two numbers, and each walk may go in an order
// of its own. It holds because
//
//   - a new record gets the number of the newest capture, and no open one is to
//     have it;
//   - a capture that begins has a number above all epochs, and has no record;
//   - a writer hands a record that it is about to change to every open capture
//     above the record's epoch, and then makes the newest number the epoch
//     (Tx.handOver);
//   - the walk of capture c hands a record below c to every open capture above
//     the epoch up to c, and then makes c's number the epoch (Capture.walk). The
//     record has not changed since the oldest of those began, or a writer would
//     have raised the epoch above them: so it is in the state that each of them
//     wants. Later captures still lack it, and c's walk hides it from none of them;
//   - a capture that ends only makes the statement be about fewer.
//
// If c did not hand the record to the older ones, one number would not do: a later
// one had it and an earlier one did not.
type Capture struct {
	ks      *Keyspace
	number  uint32
	set     *slots.Set // covered; nil: all slots
	order   []int      // physical database of each logical one, at the beginning
	logical []int      // and back
	changed func(db int, e Entry)
	ended   bool // guarded by being in a unit

	// detached are the tables that flushes let go, guarded by being in a unit
	// and taken by the one that walks.
	detached []*detachedTable
	cursor   uint64 // in the last of them

	// readFrom is a moment: nothing that was handed over before it is read any more.
	readFrom atomic.Uint64
	released bool
}

// BeginCapture begins a snapshot of this moment, of the slots of set, or of all if
// that is nil. changed is called with every record of these that a writer is about
// to change, or that the walk of a later snapshot comes by, and that was not handed
// over before. That is under the lock of its slot, and by any executor: it must copy
// what it wants (or Share the entry) and must not wait. The unit must hold the world
// lock and must have changed nothing. The error is ErrTooManyCaptures.
func (tx *Tx) BeginCapture(set *slots.Set, changed func(db int, e Entry)) (*Capture, error) {
	tx.needWorld("BeginCapture")
	ks := tx.ks
	if ks.captures-ks.known >= epochs-1 {
		if ks.captures-ks.oldest() >= epochs-1 {
			return nil, ErrTooManyCaptures
		}
		ks.forgetEpochs()
	}
	c := &Capture{ks: ks, changed: changed, logical: make([]int, len(ks.order))}
	if set != nil {
		covered := *set
		c.set = &covered
	}
	for db := range ks.order {
		phys := int(ks.order[db].Load())
		c.order = append(c.order, phys)
		c.logical[phys] = db
	}
	ks.captures++
	ks.epoch = byte(ks.captures)
	c.number = ks.captures
	ks.open = append(ks.open, c)
	ks.addReader(c)
	return c, nil
}

// epochs is how many different epochs a record can have: it has the last byte of
// a number. Which one is meant is known because the epochs of all records that
// matter are from ks.known on, and the newest is less than epochs after that.
const epochs = 1 << 8

// oldest is the highest number that no open capture is at or below.
func (ks *Keyspace) oldest() uint32 {
	if len(ks.open) == 0 {
		return ks.captures
	}
	return ks.open[0].number - 1
}

// forgetEpochs raises all epochs that no open capture has a use for, so that they
// are not taken for others when numbers go round. A capture of all slots that is
// walked to its end raises them, and Executor.Compact does it bit by bit when that
// does not happen: this is for when neither was quick enough.
func (ks *Keyspace) forgetEpochs() {
	least := ks.oldest()
	raise := func(ref slab.Ref) { ks.raise(ref, least) }
	for n := range ks.slots {
		for phys := range ks.order {
			if t := ks.slots[n].table(phys); t != nil {
				t.each(raise)
			}
		}
	}
	for _, c := range ks.open {
		for _, d := range c.detached {
			d.each(raise)
		}
	}
	ks.known = least
}

// epochOf is the number of which a record has the last byte.
func (ks *Keyspace) epochOf(r record) uint32 {
	return ks.captures - uint32(byte(ks.captures)-r.epoch())
}

// covers reports whether the snapshot is of slot n.
func (c *Capture) covers(n slots.Slot) bool { return c.set == nil || c.set.Has(n) }

// wants reports whether the snapshot is to have a record of slot n, and lacks it.
func (c *Capture) wants(n slots.Slot, r record) bool {
	return c.number > c.ks.epochOf(r) && c.covers(n)
}

// preimage hands a record of slot n in the selected database over to the open
// snapshots that lack it. It precedes every change of a record.
func (tx *Tx) preimage(n slots.Slot, r record) {
	if len(tx.ks.open) > 0 && r.epoch() != tx.ks.epoch {
		tx.handOver(n, r)
	}
}

func (tx *Tx) handOver(n slots.Slot, r record) {
	for _, c := range tx.ks.open {
		if c.wants(n, r) {
			c.changed(c.logical[tx.phys], Entry{r, tx})
		}
	}
	r.setEpoch(tx.ks.epoch)
}

// NextSlot returns the first slot at or after from that may have records for
// the snapshot in db. It must be called within a unit.
func (c *Capture) NextSlot(db int, from slots.Slot) (slots.Slot, bool) {
	n, ok := c.ks.nextOccupied(c.order[db], from)
	for ok && !c.covers(n) {
		n, ok = c.ks.nextOccupied(c.order[db], n+1)
	}
	return n, ok
}

// Walk calls f for records of slot n in db from cursor on that were not handed
// over before, until about count were looked at or f has enough (it returns
// false, and still gets a few), and returns the next cursor, 0 at the end, and how
// many were looked at. The unit holds the slot. f sees the entry during the call
// only, and has it then: it does not come again.
func (c *Capture) Walk(tx *Tx, db int, n slots.Slot, cursor uint64, count int, f func(db int, e Entry) bool) (next uint64, looked int) {
	if checked {
		tx.checkHeld(n, nil)
	}
	t := c.ks.slots[n].table(c.order[db])
	if c.ended || t == nil || !c.covers(n) {
		return 0, 0
	}
	return c.walk(tx, t, n, c.order[db], cursor, count, f)
}

// WalkDetached is Walk over the tables that flushes let go, with its own
// cursor; any unit will do, but only one at a time. It reports whether some are
// left.
func (c *Capture) WalkDetached(tx *Tx, count int, f func(db int, e Entry) bool) (more bool, looked int) {
	if n := len(c.detached); n > 0 && !c.ended {
		d := c.detached[n-1]
		d.walks.Lock()
		c.cursor, looked = c.walk(tx, &d.table, d.slot, d.phys, c.cursor, count, f)
		d.walks.Unlock()
		if c.cursor == 0 {
			c.detached = slices.Delete(c.detached, n-1, n)
			d.let(c.ks)
		}
	}
	return len(c.detached) > 0, looked
}

// Detached reports whether tables that flushes let go have not been walked. It
// must be called within a unit.
func (c *Capture) Detached() bool { return len(c.detached) > 0 }

func (c *Capture) walk(tx *Tx, t *table, n slots.Slot, phys int, cursor uint64, count int, f func(db int, e Entry) bool) (next uint64, looked int) {
	next = t.walk(c.ks.space, cursor, count, func(ref slab.Ref) bool {
		looked++
		r := c.ks.at(ref)
		if c.ks.epochOf(r) >= c.number {
			return true
		}
		for _, older := range c.ks.open {
			if older == c {
				break
			}
			if older.wants(n, r) {
				older.changed(older.logical[phys], Entry{r, tx})
			}
		}
		r.setEpoch(byte(c.number))
		return f(c.logical[phys], Entry{r, tx})
	})
	return next, looked
}

// Complete ends a snapshot of which all was walked. The unit must hold the world
// lock.
func (tx *Tx) Complete(c *Capture) {
	// What an older one has not walked may be in tables that this one never had.
	if ks := tx.ks; !c.ended && c.set == nil && ks.open[0] == c {
		ks.known = c.number
	}
	tx.EndCapture(c)
}

// EndCapture ends a snapshot, whether all of it was walked or not; an ended one
// stays as it is. The unit must hold the world lock.
func (tx *Tx) EndCapture(c *Capture) {
	tx.needWorld("EndCapture")
	if c.ended {
		return
	}
	c.ended = true
	ks := tx.ks
	ks.open = slices.DeleteFunc(ks.open, func(o *Capture) bool { return o == c })
	for _, d := range c.detached {
		d.let(ks)
	}
	c.detached = nil
}

// Release says that nothing that was handed over is read any more: it ends the
// snapshot if need be, and what was kept for it is freed. The unit must hold the
// world lock.
func (tx *Tx) Release(c *Capture) {
	tx.EndCapture(c)
	tx.ks.removeReader(c)
}

// detachedTable is a table that a flush took out of its slot, with all its
// records.
type detachedTable struct {
	slot slots.Slot
	phys int
	// walks is held by a walk: no slot's lock guards the table any more.
	walks sync.Mutex
	// holders is how many snapshots have not walked it yet.
	holders atomic.Int32
	table
}

// adopt gives tables that a flush lets go, in the order of their slots and with so
// many keys, to the open snapshots that cover these, and the others to Reclaim.
func (ks *Keyspace) adopt(all []detachedTable, keys int) {
	if len(ks.open) == 0 {
		ks.discardTables(all, keys)
		return
	}
	for _, c := range ks.open {
		var held []*detachedTable
		for i := range all {
			if d := &all[len(all)-1-i]; c.covers(d.slot) {
				d.holders.Add(1)
				held = append(held, d)
			}
		}
		// The table at the end is the one whose walk the cursor belongs to.
		c.detached = slices.Insert(c.detached, 0, held...)
	}
	for i := range all {
		if all[i].holders.Load() == 0 {
			ks.discard(garbage{table: &all[i]})
		}
	}
}

// let says that one of the snapshots that hold the table has no use for it any
// more.
func (d *detachedTable) let(ks *Keyspace) {
	if d.holders.Add(-1) == 0 {
		ks.discard(garbage{table: d})
	}
}
