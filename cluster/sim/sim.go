// Package sim runs whole clusters in one process, in virtual time, from a
// seed. It drives package cluster as the server does: it carries messages,
// writes states to disks, tells replication offsets; only that network, disk
// and clock are made up, and misbehave on demand.
//
// A World has Members. A member is a machine with a disk; while it is up, a
// cluster.Node runs on it. Clock, network and disks are those of package
// virtual: the same seed gives the same run.
//
// Two kinds of rules are checked. Safety, all the time: a voter votes once an
// epoch, across restarts too; no epoch elects two; no promise leaves before
// it is on disk; who is elected has the data of its shard; two primaries never take
// writes of one slot; no write that was acknowledged is lost without a reason. And, by Verdict, after everything has healed: config epochs
// are distinct, every slot has one owner, all agree on it, all are connected,
// every shard has a primary.
package sim

import (
	"fmt"
	"time"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/cluster/sim/virtual"
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
	// AckAll: primaries acknowledge a write when all members that their shard had
	// in the beginning have it on disk (min-replicas-to-ack and appendfsync always).
	AckAll bool
	// RedisPercent of the members pass for nodes of Redis 7.0.
	RedisPercent int
	// MixedTimeouts: some node timeouts are shorter than NodeTimeout, down to half of it.
	MixedTimeouts bool
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
	*virtual.World
	Net     *virtual.Network[*bus.Message]
	Members []*Member

	opt     Options
	traps   int // full resyncs whose primaries will crash
	repairs int
	// forgotten are the members that an administrator has had forgotten.
	forgotten []*Member
	// strangers are members that have been reset or are new, and have to be introduced.
	strangers []*Member
	covered   map[string]int // how often faults and states have happened
	moves     int            // addresses that were given out by Move
	law       law
}

// New makes a world of members that are up, new and know nobody.
func New(seed uint64, members int, opt Options) *World {
	base := virtual.NewWorld(seed)
	w := &World{World: base, Net: virtual.NewNetwork[*bus.Message](base), law: newLaw()}
	w.configure(opt)
	w.patrol()
	for i := range members {
		w.AddMember(i)
	}
	return w
}

// configure sets the options, which holds for members that are added after that.
func (w *World) configure(opt Options) {
	w.opt = opt
	w.Net.LatencyMin, w.Net.LatencyMax, w.Net.LossPercent = opt.LatencyMin, opt.LatencyMax, opt.LossPercent
}

// AddMember adds a member; i must be the number of members so far.
func (w *World) AddMember(i int) *Member {
	m := newMember(w, w.AddHost())
	w.Members = append(w.Members, m)
	m.start()
	return m
}

// member finds whoever has this node id now; nil if nobody does.
func (w *World) member(id bus.NodeID) *Member {
	for _, m := range w.Members {
		if m.node != nil && m.node.ID() == id {
			return m
		}
	}
	return nil
}

// Trace tells the last things that happened, one a line: time, member, what.
// Node ids are shortened to their members.
func (w *World) Trace() string {
	var names []string
	for _, m := range w.Members {
		if m.node != nil {
			names = append(names, string(m.node.ID()), fmt.Sprintf("#%d", m.Index))
		}
	}
	return w.World.Trace(names...)
}
