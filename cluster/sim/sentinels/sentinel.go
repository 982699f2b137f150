package sentinels

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"redoubt/cluster/release"
	"redoubt/cluster/sentinel"
	"redoubt/cluster/sim/virtual"
)

// Sentinel is a machine with a Sentinel: its disk, and the node while it runs.
type Sentinel struct {
	*virtual.Host

	world *World
	node  *sentinel.Node // nil while it is down
	id    string         // the last that it had

	disk    *virtual.Disk[*sentinel.State]
	file    *sentinel.State // what the disk has
	newest  *sentinel.State // the last that was given away
	written string          // newest, as it was then
	waiting release.Queue[act]

	alarm *virtual.Alarm
	links map[sentinel.LinkID]*link
	// forced are the masters whose failover an administrator has asked for.
	forced map[string]bool
	tries  map[string]uint64 // the epoch of the last attempt at a failover
	leads  map[string]uint64 // the epoch in which it was elected to replace a master
	epoch  uint64            // the current one, as it says in its notices
	anew   string            // the master that an administrator has removed and monitored again
}

// act is the part of a Step's effects that waits for the disk.
type act struct {
	fx sentinel.Effects
	// done takes the result of a command; may be nil.
	done func(*sentinel.Result)
}

// newSentinel makes a Sentinel of a host, which is down.
func newSentinel(w *World, h *virtual.Host) *Sentinel {
	s := &Sentinel{Host: h, world: w, disk: virtual.NewDisk[*sentinel.State](h)}
	s.alarm = virtual.NewAlarm(h, func() { s.step(sentinel.Tick{}) })
	s.disk.FsyncMax = w.opt.FsyncMax
	s.disk.Keep = s.keep
	s.disk.Saved = s.saved
	w.Net.Listen(h, sentinelPort, func(e *virtual.End[message]) virtual.Handler[message] {
		return &client{end: e, request: s.request}
	})
	return s
}

// configure writes the file that an administrator begins with.
func (s *Sentinel) configure() {
	s.file = &sentinel.State{}
	for _, g := range s.world.Groups {
		s.file.Masters = append(s.file.Masters, &sentinel.MasterState{
			Name: g.Name, Addr: g.Servers[0].addr(), Quorum: s.world.opt.Quorum, Options: s.world.opt.Master,
		})
	}
}

// Start boots the Sentinel from its file.
func (s *Sentinel) Start() {
	w := s.world
	file := *s.file
	file.Version = 0 // versions count within a life
	s.file, s.newest = &file, nil
	s.Host.Start()
	node, err := sentinel.New(s.Clock(), sentinel.Config{
		Settings: sentinel.Settings{Port: sentinelPort, Timing: w.opt.Timing},
		State:    s.file,
		Rand:     rand.New(rand.NewPCG(w.Rand.Uint64(), uint64(s.Index))),
	})
	if err != nil {
		w.Break("Sentinel %d does not start: %v", s.Index, err)
		return
	}
	s.node = node
	s.waiting = release.Queue[act]{}
	s.links = make(map[sentinel.LinkID]*link)
	s.forced, s.tries, s.leads = make(map[string]bool), make(map[string]uint64), make(map[string]uint64)
	s.epoch = s.file.CurrentEpoch
	s.step(sentinel.Tick{})
}

// Crash stops the Sentinel at once. What was not on disk is lost.
func (s *Sentinel) Crash() {
	if s.node == nil {
		return
	}
	s.world.Log(s.Host, "crash")
	s.node = nil
	s.Stop()
	s.disk.Crash()
	s.world.Net.HangUpAll(s.Host)
}

// Restart starts a Sentinel that has crashed.
func (s *Sentinel) Restart() {
	if s.node == nil {
		s.world.Log(s.Host, "restart")
		s.Start()
	}
}

// keep makes a state the file's.
func (s *Sentinel) keep(state *sentinel.State) {
	if state == s.newest && text(state) != s.written {
		s.world.Break("Sentinel %d changes a state that it has given away: %s, now %s", s.Index, s.written, text(state))
	}
	s.file = state
}

// text is a state in words, to compare.
func text(state *sentinel.State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s epoch %d", state.MyID, state.CurrentEpoch)
	for _, m := range state.Masters {
		fmt.Fprintf(&b, " %+v", *m)
	}
	return b.String()
}

