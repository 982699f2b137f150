package tree

import (
	"math/rand/v2"
	"strings"
	"testing"

	"redoubt/storage/slab"
)

// TestAListThatIsStoredAfterEachChange: a command keeps its handle while the
// record follows.
func TestAListThatIsStoredAfterEachChange(t *testing.T) {
	sp, err := slab.New(slab.Config{Reserve: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	e := &Env{Space: sp, Heap: sp.NewHeap(), Hash: func(b []byte) uint64 { return uint64(len(b)) }}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var l ListTree
		var value []byte
		// A Tree is scratch for collections of any kind.
		z := (*ZSetTree)(&l)
		z.Open(e, nil)
		for i := range 5 {
			z.Set([]byte{byte(i)}, float64(i)/3)
		}
		l.Open(e, value)
		n := 0
		for range 90 {
			text := strings.Repeat("e", r.IntN(60))
			l.Insert(n, []byte(text))
			n++
			value = append([]byte(nil), l.Value()...)
			l.Stored(value)
			if err := l.Validate(); err != nil {
				t.Fatalf("seed %d, %d elements: %v", seed, n, err)
			}
		}
	}
}
