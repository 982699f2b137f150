package command

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"redoubt/replication"
	"redoubt/storage"
)

// streamUnit is the n-th unit of a made-up stream in which what keys hold depends on
// the order of the units of their slot, and of those that many slots share.
func streamUnit(r *rand.Rand, n int) (unit []Effect) {
	key := func() string { return fmt.Sprint("key", r.IntN(40)) }
	line := ""
	switch r.IntN(20) {
	case 0:
		line = "rename {a}" + key() + " " + key()
	case 1:
		line = "mset " + key() + " 1 " + key() + " 2"
	case 2:
		line = "set big " + strings.Repeat("x", r.IntN(2*aheadBytes))
	case 3:
		k := key()
		return []Effect{{r.IntN(2), args("append " + k + " {")}, {0, args("append " + k + " }")}}
	case 4:
		line = "setrange {a}" + key() + " 0 " + fmt.Sprint(n)
	default:
		line = "append " + key() + " " + fmt.Sprint(n%10)
	}
	return []Effect{{DB: r.IntN(2), Args: args(line)}}
}

func TestAppliersGiveWhatOneApplierDoes(t *testing.T) {
	for workers := range 5 {
		for seed := range uint64(10) {
			one, many := newNode(), newNode()
			var executors []*storage.Executor
			for range workers {
				executors = append(executors, many.ks.NewExecutor())
			}
			a := NewApplier(one.table, one.exec, one)
			p := NewAppliers(NewApplier(many.table, many.exec, many), executors)
			r := rand.New(rand.NewPCG(seed, 0))
			for n := range 5000 {
				unit, end := streamUnit(r, n), replication.Offset(n+1)
				// A RENAME of a missing key answers with an error, and so do both.
				if err := errors.Join(a.Apply(1, unit, end, nil), p.Apply(1, unit, end)); err != nil {
					t.Fatal(err)
				}
				for _, e := range unit { // the stream's buffer is used again
					for _, arg := range e.Args {
						clear(arg)
					}
				}
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			want, got := one.exec.BeginWorld(1).Digest(), many.exec.BeginWorld(1).Digest()
			gates := one.exec.End() == many.exec.End()
			if want != got || !gates {
				t.Errorf("%d workers, seed %d: the same data %v, the same gates %v", workers, seed, want == got, gates)
			}
		}
	}
}

func TestAppliersTellTheErrorOfAUnit(t *testing.T) {
	n := newNode()
	own := NewApplier(n.table, n.exec, n)
	refused := errors.New("refused")
	own.Admit = func() error { return refused }
	p := NewAppliers(own, []*storage.Executor{n.ks.NewExecutor(), n.ks.NewExecutor()})
	var err error
	for i := 0; i < 100_000 && err == nil; i++ {
		err = p.Apply(1, []Effect{{Args: args(fmt.Sprint("set key", i, " v"))}}, 1)
	}
	if !errors.Is(err, refused) {
		t.Errorf("Apply: %v", err)
	}
	if err := p.Close(); !errors.Is(err, refused) {
		t.Errorf("Close: %v", err)
	}
	if n.ks.Len(0) != 0 {
		t.Error("refused units were applied")
	}
}

// Scripts in a stream may use any key, and share what they run on: each of them comes
// alone.
func TestAppliersRunScriptsAlone(t *testing.T) {
	n := newNode()
	holds := 0
	n.table = NewTable(Strings, []*Row{{Name: "eval", Arity: -3, Flags: Write | RunsScript, Keys: OneKey(KeyRW), Run: func(c *Ctx) {
		if c.Tx.World() {
			holds++
		}
	}, Doc: Doc{Summary: "s", Since: "1", Group: "scripting", Complexity: "O(1)"}}})
	p := NewAppliers(NewApplier(n.table, n.exec, n), []*storage.Executor{n.ks.NewExecutor(), n.ks.NewExecutor()})
	const scripts = 100
	for i := range scripts {
		if err := p.Apply(1, []Effect{{Args: args(fmt.Sprint("eval key", i, " v"))}}, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil || holds != scripts {
		t.Errorf("%d of %d scripts had the world: %v", holds, scripts, err)
	}
}
