//go:build unix

package slab

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func benchSpace(b *testing.B) *Space { return newTest(b, 8<<30) }

// cpu reports the processor time of an operation beside the time by the clock,
// which on a machine with other work says little.
func cpu(b *testing.B) (stop func()) {
	var before unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	return func() {
		var after unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
			b.Fatal(err)
		}
		ns := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
		b.ReportMetric(float64(ns)/float64(b.N), "cpu-ns/op")
	}
}

// One block comes and goes.
func BenchmarkAllocFree(b *testing.B) {
	for _, n := range []struct {
		name string
		n    int
	}{{"64", 64}, {"1K", 1000}, {"4K", 4096}, {"20K", 20_000}, {"1M", 1 << 20}, {"5M", 5 << 20}} {
		b.Run(n.name, func(b *testing.B) {
			h := benchSpace(b).NewHeap()
			defer cpu(b)()
			for range b.N {
				h.Free(h.Alloc(Records, n.n))
			}
		})
	}
}

// Random blocks of many are replaced: what overwriting keys does.
func BenchmarkReplace(b *testing.B) {
	for _, mix := range []struct {
		name     string
		min, max int
		keep     int
	}{
		{"64", 64, 64, 1 << 20},
		{"16-128", 16, 128, 1 << 20},
		{"1K-3K", 1000, 3000, 1 << 16},
		{"10K-60K", 10_000, 60_000, 1 << 13},
	} {
		b.Run(mix.name, func(b *testing.B) {
			h := benchSpace(b).NewHeap()
			rng := rand.New(rand.NewPCG(1, 1))
			refs := make([]Ref, mix.keep)
			for i := range refs {
				refs[i] = h.Alloc(Records, mix.min+rng.IntN(mix.max-mix.min+1))
				clear(h.space.Bytes(refs[i])) // have it in memory
			}
			defer cpu(b)()
			for range b.N {
				i := rng.IntN(mix.keep)
				old := refs[i]
				refs[i] = h.Alloc(Records, mix.min+rng.IntN(mix.max-mix.min+1))
				h.Free(old)
			}
		})
	}
}

// Two heaps replace blocks of which half are the other's.
func BenchmarkReplaceTwoHeaps(b *testing.B) {
	for _, sizes := range []struct {
		name     string
		min, max int
	}{{"64", 64, 64}, {"16-128", 16, 128}} {
		for _, workers := range []int{1, 2} {
			b.Run(sizes.name+"/"+string(rune('0'+workers)), func(b *testing.B) {
				s := benchSpace(b)
				const keep = 1 << 20
				refs := make([]atomic.Uint32, keep)
				var heaps []*Heap
				for range 2 {
					heaps = append(heaps, s.NewHeap())
				}
				rng := rand.New(rand.NewPCG(1, 1))
				for i := range refs {
					refs[i].Store(uint32(heaps[i%2].Alloc(Records, sizes.min+rng.IntN(sizes.max-sizes.min+1))))
				}
				defer cpu(b)()
				var wg sync.WaitGroup
				for w := range workers {
					wg.Go(func() {
						h := heaps[w]
						rng := rand.New(rand.NewPCG(uint64(w), 2))
						for range b.N {
							r := h.Alloc(Records, sizes.min+rng.IntN(sizes.max-sizes.min+1))
							h.Free(Ref(refs[rng.IntN(keep)].Swap(uint32(r))))
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

// Reading a block's address, with what it costs to be sure of it in the caches.
func BenchmarkBytes(b *testing.B) {
	s := benchSpace(b)
	h := s.NewHeap()
	refs := make([]Ref, 1<<10)
	for i := range refs {
		refs[i] = h.Alloc(Records, 16+i%100)
	}
	sum := 0
	defer cpu(b)()
	for i := range b.N {
		sum += len(s.Bytes(refs[i%len(refs)]))
	}
	_ = sum
}

// What a space of 64 MiB loses, in percent of what was asked for: to rounding,
// and to pages of which a part is free, after it was loaded and after two heaps
// in turns replaced each block three times on average. Nothing is compacted.
func BenchmarkLoss(b *testing.B) {
	for _, mix := range []struct {
		name     string
		min, max int
	}{{"16-128", 16, 128}, {"64", 64, 64}, {"87", 87, 87}, {"100-1000", 100, 1000}, {"1K-3K", 1000, 3000}, {"10K-60K", 10_000, 60_000}} {
		b.Run(mix.name, func(b *testing.B) {
			for range b.N {
				s := newTest(b, 8<<30)
				heaps := [2]*Heap{s.NewHeap(), s.NewHeap()}
				rng := rand.New(rand.NewPCG(1, 1))
				refs := make([]Ref, 64<<20/((mix.min+mix.max)/2))
				sizes := make([]uint16, len(refs))
				asked := 0
				replace := func(i int) {
					h := heaps[i%2]
					if refs[i] != 0 {
						asked -= int(sizes[i])
						h.Free(refs[i])
					}
					n := mix.min + rng.IntN(mix.max-mix.min+1)
					refs[i], sizes[i] = heaps[rng.IntN(2)].Alloc(Records, n), uint16(n)
					asked += n
				}
				report := func(when string) {
					for s.Trim(1 << 30) {
					}
					st := s.Stats()
					b.ReportMetric(100*float64(st.Committed-st.Free-st.Allocated)/float64(asked), when+"-pages-%")
					if when == "churned" {
						b.ReportMetric(100*float64(st.Allocated-asked)/float64(asked), "rounding-%")
					}
				}
				for i := range refs {
					replace(i)
				}
				report("loaded")
				for range 3 * len(refs) {
					replace(rng.IntN(len(refs)))
				}
				report("churned")
				s.Close()
			}
		})
	}
}
