//go:build linux && !race && !slabheap

package slab

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory is the address space of a Space and of its tables: two mappings and
// one for each table, which live until release. The extents' mapping is readable
// and writable from its beginning up to where extents were used, so the system
// keeps two areas of it, however many extents come and go.
type memory struct {
	base      unsafe.Pointer // of extent 0
	extentLen uintptr
	shift     uint8 // of pages
	usable    int   // extents
	mappings  *mappings
}

type mappings struct {
	mu  sync.Mutex
	all [][]byte
}

// defaultReserve returns 64 GiB, or so much that there is a quarter more than
// the machine's memory: addresses are fragmented, too.
func defaultReserve() int64 {
	var info unix.Sysinfo_t
	n := int64(maxPages << minPageShift)
	if unix.Sysinfo(&info) == nil {
		all := int64(info.Totalram) * int64(info.Unit)
		for n < maxReserve && n < all+all/4 {
			n *= 2
		}
	}
	return n
}

// reserve takes address space for extents without any memory behind it.
//
// Huge pages are off for the whole of it: khugepaged would fill pages in again
// that were given back, and flags on parts split the mapping.
func (m *memory) reserve(extents, size int) error {
	m.mappings = &mappings{}
	whole, err := m.mappings.add(extents*size+size, unix.PROT_NONE)
	if err != nil {
		return err
	}
	if err := unix.Madvise(whole, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL { // a kernel without them
		m.release()
		return err
	}
	p := unsafe.Pointer(unsafe.SliceData(whole))
	m.base = unsafe.Add(p, -int(uintptr(p))&(size-1))
	m.extentLen = uintptr(size)
	for 1<<m.shift < size/extentPages {
		m.shift++
	}
	return nil
}

// use makes n extents from e on usable. The system may refuse.
func (m *memory) use(e uint32, n int) bool {
	more := int(e) + n - m.usable
	if more <= 0 {
		return true
	}
	at := unsafe.Add(m.base, uintptr(m.usable)*m.extentLen)
	err := unix.Mprotect(unsafe.Slice((*byte)(at), more*int(m.extentLen)), unix.PROT_READ|unix.PROT_WRITE)
	if err == nil {
		m.usable += more
	}
	return err == nil
}

// giveBack returns the memory of n pages from p on to the system. They remain
// usable and read as zeros.
func (m *memory) giveBack(p uint32, n int) {
	b := unsafe.Slice((*byte)(m.at(p, 0)), n<<m.shift)
	if err := unix.Madvise(b, unix.MADV_DONTNEED); err != nil {
		// The range is mapped, so the arguments are wrong.
		panic("slab: madvise: " + err.Error())
	}
}

// at returns the address at an offset from the beginning of a page.
func (m *memory) at(p, offset uint32) unsafe.Pointer {
	return unsafe.Add(m.base, uintptr(p)<<(m.shift&63)+uintptr(offset))
}

// addressOf is at for what may be no address at all.
func (m *memory) addressOf(p, offset uint32) uintptr {
	return uintptr(m.base) + uintptr(p)<<(m.shift&63) + uintptr(offset)
}

// release unmaps everything.
func (m *memory) release() { m.mappings.release() }

// tableOf returns a table of n zeros that takes memory where it is touched. T
// has no pointers.
func tableOf[T any](m *memory, n int, failed *error) []T {
	if *failed != nil {
		return nil
	}
	var t T
	b, err := m.mappings.add(n*int(unsafe.Sizeof(t)), unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		*failed = err
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

func (ms *mappings) add(n, prot int) ([]byte, error) {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(n), prot, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	b := unsafe.Slice((*byte)(p), n)
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.all = append(ms.all, b)
	return b, nil
}

func (ms *mappings) release() {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for _, b := range ms.all {
		// It cannot fail but for wrong arguments; what is left is address space.
		_ = unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
	}
	ms.all = nil
}

// Peek reads 8 bytes at offset off of a block that may have been freed, or used
// again, since r was valid, and reports whether it could. It is for looking
// ahead without a lock: what it reads means nothing until it is read again under
// one. Extents that were used once stay readable, so it cannot fault.
func (s *Space) Peek(r Ref, off int) (v uint64, ok bool) {
	p := r.page()
	if int(p) >= s.usable*extentPages {
		return 0, false
	}
	at := int(r.index())*int(s.sizes[p]&^largePage) + off
	if at < 0 || at+8 > s.pageSize() {
		return 0, false
	}
	return *(*uint64)(s.at(p, uint32(at))), true
}
