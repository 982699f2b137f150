package slab

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

// A Ref names a block: the number of a page, and in its low 12 bits that of a
// block in the page. 0 names none.
type Ref uint32

const (
	indexBits = 12
	indexMask = 1<<indexBits - 1
	maxPages  = 1 << (32 - indexBits)

	extentPages = 32
	allPages    = 1<<extentPages - 1 // of an extent, one bit each
)

func (r Ref) page() uint32  { return uint32(r >> indexBits) }
func (r Ref) index() uint32 { return uint32(r & indexMask) }

func refOf(p, i uint32) Ref { return Ref(p<<indexBits | i) }

// largePage marks the size of pages in arenas and spans. The rest of the size is
// then only what the index of a reference counts in.
const largePage = 1 << 15

// Config is what a Space is made with.
type Config struct {
	// Reserve is how much address space to reserve, in bytes, at most 512 GiB. 0
	// takes it from the machine's memory: 64 GiB, or more if that is not well
	// above it. Beyond 64 GiB pages are larger than 64 KiB, since a reference
	// reaches a million of them.
	Reserve int64
}

// A Space is the memory of one keyspace. Its methods may be called by any
// goroutine; those that take a Ref need a block that nobody frees meanwhile. Its
// addresses are unmapped when it is closed or no longer reachable, so whoever
// keeps slices or pointers to blocks keeps the Space, too.
type Space struct {
	memory
	pageShift uint8
	pages     []page
	// sizes is of the blocks in a page. It is apart from pages because every
	// access needs it, and so it stays in the processor's caches.
	sizes []uint16
	// sparse has a bit for each extent that is being emptied.
	sparse []atomic.Uint32
	// epoch grows when extents are marked, for heaps to look at what they own.
	epoch atomic.Uint32
	// starts has a bit for each granule with which a block of an arena begins,
	// whether in use or free. See arena.go.
	starts []atomic.Uint64
	users  users

	// One compaction is chosen or ended at a time, and one Trim runs. Both are
	// locked before mu.
	compaction sync.Mutex
	trimming   sync.Mutex

	// heaps is replaced, under mu, not written to. A closed one leaves nil.
	heaps atomic.Pointer[[]*Heap]

	mu       sync.Mutex      // guards all below
	shelf    [classes]uint32 // pages with room that nobody owns
	pagesOf  [classes]int32  // pages in use
	extents  []extent
	top      uint32    // extents from this one on were never used
	spare    bitset    // extents without a block
	roomyOf  [2]bitset // see roomy
	inMemory bitset    // extents with free pages that are in memory
	idle     []uint64
	arenas   [areas]arenas
	counts   counts

	closedBytes  [areas]int64 // of closed heaps
	closedBlocks int64
}

// Limits of what a space can reserve.
const (
	minPageShift = 16
	maxPageShift = 19
	maxReserve   = maxPages << maxPageShift
)

// New returns an empty space. It fails if the system refuses the address space.
func New(c Config) (*Space, error) {
	if c.Reserve < 0 || c.Reserve > maxReserve {
		return nil, fmt.Errorf("slab: cannot reserve %d bytes: at least 0 and at most %d", c.Reserve, int64(maxReserve))
	}
	if c.Reserve > 0 {
		return newSpace(c.Reserve, shiftFor(c.Reserve))
	}
	// Limits on address space (ulimit -v) are rare; a smaller reserve is then
	// better than none.
	const least = 1 << 30
	for n := defaultReserve(); ; n /= 2 {
		s, err := newSpace(n, shiftFor(n))
		if err == nil || n <= least {
			return s, err
		}
	}
}

// shiftFor returns the binary logarithm of the smallest pages with which
// references reach all of a reserve.
func shiftFor(reserve int64) (shift uint8) {
	for shift = minPageShift; reserve > maxPages<<shift; shift++ {
	}
	return shift
}

