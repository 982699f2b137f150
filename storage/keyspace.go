package storage

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"

	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage/slab"
)

// Config is what a Keyspace needs to know.
type Config struct {
	// Databases is the number of logical databases: 1 in cluster mode. Zero
	// means 1.
	Databases int
	// Stream takes the effects of units. Nil means that they are dropped and
	// only their length is counted, as tests want it.
	Stream Stream
	// Reserve is how many bytes of address space to reserve for keys and values;
	// 0 takes it from the memory of the machine.
	Reserve int64
	// Seed starts the generators that sample: RandomKey and the LFU counter.
	Seed uint64
}

// Stream is where the effects of units go; storage/journal has the real one.
// Append adds one unit, whose first effect belongs to database firstDB and
// whose last one leaves lastDB selected, and returns the offset of its last
// byte. It is called under slot locks, by several executors at once, and must
// not wait. The unit's bytes belong to the caller again when it returns. Announce
// wakes those who wait for what was appended; it is called without locks.
type Stream interface {
	Append(firstDB, lastDB int, unit []byte) replication.Offset
	Announce()
	End() replication.Offset
}

// Role says who decides about the keyspace.
type Role uint8

const (
	// RolePrimary decides by itself: expired keys are deleted, effects are
	// recorded.
	RolePrimary Role = iota
	// RoleReplica follows: expired keys are hidden, not deleted, and nothing
	// is recorded.
	RoleReplica
)

// Keyspace holds all keys of a node. Its data are reached through executors
// and World only; the counters (Len, SlotLen, NextSlot, Stats …) can be read by
// anybody at any time.
type Keyspace struct {
	stream   Stream
	space    *slab.Space
	hashSeed maphash.Seed
	seed     uint64

	world  world
	berths berthsOfAll
	long   atomic.Int32 // units that take long

	// Guarded by being in a unit: changed under the world lock only.
	role         Role
	expiryPaused bool
	worldWrite   replication.Offset // end of the last writing world unit
	open         []*Capture         // the open snapshots, the oldest first
	captures     uint32             // how many were begun: the number of the newest
	known        uint32             // no record has an epoch below this number
	epoch        byte               // of the newest one, captures without the high bits
	access       accessPolicy
	limits       Limits
	listened     Class    // see Tx.Listen
	audience     Audience // nil: nobody hears of outcomes

	// order maps a logical database to its physical one: SWAPDB swaps two
	// entries and moves no table.
	order []atomic.Int32

	executorsMu sync.Mutex
	executors   []*Executor // [0] is the one of World, guarded by the world lock

	// occupied has a bit a slot for each physical database: whether there is
	// a table.
	occupied [][slots.Count / 64]atomic.Uint64
	// earliest has, for each slot, a lower bound of the times at which its
	// keys expire (neverExpires if none does), so that active expiry looks at
	// one dense array instead of at the slots.
	earliest [slots.Count]atomic.Int64
	// expireFrom is the slot at which the next ExpireCycle goes on.
	expireFrom atomic.Uint32
	local      localExpiries
	// watchers counts the watched keys of all slots, so that a flush knows
	// whether to look for them.
	watchers    atomic.Int64
	watchedKeys atomic.Int64 // those watches are of so many keys
	awaited     atomic.Int64 // keys with waiters
	awaitedGone atomic.Int64 // … of them by somebody who is served when the key is gone

	// See SetTracks and Tracked. trackedSlots has a bit for each slot with marks.
	tracks, broadcasts        atomic.Bool
	trackedKeys, trackedItems atomic.Int64
	trackedSlots              [slots.Count / 64]atomic.Uint64

	compaction compaction
	aging      aging

	refuseMu sync.Mutex
	refuse   []garbage    // guarded by refuseMu; what Reclaim frees
	unfreed  atomic.Int64 // objects in refuse
	deleted  atomic.Int64 // of them, what clients have deleted
	freed    atomic.Int64 // of these, what was freed

	// See kept.go.
	readingMu sync.Mutex
	reading   []*Capture // not released, the oldest first; changed under the world lock and readingMu
	moment    atomic.Uint64
	keptBytes atomic.Int64
	held      holding

	// slots are in an allocation of their own, which begins at a page, so that
	// each lies in one line of cache.
	slots *[slots.Count]slot
}

