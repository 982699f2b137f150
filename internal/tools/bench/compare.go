package main

import "slices"

// measures are those of several runs.
type measures struct{ rate, cpu []float64 }

func (m *measures) add(one measure) {
	m.rate, m.cpu = append(m.rate, one.rate), append(m.cpu, one.cpu)
}

// A comparison is what the rounds of one test have shown.
type comparison struct {
	ours, theirs measures
	ratios       []float64 // of the rates within a round
}

// compare runs a test in rounds on both servers by turns. run makes so many
// requests.
func (o options) compare(ours, theirs *node, run func(n *node, requests int) (measure, error)) (c comparison, err error) {
	trial, fewest := 20000, 1000
	if o.trial > 0 {
		trial, fewest = o.trial, o.fewest
	}
	requests := map[*node]int{}
	for _, n := range []*node{ours, theirs} {
		// A short run finds out how many requests fill the time.
		m, err := run(n, trial)
		if err != nil {
			return c, err
		}
		requests[n] = max(int(m.rate*o.seconds), fewest)
	}
	for round := range o.rounds {
		pair := []*node{ours, theirs}
		if round%2 == 1 {
			slices.Reverse(pair)
		}
		got := map[*node]measure{}
		for _, n := range pair {
			if got[n], err = run(n, requests[n]); err != nil {
				return c, err
			}
		}
		c.ours.add(got[ours])
		c.theirs.add(got[theirs])
		c.ratios = append(c.ratios, got[ours].rate/got[theirs].rate)
	}
	return c, nil
}
