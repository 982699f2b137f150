package sim

import (
	"flag"
	"fmt"
	"testing"
)

// A failing seed N is run again, with its trace, by
//
//	go test ./cluster/sim -run TestSeed -seed=N
var (
	oneSeed   = flag.Int64("seed", -1, "run only this seed, and print its trace")
	seedCount = flag.Int("seeds", 50, "how many random seeds to run")
	firstSeed = flag.Int("first-seed", 0, "the first of them")
)

func TestSeed(t *testing.T) {
	if *oneSeed >= 0 {
		c := NewChaos(uint64(*oneSeed))
		err := c.Run()
		t.Log(c.World.Trace())
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	for seed := *firstSeed; seed < *firstSeed+*seedCount; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel() // worlds share nothing
			c := NewChaos(uint64(seed))
			if err := c.Run(); err != nil {
				t.Fatalf("seed %d, %d members, %d faults: %v\n%s\nrun it again: go test ./cluster/sim -run TestSeed -seed=%d",
					seed, len(c.World.Members), c.Faults, err, tail(c.World.Trace(), 60), seed)
			}
		})
	}
}

// Without this, a seed would say nothing.
func TestSameSeedGivesTheSameRun(t *testing.T) {
	run := func() string {
		c := NewChaos(4242)
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		return c.World.Trace()
	}
	first, second := run(), run()
	if first != second {
		t.Errorf("two runs of one seed differ:\n%s\nand\n%s", tail(first, 20), tail(second, 20))
	}
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == '\n' {
			if lines == 0 {
				return text[i+1:]
			}
			lines--
		}
	}
	return text
}
