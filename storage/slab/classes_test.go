package slab

import "testing"

func TestSizesHoldWhatWasAskedFor(t *testing.T) {
	for _, a := range []Area{Records, Tables, Nodes} {
		last := 0
		for n := range 200_000 {
			size := a.SizeFor(n)
			if size < n || size < last || a.SizeFor(size) != size {
				t.Fatalf("%v: SizeFor(%d) = %d, after %d; SizeFor of that %d", a, n, size, last, a.SizeFor(size))
			}
			if a == Tables && size%line != 0 {
				t.Fatalf("a table of %d bytes has %d", n, size)
			}
			// One part in sixteen between 2 and 5 KiB, less elsewhere.
			if n >= 64 && a != Tables && size-n > n/15 {
				t.Fatalf("%v: SizeFor(%d) = %d", a, n, size)
			}
			last = size
		}
	}
}

func TestEveryClassHasTheSizeThatIsPromised(t *testing.T) {
	used := make(map[class]Area)
	for _, a := range []Area{Records, Tables, Nodes} {
		for n := -1; n <= maxSmall; n++ {
			c := classFor(a, n)
			if c >= classes || c == 0 {
				t.Fatalf("%v of %d bytes is of class %d of %d", a, n, c, classes)
			}
			if int(classSizes[c]) != a.SizeFor(n) || c.area() != a {
				t.Fatalf("%v of %d bytes is of class %d of %v with %d bytes, not %d", a, n, c, c.area(), classSizes[c], a.SizeFor(n))
			}
			if other, ok := used[c]; ok && other != a {
				t.Fatalf("class %d is of %v and %v", c, a, other)
			}
			used[c] = a
		}
	}
}

// What is lost at the end of a page of 64 KiB is small for every class.
func TestPagesAreFull(t *testing.T) {
	for c := range class(classes) {
		size := int(classSizes[c])
		if size == 0 {
			continue
		}
		if rest := quotientOf % size; c.area() != Tables && rest > quotientOf/100 {
			t.Errorf("a page of blocks of %d bytes has a rest of %d", size, rest)
		}
	}
}

// Blocks just below, at and above each size come out whole, side by side, and
// are counted.
func TestBlocksAtEveryBoundary(t *testing.T) {
	s := newTest(t, 1<<30)
	h := s.NewHeap()
	var cells []*cell
	want := [areas]int{}
	add := func(a Area, n int) {
		c := &cell{}
		c.allocate(h, a, n, uint64(len(cells)+1))
		if c.ref == 0 {
			t.Fatalf("no memory for %d bytes", n)
		}
		want[a] += a.SizeFor(n)
		cells = append(cells, c)
	}
	for c := class(1); c < classes; c++ {
		if size := int(classSizes[c]); size > 0 {
			add(c.area(), size-1)
			add(c.area(), size)
			add(c.area(), size+1)
		}
	}
	extent := s.extentSize()
	for _, n := range []int{maxSmall + granule, 8192, 64 << 10, extent - granule, extent, scaled(3 * extent)} {
		for _, a := range []Area{Records, Tables, Nodes} {
			add(a, n-1)
			add(a, n)
			add(a, n+1)
		}
	}
	audit(t, s)
	if st := s.Stats(); st.ByArea != want || st.Blocks != len(cells) || st.Allocated != want[0]+want[1]+want[2] {
		t.Errorf("%d blocks with %v bytes; counted are %+v", len(cells), want, st)
	}
	for _, c := range cells {
		c.verify(t, s)
	}
	for i, c := range cells {
		if i%2 == 0 {
			h.Free(c.ref)
		}
	}
	audit(t, s)
	for i, c := range cells {
		if i%2 == 1 {
			c.verify(t, s)
			h.Free(c.ref)
		}
	}
	audit(t, s)
	if st := s.Stats(); st.Allocated != 0 || st.Blocks != 0 {
		t.Errorf("after all were freed: %+v", st)
	}
}
