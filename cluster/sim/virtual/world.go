// Package virtual is what a simulation stands on: machines in virtual time,
// with a network between them and disks in them that misbehave on demand. It
// knows nothing of the programs that run there; packages sim and sentinels put
// some on it.
//
// A World has a clock, a seeded source of randomness and a queue. Everything
// that happens is an entry of the queue, ordered by virtual time, so the same
// seed gives the same run, and a run that breaks a rule can be looked at again
// from its number alone. For that, whoever simulates draws from World.Rand only
// and never lets the order of a map decide.
//
// A Host is a machine. What its program plans happens only if the machine still
// lives the same life, and only while it is not frozen. It has a wall clock of its own,
// which may be set. A Network carries messages between hosts as TCP does, a Disk
// keeps the newest state that was written to it.
//
// There is one goroutine: nothing here is safe for concurrent use, and worlds
// share nothing.
package virtual

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"
)

// World is the clock, the randomness and the record of one simulation.
type World struct {
	// Rand is the source of all that is random.
	Rand *rand.Rand

	hosts []*Host
	now   time.Time
	queue queue
	seq   uint64
	trace trace
	err   error
}

// start is when every world begins.
var start = time.Unix(1_800_000_000, 0).UTC()

// NewWorld makes the world of a seed, without hosts.
func NewWorld(seed uint64) *World {
	return &World{Rand: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), now: start}
}

// Now is the virtual time.
func (w *World) Now() time.Time { return w.now }

// Elapsed is the virtual time since the beginning.
func (w *World) Elapsed() time.Duration { return w.now.Sub(start) }

// After plans do for d from now.
func (w *World) After(d time.Duration, do func()) { w.At(w.now.Add(d), do) }

// At plans do for t, after what was planned for t earlier. A time that has passed
// means now: the clock never goes back.
func (w *World) At(t time.Time, do func()) {
	if t.Before(w.now) {
		t = w.now
	}
	w.seq++
	heap.Push(&w.queue, entry{t, w.seq, do})
}

// Run lets d pass. A broken rule ends it early.
func (w *World) Run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.queue) > 0 && !w.queue[0].at.After(end) && w.err == nil {
		e := heap.Pop(&w.queue).(entry)
		w.now = e.at
		e.do()
	}
	if w.err == nil {
		w.now = end
	}
}

// RunUntil lets time pass until done reports true, looking every 100 ms, and
// fails when it has not after the limit.
func (w *World) RunUntil(limit time.Duration, what string, done func() bool) error {
	for end := w.now.Add(limit); !done(); {
		if w.err != nil {
			return w.err
		}
		if !w.now.Before(end) {
			return fmt.Errorf("%s: not after %v", what, limit)
		}
		w.Run(100 * time.Millisecond)
	}
	return w.err
}

// RunFaults lets that many faults happen, each within a pace or so of the
// last. One time in three all is repaired before the next; after the last it
// always is.
func (w *World) RunFaults(faults int, pace time.Duration, fault, repair func()) {
	for range faults {
		w.Run(w.Between(0, 2*pace))
		fault()
		w.Run(w.Between(0, 4*pace))
		if w.Rand.IntN(3) == 0 {
			repair()
		}
	}
	repair()
}

// Break says that a rule was broken. The first of these ends the run.
func (w *World) Break(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("after %v: "+format, append([]any{w.Elapsed()}, args...)...)
	}
}

// Err is the first rule that was broken.
func (w *World) Err() error { return w.err }

// Between is a random duration.
func (w *World) Between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(w.Rand.Int64N(int64(high-low)))
}

// Percent is true with that probability.
func (w *World) Percent(p int) bool { return p > 0 && w.Rand.IntN(100) < p }

// Some chooses at least one and at most that many of n things, by index.
func (w *World) Some(n, most int) []int {
	chosen := w.Rand.Perm(n)
	return chosen[:1+w.Rand.IntN(most)]
}

// entry is something that will happen.
type entry struct {
	at  time.Time
	seq uint64 // entries of one time happen in the order they were made
	do  func()
}

type queue []entry

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(entry)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = entry{}
	*q = (*q)[:last]
	return e
}
