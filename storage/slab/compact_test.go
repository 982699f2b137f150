package slab

import (
	"math/rand/v2"
	"testing"
)

// thinOut fills a space with blocks and frees a share of them at random.
func thinOut(h *Heap, bytes, smallest, largest int, share float64) (cells []cell) {
	rng := rand.New(rand.NewPCG(3, 4))
	cells = make([]cell, scaled(bytes)/((smallest+largest)/2))
	for i := range cells {
		cells[i].allocate(h, Area(rng.IntN(2)*2), smallest+rng.IntN(largest-smallest+1), uint64(i))
	}
	for i := range cells {
		if rng.Float64() < share {
			h.Free(cells[i].ref)
			cells[i].ref = 0
		}
	}
	return cells
}

// After most blocks were deleted at random nearly all extents still have some.
// Compaction brings them together, in a few rounds as sizes need, and Trim gives
// the rest back.
func TestCompactionEmptiesExtents(t *testing.T) {
	for _, tt := range []struct {
		name              string
		smallest, largest int
	}{
		{"pages", 90, 90},
		{"pages of many sizes", 16, 400},
		{"arenas", 5_000, 60_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newTest(t, 1<<30)
			h := s.NewHeap()
			cells := thinOut(h, 64<<20, tt.smallest, tt.largest, 0.8)
			before := s.Stats()
			moved, rounds := 0, 0
			for n := -1; n != 0; rounds++ {
				if rounds == 10 {
					t.Fatal("there is no end of it")
				}
				n = compact(t, s, h, cells, 0.125)
				moved += n
				audit(t, s)
			}
			for s.Trim(1 << 20) {
			}
			after := s.Stats()
			for i := range cells {
				if cells[i].ref != 0 {
					cells[i].verify(t, s)
				}
			}
			if after.Allocated != before.Allocated || after.Blocks != before.Blocks {
				t.Errorf("compaction changed what is allocated: %+v, then %+v", before, after)
			}
			// An eighth is lost, a page of each size, what the heap owns and
			// what Trim leaves.
			limit := (after.Allocated+pagesInUse(s)*s.pageSize())*8/7 + (h.owned+max(keepFree, s.counts.used/32))*s.pageSize()
			if after.Committed > limit {
				t.Errorf("%d bytes are committed for %d", after.Committed, after.Allocated)
			}
			if moved > before.Blocks*5/4 {
				t.Errorf("%d moves of %d blocks", moved, before.Blocks)
			}
			t.Logf("%d rounds moved %d of %d blocks: committed %.1f MiB, then %.1f, allocated %.1f", rounds, moved, before.Blocks,
				mib(before.Committed), mib(after.Committed), mib(after.Allocated))
		})
	}
}

func mib(n int) float64 { return float64(n) / (1 << 20) }

// pagesInUse returns how many classes have pages.
func pagesInUse(s *Space) (n int) {
	for _, pages := range s.pagesOf {
		if pages > 0 {
			n++
		}
	}
	return n
}

// Blocks of an extent that is being emptied can be freed by anybody, and it gives
// none until the compaction has ended. One that is empty is as any other.
func TestSparseExtentsGiveNoBlocks(t *testing.T) {
	for _, size := range []int{100, 20_000} {
		s := newTest(t, 1<<30)
		h, other := s.NewHeap(), s.NewHeap()
		cells := thinOut(h, 32<<20, size, size, 0.7)
		other.Free(other.Alloc(Records, size))
		blocks := s.ChooseSparse(0.1, 0).Blocks()
		var sparse []*cell
		for i := range cells {
			if cells[i].ref != 0 && s.Sparse(cells[i].ref) {
				sparse = append(sparse, &cells[i])
			}
		}
		if blocks == 0 || len(sparse) < blocks || len(sparse) > blocks+blocks/50 { // blocks of pages that h owns are not counted
			t.Fatalf("blocks of %d: ChooseSparse says %d are in sparse extents, and %d are", size, blocks, len(sparse))
		}
		audit(t, s)
		rng := rand.New(rand.NewPCG(5, 6))
		for range len(cells) {
			c := &cells[rng.IntN(len(cells))]
			if c.ref != 0 {
				[]*Heap{h, other}[rng.IntN(2)].Free(c.ref)
			}
			c.allocate(h, Records, size, 1)
			if s.Sparse(c.ref) {
				t.Fatal("a block in a sparse extent")
			}
		}
		audit(t, s)
		for _, c := range sparse[:len(sparse)/2] {
			if s.Sparse(c.ref) {
				other.Free(c.ref)
				c.ref = 0
			}
		}
		audit(t, s)
		s.EndCompaction()
		audit(t, s)
		for i := range cells {
			if s.Sparse(cells[i].ref) {
				t.Fatal("an extent is sparse after the end")
			}
		}
	}
}

func TestNothingIsSparseWithoutLoss(t *testing.T) {
	s := newTest(t, 1<<30)
	h := s.NewHeap()
	thinOut(h, 32<<20, 16, 1000, 0)
	if n := s.ChooseSparse(0.05, 0).Blocks(); n != 0 {
		t.Errorf("%d blocks of a dense space are to be moved", n)
	}
	small := newTest(t, 64<<20)
	thinOut(small.NewHeap(), 1<<20, 16, 4000, 0.5)
	if n := small.ChooseSparse(0.05, 0).Blocks(); n != 0 {
		t.Errorf("%d blocks of a small space are to be moved, of which each size has about a page", n)
	}
}
