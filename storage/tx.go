package storage

import (
	"fmt"
	"slices"
	"unsafe"

	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage/slab"
)

// unitKind says how a unit runs.
type unitKind uint8

const (
	unitOrdinary unitKind = 0
	unitWorld    unitKind = 1 << iota // holds the world lock
	unitApply                         // applies effects of somebody else
	unitLoose                         // its effects need no MULTI: they stand for themselves
)

// Tx is one execution unit, between Begin and End of its executor. It belongs
// to the executor's goroutine.
type Tx struct {
	ks   *Keyspace
	e    *Executor
	kind unitKind
	now  int64
	db   int // selected database
	phys int // its physical number

	held    []slots.Slot // locked, ascending
	only    *byte        // see Only
	onlyLen int
	written []slots.Slot // changed by the unit, in order of the change; may repeat
	applied replication.Offset

	// The command in progress.
	raw        []byte
	dirty      int
	inCommand  bool // between Command and CommandEnd
	commandOwn bool // Effect or NoEffect decided what is propagated
	forced     bool
	untouched  bool // reading is no access: CLIENT NO-TOUCH
	mute       bool // see Mute
	abandoned  bool // see Abandon

	unit    []byte // MULTI, then the effects so far
	effects int
	firstDB int
	lastDB  int

	picked    []slab.Ref // records that a walk found expired
	pickedDue []slab.Ref // hashes that it found to have expired fields
	expiring  []byte     // the key of the record that is being deleted

	// The outcome, see tell.
	happened  bool     // there is something to tell
	events    []Event  // see Note
	stale     []Stale  // see markStale
	allStale  bool     // see untrackAll
	names     []byte   // the keys of events and stale
	readers   []uint64 // those of stale
	by        any      // who makes the changes
	replacing bool     // see Replace

	ready   []readyKey         // see Serve
	flushed replication.Offset // end of what Break has appended

	hits, misses, dirtyTotal int64
}

func (tx *Tx) begin(now int64, kind unitKind) {
	tx.kind, tx.now = kind, now
	tx.only, tx.onlyLen = nil, -1
	tx.Select(0)
	if kind&unitWorld != 0 {
		tx.held = tx.held[:0]
	}
}

// finish publishes the unit's counters and clears what the next unit must not
// see.
func (tx *Tx) finish() {
	tx.dirtyTotal += int64(tx.dirty) // of changes outside of commands
	if tx.hits|tx.misses|tx.dirtyTotal != 0 {
		tx.e.stats.add(tx)
	}
	tx.written = tx.written[:0]
	tx.applied = 0
	tx.dirty, tx.commandOwn, tx.forced, tx.raw = 0, false, false, nil
	tx.untouched, tx.mute, tx.abandoned = false, false, false
	tx.e.closeAll()
	tx.flushed, tx.ready = 0, tx.ready[:0]
	tx.by, tx.replacing = nil, false
	if tx.happened {
		tx.tell()
	}
}

// NoTouch says whether keys that are looked up keep their access bits from now
// on, until the unit ends.
func (tx *Tx) NoTouch(on bool) { tx.untouched = on }

// Now is the unit's time in Unix milliseconds.
func (tx *Tx) Now() int64 { return tx.now }

// DB is the selected database.
func (tx *Tx) DB() int { return tx.db }

// Select selects a database; db must be one of the Databases there are.
func (tx *Tx) Select(db int) {
	tx.db = db
	tx.phys = int(tx.ks.order[db].Load())
}

// Applying reports whether the unit applies the effects of somebody else.
func (tx *Tx) Applying() bool { return tx.kind&unitApply != 0 }

// Void says that an applying unit executes nothing after all, so that nothing
// is stamped with its offset.
func (tx *Tx) Void() { tx.applied = 0 }

// Loose says that the effects of the unit stand for themselves and need no MULTI
// around them: it is one command, which deletes expired keys it comes across.
func (tx *Tx) Loose() { tx.kind |= unitLoose }

