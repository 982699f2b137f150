// Package sim runs whole clusters in one process, in virtual time, from a
// seed. It drives package cluster as the server does: it carries messages,
// writes states to disks, tells replication offsets; only that network, disk
// and clock are made up, and misbehave on demand.
//
// A World has Members. A member is a machine with a disk; while it is up, a
// cluster.Node runs on it. Everything that happens is an entry in one queue,
// ordered by virtual time, so the same seed gives the same run, and a run that
// breaks a rule can be looked at again from its number alone.
//
// The network carries TCP: a link delivers in order or breaks, a loss is a
// delay, and what is sent into a cut waits until it heals, unless the link is
// given up. The disk takes time to write; a crash takes what it has not
// written.
//
// Two kinds of rules are checked. Safety, all the time: a voter votes once an
// epoch, across restarts too; no epoch elects two; no promise leaves before
// it is on disk; who is elected has the data of its shard. And, by Verdict, after everything has healed: config epochs
// are distinct, every slot has one owner, all agree on it, all are connected,
// every shard has a primary.
package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"redoubt/bus"
	"redoubt/cluster"
)

// Options say how the world behaves while nothing is broken.
type Options struct {
	NodeTimeout time.Duration
	LatencyMin  time.Duration // one way, between any two members
	LatencyMax  time.Duration
	LossPercent int           // of messages that need a retransmission
	FsyncMax    time.Duration // a disk write takes up to this
	// CodecPercent of messages go through their binary form and back.
	CodecPercent int
	// Settings changes the settings of all nodes; may be nil.
	Settings func(*cluster.Settings)
}

// DefaultOptions are those of a calm network with a short node timeout.
func DefaultOptions() Options {
	return Options{
		NodeTimeout:  time.Second,
		LatencyMin:   200 * time.Microsecond,
		LatencyMax:   2 * time.Millisecond,
		FsyncMax:     5 * time.Millisecond,
		CodecPercent: 2,
	}
}

// World is a simulated cluster. It is not safe for concurrent use.
type World struct {
	Members []*Member

	opt     Options
	rand    *rand.Rand
	now     time.Time
	queue   queue
	seq     uint64
	traps   int // full resyncs whose primaries will crash
	repairs int
	moves   int // addresses that were given out by Move
	net     network
	trace   trace
	law     law
}

// start is when every world begins.
var start = time.Unix(1_800_000_000, 0).UTC()

// New makes a world of members that are up, new and know nobody.
func New(seed uint64, members int, opt Options) *World {
	w := &World{
		opt:  opt,
		rand: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)),
		now:  start,
		law:  newLaw(),
	}
	w.net.init()
	for i := range members {
		w.AddMember(i)
	}
	return w
}

// AddMember adds a member; i must be the number of members so far.
func (w *World) AddMember(i int) *Member {
	m := &Member{
		Index: i,
		world: w,
		ip:    fmt.Sprintf("10.0.%d.%d", i/250, i%250+1),
	}
	w.Members = append(w.Members, m)
	m.start()
	return m
}

// Now is the virtual time since the beginning.
func (w *World) Now() time.Duration { return w.now.Sub(start) }

// Run lets d pass.
func (w *World) Run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.queue) > 0 && !w.queue[0].at.After(end) && w.law.err == nil {
		w.next()
	}
	if w.law.err == nil {
		w.now = end
	}
}

// RunUntil lets time pass until done reports true, looking every 100 ms, and
// fails when it has not after the limit.
func (w *World) RunUntil(limit time.Duration, what string, done func() bool) error {
	for end := w.now.Add(limit); !done(); {
		if w.law.err != nil {
			return w.law.err
		}
		if !w.now.Before(end) {
			return fmt.Errorf("%s: not after %v", what, limit)
		}
		w.Run(100 * time.Millisecond)
	}
	return w.law.err
}

// Err is the first rule that was broken.
func (w *World) Err() error { return w.law.err }

func (w *World) next() {
	e := heap.Pop(&w.queue).(entry)
	w.now = e.at
	e.do()
}

// after plans do for d from now.
func (w *World) after(d time.Duration, do func()) { w.at(w.now.Add(d), do) }

func (w *World) at(t time.Time, do func()) {
	w.seq++
	heap.Push(&w.queue, entry{t, w.seq, do})
}

// between is a random duration.
func (w *World) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(w.rand.Int64N(int64(high-low)))
}

func (w *World) percent(p int) bool { return p > 0 && w.rand.IntN(100) < p }

// member finds whoever has this node id now; nil if nobody does.
func (w *World) member(id bus.NodeID) *Member {
	for _, m := range w.Members {
		if m.node != nil && m.node.ID() == id {
			return m
		}
	}
	return nil
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
