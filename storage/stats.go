package storage

import (
	"sync/atomic"

	"redoubt/slots"
)

// Stats are counts since the keyspace was made.
type Stats struct {
	Hits    int64 // INFO's keyspace_hits
	Misses  int64 // keyspace_misses
	Expired int64 // expired_keys, lazily or actively
	Fields  int64 // expired_fields, likewise
	Evicted int64 // evicted_keys
	Dirty   int64 // changes, for rdb_changes_since_last_save
}

// counters are those of one executor. Only its goroutine adds; anybody sums
// over the executors, so that no two of them share a line of cache.
type counters struct {
	hits, misses, expired, fields, evicted, dirty atomic.Int64
	dbs                                           []dbCounters // by physical database
	_                                             [64]byte
}

// dbCounters are an executor's share of a database's totals; a share may be
// negative, the sum is not.
type dbCounters struct {
	keys, volatile atomic.Int64
	due            atomic.Int64 // hashes with fields that expire
	bytes          atomic.Int64
	// expiry is the sum of the volatile keys' expiryUnits.
	expiry atomic.Int64
	_      [24]byte
}

func (c *counters) add(tx *Tx) {
	if tx.hits != 0 {
		c.hits.Add(tx.hits)
	}
	if tx.misses != 0 {
		c.misses.Add(tx.misses)
	}
	if tx.dirtyTotal != 0 {
		c.dirty.Add(tx.dirtyTotal)
	}
	tx.hits, tx.misses, tx.dirtyTotal = 0, 0, 0
}

// counts are the shares to which the unit's changes in the selected database
// go.
func (tx *Tx) counts() *dbCounters { return &tx.e.stats.dbs[tx.phys] }

// expiryShift makes sums of times fit: 64 ms is exact enough for an average,
// and three hundred million keys do not overflow.
const expiryShift = 6

func expiryUnits(at int64) int64 { return min(max(at, 0), 1<<42) >> expiryShift }

// allExecutors returns the executors there are.
func (ks *Keyspace) allExecutors() []*Executor {
	ks.executorsMu.Lock()
	defer ks.executorsMu.Unlock()
	return ks.executors
}

// Stats sums the counts of all executors.
func (ks *Keyspace) Stats() Stats {
	var s Stats
	for _, e := range ks.allExecutors() {
		s.Hits += e.stats.hits.Load()
		s.Misses += e.stats.misses.Load()
		s.Expired += e.stats.expired.Load()
		s.Fields += e.stats.fields.Load()
		s.Evicted += e.stats.evicted.Load()
		s.Dirty += e.stats.dirty.Load()
	}
	return s
}

// ResetStats sets all counts to zero but Dirty (CONFIG RESETSTAT).
func (ks *Keyspace) ResetStats() {
	for _, e := range ks.allExecutors() {
		e.stats.hits.Store(0)
		e.stats.misses.Store(0)
		e.stats.expired.Store(0)
		e.stats.fields.Store(0)
		e.stats.evicted.Store(0)
	}
	ks.freed.Store(0)
	ks.resetCompaction()
}

// Len is the number of keys in db, expired ones that have not been found yet
// included, as in Redis.
func (ks *Keyspace) Len(db int) int {
	return int(ks.sum(db, func(c *dbCounters) *atomic.Int64 { return &c.keys }))
}

// Volatile is the number of keys in db that have an expiry.
func (ks *Keyspace) Volatile(db int) int {
	return int(ks.sum(db, func(c *dbCounters) *atomic.Int64 { return &c.volatile }))
}

// WithDue is the number of hashes in db that have fields which expire.
func (ks *Keyspace) WithDue(db int) int {
	return int(ks.sum(db, func(c *dbCounters) *atomic.Int64 { return &c.due }))
}

// AnyDue reports whether any database has hashes with fields that expire. In a unit
// under the world lock it is exact.
func (ks *Keyspace) AnyDue() bool {
	for db := range ks.order {
		if ks.WithDue(db) > 0 {
			return true
		}
	}
	return false
}

// countDue counts a hash whose first field has got an expiry, or one that has none
// any more.
func (tx *Tx) countDue(on bool) {
	n := int64(1)
	if !on {
		n = -1
	}
	tx.counts().due.Add(n)
}

// Bytes is about what the keys and values of db occupy.
func (ks *Keyspace) Bytes(db int) int64 {
	return ks.sum(db, func(c *dbCounters) *atomic.Int64 { return &c.bytes })
}

// AvgTTL is the mean time to live in milliseconds of the keys of db that have
// one, at now; 0 if there are none.
func (ks *Keyspace) AvgTTL(db int, now int64) int64 {
	n := int64(ks.Volatile(db))
	if n <= 0 {
		return 0
	}
	sum := ks.sum(db, func(c *dbCounters) *atomic.Int64 { return &c.expiry })
	return max(sum/n<<expiryShift-now, 0)
}

func (ks *Keyspace) sum(db int, f func(*dbCounters) *atomic.Int64) int64 {
	phys := ks.order[db].Load()
	var n int64
	for _, e := range ks.allExecutors() {
		n += f(&e.stats.dbs[phys]).Load()
	}
	return max(n, 0)
}

// SlotLen is the number of keys of a slot in db.
func (ks *Keyspace) SlotLen(n slots.Slot, db int) int {
	if t := ks.slots[n].table(int(ks.order[db].Load())); t != nil {
		return t.len()
	}
	return 0
}
