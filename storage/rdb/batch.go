package rdb

import (
	"redoubt/storage"
	"redoubt/storage/rdb/wire"
)

const (
	// batchEntries and batchBytes are when a Batch is full.
	batchEntries = 256
	batchBytes   = 32 << 10
)

// Batch is entries that were taken away from their Reader with their values as the
// file has them, for somebody else to load while the Reader goes on. Only values
// that are one short string can be taken: short strings, and packed collections.
// An empty Batch is ready to use.
type Batch struct {
	// Entries are those taken. Their keys are views of the batch.
	Entries []Taken

	bytes []byte // keys and values, one after the other
	src   *wire.Reader
}

// Taken is an entry with its value.
type Taken struct {
	Entry
	encoding byte
	value    []byte
}

// Full reports whether the batch should take no more.
func (b *Batch) Full() bool { return len(b.Entries) >= batchEntries || len(b.bytes) >= batchBytes }

// Clear makes the batch empty.
func (b *Batch) Clear() {
	b.Entries, b.bytes = b.Entries[:0], b.bytes[:0]
	if cap(b.bytes) > 4*batchBytes {
		b.bytes = nil // a long key was there
	}
}

// Take moves the entry that Next of r has returned to the batch. taken is false if
// it cannot be moved and is still r's.
func (b *Batch) Take(r *Reader) (taken bool, err error) {
	if !storage.OneString(r.encoding) {
		return false, nil
	}
	value, ok, err := r.src.RawString(batchBytes)
	if err != nil || !ok {
		r.err = r.at(err)
		return false, r.err
	}
	r.pending = false
	t := Taken{Entry: r.entry, encoding: r.encoding}
	t.Key = b.keep(r.entry.Key)
	t.value = b.keep(value)
	b.Entries = append(b.Entries, t)
	return true, nil
}

// keep copies p into the batch. What was kept before stays where it is.
func (b *Batch) keep(p []byte) []byte {
	if len(b.bytes)+len(p) > cap(b.bytes) {
		b.bytes = make([]byte, 0, max(2*batchBytes, len(p)))
	}
	n := len(b.bytes)
	b.bytes = append(b.bytes, p...)
	return b.bytes[n:len(b.bytes):len(b.bytes)]
}

// Load is Reader.Load of an entry of the batch.
func (b *Batch) Load(tx *storage.Tx, t *Taken) (empty bool, err error) {
	if b.src == nil {
		b.src = wire.NewBytesReader(nil)
	}
	b.src.Reset(t.value)
	empty, err = tx.Load(t.Key, t.encoding, b.src, t.ExpireAtMs)
	return empty, t.at(t.encoding, err)
}
