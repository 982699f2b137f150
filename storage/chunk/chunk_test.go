package chunk

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"redoubt/storage/rdb/wire"
)

// An item of the model of a chunk.
type item struct {
	id    ID
	dead  bool
	pairs []string
}

func (x item) args() (pairs [][]byte) {
	for _, p := range x.pairs {
		pairs = append(pairs, []byte(p))
	}
	return pairs
}

// texts are values of different natures; i chooses among those that are alike.
var texts = []func(r *rand.Rand) string{
	func(r *rand.Rand) string { return fmt.Sprint(r.IntN(100000)) },
	func(r *rand.Rand) string { return fmt.Sprintf("sensor-%d", r.IntN(100)) },
	func(r *rand.Rand) string { return fmt.Sprintf("%.2f", r.Float64()*100) },
	func(r *rand.Rand) string { return fmt.Sprintf("2026-11-28 11:%02d", r.IntN(60)) },
	func(r *rand.Rand) string { return strings.Repeat("x", r.IntN(300)) + "y" },
	func(r *rand.Rand) string { return strings.Repeat("1:", r.IntN(80)) },
	func(r *rand.Rand) string { return []string{"", "a", "-", "info", "info!"}[r.IntN(5)] },
	func(r *rand.Rand) string { return string([]byte{byte(r.Uint32()), byte(r.Uint32()), 0, 255}) },
	func(r *rand.Rand) string { return fmt.Sprint(int64(r.Uint64())) },
	func(r *rand.Rand) string { return randomLetters(r, r.IntN(40)) },
	func(r *rand.Rand) string { return "sensor of " + randomLetters(r, r.IntN(4)) },
	func(r *rand.Rand) string { return strings.Repeat("Z", 90+r.IntN(10)) },
}

func randomLetters(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

func randomItem(r *rand.Rand, last ID, style int) item {
	id := last
	switch r.IntN(6) {
	case 0, 1:
		id.Seq++
	case 2:
		id = ID{id.Ms + 1 + r.Uint64N(100), 0}
	case 3:
		id = ID{id.Ms + 1 + r.Uint64N(1<<40), r.Uint64()}
	case 4:
		id.Seq += 1 + r.Uint64N(1<<20)
	case 5:
		id = ID{id.Ms + 1, uint64(r.IntN(2))}
	}
	x := item{id: id}
	fields := []string{"a", "some-field", ""}
	n := 1 + r.IntN(3)
	if style%2 == 0 {
		n = 3
	}
	for i := range n {
		x.pairs = append(x.pairs, fields[i], texts[(i+style)%len(texts)](r))
	}
	return x
}

func build(items []item) (b []byte) {
	for i, x := range items {
		if i == 0 {
			b = Begin(b, x.id, x.args())
		} else {
			b = Append(b, items[0].id, x.id, x.args())
		}
	}
	return b
}

// list returns all items of a chunk.
func list(b []byte, first ID) (items []item) {
	var r Reader
	r.Open(b, first)
	for r.Next() {
		x := item{id: r.ID, dead: r.Dead}
		for range r.Pairs {
			field, value := r.Pair()
			x.pairs = append(x.pairs, string(field), string(value))
		}
		items = append(items, x)
	}
	return items
}

func sameItem(a, b item) bool {
	return a.id == b.id && a.dead == b.dead && slices.Equal(a.pairs, b.pairs)
}

// A chunk returns what was put into it, and so does one made of its listpack, whose
// length it knows.
func TestItemsComeBack(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 3))
		last := ID{uint64(r.IntN(3)) * 1_700_000_000_000, uint64(r.IntN(2))}
		var items []item
		for range 1 + r.IntN(120) {
			x := randomItem(r, last, int(seed))
			if last = x.id; last.Ms > 1<<62 {
				break
			}
			items = append(items, x)
		}
		if len(items) == 0 {
			continue
		}
		b, first := build(items), items[0].id
		var k Reader
		k.Open(b, first)
		live := len(items)
		for i := 0; k.Next(); i++ {
			if live > 1 && r.IntN(4) == 0 {
				k.Kill()
				items[i].dead = true
				live--
			}
		}
		if got := list(b, first); !slices.EqualFunc(got, items, sameItem) {
			t.Fatalf("seed %d: %v\nnot %v", seed, got, items)
		}
		if Live(b) != live || Dead(b) != len(items)-live || Last(b) != last {
			t.Fatalf("seed %d: %d live, %d dead, last %v; not %d of %d and %v", seed, Live(b), Dead(b), Last(b), live, len(items), last)
		}
		listed := Listpack(nil, b, first)
		if len(listed) != ListpackBytes(b) {
			t.Fatalf("seed %d: a listpack of %d bytes, not %d", seed, len(listed), ListpackBytes(b))
		}
		packed, err := wire.ParseListpack(listed)
		if err != nil {
			t.Fatal(err)
		}
		var p Parser
		again, id, err := p.Parse(packed, first, ID{})
		if err != nil || id != first || !bytes.Equal(again, b) {
			t.Fatalf("seed %d: %v, %v; the chunk of the listpack is another one", seed, err, id)
		}
		checkPlaces(t, r, b, items)
	}
}

