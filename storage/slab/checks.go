package slab

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// poison fills the free blocks of checked builds.
const poison = 0xDB

// users knows which blocks are in use, in checked builds: a bit for each index
// of each page.
type users struct {
	used []atomic.Pointer[[(indexMask + 1) / 64]atomic.Uint64]
}

func (u *users) init(pages int) {
	if checked {
		u.used = make([]atomic.Pointer[[(indexMask + 1) / 64]atomic.Uint64], pages)
	}
}

func (u *users) inUse(r Ref) bool {
	if int(r.page()) >= len(u.used) {
		return false
	}
	page := u.used[r.page()].Load()
	return page != nil && page[r.index()/64].Load()>>(r.index()%64)&1 != 0
}

func (s *Space) checkAllocated(r Ref) {
	if !s.users.inUse(r) {
		panic(fmt.Sprintf("slab: block %#x is not allocated: it was freed, or never was", uint32(r)))
	}
}

func (s *Space) markAllocated(r Ref) {
	at := &s.users.used[r.page()]
	if at.Load() == nil {
		at.CompareAndSwap(nil, new([(indexMask + 1) / 64]atomic.Uint64))
	}
	bit := uint64(1) << (r.index() % 64)
	if at.Load()[r.index()/64].Or(bit)&bit != 0 {
		panic(fmt.Sprintf("slab: block %#x was allocated twice", uint32(r)))
	}
}

// markFreed poisons a block that is about to be freed.
func (s *Space) markFreed(r Ref) {
	s.checkAllocated(r)
	b := s.Bytes(r)
	for i := range b {
		b[i] = poison
	}
	bit := uint64(1) << (r.index() % 64)
	if s.users.used[r.page()].Load()[r.index()/64].And(^bit)&bit == 0 {
		panic(fmt.Sprintf("slab: block %#x was freed twice at a time", uint32(r)))
	}
}

// checkPoison checks that nobody wrote to a small free block but for the link at
// its beginning.
func (s *Space) checkPoison(p, i uint32) {
	size := uint32(s.sizes[p])
	b := unsafe.Slice((*byte)(s.at(p, i*size)), size)
	for at, c := range b[2:] {
		if c != poison {
			panic(fmt.Sprintf("slab: block %#x was written to after it was freed, at byte %d", uint32(refOf(p, i)), at+2))
		}
	}
}
