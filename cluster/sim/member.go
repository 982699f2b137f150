package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/cluster/release"
	"redoubt/cluster/sim/virtual"
	"redoubt/replication"
)

const (
	clientPort = 7000
	busPort    = 17000
)

// Member is a machine: its disk, and the node while it runs.
type Member struct {
	*virtual.Host

	world   *World
	timeout time.Duration // its node timeout
	node    *cluster.Node // nil while it is down
	id      bus.NodeID    // the last that it had

	// shard are the members that its shard had in the beginning, itself included.
	shard  []*Member
	disk   *virtual.Disk[*cluster.State]
	onDisk nodesConf
	data   data

	alarm    *virtual.Alarm
	links    map[cluster.LinkID]*virtual.End[*bus.Message]
	inbound  uint64 // accepted links of this life
	started  time.Time
	returned bool  // since its start it has served, or been a replica
	outrun   int64 // how far a replica has its stream, beyond its end
	outcome  release.Queue[cluster.Effects]
	lastFact cluster.Facts

	unwell     bool      // its server is stuck
	detached   bool      // its replication link is down
	redis      bool      // it passes for one of Redis 7.0 (redis.go)
	takingOver bool      // by TAKEOVER, whose epoch nobody voted for
	imposed    bool      // by TAKEOVER or FORCE it has last become a primary
	manual     time.Time // it was told to take over, and may try until then
	consented  bool      // it last asked for votes after its primary had agreed
	rival      *Member   // who has last taken writes of its slots beside it
	relieves   handover  // whom it has replaced so
	alone      time.Time // since when it takes writes and hears of no majority; zero if not
	pausedAt   time.Time // when its writes were paused last
	forced     time.Time // told to take over whatever its data are, until then
}

// newMember makes a member of a machine, which is down.
func newMember(w *World, h *virtual.Host) *Member {
	m := &Member{Host: h, world: w, disk: virtual.NewDisk[*cluster.State](h), timeout: w.opt.NodeTimeout}
	if w.opt.MixedTimeouts {
		m.timeout = w.Between(w.opt.NodeTimeout/2, w.opt.NodeTimeout)
	}
	m.redis = w.Percent(w.opt.RedisPercent)
	m.alarm = virtual.NewAlarm(h, m.tick)
	m.disk.FsyncMax = w.opt.FsyncMax
	m.disk.Keep = m.onDisk.keep
	m.disk.Torn = m.tear
	m.disk.Saved = func(s *cluster.State) { m.saved(s.Version) }
	m.disk.Full = m.Crash
	h.Gap = m.resumed
	w.Net.Listen(h, busPort, m.accept)
	return m
}

// Node is the running node.
func (m *Member) Node() *cluster.Node { return m.node }

// View is the node's view.
func (m *Member) View() *cluster.View { return m.node.View() }

// ID is the id of the running node.
func (m *Member) ID() bus.NodeID { return m.node.ID() }

// start boots the member from its disk.
func (m *Member) start() {
	w := m.world
	settings := cluster.DefaultSettings()
	settings.NodeTimeout = m.timeout
	settings.FastFail = !m.redis
	settings.TCPPort, settings.BusPort = clientPort, busPort
	if w.opt.Settings != nil {
		w.opt.Settings(&settings)
	}
	state, err := m.onDisk.load()
	if err != nil {
		w.Break("member %d cannot read its own disk: %v", m.Index, err)
		return
	}
	node, err := cluster.New(w.Now(), cluster.Config{
		Settings: settings,
		State:    state,
		Rand:     rand.New(rand.NewPCG(w.Rand.Uint64(), uint64(m.Index))),
	})
	if err != nil {
		w.Break("member %d does not start: %v", m.Index, err)
		return
	}
	m.node = node
	m.Start()
	m.started, m.returned, m.outrun = w.Now(), false, 0
	m.data.start(w.Now())
	m.outcome = release.Queue[cluster.Effects]{}
	m.lastFact = cluster.Facts{}
	m.links = make(map[cluster.LinkID]*virtual.End[*bus.Message])
	m.inbound = uint64(m.Life()) << 32
	m.alone = time.Time{}
	m.tick()
	m.replicate()
}

// Crash stops the member at once. What was not on disk is lost.
func (m *Member) Crash() { m.halt("crash", m.disk.Crash) }

// PowerCut is a Crash that also takes what of the journal is not on disk, and may
// leave a write in progress half done.
func (m *Member) PowerCut() {
	if m.halt("power cut", m.disk.CutPower) {
		m.world.cutPower(m)
	}
}

// halt ends a life, and reports whether there was one.
func (m *Member) halt(why string, disk func()) bool {
	if m.node == nil {
		return false
	}
	m.world.Log(m.Host, why)
	m.node = nil
	m.world.watch(m)
	m.Stop()
	disk()
	m.world.Net.HangUpAll(m.Host)
	return true
}

// tear leaves a part of a state on the disk.
func (m *Member) tear(s *cluster.State) {
	if m.onDisk.tear(s, m.world.Rand) {
		m.world.Log(m.Host, "its nodes.conf has a torn write")
		m.world.cover("state: torn write of nodes.conf")
	}
}

// Restart starts a member that has crashed.
func (m *Member) Restart() {
	if m.node == nil {
		m.world.Log(m.Host, "restart")
		m.start()
	}
}

