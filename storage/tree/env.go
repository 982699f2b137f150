package tree

import (
	"encoding/binary"
	"fmt"

	"redoubt/storage/slab"
)

// Env is what collections of one executor live in. One goroutine at a time uses
// it.
type Env struct {
	Heap  *slab.Heap
	Space *slab.Space

	// Hash is the hash of fields and members. It must stay the same as long as
	// the collections live, and clients must not be able to choose texts of equal
	// hashes: a leaf is not split between them.
	Hash func(text []byte) uint64

	// Epoch is the number of the newest capture. New nodes carry it.
	Epoch uint32

	// Captured is the number of the newest capture that may still read nodes, 0 if
	// none does. Nodes of earlier epochs are then copied before they change, and
	// Keep takes the old ones instead of Heap.Free. Whoever keeps them frees them
	// when no capture needs them.
	Captured uint32
	Keep     func(slab.Ref)

	work [2]*work // of main trees and of indexes, which change within changes of the former
}

// work is the scratch of changes.
type work struct {
	pack  pack
	inner [2]inner
	parts [4]part
}

func (e *Env) scratch(i int) *work {
	if e.work[i] == nil {
		e.work[i] = new(work)
	}
	return e.work[i]
}

func (e *Env) hash(text []byte) uint64 { return e.Hash(text) }

// shared reports whether a capture may read a block of an epoch.
func (e *Env) shared(b []byte) bool { return binary.LittleEndian.Uint32(b) < e.Captured }

// ErrFull is what a Tree panics with when the space has no room for a node. The
// keyspace must refuse writes while there is still room for one command.
type ErrFull struct{ Bytes int }

func (e ErrFull) Error() string {
	return fmt.Sprintf("tree: the space of the keyspace has no room for a block of %d bytes", e.Bytes)
}

// alloc returns a block of at least n bytes.
func (t *Tree) alloc(n int) slab.Ref {
	r := t.env.Heap.Alloc(slab.Nodes, n)
	if r == 0 {
		panic(ErrFull{n})
	}
	t.bytes += t.env.Space.Size(r)
	return r
}

// drop gives a node or an item's block back, or to a capture that may read it.
func (t *Tree) drop(r slab.Ref) {
	b := t.env.Space.Bytes(r)
	t.bytes -= len(b)
	if t.env.shared(b) {
		t.env.Keep(r)
		return
	}
	t.env.Heap.Free(r)
}

// free gives a block back that no capture reads: of an index or of ids.
func (t *Tree) free(r slab.Ref) {
	t.bytes -= t.env.Space.Size(r)
	t.env.Heap.Free(r)
}