// World reports whether the unit holds the world lock.
func (tx *Tx) World() bool { return tx.kind&unitWorld != 0 }

// Holds reports whether the unit holds a slot.
func (tx *Tx) Holds(n slots.Slot) bool {
	if tx.kind&unitWorld != 0 {
		return true
	}
	_, held := slices.BinarySearch(tx.held, n)
	return held
}

// Role is the role in which the unit runs.
func (tx *Tx) Role() Role { return tx.ks.role }

// SetRole changes the keyspace's role from the next unit on. The unit must
// hold the world lock, and must have changed nothing.
func (tx *Tx) SetRole(r Role) {
	tx.needWorld("SetRole")
	tx.ks.role = r
}

// PauseExpiry makes ordinary units hide expired keys instead of deleting them,
// as on a replica, or ends that. A pause of writes does it, so that the stream
// stands still. The unit must hold the world lock.
func (tx *Tx) PauseExpiry(on bool) {
	tx.needWorld("PauseExpiry")
	tx.ks.expiryPaused = on
}

// ExpiryPaused reports whether a pause stops expiry, and with it everything else
// that the node would add to the stream by itself.
func (tx *Tx) ExpiryPaused() bool { return tx.ks.expiryPaused }

// Rebase forgets the offsets of all earlier writes and makes every later gate
// at least end: after a full resync the stream goes on in a history whose
// offsets may be lower than those before. The unit must hold the world lock.
func (tx *Tx) Rebase(end replication.Offset) {
	tx.needWorld("Rebase")
	for s := range tx.ks.slots {
		tx.ks.slots[s].lastWrite = 0
	}
	tx.ks.worldWrite = end
}

// recording reports whether changes of the unit go to the stream.
func (tx *Tx) recording() bool { return tx.kind&unitApply == 0 && tx.ks.role == RolePrimary }

func (tx *Tx) needWorld(method string) {
	if tx.kind&unitWorld == 0 {
		panic(fmt.Sprintf("storage: Tx.%s without the world lock", method))
	}
}

// Only says that the unit began with the slot of key, and no other, so that looking
// it up needs no CRC. It is known by its address: its bytes must stay as they are
// until the unit ends.
func (tx *Tx) Only(key []byte) {
	if !checked {
		tx.only, tx.onlyLen = unsafe.SliceData(key), len(key)
	}
}

// slotOf returns the slot of key, which the unit holds.
func (tx *Tx) slotOf(key []byte) slots.Slot {
	if unsafe.SliceData(key) == tx.only && len(key) == tx.onlyLen && len(tx.held) == 1 {
		return tx.held[0]
	}
	n := slots.Of(key)
	tx.checkHeld(n, key)
	return n
}

// checkHeld panics if the unit does not hold the slot of key: its caller named
// the wrong slots to Begin, because a row does not declare all keys that its
// handler uses. Going on would be a data race, and the key in a slot in which
// nobody finds it.
func (tx *Tx) checkHeld(n slots.Slot, key []byte) {
	if tx.Holds(n) {
		return
	}
	panic(fmt.Sprintf("storage: key %q of slot %d is touched, but the unit holds %v", key, n, tx.held))
}

// changed is the one place that every change of a key comes by, after it.
func (tx *Tx) changed(n slots.Slot, key []byte) {
	tx.touched(n)
	if r := tx.ks.slots[n].rare.Load(); r != nil {
		if r.watched != nil {
			tx.touchWatched(n, key)
		}
		if r.waiting != nil {
			tx.signal(n, key)
		}
		if r.tracked != nil {
			tx.untrack(n, key)
		}
	}
	if tx.ks.broadcasts.Load() {
		tx.broadcast(key)
	}
}

// touched notes a slot that the unit has written to.
func (tx *Tx) touched(n slots.Slot) {
	if k := len(tx.written); k == 0 || tx.written[k-1] != n {
		tx.written = append(tx.written, n)
	}
}
