package seedtest

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	night     = flag.Duration("night", 0, "run random seeds for this long")
	nightSeed = flag.Uint64("night-seed", 0, "the first of them; 0: one at random")
)

// nightRunners is how many seeds run at a time.
const nightRunners = 2

// Tallied is a Simulation that counts.
type Tallied interface {
	Simulation
	// Tally is how much time has passed in the simulation, and how often what has
	// happened in it. The part of a name before a colon is its group.
	Tally() (elapsed time.Duration, counts map[string]int)
}

// tally sums up a night.
type tally struct {
	mu      sync.Mutex // guards what follows
	seeds   int
	failed  []uint64
	elapsed time.Duration
	counts  map[string]int
}

// Night runs seeds, from one at random on, as long as -night says. It goes on after
// a failure, and in the end tells for how long clusters have lived and what has
// happened to them.
func Night[S Tallied](t *testing.T, start func(seed uint64) S) {
	if *night == 0 {
		t.Skip("takes a night: run it with -night=8h")
	}
	next := *nightSeed
	if next == 0 {
		next = uint64(rand.Uint32())
	}
	t.Logf("begins with -night-seed=%d", next)
	sum := &tally{counts: make(map[string]int)}
	end := time.Now().Add(*night)
	var runners sync.WaitGroup
	for i := range uint64(nightRunners) {
		runners.Go(func() {
			for seed := next + i; time.Now().Before(end); seed += nightRunners {
				s := start(seed)
				err := s.Run()
				sum.add(s, seed, err)
				if err != nil {
					t.Error(report(start, seed, s, err))
				}
			}
		})
	}
	runners.Wait()
	t.Log(sum.text())
}

func (n *tally) add(s Tallied, seed uint64, err error) {
	elapsed, counts := s.Tally()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seeds++
	n.elapsed += elapsed
	for what, count := range counts {
		n.counts[what] += count
	}
	if err != nil {
		n.failed = append(n.failed, seed)
	}
}

// text is the sum in words, group by group.
func (n *tally) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d seeds, %v of simulated time, failed: %v\n", n.seeds, n.elapsed.Round(time.Second), n.failed)
	group := ""
	for _, what := range slices.Sorted(maps.Keys(n.counts)) {
		before, name, _ := strings.Cut(what, ": ")
		if before != group {
			group = before
			fmt.Fprintf(&b, "%s\n", group)
		}
		fmt.Fprintf(&b, "%10d  %s\n", n.counts[what], name)
	}
	return b.String()
}