func checkPlaces(t *testing.T, r *rand.Rand, b []byte, items []item) {
	t.Helper()
	low, high := items[r.IntN(len(items))].id, items[r.IntN(len(items))].id
	var want []item
	for _, x := range items {
		if !x.dead && !x.id.Less(low) && !high.Less(x.id) {
			want = append(want, x)
		}
	}
	var k Reader
	k.Open(b, items[0].id)
	places := k.Places(nil, low, high)
	slices.Reverse(places)
	slices.Reverse(want)
	for i, p := range places {
		k.Seek(p)
		x := item{id: k.ID, dead: k.Dead}
		for range k.Pairs {
			field, value := k.Pair()
			x.pairs = append(x.pairs, string(field), string(value))
		}
		if i >= len(want) || !sameItem(x, want[i]) {
			t.Fatalf("%v at place %d of %v", x, i, want)
		}
	}
	if len(places) != len(want) {
		t.Fatalf("%d places, not %d", len(places), len(want))
	}
}

func TestNamesOfIDsHaveTheirOrder(t *testing.T) {
	ids := []ID{{}, {0, 1}, {0, 255}, {0, 256}, {1, 0}, {1, math.MaxUint64}, {2, 0}, {256, 1}, {math.MaxUint64, 0}, MaxID}
	for i, id := range ids {
		name := id.AppendName(nil)
		if FromName(name) != id || len(name) > MaxName {
			t.Errorf("%v becomes %x and %v", id, name, FromName(name))
		}
		if i > 0 && bytes.Compare(ids[i-1].AppendName(nil), name) >= 0 {
			t.Errorf("%v is not above %v", id, ids[i-1])
		}
		if next, ok := id.Next(); ok != (id != MaxID) || !ok != next.IsZero() || ok && !id.Less(next) {
			t.Errorf("behind %v comes %v, %v", id, next, ok)
		} else if back, was := next.Previous(); back != id || was != ok {
			t.Errorf("before %v comes %v, %v", next, back, was)
		}
	}
}

// FuzzListpack: whatever a listpack has, it is refused or becomes a chunk whose
// listpack becomes the same chunk.
func FuzzListpack(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for style := range 6 {
		var items []item
		last := ID{1, 1}
		for range 5 {
			x := randomItem(r, last, style)
			last = x.id
			items = append(items, x)
		}
		f.Add(Listpack(nil, build(items), items[0].id), uint64(1), uint64(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, ms, seq uint64) {
		packed, err := wire.ParseListpack(b)
		if err != nil {
			return
		}
		var p, q Parser
		c, first, err := p.Parse(packed, ID{ms, seq}, ID{})
		if err != nil {
			if !errors.Is(err, wire.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if c == nil {
			return
		}
		listed := Listpack(nil, c, first)
		if len(listed) != ListpackBytes(c) {
			t.Fatalf("%d bytes, not %d", len(listed), ListpackBytes(c))
		}
		if packed, err = wire.ParseListpack(listed); err != nil {
			t.Fatal(err)
		}
		again, id, err := q.Parse(packed, first, ID{})
		if err != nil || id != first || !slices.EqualFunc(list(again, id), list(c, first), sameItem) {
			t.Fatalf("%v: %v becomes %v", err, list(c, first), list(again, id))
		}
	})
}

// benchmarked are the items of benchmarks: of different natures, and of letters.
var benchmarked = map[string]func(r *rand.Rand) item{
	"mixed": func(r *rand.Rand) item { return randomItem(r, ID{}, 0) },
	"letters": func(r *rand.Rand) item {
		return item{pairs: []string{"first", randomLetters(r, 8), "second", randomLetters(r, 8), "third", randomLetters(r, 8)}}
	},
}

func BenchmarkAppend(b *testing.B) {
	for name, next := range benchmarked {
		b.Run(name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 1))
			var pairs [100][][]byte
			for i := range pairs {
				pairs[i] = next(r).args()
			}
			buf := make([]byte, 0, 8192)
			first := ID{1, 0}
			var c []byte
			b.ReportAllocs()
			for i := range b.N {
				if i%100 == 0 {
					c = Begin(buf, first, pairs[0])
					continue
				}
				c = Append(c, first, ID{1, uint64(i % 100)}, pairs[i%100])
			}
		})
	}
}

// BenchmarkRead reads a chunk of a hundred items.
func BenchmarkRead(b *testing.B) {
	for name, next := range benchmarked {
		b.Run(name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 1))
			var items []item
			for i := range 100 {
				x := next(r)
				x.id = ID{1, uint64(i)}
				items = append(items, x)
			}
			c := build(items)
			var k Reader
			b.ReportAllocs()
			for b.Loop() {
				k.Open(c, items[0].id)
				for k.Next() {
					for range k.Pairs {
						k.Pair()
					}
				}
			}
		})
	}
}
