package tree

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

type dueField struct {
	value string
	due   int64
}

// A hash whose fields are due agrees with a map: what it holds, when the fields
// are due, and which of them are first.
func TestDueFieldsAgreeWithTheirModel(t *testing.T) {
	for seed := uint64(0); seed < 4*styles; seed += seedStep {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			names, values := &gen{r, 4000, int(seed) % styles}, &gen{r, 3000, r.IntN(styles)}
			e, f := newEnv(t), new(HashTree)
			hashes(e, seed)
			h := &harness{t: t, env: e, tree: &f.Tree, open: func(v []byte) { f.Open(e, v) }}
			model := map[string]dueField{}
			never := 1 + r.IntN(20) // one in so many fields is due, or all but these
			run(t, seed, h, r, func(grow bool) {
				for range 1 + r.IntN(20) {
					due := int64(0)
					if (r.IntN(never) == 0) == (seed%2 == 0) {
						due = dueTime(r.IntN(5000))
					}
					dueStep(t, r, f, model, names.text(), values.text(), due, grow)
				}
			}, func() error { return dueCheck(r, e, f, model) })
		})
	}
}

func dueStep(t *testing.T, r *rand.Rand, f *HashTree, model map[string]dueField, name, value []byte, due int64, grow bool) {
	old, had := model[string(name)]
	n := len(model)
	switch k := r.IntN(6); {
	case grow || k == 0 && had:
		if f.Set(name, value, due) == had {
			t.Fatalf("Set %q says the opposite of %v", name, had)
		}
		model[string(name)] = dueField{string(value), due}
	case k <= 2 && n > 0:
		b, _, _ := f.At(r.IntN(n))
		name = bytes.Clone(b)
		old = model[string(name)]
		if !f.SetDue(b, due) {
			t.Fatalf("%q is there, but does not become due", name)
		}
		model[string(name)] = dueField{old.value, due}
	case k == 3 && n > 0:
		// What an expiry does.
		var gone [][]byte
		before := dueTime(r.IntN(5000))
		f.Due(before, 1+r.IntN(20), func(b []byte) { gone = append(gone, bytes.Clone(b)) })
		for _, b := range gone {
			if d := model[string(b)].due; d == 0 || d >= before {
				t.Fatalf("%q is due at %d, not before %d", b, d, before)
			}
			if !f.Delete(b) {
				t.Fatalf("%q is due, but cannot be deleted", b)
			}
			delete(model, string(b))
		}
	default:
		if f.Delete(name) != had {
			t.Fatalf("Delete %q does not say %v", name, had)
		}
		delete(model, string(name))
	}
}

func dueCheck(r *rand.Rand, e *Env, f *HashTree, model map[string]dueField) error {
	seen, scanned, read := map[string]dueField{}, map[string]dueField{}, map[string]dueField{}
	f.Each(func(n, v []byte, due int64) bool { seen[string(n)] = dueField{string(v), due}; return true })
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		cursor = f.Scan(cursor, r.IntN(50), func(n, v []byte, due int64) { scanned[string(n)] = dueField{string(v), due} })
	}
	var reader Reader
	value := bytes.Clone(f.Value())
	reader.Open(e.Space, Hash, value)
	reader.Each(func(x Element) bool { read[string(x.Text)] = dueField{string(x.Value), x.Due}; return true })
	var order []int64
	for n, want := range model {
		v, due, ok := f.Get([]byte(n))
		if got := (dueField{string(v), due}); !ok || got != want || seen[n] != want || scanned[n] != want || read[n] != want {
			return fmt.Errorf("%q is %v, %v, seen as %v, scanned as %v, read as %v, not %v", n, got, ok, seen[n], scanned[n], read[n], want)
		}
		if want.due != 0 {
			order = append(order, want.due)
		}
	}
	if len(seen) != len(model) || len(scanned) != len(model) || len(read) != len(model) {
		return fmt.Errorf("%d fields seen, %d scanned, %d read, not %d", len(seen), len(scanned), len(read), len(model))
	}
	return dueOrder(r, e, f, value, model, order)
}

// dueOrder checks what comes first.
func dueOrder(r *rand.Rand, e *Env, f *HashTree, value []byte, model map[string]dueField, order []int64) error {
	slices.Sort(order)
	first := int64(0)
	if len(order) > 0 {
		first = min(order[0], farDue)
	}
	if got := min(Earliest(e.Space, value), farDue); got != first {
		return fmt.Errorf("the earliest is due at %d, not %d", got, first)
	}
	if got := min(f.Earliest(), farDue); got != first {
		return fmt.Errorf("the earliest is due at %d by the tree, not %d", got, first)
	}
	if HasDue(value) != (len(order) > 0) || f.HasDue() != (len(order) > 0) {
		return fmt.Errorf("%d fields are due, the value says %v", len(order), HasDue(value))
	}
	before, count := dueTime(r.IntN(5000)), 1+r.IntN(30)
	want, _ := slices.BinarySearch(order, before)
	seen := map[string]bool{}
	var got []int64
	f.Due(before, count, func(name []byte) {
		seen[string(name)] = true
		got = append(got, model[string(name)].due)
	})
	// Fields of the same hash come together.
	if len(seen) != len(got) || len(got) < min(want, count) || len(got) > want {
		return fmt.Errorf("%d fields of %d due before %d, asked for %d, %d of them different", len(got), want, before, count, len(seen))
	}
	if IsLarge(value) && !slices.IsSortedFunc(got, cmp.Compare[int64]) {
		return fmt.Errorf("due in the order %d", got)
	}
	return nil
}