// New returns an empty keyspace in RolePrimary.
func New(c Config) *Keyspace {
	if c.Databases == 0 {
		c.Databases = 1
	}
	if c.Stream == nil {
		c.Stream = new(discard)
	}
	space, err := slab.New(slab.Config{Reserve: c.Reserve})
	if err != nil {
		panic("storage: " + err.Error())
	}
	ks := &Keyspace{
		space:    space,
		stream:   c.Stream,
		hashSeed: maphash.MakeSeed(),
		limits:   DefaultLimits,
		seed:     c.Seed,
		order:    make([]atomic.Int32, c.Databases),
		occupied: make([][slots.Count / 64]atomic.Uint64, c.Databases),
		slots:    new([slots.Count]slot),
	}
	for db := range ks.order {
		ks.order[db].Store(int32(db))
	}
	for s := range ks.earliest {
		ks.earliest[s].Store(neverExpires)
	}
	ks.local.next.Store(neverExpires)
	ks.compaction.policy = DefaultCompaction
	ks.world.left = make(chan struct{}, 1)
	ks.berths.init()
	ks.NewExecutor() // executors[0], of World
	return ks
}

// Close gives the memory of the keyspace back. Nothing of it may be used afterwards. A
// keyspace that is not closed goes when nobody refers to it any more.
func (ks *Keyspace) Close() { ks.space.Close() }

// Databases is the number of logical databases.
func (ks *Keyspace) Databases() int { return len(ks.order) }

// World runs f as a unit that holds the world lock, for goroutines that are no
// executors (role change, cluster driver). now is the time in Unix
// milliseconds. It returns the gate of the unit, as Executor.End does.
func (ks *Keyspace) World(now int64, f func(tx *Tx)) replication.Offset {
	ks.world.lock(ks, false)
	e := ks.outsider()
	e.tx.begin(now, unitWorld)
	f(&e.tx)
	return e.End()
}

// outsider is the executor of World; the caller holds the world lock.
func (ks *Keyspace) outsider() *Executor { return ks.world.running[0] }

// End is the offset of the last byte of the stream: what whoever looks at the keyspace
// without locks has seen, but for units that are under way.
func (ks *Keyspace) End() replication.Offset { return ks.stream.End() }

// SetRole changes the role under the world lock, which it takes itself.
func (ks *Keyspace) SetRole(r Role) { ks.World(0, func(tx *Tx) { tx.SetRole(r) }) }

// hash places a key in the tables.
func (ks *Keyspace) hash(key []byte) uint64 { return maphash.Bytes(ks.hashSeed, key) }

// NextSlot returns the first slot at or after from that has keys in db, so
// that SCAN and KEYS pass over empty ones. Without a lock it is a snapshot of
// a moving thing: it may miss a slot that gets its first key meanwhile.
func (ks *Keyspace) NextSlot(db int, from slots.Slot) (slots.Slot, bool) {
	return ks.nextOccupied(int(ks.order[db].Load()), from)
}

func (ks *Keyspace) nextOccupied(phys int, from slots.Slot) (slots.Slot, bool) {
	words := &ks.occupied[phys]
	i := int(from >> 6)
	if i >= len(words) {
		return 0, false
	}
	w := words[i].Load() &^ (1<<(from&63) - 1)
	for w == 0 {
		if i++; i == len(words) {
			return 0, false
		}
		w = words[i].Load()
	}
	return slots.Slot(i<<6 + bits.TrailingZeros64(w)), true
}

// discard is the Stream of a keyspace without one.
type discard struct{ end atomic.Int64 }

func (d *discard) Announce() {}

func (d *discard) Append(_, _ int, unit []byte) replication.Offset {
	return replication.Offset(d.end.Add(int64(len(unit))))
}

func (d *discard) End() replication.Offset { return replication.Offset(d.end.Load()) }
