package slab

import "testing"

func TestLargestBlock(t *testing.T) {
	if checked {
		t.Skip("fills gigabytes with poison")
	}
	s := newTest(t, 3*MaxBlock) // addresses; no memory is touched
	h := s.NewHeap()
	r := h.Alloc(Records, MaxBlock)
	if r == 0 {
		t.Fatal("no memory")
	}
	b := s.Bytes(r)
	if len(b) != MaxBlock {
		t.Fatalf("a block of %d bytes", len(b))
	}
	b[0], b[len(b)-1] = 1, 2
	if h.Alloc(Records, MaxBlock+1) != 0 {
		t.Error("a block larger than MaxBlock")
	}
	if again := h.Alloc(Records, MaxBlock-1); again == 0 {
		t.Error("no room for a second one")
	}
	h.Free(r)
	if again := h.Alloc(Records, MaxBlock); again != r {
		t.Errorf("the addresses of a freed block were not used again: %#x, then %#x", r, again)
	}
	audit(t, s)
}

// The rest of a large block shares an extent with others, and both can be freed
// first.
func TestRestOfASpanSharesItsExtent(t *testing.T) {
	for _, spanFirst := range []bool{true, false} {
		s := newTest(t, 64<<20)
		h := s.NewHeap()
		n := s.extentSize() + 5*granule
		span := h.Alloc(Records, n)
		beside := h.Alloc(Records, 10_000)
		if got := s.Stats().Committed; got > n+3*s.pageSize() {
			t.Errorf("%d bytes are committed for %d", got, n+10_000)
		}
		if a, b := span.page()/extentPages+1, beside.page()/extentPages; a != b {
			t.Errorf("the rest lies in extent %d, the next block in %d", a, b)
		}
		first, last := span, beside
		if !spanFirst {
			first, last = beside, span
		}
		h.Free(first)
		audit(t, s)
		h.Free(last)
		audit(t, s)
		if st := s.Stats(); st.Allocated != 0 || st.Committed != st.Free {
			t.Errorf("after both were freed: %+v", st)
		}
	}
}

// A space that is used up says so, loses nothing, and has room again once
// something is freed.
func TestOutOfReserve(t *testing.T) {
	for _, n := range []int{100, 4000, 100_000, 5 << 20} {
		s := newTest(t, 32<<20)
		h, other := s.NewHeap(), s.NewHeap()
		var refs []Ref
		for {
			r := h.Alloc(Records, n)
			if r == 0 {
				break
			}
			refs = append(refs, r)
		}
		if got := len(refs) * SizeFor(n); got < 20<<20 {
			t.Errorf("only %d bytes in blocks of %d fitted", got, n)
		}
		audit(t, s)
		if h.Alloc(Records, n) != 0 || other.Alloc(Records, n) != 0 {
			t.Errorf("blocks of %d bytes beyond the reserve", n)
		}
		other.Free(refs[0])
		if r := h.Alloc(Records, n); r != refs[0] {
			t.Errorf("the block of %d bytes that was freed is not used again: %#x, not %#x", n, r, refs[0])
		}
		for _, r := range refs {
			h.Free(r)
		}
		audit(t, s)
	}
}

// When values of all sizes come and go, free runs are too short for some of the
// values to come; that loss stays small.
func TestArenasStayDense(t *testing.T) {
	s := newTest(t, 1<<30)
	h := s.NewHeap()
	const keep = 2000
	n := 40 * keep
	if checked {
		n = 4 * keep
	}
	density := churn(h, keep, n, 10_000, 60_000)
	if density < 0.8 {
		t.Errorf("%.3f of committed memory is allocated", density)
	}
	t.Logf("%.3f of committed memory is allocated", density)
	audit(t, s)
}