// Move gives a member that is down another address, which nobody has had.
func (m *Member) Move() {
	m.world.moves++
	m.IP = fmt.Sprintf("10.1.%d.%d", m.world.moves/250, m.world.moves%250+1)
	m.world.Log(m.Host, "moves to "+m.IP)
}

// Freeze stops the member for d, as SIGSTOP does.
func (m *Member) Freeze(d time.Duration) {
	m.Host.Freeze(d)
	m.world.watch(m)
}

// lookLimit is how long a server may not have looked at the clock before clients
// wait until it has (package driver's).
const lookLimit = 500 * time.Millisecond

// resumed has the node look at the clock after a stop, as the server does before
// clients are served again.
func (m *Member) resumed(gap time.Duration) {
	if gap <= lookLimit {
		return
	}
	if gap > m.timeout {
		m.step(cluster.Resumed{})
	}
	m.tick()
}

// tick steps the node when its deadline has come.
func (m *Member) tick() {
	m.tellFacts()
	m.step(cluster.Tick{})
}

// step is the driver: an event in, its effects done.
func (m *Member) step(ev cluster.Event) *cluster.Result {
	if m.node == nil {
		return nil
	}
	fx := m.node.Step(m.world.Now(), ev)
	m.id = m.node.ID()
	for _, note := range fx.Notes {
		m.world.Log(m.Host, note.Text)
		m.world.coverNote(note.Text)
	}
	m.world.judgeRole(m, fx.Role)
	m.doAtOnce(&fx)
	if fx.Persist != nil {
		m.outcome.Ask(fx.Persist.Version)
		m.disk.Write(fx.Persist)
	}
	if fx.Waits() {
		if e, free := m.outcome.Add(fx); free {
			m.release(e)
		}
	}
	if m.node != nil {
		m.alarm.Set(m.node.Deadline())
		m.world.watch(m)
	}
	return fx.Result
}

func (m *Member) doAtOnce(fx *cluster.Effects) {
	for _, id := range fx.Close {
		m.hangUp(id)
	}
	for _, d := range fx.Dial {
		m.world.dial(m, d)
	}
	for _, e := range fx.Send {
		m.world.send(m, e)
	}
	if fx.Pause != nil && !fx.EndsPauseWithRole() {
		m.pauseWrites(fx.Pause.Until)
	}
}

// release does what waited for the disk, as the driver does. A change of role waits
// until a snapshot has been loaded, and what is said of it waits with it.
func (m *Member) release(e *release.Entry[cluster.Effects]) {
	fx := &e.Thing
	if fx.DropKeys != nil {
		m.world.judgeDrop(m, fx.DropKeys)
	}
	if fx.Role == nil {
		m.finish(fx)
		return
	}
	m.outcome.Begin(e)
	m.data.changes = append(m.data.changes, e)
	if !m.data.standing.Loading() {
		m.changeRoles()
	}
}

// changeRoles takes the newest of the roles that wait; those that it replaces need
// not be taken.
func (m *Member) changeRoles() {
	waiting := m.data.changes
	m.data.changes = nil
	if len(waiting) == 0 {
		return
	}
	role := *waiting[len(waiting)-1].Thing.Role
	for _, e := range waiting {
		role.Flush = role.Flush || e.Thing.Role.Flush
	}
	m.changeRole(&role)
	for _, e := range waiting {
		m.outcome.End(e)
		if e.Thing.EndsPauseWithRole() {
			m.pauseWrites(time.Time{})
		}
		m.finish(&e.Thing)
	}
	m.tellSettled()
}

// finish lets the last of a step go.
func (m *Member) finish(fx *cluster.Effects) {
	for _, e := range fx.SendAfterPersist {
		m.world.send(m, e)
	}
}

// saved releases what waited for the version, and tells the node.
func (m *Member) saved(version uint64) {
	m.outcome.Saved(version)
	for e := m.outcome.Next(); e != nil; e = m.outcome.Next() {
		m.release(e)
	}
	m.tellSettled()
}

// tellSettled tells the node what is on disk, with the role taken.
func (m *Member) tellSettled() {
	if version, news := m.outcome.Settled(); news {
		m.step(cluster.Persisted{Version: version})
	}
}

// Command gives the node a command of an administrator.
func (m *Member) Command(ev cluster.Event) error {
	m.world.Log(m.Host, fmt.Sprintf("%T%+v", ev, ev))
	m.tellFacts()
	f, isFailover := ev.(cluster.Failover)
	m.takingOver = isFailover && f.Mode == cluster.FailoverTakeover
	if isFailover && f.Mode == cluster.FailoverForce {
		m.forced = m.world.Now().Add(cluster.DefaultSettings().ManualFailoverTimeout + time.Second)
	}
	if isFailover {
		m.manual = m.world.Now().Add(m.world.manualAttempt())
	}
	defer func() { m.takingOver = false }()
	return m.step(ev).Err
}

func (m *Member) tellFacts() {
	offset, contact := m.data.standing.Offer(replication.Offset(m.data.offset()))
	facts := cluster.Facts{Replica: m.data.standing.Replica(), Primary: m.data.primary(), Offset: int64(offset), PrimaryContact: contact, Outrun: m.outrun, Unwell: m.unwell}
	if facts != m.lastFact {
		m.lastFact = facts
		m.step(facts)
	}
}
