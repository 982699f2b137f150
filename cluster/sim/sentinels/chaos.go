package sentinels

import (
	"fmt"
	"slices"
	"time"

	"redoubt/cluster/sentinel"
	"redoubt/cluster/sim/virtual"
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
	opt.Quorum = 1 + r.IntN(opt.Sentinels)
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
	if r.IntN(4) == 0 {
		m.ForgetAfter = w.Between(10*time.Second, time.Minute)
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
	return o.Timing.TiltPeriod + 2*o.Master.ForgetAfter + 6*o.Master.FailoverTimeout + 4*o.Master.DownAfter + 3*o.SyncMax + 90*time.Second
}

// recover waits until all is in order. Servers of which no Sentinel knows any more,
// since they have moved or were down for too long, an administrator looks after:
// once it is known who is the master, they have to follow it.
//
// So are Sentinels that were to watch a master anew and crashed before the answer:
// they are told again.
func (w *World) recover() error {
	return w.settle(w.recovery(), func() {
		w.remind()
		w.adopt()
	})
}

func (w *World) remind() {
	for _, s := range w.Sentinels {
		for _, g := range w.Groups {
			if s.node == nil {
				continue
			}
			if _, found := s.node.MasterAddr(g.Name); !found {
				s.monitorAgain(g)
			}
		}
	}
}

func (w *World) adopt() {
	for _, g := range w.Groups {
		addr, err := w.agreed(g)
		for _, s := range g.Servers {
			if err == nil && s.Up() && s.addr() != addr && !w.known(g, s) {
				s.follow(addr)
				s.conf = addr
			}
		}
	}
}

// known reports whether a Sentinel has a server among the replicas.
func (w *World) known(g *Group, server *Server) bool {
	for _, s := range w.Sentinels {
		if s.node == nil {
			continue
		}
		replicas, _ := s.node.Replicas(s.Clock(), g.Name)
		for _, r := range replicas {
			if r.Host == server.IP {
				return true
			}
		}
	}
	return false
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
		s.disk.FsyncMax = w.opt.FsyncMax
		s.Restart()
		s.Do(func() { s.step(sentinel.SimulateFailure{}) })
	}
}

// fault breaks something at random.
func (w *World) fault() {
	pause := w.Between(0, 5*w.opt.Master.DownAfter)
	g := w.Groups[w.Rand.IntN(len(w.Groups))]
	s := w.Sentinels[w.Rand.IntN(len(w.Sentinels))]
	switch w.Rand.IntN(24) {
	case 0, 1, 2, 3, 4, 5, 6, 7, 8:
		w.serverFault(g, pause)
	case 9, 10, 11, 12, 13:
		w.sentinelFault(s, pause)
	case 14, 15:
		s.failover(g, w.Rand.IntN(2) == 0)
	case 16:
		for _, i := range w.Some(len(w.Sentinels), 3) {
			w.Sentinels[i].failover(g, false)
		}
	case 17:
		s.monitorAgain(g)
	default:
		w.networkFault(s)
	}
}

func (w *World) serverFault(g *Group, pause time.Duration) {
	server := g.Servers[w.Rand.IntN(len(g.Servers))]
	if p := w.primaryOf(g); p != nil && w.Rand.IntN(2) == 0 {
		server = p
	}
	switch w.Rand.IntN(11) {
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
		w.move(g, server)
	case 7:
		w.misplace(server, g)
	case 8:
		w.Net.Partition(server.Index)
	case 9, 10:
		w.stepClock(server.Host)
	}
}

// stepClock sets the clock of a machine by hours, either way.
func (w *World) stepClock(h *virtual.Host) {
	h.StepClock(w.Between(-10*time.Hour, 10*time.Hour).Truncate(time.Second))
}

func (w *World) sentinelFault(s *Sentinel, pause time.Duration) {
	switch w.Rand.IntN(8) {
	case 0:
		s.Crash()
	case 1:
		s.Crash()
		w.After(pause/5, s.Restart)
	case 2:
		s.Crash()
		s.Move()
		s.Restart()
	case 3:
		s.Freeze(pause)
	case 4:
		s.disk.FsyncMax = pause
	case 5:
		flags := sentinel.SimFailure(1 + w.Rand.IntN(3))
		s.Do(func() { s.step(sentinel.SimulateFailure{Flags: flags}) })
	case 6, 7:
		w.stepClock(s.Host)
	}
}

func (w *World) networkFault(s *Sentinel) {
	hosts := len(w.Sentinels) + len(w.Groups)*len(w.Groups[0].Servers)
	switch w.Rand.IntN(5) {
	case 0, 1:
		w.Net.Partition(w.Some(hosts, hosts/2)...)
	case 2:
		w.Net.Partition(s.Index)
	case 3:
		w.Net.Cut(s.Index, w.Rand.IntN(hosts), w.Rand.IntN(2) == 0)
	case 4:
		w.Net.Reset(10 + w.Rand.IntN(90))
	}
}

// monitorAgain has a Sentinel forget a master and watch it anew, at the address that
// another one says, as an administrator would do it.
func (s *Sentinel) monitorAgain(g *Group) {
	w := s.world
	other := w.Sentinels[w.Rand.IntN(len(w.Sentinels))]
	if s.node == nil || other.node == nil || s.Frozen() {
		return
	}
	addr, found := other.node.MasterAddr(g.Name)
	if !found {
		return
	}
	w.Log(s.Host, fmt.Sprintf("SENTINEL MONITOR %s %v", g.Name, addr))
	m := &w.opt.Master
	options, err := sentinel.ParseOptions([]string{
		"down-after-milliseconds", fmt.Sprint(m.DownAfter.Milliseconds()),
		"failover-timeout", fmt.Sprint(m.FailoverTimeout.Milliseconds()),
		"forget-after-milliseconds", fmt.Sprint(m.ForgetAfter.Milliseconds()),
	})
	if err != nil {
		w.Break("these options are refused: %v", err)
		return
	}
	s.anew = g.Name
	s.step(sentinel.Remove{Name: g.Name})
	s.step(sentinel.Monitor{Name: g.Name, Addr: addr, Quorum: w.opt.Quorum})
	s.step(sentinel.Set{Name: g.Name, Options: options})
}

// move gives a server another address. Nobody looks for a primary there: it is replaced,
// and an administrator makes a replica of it. Somebody has to stay whom Sentinels know
// and who may be promoted: one without data for long is not.
func (w *World) move(g *Group, s *Server) {
	stays := slices.ContainsFunc(g.Servers, func(o *Server) bool {
		return o != s && o.Priority > 0 && (!o.IsReplica() || o.sync.up) && w.known(g, o)
	})
	if s.Up() && stays {
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
