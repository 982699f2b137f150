// Package seedtest runs simulations from their seeds, as tests. A package that
// simulates has a test TestSeed that calls Run. A failing seed N is run again, with
// its trace, by
//
//	go test PACKAGE -run TestSeed -seed=N
package seedtest

import (
	"flag"
	"fmt"
	"testing"
)

var (
	one   = flag.Int64("seed", -1, "run only this seed, and print its trace")
	count = flag.Int("seeds", 50, "how many random seeds to run")
	first = flag.Int("first-seed", 0, "the first of them")
)

// Simulation is a random run that has not happened yet.
type Simulation interface {
	// Run lets it happen. The error, if any, is a broken rule or the reason why
	// what was simulated did not recover.
	Run() error
	// Trace tells the last things that happened, one a line.
	Trace() string
	// String says of what size it is.
	String() string
}

// Run runs the seeds that the command line asks for.
func Run[S Simulation](t *testing.T, start func(seed uint64) S) {
	if *one >= 0 {
		s := start(uint64(*one))
		err := s.Run()
		t.Log(s.Trace())
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	for seed := *first; seed < *first+*count; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel() // simulations share nothing
			s := start(uint64(seed))
			if err := s.Run(); err != nil {
				t.Fatalf("seed %d, %v: %v\n%s\nrun it again with -run TestSeed -seed=%d", seed, s, err, tail(s.Trace(), 60), seed)
			}
		})
	}
}

// Same fails unless two runs of one seed are the same. Without this, a seed would
// say nothing.
func Same[S Simulation](t *testing.T, start func(seed uint64) S, seed uint64) {
	run := func() string {
		s := start(seed)
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		return s.Trace()
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
