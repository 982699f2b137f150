//go:build !linux || race || slabheap

package slab

import "unsafe"

// memory is the Go heap, for the race detector, which does not see other memory,
// and for systems that this package does not know. An extent is an array of
// bytes; a block larger than one has one array for all its extents.
type memory struct {
	bases     []unsafe.Pointer // of extents
	extentLen int
	shift     uint8 // of pages
}

func defaultReserve() int64 { return 1 << 30 }

func (m *memory) reserve(extents, size int) error {
	m.bases = make([]unsafe.Pointer, extents)
	m.extentLen = size
	for 1<<m.shift < size/extentPages {
		m.shift++
	}
	return nil
}

func (m *memory) use(e uint32, n int) bool {
	if n == 1 && m.bases[e] != nil {
		return true
	}
	b := unsafe.Pointer(unsafe.SliceData(make([]byte, n*m.extentLen)))
	for i := range n {
		m.bases[int(e)+i] = unsafe.Add(b, i*m.extentLen)
	}
	return true
}

// giveBack forgets whole extents and overwrites single pages, so that a use
// after free shows.
func (m *memory) giveBack(p uint32, n int) {
	if n == extentPages {
		m.bases[p/extentPages] = nil
		return
	}
	spoil(unsafe.Slice((*byte)(m.at(p, 0)), n<<m.shift))
}

func (m *memory) at(p, offset uint32) unsafe.Pointer {
	return unsafe.Add(m.bases[p/extentPages], uintptr(p%extentPages)<<(m.shift&63)+uintptr(offset))
}

// addressOf is for prefetching only, which such builds need not do.
func (m *memory) addressOf(p, offset uint32) uintptr { return 0 }

func (m *memory) release() {
	clear(m.bases)
}

func tableOf[T any](m *memory, n int, failed *error) []T { return make([]T, n) }

// Peek reads nothing here: the memory of a block that was freed may be gone.
func (s *Space) Peek(r Ref, off int) (v uint64, ok bool) { return 0, false }
