package storage

import "math/rand/v2"

// accessPolicy says what the access bits of a record mean, as maxmemory-policy
// does in Redis: the second of the last access, or, with lfu, the minute of the
// last decay (16 bits, cyclic) and a logarithmic counter of accesses (8 bits).
// They are written only when they change.
type accessPolicy struct {
	lfu       bool
	logFactor int // lfu-log-factor
	decayMin  int // lfu-decay-time: minutes for one decrement, 0: none
}

// lfuInitial is the counter of a new key, so that it is not the first to go.
const lfuInitial = 5

// UseLFU makes access bits count accesses instead of noting the last one, or
// back. The bits of existing keys mean nothing then until they are touched, as
// in Redis. logFactor and decayMin are lfu-log-factor and lfu-decay-time. The unit
// must hold the world lock.
func (tx *Tx) UseLFU(on bool, logFactor, decayMin int) {
	tx.needWorld("UseLFU")
	tx.ks.access = accessPolicy{on, logFactor, decayMin}
}

// seconds is the wall clock of the access bits, which goes round in 194 days.
func seconds(now int64) uint32 { return uint32(now/1000) & accessMask }
func minutes(now int64) uint32 { return uint32(now/60000) & 0xffff }

// fresh is the access bits of a key made at now.
func (a accessPolicy) fresh(now int64) uint32 {
	if a.lfu {
		return minutes(now)<<8 | lfuInitial
	}
	return seconds(now)
}

// touch renews the access bits of a record that a command used.
func (a accessPolicy) touch(tx *Tx, r record) {
	if tx.untouched {
		return
	}
	bits := seconds(tx.now)
	if a.lfu {
		n := a.freq(r, tx.now)
		bits = minutes(tx.now)<<8 | uint32(a.increment(n, tx.e.rand))
	}
	r.setAccess(bits)
}

// overwrite renews the access bits of a record that got a new value: that is an
// access, but the counter is the key's and stays.
func (a accessPolicy) overwrite(r record, now int64) {
	if !a.lfu {
		r.setAccess(seconds(now))
	}
}

// increment counts an access with a probability that falls with the counter
// (Redis's LFULogIncr).
func (a accessPolicy) increment(n int, src rand.Source) int {
	if n >= 255 {
		return 255
	}
	p := 1 / float64(max(n-lfuInitial, 0)*a.logFactor+1)
	if float64(src.Uint64()>>11)/(1<<53) < p {
		n++
	}
	return n
}

// freq is the counter less a decrement for every decayMin minutes without an
// access.
func (a accessPolicy) freq(r record, now int64) int {
	if a.decayMin == 0 {
		return int(r.access() & 0xff)
	}
	idle := (minutes(now) - r.access()>>8) & 0xffff
	return max(int(r.access()&0xff)-int(idle)/a.decayMin, 0)
}

func (a accessPolicy) idleSeconds(r record, now int64) int64 {
	if a.lfu {
		return int64((minutes(now)-r.access()>>8)&0xffff) * 60
	}
	return int64((seconds(now) - r.access()) & accessMask)
}

// SetAccess makes key look as if it had not been touched for idle seconds, or
// had the access counter freq, whichever the keyspace keeps; the other is
// ignored, and so is a negative one (RESTORE's IDLETIME and FREQ). It is no
// change of the key.
func (tx *Tx) SetAccess(key []byte, idle int64, freq int) {
	p := tx.find(key, forRead)
	switch {
	case !p.found():
	case tx.ks.access.lfu && freq >= 0:
		p.rec.setAccess(minutes(tx.now)<<8 | uint32(min(freq, 255)))
	case !tx.ks.access.lfu && idle >= 0:
		p.rec.setAccess(uint32(tx.now/1000-idle) & accessMask)
	}
}
