package storage

import (
	"crypto/sha1"
	"encoding/binary"

	"redoubt/storage/slab"
)

// Digest is a fingerprint of data that does not depend on the order of keys.
// It is the one of Redis's DEBUG DIGEST, so it can be compared with a real
// peer's. Of an expiry it contains only that there is one.
type Digest [sha1.Size]byte

// digester builds a digest from parts in order.
type digester struct{ sum Digest }

// xor adds the hash of b; parts added so commute.
func (d *digester) xor(b []byte) {
	for i, x := range sha1.Sum(b) {
		d.sum[i] ^= x
	}
}

// mix adds b such that order matters.
func (d *digester) mix(b []byte) {
	d.xor(b)
	d.sum = sha1.Sum(d.sum[:])
}

func (d *digester) mixInt(n uint32) { d.mix(binary.BigEndian.AppendUint32(nil, n)) }

// value adds what a record holds.
func (d *digester) value(tx *Tx, r record) {
	d.mixInt(uint32(r.typ()))
	kinds[r.typ()].digest(d, Entry{r, tx})
	tx.e.closeAll()
	if r.expires() {
		d.xor([]byte("!!expire!!"))
	}
}

// Digest is the fingerprint of all databases; zero if there are no keys. The
// unit must hold the world lock.
func (tx *Tx) Digest() Digest {
	tx.needWorld("Digest")
	var all digester
	for db := range tx.ks.order {
		phys := int(tx.ks.order[db].Load())
		first, ok := tx.ks.nextOccupied(phys, 0)
		if !ok {
			continue
		}
		all.mixInt(uint32(db))
		for n := first; ok; n, ok = tx.ks.nextOccupied(phys, n+1) {
			tx.ks.slots[n].table(phys).each(func(ref slab.Ref) {
				r := tx.ks.at(ref)
				var one digester
				one.mix(r.key())
				one.value(tx, r)
				all.xor(one.sum[:])
			})
		}
	}
	return all.sum
}

// DigestValue is the fingerprint of what key holds, without its name (DEBUG
// DIGEST-VALUE); zero if there is no such key.
func (tx *Tx) DigestValue(key []byte) Digest {
	var d digester
	if p := tx.find(key, forRead); p.found() {
		d.value(tx, p.rec)
	}
	return d.sum
}
