package sentinels

import (
	"fmt"
	"time"

	"redoubt/cluster/sentinel"
)

// Chaos is a random run. Sentinels find each other and the replicas, faults happen
// for a while, everything is healed, and it has to come in order again; then the
// primaries are lost for good, and it has to come in order without them.
type Chaos struct {
	World *World
	// Faults that happened.
	Faults int

	pace time.Duration
}

// NewChaos makes the random run of a seed; nothing has happened yet.
func NewChaos(seed uint64) *Chaos {
	w := newWorld(seed)
	r := w.Rand
	opt := DefaultOptions()
	opt.Sentinels = 3 + r.IntN(3)
	opt.Masters = 1 + r.IntN(6)/4 + r.IntN(6)/5 // mostly one: it is quicker
	opt.Replicas = 2 + r.IntN(2)
	opt.Quorum = 1 + r.IntN(opt.Sentinels/2+1)
	opt.Unfit = 30
	opt.LatencyMax = w.Between(time.Millisecond, 50*time.Millisecond)
	opt.LossPercent = r.IntN(4)
	opt.FsyncMax = w.Between(time.Millisecond, 200*time.Millisecond)
	opt.SyncMax = w.Between(time.Millisecond, 5*time.Second)
	opt.Timing.TiltPeriod = w.Between(5*time.Second, 30*time.Second)
	m := &opt.Master
	m.DownAfter = w.Between(time.Second, 3*time.Second)
	m.FailoverTimeout = w.Between(5*time.Second, 15*time.Second)
	m.ParallelSyncs = 1 + r.IntN(2)
	m.FastDown = r.IntN(3) == 0
	if r.IntN(3) == 0 {
		m.RebootDownAfter = w.Between(100*time.Millisecond, 2*time.Second)
	}
	w.populate(opt)
	return &Chaos{World: w, pace: m.DownAfter}
}

// String says how large it is.
func (c *Chaos) String() string {
	w := c.World
	return fmt.Sprintf("%d Sentinels, %d masters, %d replicas each, %d faults", len(w.Sentinels), len(w.Groups), w.opt.Replicas, c.Faults)
}

// Trace tells the last things that happened.
func (c *Chaos) Trace() string { return c.World.Trace() }

// Run lets it happen. The error, if any, is a broken rule or the reason why it did
// not recover.
func (c *Chaos) Run() error {
	w := c.World
	if err := w.Settle(w.recovery()); err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	c.Faults = 6 + w.Rand.IntN(8)
	w.RunFaults(c.Faults, c.pace, w.fault, w.repair)
	if err := w.recover(); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	for _, g := range w.Groups {
		if p := w.primaryOf(g); p != nil && w.Rand.IntN(4) > 0 {
			p.Crash()
		}
	}
	if err := w.recover(); err != nil {
		return fmt.Errorf("recovery from the loss of primaries: %w", err)
	}
	return w.Err()
}

// recovery is how long it may take until all is in order: TILT mode, an election
// that fails and is not repeated before twice the failover timeout, twice, and
// then all that is waited for before a replica is put to its place.
func (w *World) recovery() time.Duration {
	o := &w.opt
	return o.Timing.TiltPeriod + 6*o.Master.FailoverTimeout + 4*o.Master.DownAfter + 3*o.SyncMax + 90*time.Second
}

// recover waits until all is in order. Servers that have moved, of which maybe no
// Sentinel knows any more, an administrator looks after: once it is known who is
// the master, they have to follow it.
func (w *World) recover() error {
	return w.settle(w.recovery(), w.adopt)
}

func (w *World) adopt() {
	for _, g := range w.Groups {
		addr, err := w.agreed(g)
		for _, s := range g.Servers {
			if err == nil && s.moved && s.Up() && s.addr() != addr {
				s.follow(addr)
				s.conf = addr
			}
		}
	}
}

// primaryOf is whom most of the others follow, nil if nobody does.
func (w *World) primaryOf(g *Group) *Server {
	followers := make(map[*Server]int)
	var best *Server
	for _, s := range g.Servers {
		if p := w.server(s.primary); p != nil && p.Up() {
			if followers[p]++; best == nil || followers[p] > followers[best] {
				best = p
			}
		}
	}
	return best
}

// repair heals the network and starts everybody.
func (w *World) repair() {
	w.Net.Heal()
	for _, g := range w.Groups {
		for _, s := range g.Servers {
			s.slow = 0
			s.Restart()
		}
	}
	for _, s := range w.Sentinels {
		s.Restart()
		s.Do(func() { s.step(sentinel.SimulateFailure{}) })
	}
}

// fault breaks something at random.
func (w *World) fault() {
	g := w.Groups[w.Rand.IntN(len(w.Groups))]
	server := g.Servers[w.Rand.IntN(len(g.Servers))]
	if p := w.primaryOf(g); p != nil && w.Rand.IntN(2) == 0 {
		server = p
	}
	s := w.Sentinels[w.Rand.IntN(len(w.Sentinels))]
	hosts := len(w.Sentinels) + len(w.Groups)*len(g.Servers)
	some := w.Rand.IntN(hosts)
	pause := w.Between(0, 5*w.opt.Master.DownAfter)
	switch w.Rand.IntN(21) {
	case 0, 1, 2:
		server.Crash()
	case 3:
		server.Crash()
		w.After(pause/5, server.Restart)
	case 4:
		server.Freeze(pause)
	case 5:
		server.slow = pause
	case 6:
		w.moveReplica(server)
	case 7:
		w.misplace(server, g)
	case 8:
		s.Crash()
	case 9:
		s.Crash()
		w.After(pause/5, s.Restart)
	case 10:
		s.Crash()
		s.Move()
		s.Restart()
	case 11:
		s.Freeze(pause)
	case 12:
		s.step(sentinel.SimulateFailure{Flags: sentinel.SimFailure(1 + w.Rand.IntN(3))})
	case 13, 14:
		s.failover(g, w.Rand.IntN(2) == 0)
	case 20:
		for _, i := range w.Some(len(w.Sentinels), 3) {
			w.Sentinels[i].failover(g, false)
		}
	case 15:
		w.Net.Partition(w.Some(hosts, hosts/2)...)
	case 16:
		w.Net.Partition(server.Index)
	case 17:
		w.Net.Partition(s.Index)
	case 18:
		w.Net.Cut(s.Index, some, w.Rand.IntN(2) == 0)
	case 19:
		w.Net.Reset(10 + w.Rand.IntN(90))
	}
}

// moveReplica gives a replica another address. A primary that moves nobody would
// look for.
func (w *World) moveReplica(s *Server) {
	if s.IsReplica() && s.Up() {
		s.Crash()
		s.Move()
		s.Restart()
	}
}

// misplace makes a server a replica of another, as an administrator might.
func (w *World) misplace(s *Server, g *Group) {
	other := g.Servers[w.Rand.IntN(len(g.Servers))]
	if s.Up() && other != s && s.IsReplica() {
		w.Log(s.Host, "is told to follow "+other.IP)
		s.follow(other.addr())
	}
}

// failover is what an administrator asks for. That it may be refused is part of the
// game.
func (s *Sentinel) failover(g *Group, coordinated bool) {
	if s.node == nil || s.Frozen() {
		return
	}
	s.world.Log(s.Host, fmt.Sprintf("SENTINEL FAILOVER %s, coordinated: %t", g.Name, coordinated))
	s.command(sentinel.Failover{Name: g.Name, Coordinated: coordinated}, func(r *sentinel.Result) {
		if r.Err != nil {
			s.world.Log(s.Host, r.Err.Error())
		}
	})
}
