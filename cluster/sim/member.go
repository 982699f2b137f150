package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/replication"
)

const (
	clientPort = 7000
	busPort    = 17000
)

// Member is a machine: its disk, its address, and the node while it runs.
type Member struct {
	Index int

	world *World
	ip    string
	node  *cluster.Node // nil while it is down
	id    bus.NodeID    // the last that it had
	life  int           // counts starts: what was planned in an earlier life does not happen

	disk disk
	data data

	inbound  uint64 // accepted links of this life
	tickAt   time.Time
	frozen   time.Time // stopped until then
	ran      time.Time // when it last did something
	started  time.Time
	returned bool   // since its start it has served, or been a replica
	outrun   int64  // how far a replica has its stream, beyond its end
	waiting  []held // effects that wait for the disk
	onDisk   uint64 // the version that the disk has
	lastFact cluster.Facts

	unwell     bool      // its server is stuck
	detached   bool      // its replication link is down
	redis      bool      // it passes for one of Redis: it takes no MFSTART from its primary
	takingOver bool      // by TAKEOVER, whose epoch nobody voted for
	forced     time.Time // told to take over whatever its data are, until then
}

// held is the part of a Step's effects that must not be done before version
// is on disk.
type held struct {
	version uint64
	fx      cluster.Effects
}

// Up reports whether the member runs.
func (m *Member) Up() bool { return m.node != nil }

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
	settings.NodeTimeout = w.opt.NodeTimeout
	settings.TCPPort, settings.BusPort = clientPort, busPort
	if w.opt.Settings != nil {
		w.opt.Settings(&settings)
	}
	state, err := m.disk.load()
	if err != nil {
		w.breakRule("member %d cannot read its own disk: %v", m.Index, err)
		return
	}
	node, err := cluster.New(w.now, cluster.Config{
		Settings: settings,
		State:    state,
		Rand:     rand.New(rand.NewPCG(w.rand.Uint64(), uint64(m.Index))),
	})
	if err != nil {
		w.breakRule("member %d does not start: %v", m.Index, err)
		return
	}
	m.node = node
	m.life++
	m.ran, m.started, m.returned, m.outrun = w.now, w.now, false, 0
	m.data.start(w.now)
	m.onDisk = 0
	m.lastFact = cluster.Facts{}
	m.waiting = nil
	m.inbound = uint64(m.life) << 32
	m.tick()
	m.replicate()
}

// Crash stops the member at once. What was not on disk is lost.
func (m *Member) Crash() {
	if m.node == nil {
		return
	}
	m.world.log(m, "crash")
	m.node = nil
	m.life++
	m.disk.crash(m.world)
	m.world.net.hangUpAll(m)
}

// PowerCut is a Crash that also takes up to a second of the journal.
func (m *Member) PowerCut() {
	if m.node == nil {
		return
	}
	m.Crash()
	if m.data.head != nil {
		m.data.lose(1 + m.world.rand.IntN(10))
	}
}

// Restart starts a member that has crashed.
func (m *Member) Restart() {
	if m.node == nil {
		m.world.log(m, "restart")
		m.start()
	}
}

// Move gives a member that is down another address, which nobody has had.
func (m *Member) Move() {
	m.world.moves++
	m.ip = fmt.Sprintf("10.1.%d.%d", m.world.moves/250, m.world.moves%250+1)
	m.world.log(m, "moves to "+m.ip)
}

// Freeze stops the member for d as SIGSTOP does: it does nothing, and nothing
// gets lost.
func (m *Member) Freeze(d time.Duration) {
	m.world.log(m, fmt.Sprintf("frozen for %v", d))
	m.frozen = m.world.now.Add(d)
}

// do runs f now, or when the member is not frozen any more, unless it crashes
// before.
func (m *Member) do(f func()) {
	if m.node == nil {
		return
	}
	if !m.frozen.After(m.world.now) {
		gap := m.world.now.Sub(m.ran)
		m.ran = m.world.now
		if gap > m.world.opt.NodeTimeout {
			m.step(cluster.Resumed{})
		}
		if m.node != nil {
			f()
		}
		return
	}
	life := m.life
	m.world.at(m.frozen, func() {
		if m.life == life {
			m.do(f)
		}
	})
}

// later runs f after d, if the member lives that long.
func (m *Member) later(d time.Duration, f func()) {
	life := m.life
	m.world.after(d, func() {
		if m.life == life {
			m.do(f)
		}
	})
}

