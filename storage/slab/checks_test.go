//go:build race || invariants

package slab

import (
	"strings"
	"testing"
)

func TestWrongUsePanics(t *testing.T) {
	for _, size := range []int{40, 1000, 20_000, 3 << 20} {
		for _, tt := range []struct {
			name string
			do   func(s *Space, h, other *Heap, r Ref)
			want string
		}{
			{"Bytes of a freed block", func(s *Space, h, _ *Heap, r Ref) { h.Free(r); s.Bytes(r) }, "is not allocated"},
			{"Pointer to a freed block", func(s *Space, h, _ *Heap, r Ref) { h.Free(r); s.Pointer(r) }, "is not allocated"},
			{"Size of a freed block", func(s *Space, h, _ *Heap, r Ref) { h.Free(r); s.Size(r) }, "is not allocated"},
			{"a block is freed twice", func(s *Space, h, _ *Heap, r Ref) { h.Free(r); h.Free(r) }, "is not allocated"},
			{"a block is freed twice by two heaps", func(s *Space, h, other *Heap, r Ref) { other.Free(r); h.Free(r) }, "is not allocated"},
			{"a block that never was is freed", func(s *Space, h, _ *Heap, r Ref) { h.Free(r + 1) }, "is not allocated"},
			{"no block is freed", func(s *Space, h, _ *Heap, r Ref) { h.Free(0) }, "is not allocated"},
			{"a block beyond the space is freed", func(s *Space, h, _ *Heap, r Ref) { h.Free(1<<32 - 1) }, "is not allocated"},
			{"a freed block is written to", func(s *Space, h, _ *Heap, r Ref) {
				b := s.Bytes(r)
				h.Free(r)
				b[9] = 1
				h.Alloc(Records, size)
				panic("written to") // large blocks are not looked at again
			}, "written to"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				s := newTest(t, 64<<20)
				h, other := s.NewHeap(), s.NewHeap()
				r := h.Alloc(Records, size)
				defer func() {
					if got, _ := recover().(string); !strings.Contains(got, tt.want) {
						t.Errorf("%d bytes: panic %q", size, got)
					}
				}()
				tt.do(s, h, other, r)
			})
		}
	}
}
