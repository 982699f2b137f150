package storage

import "redoubt/storage/slab"

// Frozen is a key as it was at one moment, for any goroutine to read until the
// snapshot for which it was frozen is released, or has said that it is read
// (Capture.ReadFrom).
type Frozen struct {
	Type     Type
	coding   byte
	ExpireAt int64 // Unix milliseconds; 0 is never
	Key      []byte

	space *slab.Space
	value []byte // as the record had it
}

// sharedFrom is how long a string is that Share does not copy. Below that a copy
// costs less than what a writer has to do later instead: to leave the block alone
// and take another.
const sharedFrom = 4 << 10

// Freeze returns the entry as it is now. Its key and value are appended to arena,
// which is returned too; the nodes of a large collection are not copied, for
// while a snapshot is open they are replaced instead of changed.
func (e Entry) Freeze(arena []byte) (Frozen, []byte) {
	l := e.rec.layout()
	return e.frozen(l, l.end, arena)
}

// Share is Freeze for a snapshot: it does not copy long strings either. Their
// blocks are marked, and whoever changes the string takes another block and keeps
// this one, like the nodes of a collection. The unit holds the entry's slot.
func (e Entry) Share(arena []byte) (Frozen, []byte) {
	l := e.rec.layout()
	if !e.rec.shareable(l) {
		return e.frozen(l, l.end, arena)
	}
	e.rec.share()
	f, arena := e.frozen(l, l.value, arena)
	f.value = e.rec.view(l.value, l.end)
	return f, arena
}

// frozen copies the bytes of the record up to end.
func (e Entry) frozen(l layout, end int, arena []byte) (Frozen, []byte) {
	start, n := len(arena), l.value-l.key
	arena = append(arena, e.rec.view(l.key, end)...)
	all := arena[start:len(arena):len(arena)]
	return Frozen{
		Type: e.Type(), Key: all[:n:n], ExpireAt: e.ExpireAt(),
		space: e.tx.ks.space, coding: e.rec.coding(), value: all[n:],
	}, arena
}

// SharedBytes is how many bytes Share appends.
func (e Entry) SharedBytes() int {
	l := e.rec.layout()
	if e.rec.shareable(l) {
		return l.value - l.key
	}
	return l.end - l.key
}

// shareable reports whether the record is a string so long that it is shared.
func (r record) shareable(l layout) bool {
	return l.end-l.value >= sharedFrom && r.typ() == TypeString
}

// leased reports whether a snapshot may read the record's block. Then it is neither
// changed nor moved but for its first bytes, which no snapshot reads, and kept in
// place of being freed. It must be called within a unit.
func (ks *Keyspace) leased(r record) bool { return r.shared() && len(ks.reading) > 0 }

// freeRecord gives the block of a record back, or keeps it for a snapshot.
func (tx *Tx) freeRecord(r record) {
	if tx.ks.leased(r) {
		tx.e.keep(r.ref)
		return
	}
	tx.e.heap.Free(r.ref)
}

// Bytes is the string, nil for another type.
func (f *Frozen) Bytes() []byte {
	if f.Type != TypeString {
		return nil
	}
	return f.value
}
