package slab

import "testing"

// All that was freed goes back but for what is kept for the blocks to come, within
// the budget of each call, and can be used again.
func TestTrim(t *testing.T) {
	total := scaled(96 << 20)
	for _, n := range []int{50, 1000, 30_000, 200_000, 6_000_000} {
		s := newTest(t, 512<<20)
		h := s.NewHeap()
		for range 2 {
			var refs []Ref
			for range total / n {
				refs = append(refs, h.Alloc(Nodes, n))
			}
			for _, r := range refs {
				h.Free(r)
			}
			h.Retire()
			before := s.Stats()
			calls := 1
			for s.Trim(1 << 20) {
				calls++
				audit(t, s)
			}
			audit(t, s)
			after := s.Stats()
			if after.Committed > keepFree*s.pageSize() || after.Free != after.Committed {
				t.Errorf("blocks of %d: %d bytes are committed after everything was freed, %d free", n, after.Committed, after.Free)
			}
			if got := after.Returned - before.Returned; got != before.Committed-after.Committed || calls < got>>20 {
				t.Errorf("blocks of %d: %d bytes were given back in %d calls of 1 MiB, committed %d before and %d now", n, got, calls, before.Committed, after.Committed)
			}
		}
	}
}

// Pages of which some blocks are in use stay, and so do their contents.
func TestTrimLeavesWhatIsInUse(t *testing.T) {
	s := newTest(t, 512<<20)
	h := s.NewHeap()
	cells := thinOut(h, 64<<20, 5_000, 100_000, 0.7)
	for s.Trim(64 << 10) {
	}
	audit(t, s)
	for i := range cells {
		if cells[i].ref != 0 {
			cells[i].verify(t, s)
		}
	}
	if st := s.Stats(); st.Returned == 0 {
		t.Errorf("nothing was given back: %+v", st)
	}
}

// While pages are on their way to the system nobody gets a block there, although
// allocations and frees around them go on.
func TestNothingIsAllocatedWhereTrimIs(t *testing.T) {
	for _, n := range []int{1000, 20_000, 3 << 20} {
		s := newTest(t, 64<<20)
		h := s.NewHeap()
		var refs []Ref
		fill := func() {
			for r := h.Alloc(Records, n); r != 0; r = h.Alloc(Records, n) {
				refs = append(refs, r)
			}
		}
		fill()
		for _, r := range refs { // the first half of each extent, or all
			if n > 1<<20 || r.page()%extentPages < extentPages/2 {
				h.Free(r)
			}
		}
		refs = refs[:0]
		h.Retire()
		var trims []trim
		for range 3 {
			s.mu.Lock()
			tr, ok := s.takeSurplus(1 << 10)
			s.mu.Unlock()
			if !ok {
				break
			}
			trims = append(trims, tr)
			fill()
			for i, r := range refs {
				if pagesOfBlock(s, r, tr.extent)&tr.mask != 0 {
					t.Fatalf("block %#x of %d bytes lies in pages that are being given back", r, n)
				}
				if i%2 == 0 {
					h.Free(r)
				}
			}
			refs = refs[:0]
			h.Retire()
			s.mu.Lock()
			s.putBack(tr)
			s.mu.Unlock()
			audit(t, s)
		}
		if len(trims) == 0 {
			t.Errorf("blocks of %d: nothing to give back", n)
		}
	}
}

// pagesOfBlock returns the pages of an extent that a block touches.
func pagesOfBlock(s *Space, r Ref, extent uint32) (mask uint32) {
	from := int(r.page())<<s.pageShift + int(r.index())*int(s.sizes[r.page()]&^largePage)
	to := from + s.Size(r)
	for i := range extentPages {
		page := (int(extent)*extentPages + i) << s.pageShift
		if from < page+s.pageSize() && to > page {
			mask |= 1 << i
		}
	}
	return mask
}
