package slab

import (
	"sync/atomic"
	"unsafe"
)

// A page is what is known of a page of small blocks, kept apart from it. Each
// page in use is in one of five states, which its word tells:
//
//	owned   a heap allocates from it and alone uses its fields
//	full    nobody's: all blocks are in use
//	loose   nobody's, with room: a heap remembers it, and any heap that knows its
//	        number may take it with a compare-and-swap
//	shelved nobody's, with room: on the space's shelf, from which heaps take it
//	        under the space's lock
//	sparse  as loose, but in an extent that is being emptied: nobody takes it
//
// A block whose page is not the freeing heap's own is pushed on the stack in the
// word. It makes a full page loose, and an unowned one of which all blocks are
// back is given up. The stack is linked through the blocks. Blocks are only ever
// pushed one by one and taken all at once, so a compare-and-swap that succeeds
// saw the true head, even if the word changed and changed back.
type page struct {
	word atomic.Uint64 // see word

	// These are the owner's. They pass to the next one with the word.
	free  uint16 // first free block, plus one; 0 is none
	fresh uint16 // blocks from this one on were never used
	used  uint16 // blocks in use, those on the stack included
	cap   uint16 // blocks that the page holds

	class class  // set while nobody knows the page
	prev  uint32 // on the shelf, under Space.mu
	next  uint32
}

// A word is the part of a page that is shared between heaps, in one word:
//
//	bits 0–12   head of the stack of returned blocks, plus one
//	bits 13–25  number of blocks on the stack
//	bits 26–38  blocks in use, those on the stack included, if nobody owns it
//	bit  39     nobody's, with room
//	bit  40     on the shelf; set and cleared under Space.mu
//	bits 41–52  number of the owning heap; 0 is nobody
type word uint64

const (
	countAt  = 13
	usedAt   = 26
	roomBit  = word(1) << 39
	shelfBit = word(1) << 40
	ownerAt  = 41

	fieldMask = 1<<13 - 1
	maxHeaps  = 1<<12 - 1
)

func ownedBy(heap uint16) word  { return word(heap) << ownerAt }
func fullOf(blocks uint16) word { return word(blocks) << usedAt }

func (w word) owner() uint16 { return uint16(w >> ownerAt) }
func (w word) head() uint16  { return uint16(w & fieldMask) }
func (w word) count() uint16 { return uint16(w >> countAt & fieldMask) }
func (w word) used() uint16  { return uint16(w >> usedAt & fieldMask) }

// hasRoom and shelved are of pages that nobody owns.
func (w word) hasRoom() bool { return w&roomBit != 0 }
func (w word) shelved() bool { return w&shelfBit != 0 }

// loose reports whether a heap may take the page without a lock.
func (w word) loose() bool { return w&(roomBit|shelfBit) == roomBit }

// stack returns the fields of the stack only.
func (w word) stack() word { return w & (1<<usedAt - 1) }

// ownedBy returns the word of the page after a heap took it.
func (w word) ownedBy(heap uint16) word { return w.stack() | ownedBy(heap) }

// push returns the word after block i was pushed on the stack.
func (w word) push(i uint32) word {
	if w.owner() == 0 {
		w |= roomBit
	}
	return w&^fieldMask | word(i+1) + 1<<countAt
}

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
		if m.swap(w, w&^w.stack()) {
			m.free = w.head()
			m.used -= w.count()
			return true
		}
	}
}

// link is the field of a free block that names the next one, plus one: its first
// two bytes.
func link(block unsafe.Pointer) *uint16 { return (*uint16)(block) }