// saved releases what waited for a state, and tells the node.
func (s *Sentinel) saved(state *sentinel.State) {
	s.waiting.Saved(state.Version)
	for e := s.waiting.Next(); e != nil && s.node != nil; e = s.waiting.Next() {
		s.act(e.Thing)
	}
	s.step(sentinel.Persisted{Version: state.Version})
}

// step is the driver: an event in, its effects done.
func (s *Sentinel) step(ev sentinel.Event) { s.command(ev, nil) }

// command steps an event whose result somebody waits for.
func (s *Sentinel) command(ev sentinel.Event, done func(*sentinel.Result)) {
	if s.node == nil {
		return
	}
	fx := s.node.Step(s.Clock(), ev)
	if f, ok := ev.(sentinel.Failover); ok && fx.Result.Err == nil {
		s.forced[f.Name] = true
	}
	s.id = s.node.MyID()
	s.world.judgeStep(s, &fx)
	s.doAtOnce(&fx)
	if fx.Persist != nil {
		s.newest, s.written = fx.Persist, text(fx.Persist)
		s.waiting.Ask(fx.Persist.Version)
		s.disk.Write(fx.Persist)
	}
	if e, free := s.waiting.Add(act{fx, done}); free {
		s.act(e.Thing)
	}
	if s.node != nil && !s.node.Deadline().IsZero() {
		s.alarm.Set(s.When(s.node.Deadline()))
	}
}

// doAtOnce does the part of a step that waits for nothing.
func (s *Sentinel) doAtOnce(fx *sentinel.Effects) {
	for _, l := range fx.Log {
		if l.Level > sentinel.LevelVerbose {
			s.world.Log(s.Host, l.Text)
		}
	}
	for _, c := range fx.Connect {
		s.connect(c)
	}
	for _, id := range fx.Close {
		s.hangUp(id)
	}
	for _, r := range fx.Send {
		s.send(r)
	}
}

// act does what a step had to wait for the disk with.
func (s *Sentinel) act(a act) {
	for _, r := range a.fx.SendAfterPersist {
		s.send(r)
	}
	for _, n := range a.fx.Notices {
		s.world.Log(s.Host, n.Type+" "+n.Text)
		s.world.judgeNotice(s, a.fx.Persist, n)
	}
	if a.done != nil && a.fx.Result != nil {
		a.done(a.fx.Result)
	}
	if a.fx.Exit {
		s.Crash()
	}
}

// Move gives a Sentinel that is down another address.
func (s *Sentinel) Move() {
	s.IP = s.world.newIP()
	s.world.Log(s.Host, "moves to "+s.IP)
}

// request answers a command of another Sentinel.
func (s *Sentinel) request(_ *client, commands [][]string, a *answer) {
	switch argv := commands[len(commands)-1]; strings.ToUpper(argv[0]) {
	case "PING":
		a.give(status("PONG"))
	case "PUBLISH":
		s.step(sentinel.HelloReceived{Payload: argv[2]})
		a.give(integer(1))
	case "SENTINEL":
		s.isMasterDown(argv, a)
	default:
		a.give(status("OK"))
	}
}

// isMasterDown answers SENTINEL IS-MASTER-DOWN-BY-ADDR.
func (s *Sentinel) isMasterDown(argv []string, a *answer) {
	port, err := strconv.ParseUint(argv[3], 10, 16)
	epoch, err2 := strconv.ParseUint(argv[4], 10, 64)
	if err != nil || err2 != nil {
		s.world.Break("Sentinel %d is asked %q", s.Index, argv)
		return
	}
	addr := sentinel.Addr{Host: argv[2], Port: uint16(port)}
	s.command(sentinel.IsMasterDown{Addr: addr, Epoch: epoch, Candidate: argv[5]}, func(r *sentinel.Result) {
		if r.Err != nil {
			a.give(failure(r.Err.Error()))
			return
		}
		s.world.judgeVote(s, addr, r)
		down := int64(0)
		if r.Down {
			down = 1
		}
		a.give(array(integer(down), bulk(r.Leader), integer(int64(r.LeaderEpoch))))
	})
}
