package slab

import (
	"sync/atomic"
	"unsafe"
)

// A page is what is known of a page of small blocks, kept apart from it. Each
// page in use is in one of four states, which its word tells:
//
//	owned   a heap allocates from it and alone uses its fields
//	full    nobody's: all blocks are in use. A heap that frees one of them takes
//	        the page over, with one compare-and-swap
//	shelved nobody's, with room: any heap may take it from the space's shelf,
//	        under the space's lock
//	sparse  as shelved, but in an extent that is being emptied: nobody takes it
//
// A block that is freed by another heap than the owner, or whose page is shelved
// or sparse, is pushed on the stack in the word. The stack is linked through the
// blocks. Blocks are only ever pushed one by one and taken all at once, so a
// compare-and-swap that succeeds saw the true head, even if the word changed and
// changed back.
type page struct {
	word atomic.Uint64 // see word

	// These are the owner's. They pass to the next one with the word.
	free  uint16 // first free block, plus one; 0 is none
	fresh uint16 // blocks from this one on were never used
	used  uint16 // blocks in use, those on the stack included
	cap   uint16 // blocks that the page holds

	class class
	shelf bool   // on the space's shelf; guarded by Space.mu
	prev  uint32 // in the list of a heap, or of the shelf
	next  uint32
}

// A word is the part of a page that is shared between heaps, in one word:
//
//	bits 0–12   head of the stack of returned blocks, plus one
//	bits 13–25  number of blocks on the stack
//	bits 26–38  blocks in use, those on the stack included, if nobody owns it
//	bit  39     nobody's, with room: blocks go on the stack
//	bits 40–51  number of the owning heap; 0 is nobody
type word uint64

const (
	countAt  = 13
	usedAt   = 26
	shelfBit = word(1) << 39
	ownerAt  = 40

	fieldMask = 1<<13 - 1
	maxHeaps  = 1<<12 - 1
)

func ownedBy(heap uint16) word    { return word(heap) << ownerAt }
func fullOf(n uint16) word        { return word(n) << usedAt }
func (w word) owner() uint16      { return uint16(w >> ownerAt) }
func (w word) head() uint16       { return uint16(w & fieldMask) }
func (w word) count() uint16      { return uint16(w >> countAt & fieldMask) }
func (w word) used() uint16       { return uint16(w >> usedAt & fieldMask) }
func (w word) shelved() bool      { return w&shelfBit != 0 }
func (w word) stack() word        { return w & (1<<usedAt - 1) }
func (w word) push(i uint32) word { return (w&^fieldMask | word(i+1)) + 1<<countAt }

func (m *page) load() word              { return word(m.word.Load()) }
func (m *page) swap(from, to word) bool { return m.word.CompareAndSwap(uint64(from), uint64(to)) }
func (m *page) hasRoom() bool           { return m.free != 0 || m.fresh < m.cap }

// collect moves the stack of returned blocks to the owner's list, which must be
// empty, and reports whether there were any.
func (m *page) collect() bool {
	for {
		w := m.load()
		if w.count() == 0 {
			return false
		}
		if m.swap(w, w&^(1<<usedAt-1)) {
			m.free = w.head()
			m.used -= w.count()
			return true
		}
	}
}

// link is the field of a free block that names the next one, plus one: its first
// two bytes.
func link(block unsafe.Pointer) *uint16 { return (*uint16)(block) }
