package storage

import (
	"bytes"
	"math"
	"math/rand/v2"

	"redoubt/slots"
	"redoubt/storage/slab"
)

// EvictBy is by what an eviction chooses keys.
type EvictBy uint8

// What there is to choose by.
const (
	EvictNothing EvictBy = iota // noeviction
	EvictLRU                    // the key that was not used for the longest time
	EvictLFU                    // the key that is used least often
	EvictRandom
	EvictTTL // the key that expires first
)

// Eviction is maxmemory-policy and what belongs to it.
type Eviction struct {
	By       EvictBy
	Volatile bool // only keys that expire
	Samples  int  // maxmemory-samples: keys looked at for each that is evicted
}

// candidate is a key that may be evicted: a better one has a higher score.
type candidate struct {
	score int64
	db    int
	key   []byte
}

// poolSize is how many candidates are remembered from one choice to the next, so
// that the best of all samples goes, not the best of the last few (Redis's
// eviction pool).
const poolSize = 16

// Evict deletes one key that the policy chooses, in a unit of its own with a DEL
// as its effect, and reports whether there was one. On a replica, and while
// expiry is held, it does nothing. now is the time in Unix milliseconds. The
// executor must not be in a unit. It matches performEvictions.
func (e *Executor) Evict(now int64, policy Eviction) bool {
	// A candidate may be gone when its turn comes, so a few choices are made.
	for range 8 {
		e.sample(now, policy)
		for n := len(e.pool); n > 0; n = len(e.pool) {
			best := e.pool[n-1]
			e.pool = e.pool[:n-1]
			if e.evict(now, policy, best) {
				return true
			}
		}
	}
	return false
}

// evict deletes a candidate if it is still there, and still one: it may have lost its
// expiry since, or been proposed when the policy was another.
func (e *Executor) evict(now int64, policy Eviction, c candidate) bool {
	n := slots.Of(c.key)
	e.one[0] = n
	tx := e.Begin(now, e.one[:])
	if tx == nil {
		return false
	}
	defer e.End()
	if !tx.deletesExpired() {
		return false
	}
	tx.Select(c.db)
	p := tx.lookUp(n, c.key)
	if !p.found() || policy.Volatile && !p.rec.expires() {
		return false
	}
	tx.remove(p)
	e.stats.evicted.Add(1)
	tx.expiredEffect(c.key)
	tx.changed(n, c.key)
	tx.Note(ClassEvicted, "evicted", c.key)
	return true
}

// sample puts keys of all databases into the pool.
func (e *Executor) sample(now int64, policy Eviction) {
	samples := max(policy.Samples, 1)
	if policy.By == EvictRandom {
		e.pool, samples = e.pool[:0], 1
	}
	for db := range e.ks.order {
		if e.ks.Len(db) > 0 && (!policy.Volatile || e.ks.Volatile(db) > 0) {
			e.sampleDB(now, policy, db, samples)
		}
	}
	if policy.By == EvictRandom && len(e.pool) > 1 {
		// One key of each database is in the pool: one of them goes.
		i, last := int(e.rand.Uint64()%uint64(len(e.pool))), len(e.pool)-1
		e.pool[i], e.pool[last] = e.pool[last], e.pool[i]
	}
}

// sampleDB looks at about so many keys of a database: neighbours in the order of
// their hashes, from a random place on, in as many slots as it takes.
func (e *Executor) sampleDB(now int64, policy Eviction, db, samples int) {
	phys := int(e.ks.order[db].Load())
	n := slots.Slot(e.rand.Uint64() % slots.Count)
	for tries := 0; samples > 0 && tries < 64; tries++ {
		var ok bool
		if n, ok = e.ks.nextCandidates(phys, n, policy.Volatile); !ok {
			return
		}
		e.one[0] = n
		tx := e.Begin(now, e.one[:])
		if tx == nil {
			return
		}
		tx.Select(db)
		seen := tx.sampleSlot(policy, n, samples)
		if samples -= seen; seen == 0 && policy.Volatile {
			// Keys have lost their expiry or were evicted. Nobody shall look through
			// the slot in vain again until its bound has passed.
			tx.ks.boundExactly(n)
		}
		e.End()
		n = (n + 1) % slots.Count
	}
}

// nextCandidates returns the first slot from n on, cyclically, that has keys to
// evict.
func (ks *Keyspace) nextCandidates(phys int, n slots.Slot, volatile bool) (slots.Slot, bool) {
	for range 2 {
		for s, ok := ks.nextOccupied(phys, n); ok; s, ok = ks.nextOccupied(phys, s+1) {
			if !volatile || ks.earliest[s].Load() != neverExpires {
				return s, true
			}
			if s == slots.Count-1 {
				break
			}
		}
		n = 0
	}
	return 0, false
}

// sampleSlot puts up to so many keys of the slot into the pool and returns how
// many it has seen.
func (tx *Tx) sampleSlot(policy Eviction, n slots.Slot, samples int) (seen int) {
	t := tx.ks.slots[n].table(tx.phys)
	if t == nil || t.len() == 0 {
		return 0
	}
	look := func(ref slab.Ref) bool {
		r := tx.ks.at(ref)
		if policy.Volatile && !r.expires() {
			return true
		}
		seen++
		tx.e.propose(tx.score(policy, r), tx.db, r.key())
		return seen < samples
	}
	// Volatile keys may be few among others: the whole slot is looked through.
	count := samples
	if policy.Volatile {
		count = t.len()
	}
	if from := tx.e.rand.Uint64() >> (64 - cursorBits); t.walk(tx.ks.space, from, count, look) == 0 && seen < samples {
		t.walk(tx.ks.space, 0, count, look)
	}
	return seen
}

// score is how good a candidate a record is.
func (tx *Tx) score(policy Eviction, r record) int64 {
	switch policy.By {
	case EvictLRU:
		return tx.ks.access.idleSeconds(r, tx.now)
	case EvictLFU:
		return 255 - int64(tx.ks.access.freq(r, tx.now))
	case EvictTTL:
		return math.MaxInt64 - r.expireAt()
	}
	return int64(rand.Uint32())
}

// propose puts a candidate into the pool, whose best is the last, if it is better
// than one that is there or there is room.
func (e *Executor) propose(score int64, db int, key []byte) {
	i := 0
	for i < len(e.pool) && e.pool[i].score < score {
		i++
	}
	for j := range e.pool {
		if e.pool[j].db == db && bytes.Equal(e.pool[j].key, key) {
			return // proposed before
		}
	}
	c := candidate{score, db, nil}
	switch {
	case len(e.pool) < poolSize:
		e.pool = append(e.pool, candidate{})
		copy(e.pool[i+1:], e.pool[i:])
	case i == 0:
		return
	default:
		i--
		c.key = e.pool[0].key[:0]
		copy(e.pool[:i], e.pool[1:i+1])
	}
	c.key = append(c.key, key...)
	e.pool[i] = c
}