// tick steps the node when its deadline has come.
func (m *Member) tick() {
	m.tellFacts()
	m.step(cluster.Tick{})
}

// planTick plans the next tick, unless an earlier one is planned already.
func (m *Member) planTick() {
	deadline := m.node.Deadline()
	if m.tickAt.After(m.world.now) && !deadline.Before(m.tickAt) {
		return
	}
	m.tickAt = deadline
	life := m.life
	m.world.at(deadline, func() {
		if m.life == life && m.tickAt.Equal(deadline) {
			m.do(m.tick)
		}
	})
}

// step is the driver: an event in, its effects done.
func (m *Member) step(ev cluster.Event) *cluster.Result {
	if m.node == nil {
		return nil
	}
	fx := m.node.Step(m.world.now, ev)
	m.id = m.node.ID()
	for _, note := range fx.Notes {
		m.world.log(m, note.Text)
	}
	m.world.judgeRole(m, fx.Role)
	m.doAtOnce(&fx)
	switch {
	case fx.Persist != nil:
		m.waiting = append(m.waiting, held{fx.Persist.Version, fx})
		m.save(fx.Persist)
	case len(m.waiting) > 0 && waits(&fx):
		m.waiting = append(m.waiting, held{m.waiting[len(m.waiting)-1].version, fx})
	default:
		m.doWhenSaved(m.onDisk, &fx)
	}
	if m.node != nil {
		m.planTick()
	}
	return fx.Result
}

// waits reports whether fx has anything to do after earlier effects.
func waits(fx *cluster.Effects) bool {
	return fx.Role != nil || fx.DropKeys != nil || fx.DropShardSubs != nil || len(fx.SendAfterPersist) > 0
}

func (m *Member) doAtOnce(fx *cluster.Effects) {
	net := &m.world.net
	for _, id := range fx.Close {
		net.close(m, id)
	}
	for _, d := range fx.Dial {
		m.world.dial(m, d)
	}
	for _, e := range fx.Send {
		m.world.send(m, e)
	}
	if fx.Pause != nil {
		m.pauseWrites(fx.Pause.Until)
	}
}

// doWhenSaved does the rest of a step. A change of role, and what is said of it,
// waits until a snapshot has been loaded.
func (m *Member) doWhenSaved(version uint64, fx *cluster.Effects) {
	if fx.Role != nil {
		if m.data.standing.Loading() {
			m.data.changes = append(m.data.changes, change{version, *fx})
			return
		}
		m.changeRole(fx.Role)
	}
	for _, e := range fx.SendAfterPersist {
		m.world.send(m, e)
	}
}

// saved releases what waited for the version, and tells the node.
func (m *Member) saved(version uint64) {
	for len(m.waiting) > 0 && m.waiting[0].version <= version {
		fx := m.waiting[0].fx
		m.waiting = m.waiting[1:]
		m.doWhenSaved(version, &fx)
	}
	m.onDisk = version
	m.tellSaved()
}

// tellSaved tells the node what is settled: on disk, and the role taken.
func (m *Member) tellSaved() {
	version := m.onDisk
	for _, c := range m.data.changes {
		version = min(version, c.version-1)
	}
	m.step(cluster.Persisted{Version: version})
}

// Command gives the node a command of an administrator.
func (m *Member) Command(ev cluster.Event) error {
	m.world.log(m, fmt.Sprintf("%T%+v", ev, ev))
	m.tellFacts()
	f, isFailover := ev.(cluster.Failover)
	m.takingOver = isFailover && f.Mode == cluster.FailoverTakeover
	if isFailover && f.Mode == cluster.FailoverForce {
		m.forced = m.world.now.Add(cluster.DefaultSettings().ManualFailoverTimeout + time.Second)
	}
	defer func() { m.takingOver = false }()
	return m.step(ev).Err
}

func (m *Member) receive(link cluster.LinkID, msg *bus.Message) {
	if m.redis && msg.Type == bus.TypeMFStart {
		return
	}
	m.tellFacts()
	m.step(cluster.Received{Link: link, Msg: msg})
}

func (m *Member) tellFacts() {
	offset, contact := m.data.standing.Offer(replication.Offset(m.data.offset()))
	facts := cluster.Facts{Replica: m.data.standing.Replica(), Primary: m.data.primary(), Offset: int64(offset), PrimaryContact: contact, Outrun: m.outrun, Unwell: m.unwell}
	if facts != m.lastFact {
		m.lastFact = facts
		m.step(facts)
	}
}