func newSpace(reserve int64, pageShift uint8) (*Space, error) {
	s := &Space{pageShift: pageShift}
	extents := int((reserve + int64(s.extentSize()) - 1) / int64(s.extentSize()))
	if err := s.memory.reserve(extents, s.extentSize()); err != nil {
		return nil, fmt.Errorf("slab: cannot reserve %d bytes of address space: %w; the limit is that of ulimit -v", reserve, err)
	}
	n := extents * extentPages
	words := extents * s.granulesPerExtent() / 64
	var err error
	s.pages = tableOf[page](&s.memory, n, &err)
	s.sizes = tableOf[uint16](&s.memory, n, &err)
	s.starts = tableOf[atomic.Uint64](&s.memory, words, &err)
	s.idle = tableOf[uint64](&s.memory, words, &err)
	s.extents = tableOf[extent](&s.memory, extents, &err)
	if err != nil {
		s.memory.release()
		return nil, fmt.Errorf("slab: no memory for the tables of a space: %w", err)
	}
	s.sparse = make([]atomic.Uint32, (extents+31)/32)
	for _, b := range []*bitset{&s.spare, &s.roomyOf[0], &s.roomyOf[1], &s.inMemory} {
		b.words = make([]uint64, (extents+63)/64)
	}
	s.users.init(extents)
	s.heaps.Store(new([]*Heap))
	// Page 0 is never used, so that no reference is 0.
	if _, ok := s.newExtent(extentOfPages); !ok {
		s.memory.release()
		return nil, fmt.Errorf("slab: the system refuses memory for the first extent")
	}
	s.extents[0].free &^= 1
	s.extents[0].gone &^= 1
	// A space that is forgotten without Close, as tests do, gives its addresses
	// back: there is room for 2,000 of them.
	runtime.AddCleanup(s, func(m memory) { m.release() }, s.memory)
	return s, nil
}

func (s *Space) pageSize() int          { return 1 << s.pageShift }
func (s *Space) extentSize() int        { return extentPages << s.pageShift }
func (s *Space) granulesPerExtent() int { return s.extentSize() / granule }

// stride returns what the indexes of references into arenas count in: bytes of
// a page by 4096.
func (s *Space) stride() int { return 1 << (s.pageShift - indexBits) }

// Pointer returns the address of the block.
func (s *Space) Pointer(r Ref) unsafe.Pointer {
	if checked {
		s.checkAllocated(r)
	}
	p := r.page()
	return s.at(p, r.index()*uint32(s.sizes[p]&^largePage))
}

// Bytes returns the whole block: its length and capacity are Size(r).
func (s *Space) Bytes(r Ref) []byte {
	return unsafe.Slice((*byte)(s.Pointer(r)), s.Size(r))
}

// Size returns how many bytes the block has.
func (s *Space) Size(r Ref) int {
	if checked {
		s.checkAllocated(r)
	}
	if size := s.sizes[r>>indexBits]; size&largePage == 0 {
		return int(size)
	}
	return s.largeSize(r)
}

// Sparse reports whether the block lies in an extent that is being emptied. The
// keyspace then moves it: it allocates another one and frees this.
func (s *Space) Sparse(r Ref) bool { return s.sparsePage(r.page()) }

func (s *Space) sparsePage(p uint32) bool {
	e := p / extentPages
	return s.sparse[e/32].Load()>>(e%32)&1 != 0
}

// Prefetch brings the cache line at p near. p may be any address in the space,
// whether there is memory behind it or not.
func (s *Space) Prefetch(p unsafe.Pointer) { prefetch(uintptr(p)) }

// PrefetchBlock brings the first cache line of a block near. r may be any
// number, such as a reference read without a lock whose block was freed since.
// No pointer is made from it, and the race detector is told to look away.
//
//go:norace
func (s *Space) PrefetchBlock(r Ref) {
	if p := int(r.page()); p < len(s.sizes) {
		prefetch(s.addressOf(uint32(p), r.index()*uint32(s.sizes[p]&^largePage)))
	}
}

// Close gives the memory of the space back, and its addresses. No block may be
// used afterwards.
func (s *Space) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory.release()
}
