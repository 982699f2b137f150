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
	if at.After(g.last) {
		g.last = at
	}
}

// result returns the longest outage when the run ended at end: a shard that
// did not come back was out until then.
func (g *gap) result(end time.Time) Outage {
	g.success(end)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.longest
}
