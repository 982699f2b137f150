package admin

import (
	"sync"
	"time"
)

// totals are counts of which INFO shows how fast they grow, too.
type totals struct {
	commands        int64
	in, out         int64 // bytes of clients
	replIn, replOut int64 // bytes of replication
	turns           int64
	turning         time.Duration
}

// totals are the counts as of now, of which the shell's are st.
func (a *Commands) totals(st Stats) (t totals) {
	t = totals{commands: st.Commands, in: st.InBytes, out: st.OutBytes, turns: st.Turns, turning: st.Turning}
	if r, ok := a.Replication.(TrafficCounter); ok {
		t.replIn, t.replOut = r.Traffic()
	}
	return t
}

// rates are the totals of the last second and a half, over which Redis's
// instantaneous_ fields average.
type rates struct {
	mu      sync.Mutex
	samples [16]struct {
		at time.Duration
		totals
	}
	next int
}

func (r *rates) sample(at time.Duration, t totals) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := &r.samples[r.next%len(r.samples)]
	x.at, x.totals = at, t
	r.next++
}

// reset forgets what was, for CONFIG RESETSTAT.
func (r *rates) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = 0
}

// growth is by how much the totals grew over the time kept, and how long that
// is in seconds; 0 if too little is known.
func (r *rates) growth() (d totals, seconds float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next < 2 {
		return d, 0
	}
	newest, oldest := r.samples[(r.next-1)%len(r.samples)], r.samples[0]
	if r.next > len(r.samples) {
		oldest = r.samples[r.next%len(r.samples)]
	}
	d = totals{
		commands: newest.commands - oldest.commands,
		in:       newest.in - oldest.in, out: newest.out - oldest.out,
		replIn: newest.replIn - oldest.replIn, replOut: newest.replOut - oldest.replOut,
		turns: newest.turns - oldest.turns, turning: newest.turning - oldest.turning,
	}
	return d, (newest.at - oldest.at).Seconds()
}

// perSecond is n divided by a time that may be 0.
func perSecond(n int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return max(float64(n), 0) / seconds
}
