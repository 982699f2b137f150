package tree

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// Names are found whatever their bounds have in common: those of inner nodes are
// compared by eight bytes first, and names that differ in zeros at the end, behind
// these, or only behind what a bound may be long, must not be mistaken.
func TestRowsAreFoundByNamesOfAnyForm(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 7))
		common := bytes.Repeat([]byte{'p'}, []int{0, 3, 40, 70}[seed%4])
		letters := [][]byte{{0, 1}, {0, 255}, {0, 'a', 'b', 255}}[seed%3]
		name := func() []byte {
			b := append([]byte(nil), common[:len(common)-r.IntN(2)*len(common)/2]...)
			for range r.IntN(40) {
				b = append(b, letters[r.IntN(len(letters))])
			}
			return b
		}
		m := new(MapTree)
		m.Open(newEnv(t), nil)
		var names [][]byte
		for range 6000 {
			n := name()
			if m.Set(5, n, n) {
				names = append(names, n)
			}
		}
		slices.SortFunc(names, bytes.Compare)
		for i, n := range names {
			if v, ok := m.Get(5, n); !ok || !bytes.Equal(v, n) {
				t.Fatalf("seed %d: %q is not found", seed, n)
			}
			if rank := m.Rank(5, n); rank != i {
				t.Fatalf("seed %d: %q has rank %d, not %d", seed, n, rank, i)
			}
		}
		for range 6000 {
			n := name()
			i, found := slices.BinarySearchFunc(names, n, bytes.Compare)
			if rank := m.Rank(5, n); rank != i {
				t.Fatalf("seed %d: %q would have rank %d, not %d (%v)", seed, n, rank, i, found)
			}
		}
	}
}
