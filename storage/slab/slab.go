package slab

import (
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"
)

// A Ref names a block: the number of a page, and in its low 12 bits that of a
// block in the page. 0 names none.
type Ref uint32

// Config is what a Space is made with.
type Config struct {
	// Reserve is how much address space to reserve, in bytes. 0 takes it from
	// the machine's memory.
	Reserve int64
}

// A Space is the memory of one keyspace. Its methods may be called by any
// goroutine, those that take a Ref by whoever may use the block.
type Space struct {
	mu        sync.Mutex
	refs      [1 << 12]atomic.Pointer[[1 << 12]block]
	next      Ref
	free      []Ref
	reserve   int
	allocated [areas]int
	blocks    int
}

type block struct {
	bytes []byte
	area  Area
}

// New returns an empty space.
func New(c Config) (*Space, error) {
	if c.Reserve < 0 {
		return nil, fmt.Errorf("slab: a reserve of %d bytes", c.Reserve)
	}
	if c.Reserve == 0 {
		c.Reserve = 64 << 30
	}
	return &Space{next: 1 << 12, reserve: int(c.Reserve)}, nil
}

// A Heap allocates and frees blocks of a Space. One goroutine at a time may use
// it; each executor has its own.
type Heap struct{ space *Space }

// NewHeap returns a heap of the space.
func (s *Space) NewHeap() *Heap { return &Heap{s} }

// Alloc returns a block of at least n bytes, whose contents are undefined, or 0
// when the space is full or n is more than MaxBlock: the keyspace then answers
// OOM. See SizeFor.
func (h *Heap) Alloc(a Area, n int) Ref {
	s := h.space
	if n > MaxBlock {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	size := a.SizeFor(n)
	if s.total()+size > s.reserve {
		return 0
	}
	r := s.next
	if last := len(s.free) - 1; last >= 0 {
		r, s.free = s.free[last], s.free[:last]
	} else if s.next >= 1<<24 {
		return 0
	} else {
		s.next++
	}
	page := &s.refs[r>>12]
	if page.Load() == nil {
		page.Store(new([1 << 12]block))
	}
	page.Load()[r&(1<<12-1)] = block{make([]byte, size), a}
	s.allocated[a] += size
	s.blocks++
	return r
}

// Free gives a block back. Any heap of the space may free any block.
func (h *Heap) Free(r Ref) {
	s := h.space
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.block(r)
	s.allocated[b.area] -= len(b.bytes)
	s.blocks--
	b.bytes = nil
	s.free = append(s.free, r)
}

// Retire hands what the heap keeps for later blocks to the other heaps. An
// executor calls it when it goes idle; the heap may be used again.
func (h *Heap) Retire() {}

func (s *Space) block(r Ref) *block { return &s.refs[r>>12].Load()[r&(1<<12-1)] }

func (s *Space) total() (n int) {
	for _, a := range s.allocated {
		n += a
	}
	return n
}

// Bytes returns the whole block: its length and capacity are Size(r).
func (s *Space) Bytes(r Ref) []byte { return s.block(r).bytes }

// Pointer returns the address of the block.
func (s *Space) Pointer(r Ref) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s.Bytes(r))) }

// Size returns how many bytes the block has.
func (s *Space) Size(r Ref) int { return len(s.Bytes(r)) }

// Prefetch brings the cache line at p near. p may be any address in the space,
// whether there is memory behind it or not.
func (s *Space) Prefetch(p unsafe.Pointer) {}

// PrefetchBlock brings the first cache line of a block near. r may be a
// reference of the past, to a block that was freed since.
func (s *Space) PrefetchBlock(r Ref) {}

// Stats describes the memory of a space. All but Blocks are bytes.
type Stats struct {
	Allocated int        // of blocks in use, as Size counts them
	ByArea    [areas]int // the same by area
	Blocks    int        // number of blocks in use
	Committed int        // in memory, whether in use or not
	Free      int        // of Committed: pages without a block, which Trim may give back
	Returned  int        // given back to the system since the start
	Reserved  int        // address space
}

// Stats returns the counts as of now.
func (s *Space) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.total()
	return Stats{Allocated: n, ByArea: s.allocated, Blocks: s.blocks, Committed: n, Reserved: s.reserve}
}

// ChooseSparse begins a compaction if more than a share of the memory is lost.
// It marks the emptiest extents, which then give no new blocks, and returns how
// many blocks are in them.
func (s *Space) ChooseSparse(loss float64) (blocks int) { return 0 }

// Sparse reports whether the block lies in an extent that is being emptied.
func (s *Space) Sparse(r Ref) bool { return false }

// EndCompaction unmarks the extents that were not emptied.
func (s *Space) EndCompaction() {}

// Trim gives at most budget bytes of free memory back to the system and reports
// whether there is more.
func (s *Space) Trim(budget int) (more bool) { return false }

// Close frees the memory of the space. No block may be used afterwards.
func (s *Space) Close() {}
