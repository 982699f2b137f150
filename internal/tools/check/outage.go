package check

import (
	"sync"
	"time"
)

// Outage is a time without a success.
type Outage struct {
	From time.Time     `json:"from"`
	For  time.Duration `json:"for_ns"`
}

// gap finds the longest time without a success. It is safe for concurrent use.
type gap struct {
	mu      sync.Mutex // guards what follows
	last    time.Time  // of the latest success, or the beginning
	failing bool       // there was an error since
	longest Outage
}

func newGap(start time.Time) *gap {
	return &gap{last: start, longest: Outage{From: start}}
}

// success notes a success. Replies of several clients may come out of order.
func (g *gap) success(at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d := at.Sub(g.last); d > g.longest.For {
		g.longest = Outage{From: g.last, For: d}
	}
	g.failing = false
	if at.After(g.last) {
		g.last = at
	}
}

// failure notes an error.
func (g *gap) failure() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failing = true
}

// down reports since when there are errors only.
func (g *gap) down() (since time.Time, down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last, g.failing
}

// downAfter is how long a shard without a success, but with errors, is not yet called down:
// a lone error is none.
const downAfter = 100 * time.Millisecond

// downSince reports since when a shard takes no reads or no writes, if it does not now.
func downSince(reads, writes *gap, now time.Time) (since time.Time, down bool) {
	for _, g := range []*gap{writes, reads} {
		if at, failing := g.down(); failing && now.Sub(at) > downAfter && (!down || at.Before(since)) {
			since, down = at, true
		}
	}
	return since, down
}

// result returns the longest outage when the run ended at end: a shard that
// did not come back was out until then.
func (g *gap) result(end time.Time) Outage {
	g.success(end)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.longest
}
