package slab

import "testing"

// What a heap frees is found by the others, before they take more memory, even
// if it goes idle without a word. Retire makes it certain for all but nothing.
func TestHeapsShareRoom(t *testing.T) {
	for _, retire := range []bool{false, true} {
		s := newTest(t, 1<<30)
		a, b := s.NewHeap(), s.NewHeap()
		const n = 200_000
		refs := make([]Ref, n)
		for i := range refs {
			refs[i] = a.Alloc(Records, 60)
		}
		full := s.Stats().Committed
		for i := range refs {
			if i%2 == 0 {
				a.Free(refs[i])
			}
		}
		if retire {
			a.Retire()
			if a.owned != 0 {
				t.Errorf("%d pages after Retire", a.owned)
			}
		}
		for i := range refs {
			if i%2 == 0 {
				refs[i] = b.Alloc(Records, 60)
			}
		}
		limit := full
		if !retire {
			limit += s.pageSize() // the one that a owns
		}
		if got := s.Stats().Committed; got > limit {
			t.Errorf("retired %v: committed %d, before half of it was freed %d", retire, got, full)
		}
		audit(t, s)
	}
}

// A heap of many classes does not keep a page of each.
func TestHeapsOwnFewPages(t *testing.T) {
	s := newTest(t, 1<<30)
	var heaps []*Heap
	for range 4 {
		heaps = append(heaps, s.NewHeap())
	}
	var refs []Ref
	for i := range 40_000 {
		refs = append(refs, heaps[i%4].Alloc(Records, 16+i*7%4000))
	}
	audit(t, s)
	// Everybody's blocks are freed by one heap; the others do nothing.
	for _, r := range refs {
		heaps[0].Free(r)
	}
	audit(t, s)
	if st := s.Stats(); st.Committed-st.Free > 4*maxOwned*s.pageSize() {
		t.Errorf("%d bytes in pages without a block", st.Committed-st.Free)
	}
	for _, h := range heaps {
		h.Retire()
	}
	audit(t, s)
	if st := s.Stats(); st.Committed != st.Free {
		t.Errorf("all heaps are retired, and %d of %d bytes are free", st.Free, st.Committed)
	}
}

// Numbers of heaps are used again, and the counts of closed ones stay.
func TestCloseHeap(t *testing.T) {
	s := newTest(t, 64<<20)
	keep := s.NewHeap()
	for range 2 * maxHeaps {
		h := s.NewHeap()
		r := h.Alloc(Tables, 100)
		keep.Free(h.Alloc(Nodes, 5000))
		keep.Free(r)
		h.Close()
	}
	if st := s.Stats(); st.Allocated != 0 || st.Blocks != 0 || st.ByArea != [areas]int{} {
		t.Errorf("nothing is allocated: %+v", st)
	}
	audit(t, s)
}

// A block that comes and goes does not take a page from the space each time.
func TestOneBlockKeepsItsPage(t *testing.T) {
	s := newTest(t, 64<<20)
	h := s.NewHeap()
	first := h.Alloc(Records, 100)
	for range 100 {
		h.Free(first)
		if r := h.Alloc(Records, 100); r != first {
			t.Fatalf("block %#x, then %#x", first, r)
		}
		if st := s.Stats(); st.Free != 0 {
			t.Fatalf("the page was given up: %+v", st)
		}
	}
}

// Of the pages that its owner empties one is kept, whatever the classes.
func TestEmptyPagesAreGivenUp(t *testing.T) {
	s := newTest(t, 64<<20)
	h := s.NewHeap()
	var refs []Ref
	for n := 20; n < 200; n += 4 {
		refs = append(refs, h.Alloc(Records, n))
	}
	for _, r := range refs {
		h.Free(r)
	}
	if st := s.Stats(); st.Committed-st.Free != s.pageSize() {
		t.Errorf("%d bytes in pages without a block", st.Committed-st.Free)
	}
	audit(t, s)
}

// Whoever pushes the last block on a page settles it later; somebody may have
// taken the page by then, or emptied it himself.
func TestLateSettleDoesNothing(t *testing.T) {
	s := newTest(t, 64<<20)
	h, other := s.NewHeap(), s.NewHeap()
	owned := h.Alloc(Records, 100)
	s.settle(owned.page())
	audit(t, s)
	other.Free(owned) // empty, but owned
	s.settle(owned.page())
	audit(t, s)
	again := h.Alloc(Records, 100)
	h.Retire() // on the shelf, with a block
	s.settle(again.page())
	audit(t, s)
	other.Free(again) // and free
	s.settle(again.page())
	audit(t, s)
	if st := s.Stats(); st.Committed != st.Free {
		t.Errorf("%+v", st)
	}
}
