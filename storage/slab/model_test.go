package slab

import (
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

var seed = flag.Uint64("seed", 1, "of the random operations")

// A cell of the model names a block and what is in it.
type cell struct {
	sync.Mutex
	ref   Ref
	area  Area
	asked int
	stamp uint64
}

// fill writes the whole block so that no two look alike.
func (c *cell) fill(b []byte) {
	for i := 0; i+8 <= len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], c.stamp*0x9e3779b97f4a7c15+uint64(i))
	}
	for i := len(b) &^ 7; i < len(b); i++ {
		b[i] = byte(c.stamp) + byte(i)
	}
}

// verify uses Error: it runs on other goroutines than the test's.
func (c *cell) verify(t *testing.T, s *Space) {
	b := s.Bytes(c.ref)
	if len(b) != c.area.SizeFor(c.asked) || cap(b) != len(b) || s.Size(c.ref) != len(b) {
		t.Errorf("a block of %v for %d bytes has %d, capacity %d, Size %d", c.area, c.asked, len(b), cap(b), s.Size(c.ref))
	}
	if addr := uintptr(s.Pointer(c.ref)); addr%4 != 0 || (c.area == Tables || len(b) > maxSmall) && addr%line != 0 {
		t.Errorf("a block of %v for %d bytes lies at %#x", c.area, c.asked, addr)
	}
	for i := 0; i+8 <= len(b); i += 8 {
		if got := binary.LittleEndian.Uint64(b[i:]); got != c.stamp*0x9e3779b97f4a7c15+uint64(i) {
			t.Errorf("block %#x of %d bytes was overwritten at %d", c.ref, len(b), i)
			return
		}
	}
	for i := len(b) &^ 7; i < len(b); i++ {
		if b[i] != byte(c.stamp)+byte(i) {
			t.Errorf("block %#x of %d bytes was overwritten at %d", c.ref, len(b), i)
			return
		}
	}
}

// sizes draws sizes as keyspaces have them: many small, few large.
func randomSize(rng *rand.Rand, largest int) int {
	switch rng.IntN(100) {
	case 0:
		return min(largest, rng.IntN(3<<20))
	case 1, 2, 3:
		return min(largest, rng.IntN(100_000))
	case 4, 5, 6, 7, 8, 9:
		return min(largest, rng.IntN(8000))
	}
	return rng.IntN(200)
}

// Several heaps allocate, free each other's blocks, retire, while memory is
// trimmed and compacted. Every block keeps its contents, and at the end nothing
// is left.
func TestModel(t *testing.T) {
	t.Run("pages of 64 KiB", func(t *testing.T) { model(t, newTest(t, 256<<20)) })
	t.Run("pages of 512 KiB", func(t *testing.T) {
		s, err := newSpace(1<<30, maxPageShift)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		model(t, s)
	})
}

func model(t *testing.T, s *Space) {
	cells := make([]cell, 4000)
	const workers = 4
	ops := 20_000
	if testing.Short() || checked {
		ops = 2_000
	}
	var stamp atomic.Uint64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	work := func(id int) {
		defer wg.Done()
		rng := rand.New(rand.NewPCG(*seed, uint64(id)))
		h := s.NewHeap()
		defer h.Close()
		for range ops {
			c := &cells[rng.IntN(len(cells))]
			c.Lock()
			if c.ref != 0 {
				c.verify(t, s)
			}
			if what := rng.IntN(10); c.ref != 0 && what < 6 {
				h.Free(c.ref)
				c.ref = 0
			} else if c.ref == 0 {
				c.allocate(h, Area(rng.IntN(int(areas))), randomSize(rng, 3<<20), stamp.Add(1))
			}
			c.Unlock()
			if rng.IntN(500) == 0 {
				h.Retire()
			}
		}
	}
	wg.Add(workers)
	for id := range workers {
		go work(id)
	}
	var moved, trimmed int
	var background sync.WaitGroup
	background.Go(func() {
		h := s.NewHeap()
		defer h.Close()
		for {
			select {
			case <-stop:
				return
			default:
			}
			moved += compact(t, s, h, cells, 0.05)
			s.Trim(8 << 20)
			trimmed++
			s.Stats()
			runtime.Gosched()
		}
	})
	wg.Wait()
	close(stop)
	background.Wait()
	audit(t, s)
	t.Logf("%d blocks moved, trimmed %d times: %+v", moved, trimmed, s.Stats())
	h := s.NewHeap()
	for i := range cells {
		if c := &cells[i]; c.ref != 0 {
			c.verify(t, s)
			h.Free(c.ref)
		}
	}
	h.Close()
	audit(t, s)
	if st := s.Stats(); st.Allocated != 0 || st.Blocks != 0 || st.ByArea != [areas]int{} || st.Committed != st.Free {
		t.Errorf("after everything was freed: %+v", st)
	}
}

func (c *cell) allocate(h *Heap, a Area, n int, stamp uint64) {
	c.ref = h.Alloc(a, n)
	if c.ref != 0 {
		c.area, c.asked, c.stamp = a, n, stamp
		c.fill(h.space.Bytes(c.ref))
	}
}

// compact moves what is to be moved, as the keyspace does.
func compact(t *testing.T, s *Space, h *Heap, cells []cell, loss float64) (moved int) {
	if s.ChooseSparse(loss, 0).Blocks() == 0 {
		return 0
	}
	for i := range cells {
		c := &cells[i]
		c.Lock()
		if c.ref != 0 && s.Sparse(c.ref) {
			c.verify(t, s)
			if to := h.Alloc(c.area, c.asked); to != 0 {
				copy(s.Bytes(to), s.Bytes(c.ref))
				h.Free(c.ref)
				c.ref = to
				moved++
			}
		}
		c.Unlock()
	}
	s.EndCompaction()
	return moved
}

// scaled returns less than n in checked builds, whose checks and race detector
// see every byte.
func scaled(n int) int {
	if checked {
		return n / 4
	}
	return n
}

// newTest returns a space that is closed at the end of the test.
func newTest(t testing.TB, reserve int64) *Space {
	t.Helper()
	s, err := New(Config{Reserve: reserve})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
