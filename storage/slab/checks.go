package slab

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"unsafe"
)

// poison fills the free blocks of checked builds.
const poison = 0xDB

var poisoned = bytes.Repeat([]byte{poison}, maxSmall)

// spoil fills b with poison, a piece at a time: the race detector takes a copy
// for one access.
func spoil(b []byte) {
	for len(b) > 0 {
		b = b[copy(b, poisoned):]
	}
}

// users knows which blocks are in use, in checked builds: a bit for each index
// of each page, an array for each extent that was ever used.
type users struct {
	extents []atomic.Pointer[usersOfExtent]
}

type usersOfExtent [extentPages << indexBits / 64]atomic.Uint64

func (u *users) init(extents int) {
	if checked {
		u.extents = make([]atomic.Pointer[usersOfExtent], extents)
	}
}

// word returns where the bit of a block is, nil if its extent was never used.
func (u *users) word(r Ref) (word *atomic.Uint64, bit uint64) {
	e, i := r.page()/extentPages, r%(extentPages<<indexBits)
	if int(e) >= len(u.extents) {
		return nil, 0
	}
	of := u.extents[e].Load()
	if of == nil {
		return nil, 0
	}
	return &of[i/64], 1 << (i % 64)
}

func (s *Space) checkAllocated(r Ref) {
	if word, bit := s.users.word(r); word == nil || word.Load()&bit == 0 {
		panic(fmt.Sprintf("slab: block %#x is not allocated: it was freed, or never was", uint32(r)))
	}
}

func (s *Space) markAllocated(r Ref) {
	if at := &s.users.extents[r.page()/extentPages]; at.Load() == nil {
		at.CompareAndSwap(nil, new(usersOfExtent))
	}
	if word, bit := s.users.word(r); word.Or(bit)&bit != 0 {
		panic(fmt.Sprintf("slab: block %#x was allocated twice", uint32(r)))
	}
}

// markFreed poisons a block that is about to be freed.
func (s *Space) markFreed(r Ref) {
	s.checkAllocated(r)
	spoil(s.Bytes(r))
	if word, bit := s.users.word(r); word.And(^bit)&bit == 0 {
		panic(fmt.Sprintf("slab: block %#x was freed twice at a time", uint32(r)))
	}
}

// checkPoison checks that nobody wrote to a small free block but for the link at
// its beginning.
func (s *Space) checkPoison(p, i uint32) {
	size := uint32(s.sizes[p])
	b := unsafe.Slice((*byte)(s.at(p, i*size)), size)
	const linked = 2 // bytes at the beginning
	if bytes.Equal(b[linked:], poisoned[linked:size]) {
		return
	}
	for at, c := range b[linked:] {
		if c != poison {
			panic(fmt.Sprintf("slab: block %#x was written to after it was freed, at byte %d", uint32(refOf(p, i)), at+linked))
		}
	}
}
