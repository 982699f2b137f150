package slab

import "math/rand/v2"

// churn keeps a number of blocks of random sizes and replaces random ones n
// times. It returns what part of the committed memory is allocated then, free
// pages trimmed.
func churn(h *Heap, keep, n, smallest, largest int) (density float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	size := func() int { return smallest + rng.IntN(largest-smallest+1) }
	refs := make([]Ref, keep)
	for i := range refs {
		refs[i] = h.Alloc(Records, size())
	}
	for range n {
		i := rng.IntN(keep)
		h.Free(refs[i])
		refs[i] = h.Alloc(Records, size())
	}
	for h.space.Trim(1 << 30) {
	}
	st := h.space.Stats()
	return float64(st.Allocated) / float64(st.Committed)
}
