// Package sentinels runs Sentinels and what they watch in one process, in virtual
// time, from a seed. It drives package cluster/sentinel as the Sentinel program
// does: it makes its connections, carries requests and replies, writes its states
// to disks, and publishes what it says.
//
// A World has Sentinels and groups of Servers, a primary with its replicas each,
// which stand for processes of redis-server: roles, offsets, replication links,
// INFO, pub/sub, a redis.conf that CONFIG REWRITE writes. Clocks, network and disks
// are those of package virtual; the wall clocks of machines are set by hours at random,
// and machines move to other addresses.
//
// Two kinds of rules are checked. Safety, all the time: a Sentinel votes once in
// an epoch for a master, across restarts too; an epoch has one leader for a
// master, whom a majority has voted for; a configuration epoch stands for one
// address; epochs grow; nothing that depends on a state leaves before that is on
// disk; who is promoted may be. And, by Verdict, after everything has healed: all
// Sentinels know each other and agree on one master, who is one, and all others
// of its group are its replicas.
package sentinels

import (
	"fmt"
	"time"

	"redoubt/cluster/sentinel"
	"redoubt/cluster/sim/virtual"
)

const (
	sentinelPort = 26379
	serverPort   = 6379
)

// Options say what a World consists of and how it behaves while nothing is
// broken.
type Options struct {
	Sentinels int
	Masters   int // groups of servers
	Replicas  int // of each
	Quorum    int

	// Unfit is how often, in percent, a group has a server that is never to be
	// promoted.
	Unfit int

	LatencyMax  time.Duration // one way, between any two hosts
	LossPercent int           // of messages that need a retransmission
	FsyncMax    time.Duration // a write of a Sentinel's state takes up to this
	SyncMax     time.Duration // a resynchronization takes up to this

	// Master are the options of all masters.
	Master sentinel.Options
	Timing sentinel.Timing
}

// DefaultOptions are those of a calm network and short periods.
func DefaultOptions() Options {
	master := sentinel.DefaultOptions()
	master.DownAfter = 2 * time.Second
	master.FailoverTimeout = 10 * time.Second
	return Options{
		Sentinels: 3, Masters: 1, Replicas: 2, Quorum: 2,
		LatencyMax: 2 * time.Millisecond,
		FsyncMax:   5 * time.Millisecond,
		SyncMax:    2 * time.Second,
		Master:     master,
		Timing:     sentinel.DefaultTiming(),
	}
}

// World is Sentinels and what they watch. It is not safe for concurrent use.
type World struct {
	*virtual.World
	Net       *virtual.Network[message]
	Sentinels []*Sentinel
	Groups    []*Group

	opt   Options
	moves int // addresses that were given out by move
	// owners are who has or had an address.
	owners map[sentinel.Addr]*Server
	law    law
}

// Group is the servers of one master name.
type Group struct {
	Name    string
	Servers []*Server // the first is the primary at the beginning
}

// New makes a world whose hosts are all up; the Sentinels know only where the
// primaries are.
func New(seed uint64, opt Options) *World {
	w := newWorld(seed)
	w.populate(opt)
	return w
}

// newWorld makes a world without hosts.
func newWorld(seed uint64) *World {
	base := virtual.NewWorld(seed)
	return &World{World: base, Net: virtual.NewNetwork[message](base), owners: make(map[sentinel.Addr]*Server), law: newLaw()}
}

// populate adds the hosts and starts them.
func (w *World) populate(opt Options) {
	w.opt = opt
	w.Net.LatencyMin, w.Net.LatencyMax, w.Net.LossPercent = 200*time.Microsecond, opt.LatencyMax, opt.LossPercent
	for range opt.Sentinels {
		w.Sentinels = append(w.Sentinels, newSentinel(w, w.AddHost()))
	}
	for i := range opt.Masters {
		g := &Group{Name: fmt.Sprintf("m%d", i+1)}
		for j := range 1 + opt.Replicas {
			s := newServer(w, g, w.AddHost())
			s.IP = fmt.Sprintf("10.%d.0.%d", i+1, j+1)
			w.owners[s.addr()] = s
			g.Servers = append(g.Servers, s)
			if j > 0 {
				s.conf = g.Servers[0].addr()
			}
			s.Start()
		}
		if w.Percent(opt.Unfit) {
			g.Servers[w.Rand.IntN(len(g.Servers))].Priority = 0
		}
		w.Groups = append(w.Groups, g)
	}
	for _, s := range w.Sentinels {
		s.configure()
		s.Start()
	}
}

// server finds whoever is at an address, up or down; nil if nobody is.
func (w *World) server(a sentinel.Addr) *Server {
	if s := w.owners[a]; s != nil && s.addr() == a {
		return s
	}
	return nil
}

// newIP is an address that nobody has had.
func (w *World) newIP() string {
	w.moves++
	return fmt.Sprintf("10.99.%d.%d", w.moves/250, w.moves%250+1)
}

// Trace tells the last things that happened, one a line: time, host, what. The
// ids of Sentinels are shortened to their hosts.
func (w *World) Trace() string {
	var names []string
	for _, s := range w.Sentinels {
		if s.id != "" {
			names = append(names, s.id, fmt.Sprintf("#%d", s.Index))
		}
	}
	return w.World.Trace(names...)
}
