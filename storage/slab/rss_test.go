//go:build linux && !race && !slabheap

package slab

import (
	"bytes"
	"os"
	"strconv"
	"testing"
	"unsafe"
)

// residentBytes reads how much memory the process has.
func residentBytes(t *testing.T) int {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(b)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// What Stats says about memory is what the system says.
func TestMemoryReturnsToTheSystem(t *testing.T) {
	if checked {
		t.Skip("the checks take memory, too")
	}
	for _, n := range []int{100, 3000, 20_000, 10 << 20} {
		s := newTest(t, 1<<30)
		h := s.NewHeap()
		const total = 128 << 20
		refs := make([]Ref, total/n)
		clear(refs)
		empty := residentBytes(t)
		for i := range refs {
			refs[i] = h.Alloc(Records, n)
			clear(s.Bytes(refs[i]))
		}
		full := residentBytes(t) - empty
		if st := s.Stats(); full < st.Allocated-st.Allocated/16 || full > st.Committed+st.Committed/8 {
			t.Errorf("blocks of %d: resident %d, committed %d", n, full, st.Committed)
		}
		for _, r := range refs {
			h.Free(r)
		}
		h.Retire()
		for s.Trim(8 << 20) {
		}
		left := residentBytes(t) - empty
		if left > total/8 {
			t.Errorf("blocks of %d: resident %d after everything was freed, committed %d", n, left, s.Stats().Committed)
		}
		t.Logf("blocks of %d: resident %.1f MiB, after they were freed %.1f", n, mib(full), mib(left))
	}
}

// Prefetching asks for any address, also where there is no memory.
func TestPrefetchCannotFault(t *testing.T) {
	s := newTest(t, 64<<30)
	h := s.NewHeap()
	r := h.Alloc(Records, 100)
	s.Prefetch(nil)
	s.Prefetch(s.Pointer(r))
	s.Prefetch(unsafe.Add(s.base, len(s.extents)*s.extentSize()-1)) // not usable
	s.PrefetchBlock(0)
	s.PrefetchBlock(r)
	for r := range Ref(1 << 20) {
		s.PrefetchBlock(r * 4093)
	}
	h.Free(r)
	s.PrefetchBlock(r)
}

// A reserve that the system does not grant is an error, or a smaller one if it
// was the space's own choice; a space that is closed gives its addresses back.
func TestManySpaces(t *testing.T) {
	for range 3000 { // 188 TiB in all, of 128
		s, err := New(Config{Reserve: 64 << 30})
		if err != nil {
			t.Fatal(err)
		}
		if r := s.NewHeap().Alloc(Records, 10); r == 0 {
			t.Fatal("no memory")
		}
		s.Close()
		s.Close()
	}
	for _, n := range []int64{-1, maxReserve + 1} {
		if s, err := New(Config{Reserve: n}); err == nil || s != nil {
			t.Errorf("a reserve of %d bytes", n)
		}
	}
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Stats().Reserved; got < 1<<30 {
		t.Errorf("%d bytes are reserved", got)
	}
	s.Close()
}
