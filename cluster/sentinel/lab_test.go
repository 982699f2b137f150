package sentinel

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"redoubt/cluster/vouch"
)

// lab is a small world for scenarios: Sentinels with disks, and data nodes that
// answer as redis-server does. Its laws hold in every scenario: one vote an
// epoch, and nothing leaves before it is on disk. The large, random world is
// cluster/sim.
type lab struct {
	t       *testing.T
	now     time.Time
	queue   labQueue
	seq     int
	members []*member
	nodes   []*dataNode
	cut     map[[2]string]bool // hosts that do not reach each other
	votes   map[string]string  // Sentinel, master and epoch to leader
	latency time.Duration
}

type labEvent struct {
	at  time.Time
	seq int
	do  func()
}

type labQueue []labEvent

func (q labQueue) Len() int { return len(q) }
func (q labQueue) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].seq < q[j].seq
}
func (q labQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *labQueue) Push(x any)   { *q = append(*q, x.(labEvent)) }
func (q *labQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// member is a Sentinel of the lab.
type member struct {
	lab      *lab
	addr     Addr
	node     *Node // nil while it is down
	life     int
	disk     *State
	fsync    time.Duration
	stuck    bool // the disk does not answer
	frozen   bool
	inbox    []func() // what waits while it is frozen
	onDisk   uint64
	held     []heldEffects
	conns    map[LinkID]*labConn
	planned  time.Time
	settings Settings
	rand     *rand.Rand
	notices  []string
	scripts  []string
	exited   bool
	sent     []Request // all that left
}

type heldEffects struct {
	version uint64
	fx      Effects
	reply   func(Result)
}

type labConn struct {
	to     Addr
	pubsub bool
	up     bool
}

// dataNode is a master or replica of the lab.
type dataNode struct {
	addr     Addr
	up       bool
	hung     bool // takes connections, answers nothing
	busy     bool // answers BUSY to PING
	of       *Addr
	runID    string
	priority int
	offset   int
	lostAt   time.Time    // since when a replica is without its master
	deaf     bool         // does not obey SLAVEOF
	mute     bool         // its subscribers get nothing
	log      []string     // SLAVEOF it was given
	noBefore bool         // does not know FAILOVER
	watch    *vouch.Watch // what Sentinels have said of it since it started; nil: it does not listen
}

const labMaster = "mymaster"

func newLab(t *testing.T) *lab {
	return &lab{
		t:       t,
		now:     time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		cut:     make(map[[2]string]bool),
		votes:   make(map[string]string),
		latency: time.Millisecond,
	}
}

// labWith is a lab with a master, replicas and Sentinels that have met.
func labWith(t *testing.T, sentinels, replicas, quorum int, change func(*MasterState)) *lab {
	t.Helper()
	l := newLab(t)
	master := l.addNode(nil)
	for range replicas {
		l.addNode(&master.addr)
	}
	ms := &MasterState{Name: labMaster, Addr: master.addr, Quorum: quorum, Options: DefaultOptions()}
	ms.Options.DownAfter = 3 * time.Second
	ms.Options.FailoverTimeout = 20 * time.Second
	if change != nil {
		change(ms)
	}
	for range sentinels {
		l.addSentinel(&State{Masters: []*MasterState{ms}})
	}
	l.until("all have met", time.Minute, func() bool {
		for _, m := range l.members {
			v := m.master()
			if v.OtherSentinels != sentinels-1 || v.Replicas != replicas {
				return false
			}
			for _, r := range m.replicas() {
				if strings.Contains(r.Flags, "disconnected") || r.InfoRefresh == 0 {
					return false
				}
			}
		}
		return true
	})
	return l
}

func (l *lab) addNode(of *Addr) *dataNode {
	i := len(l.nodes) + 1
	d := &dataNode{
		addr:     Addr{Host: fmt.Sprintf("10.0.0.%d", i), Port: 6379},
		up:       true,
		runID:    fmt.Sprintf("%040d", i),
		priority: 100,
		offset:   100,
	}
	if of != nil {
		at := *of
		d.of = &at
	}
	l.nodes = append(l.nodes, d)
	return d
}

func (l *lab) addSentinel(s *State) *member {
	i := len(l.members) + 1
	m := &member{
		lab:      l,
		addr:     Addr{Host: fmt.Sprintf("10.0.1.%d", i), Port: 26379},
		disk:     s,
		fsync:    time.Millisecond,
		settings: Settings{Port: 26379},
		rand:     rand.New(rand.NewPCG(uint64(i), 7)),
	}
	l.members = append(l.members, m)
	m.start()
	return m
}

func (l *lab) at(t time.Time, do func()) {
	l.seq++
	heap.Push(&l.queue, labEvent{at: t, seq: l.seq, do: do})
}

func (l *lab) after(d time.Duration, do func()) { l.at(l.now.Add(d), do) }

// run lets time pass.
func (l *lab) run(d time.Duration) {
	end := l.now.Add(d)
	for len(l.queue) > 0 && !l.queue[0].at.After(end) {
		e := heap.Pop(&l.queue).(labEvent)
		l.now = e.at
		e.do()
	}
	l.now = end
}

// until lets time pass until something is so.
func (l *lab) until(what string, limit time.Duration, is func() bool) {
	l.t.Helper()
	end := l.now.Add(limit)
	for !is() {
		if l.now.After(end) {
			for i, m := range l.members {
				l.t.Logf("sentinel %d:\n%s", i, strings.Join(m.notices, "\n"))
			}
			l.t.Fatalf("not within %v: %s", limit, what)
		}
		l.run(50 * time.Millisecond)
	}
}

func (l *lab) reaches(a, b string) bool { return !l.cut[[2]string{a, b}] && !l.cut[[2]string{b, a}] }

func (l *lab) split(a, b []string) {
	for _, x := range a {
		for _, y := range b {
			l.cut[[2]string{x, y}] = true
		}
	}
}

func (l *lab) heal() { clear(l.cut) }

func (l *lab) nodeAt(a Addr) *dataNode {
	for _, d := range l.nodes {
		if d.addr == a {
			return d
		}
	}
	return nil
}

func (l *lab) memberAt(a Addr) *member {
	for _, m := range l.members {
		if m.addr == a {
			return m
		}
	}
	return nil
}

// isUp reports whether somebody listens at an address.
func (l *lab) isUp(a Addr) bool {
	if d := l.nodeAt(a); d != nil {
		return d.up
	}
	m := l.memberAt(a)
	return m != nil && m.node != nil
}

func (m *member) start() {
	node, err := New(m.lab.now, Config{Settings: m.settings, State: m.disk, Rand: m.rand})
	if err != nil {
		m.lab.t.Fatal(err)
	}
	m.node, m.conns, m.held, m.planned = node, make(map[LinkID]*labConn), nil, time.Time{}
	m.onDisk = m.disk.Version
	m.life++
	m.plan()
}

func (m *member) crash() {
	m.node = nil
	m.life++
	m.inbox = nil
	m.lab.dropConnsTo(m.addr)
}

// do runs f in this life of the member, when it is not frozen.
func (m *member) do(life int, f func()) {
	switch {
	case m.node == nil || m.life != life:
	case m.frozen:
		m.inbox = append(m.inbox, f)
	default:
		f()
	}
}

// thaw lets a frozen member go on, in the worst order: its timer comes before
// what has arrived in the meantime.
func (m *member) thaw() {
	m.frozen = false
	m.step(Tick{})
	inbox := m.inbox
	m.inbox = nil
	life := m.life
	for _, f := range inbox {
		m.do(life, f)
	}
}

func (m *member) plan() {
	at := m.node.Deadline()
	if at.IsZero() || (m.planned.After(m.lab.now) && !at.Before(m.planned)) {
		return
	}
	m.planned = at
	life := m.life
	if at.Before(m.lab.now) {
		at = m.lab.now
	}
	m.lab.at(at, func() {
		m.do(life, func() {
			if !m.node.Deadline().After(m.lab.now) {
				m.step(Tick{})
			} else {
				m.plan()
			}
		})
	})
}

func (m *member) step(ev Event) { m.stepFor(ev, nil) }

// ask steps a command and gives its result.
func (m *member) ask(ev Event) Result {
	var got Result
	m.stepFor(ev, func(r Result) { got = r })
	m.lab.run(10 * m.fsync)
	return got
}

func (m *member) stepFor(ev Event, reply func(Result)) {
	fx := m.node.Step(m.lab.now, ev)
	for _, id := range fx.Close {
		delete(m.conns, id)
	}
	for _, c := range fx.Connect {
		m.dial(c)
	}
	for _, r := range fx.Send {
		switch r.Kind {
		case RequestPing, RequestInfo, RequestScriptKill:
		default:
			m.lab.t.Fatalf("a request of kind %d leaves at once: %v", r.Kind, r.Commands)
		}
		m.send(r)
	}
	version := m.onDisk
	if len(m.held) > 0 {
		version = m.held[len(m.held)-1].version
	}
	if fx.Persist != nil {
		version = fx.Persist.Version
		m.write(fx.Persist)
	}
	m.held = append(m.held, heldEffects{version, fx, reply})
	m.release()
	if m.node != nil {
		m.plan()
	}
}

func (m *member) write(s *State) {
	life := m.life
	m.lab.after(m.fsync, func() {
		m.do(life, func() {
			if m.stuck {
				m.write(s)
				return
			}
			if s.Version < m.onDisk {
				return
			}
			m.checkDisk(s)
			m.disk, m.onDisk = s, s.Version
			m.release()
			m.do(life, func() { m.step(Persisted{Version: s.Version}) })
		})
	})
}

// checkDisk is the law that epochs grow.
func (m *member) checkDisk(next *State) {
	if next.CurrentEpoch < m.disk.CurrentEpoch {
		m.lab.t.Errorf("the current epoch goes back from %d to %d", m.disk.CurrentEpoch, next.CurrentEpoch)
	}
	for _, a := range m.disk.Masters {
		for _, b := range next.Masters {
			if a.Name == b.Name && (b.ConfigEpoch < a.ConfigEpoch || b.LeaderEpoch < a.LeaderEpoch) {
				m.lab.t.Errorf("an epoch of %s goes back: %+v after %+v", a.Name, b, a)
			}
		}
	}
}

func (m *member) release() {
	for len(m.held) > 0 && m.held[0].version <= m.onDisk {
		h := m.held[0]
		m.held = m.held[1:]
		for _, r := range h.fx.SendAfterPersist {
			m.checkPromise(r)
			m.send(r)
		}
		for _, n := range h.fx.Notices {
			if n.Level > LevelDebug {
				m.notices = append(m.notices, n.Type+" "+n.Text)
			}
			m.checkVote(n)
		}
		for _, s := range h.fx.Scripts {
			m.scripts = append(m.scripts, s.Path+" "+strings.Join(s.Args, " "))
		}
		if h.reply != nil {
			h.reply(*h.fx.Result)
		}
		if h.fx.Exit {
			m.exited = true
			m.crash()
			return
		}
	}
}

// diskMaster is a master as the disk has it.
func (m *member) diskMaster(name string) *MasterState {
	for _, s := range m.disk.Masters {
		if s.Name == name {
			return s
		}
	}
	return &MasterState{}
}

// checkPromise is the law that nothing leaves before it is on disk.
func (m *member) checkPromise(r Request) {
	switch r.Kind {
	case RequestHello:
		h, ok := parseHello(r.Commands[0][2])
		if !ok {
			m.lab.t.Errorf("not a hello: %q", r.Commands[0])
		} else if h.epoch > m.disk.CurrentEpoch || h.configEpoch > m.diskMaster(h.master).ConfigEpoch {
			m.lab.t.Errorf("a hello tells what is not on disk: %v", h)
		}
	case RequestDownOpinion:
		if epoch, _ := strconv.ParseUint(r.Commands[0][4], 10, 64); epoch > m.disk.CurrentEpoch {
			m.lab.t.Errorf("asked for votes in epoch %d, on disk is %d", epoch, m.disk.CurrentEpoch)
		}
	}
}

// checkVote is the law of one vote an epoch, across restarts too, where there is
// one master: the event does not tell which it is about.
func (m *member) checkVote(n Notice) {
	if n.Type != "+vote-for-leader" {
		return
	}
	f := strings.Fields(n.Text)
	epoch, _ := strconv.ParseUint(f[1], 10, 64)
	if !slices.ContainsFunc(m.disk.Masters, func(s *MasterState) bool { return s.LeaderEpoch >= epoch }) {
		m.lab.t.Errorf("a vote in epoch %d leaves before it is on disk", epoch)
	}
	if len(m.disk.Masters) > 1 {
		return
	}
	key := m.addr.String() + " " + f[1]
	if old := m.lab.votes[key]; old != "" && old != f[0] {
		m.lab.t.Errorf("%s votes for %s and for %s in epoch %s", m.addr, old, f[0], f[1])
	}
	m.lab.votes[key] = f[0]
}

func (m *member) dial(c Connect) {
	conn := &labConn{to: c.Addr, pubsub: c.PubSub}
	m.conns[c.Link] = conn
	life := m.life
	m.lab.after(m.lab.latency, func() {
		m.do(life, func() {
			if m.conns[c.Link] != conn {
				return
			}
			switch {
			case !m.lab.reaches(m.addr.Host, c.Addr.Host):
				m.lab.after(2*time.Second, func() { m.do(life, func() { m.lose(c.Link, false) }) })
			case !m.lab.isUp(c.Addr):
				m.lose(c.Link, true)
			default:
				conn.up = true
				m.step(LinkUp{Link: c.Link, LocalIP: m.addr.Host})
			}
		})
	})
}

func (m *member) lose(id LinkID, refused bool) {
	if m.conns[id] == nil {
		return
	}
	delete(m.conns, id)
	m.step(LinkDown{Link: id, Refused: refused, Reason: "gone"})
}

// dropConnsTo ends all connections to an address that is not there any more.
func (l *lab) dropConnsTo(a Addr) {
	for _, m := range l.members {
		var ids []LinkID
		for id, c := range m.conns {
			if c.to == a && c.up {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		life := m.life
		for _, id := range ids {
			l.after(l.latency, func() { m.do(life, func() { m.lose(id, false) }) })
		}
	}
}

func (m *member) send(r Request) {
	conn := m.conns[r.Link]
	if conn == nil || !conn.up {
		return
	}
	m.sent = append(m.sent, r)
	life := m.life
	answer := func(reply Reply) {
		m.lab.after(m.lab.latency, func() {
			m.do(life, func() {
				if m.conns[r.Link] == conn && m.lab.reaches(m.addr.Host, conn.to.Host) {
					m.step(Replied{Link: r.Link, ID: r.ID, Reply: reply})
				}
			})
		})
	}
	m.lab.after(m.lab.latency, func() {
		if !m.lab.reaches(m.addr.Host, conn.to.Host) || !m.lab.isUp(conn.to) {
			return
		}
		if d := m.lab.nodeAt(conn.to); d != nil {
			m.lab.serve(d, r, answer)
		} else if p := m.lab.memberAt(conn.to); p != nil {
			p.do(p.life, func() { p.serve(r, answer) })
		}
	})
}

// serve answers a request to a Sentinel.
func (m *member) serve(r Request, answer func(Reply)) {
	switch r.Kind {
	case RequestPing:
		answer(Reply{Kind: ReplyStatus, Text: "PONG"})
	case RequestHello:
		m.step(HelloReceived{Payload: r.Commands[0][2]})
		answer(Reply{Kind: ReplyInteger, Integer: 1})
	case RequestDownOpinion:
		c := r.Commands[0]
		port, _ := strconv.ParseUint(c[3], 10, 16)
		epoch, _ := strconv.ParseUint(c[4], 10, 64)
		m.stepFor(IsMasterDown{Addr: Addr{c[2], uint16(port)}, Epoch: epoch, Candidate: c[5]}, func(res Result) {
			down := int64(0)
			if res.Down {
				down = 1
			}
			answer(Reply{Kind: ReplyArray, Array: []Reply{
				{Kind: ReplyInteger, Integer: down},
				{Kind: ReplyBulk, Text: res.Leader},
				{Kind: ReplyInteger, Integer: int64(res.LeaderEpoch)},
			}})
		})
	}
}

// serve answers a request to a data node.
func (l *lab) serve(d *dataNode, r Request, answer func(Reply)) {
	if d.hung {
		return
	}
	ok := Reply{Kind: ReplyArray}
	switch r.Kind {
	case RequestPing:
		if d.busy {
			answer(Reply{Kind: ReplyError, Text: "BUSY Redis is busy running a script."})
		} else {
			answer(Reply{Kind: ReplyStatus, Text: "PONG"})
		}
	case RequestScriptKill:
		d.busy = false
		answer(Reply{Kind: ReplyStatus, Text: "OK"})
	case RequestInfo:
		answer(Reply{Kind: ReplyBulk, Text: l.infoOf(d)})
	case RequestHello:
		l.publish(d, r.Commands[0][2])
		answer(Reply{Kind: ReplyInteger, Integer: 1})
	case RequestReplicaOf:
		l.obey(d, r.Commands[1])
		answer(ok)
	case RequestHandOver:
		answer(l.handOver(d, r.Commands[2]))
	case RequestVouch:
		if word, is := vouch.Parse(r.Commands[0][2]); is && d.watch != nil && r.Commands[0][1] == HelloChannel {
			d.watch.Hear(l.now, word)
		} else {
			l.t.Errorf("a node that does not listen, or to what is no word, was sent %v", r.Commands)
		}
		answer(Reply{Kind: ReplyInteger, Integer: 0})
	case RequestSettleRole, RequestUnpause:
		answer(ok)
	}
}

// publish gives a message to the subscribers of a node and of its replicas.
func (l *lab) publish(d *dataNode, text string) {
	if d.mute {
		return
	}
	for _, m := range l.members {
		var ids []LinkID
		for id, c := range m.conns {
			to := l.nodeAt(c.to)
			if c.up && c.pubsub && to != nil && (to == d || to.of != nil && *to.of == d.addr && l.reaches(to.addr.Host, d.addr.Host)) {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		life := m.life
		for _, id := range ids {
			host := m.conns[id].to.Host
			l.after(l.latency, func() {
				m.do(life, func() {
					if m.conns[id] != nil && l.reaches(m.addr.Host, host) {
						m.step(HelloReceived{Link: id, Payload: text})
					}
				})
			})
		}
	}
}

func (l *lab) obey(d *dataNode, command []string) {
	d.log = append(d.log, strings.Join(command, " "))
	if d.deaf {
		return
	}
	d.of, d.lostAt = nil, time.Time{}
	if command[1] != "NO" {
		port, _ := strconv.ParseUint(command[2], 10, 16)
		d.of = &Addr{command[1], uint16(port)}
	}
}

func (l *lab) handOver(d *dataNode, command []string) Reply {
	port, _ := strconv.ParseUint(command[3], 10, 16)
	to := l.nodeAt(Addr{command[2], uint16(port)})
	if d.of != nil || to == nil || to.of == nil || *to.of != d.addr {
		return Reply{Kind: ReplyArray, Array: []Reply{{Kind: ReplyStatus, Text: "OK"},
			{Kind: ReplyError, Text: "ERR FAILOVER target HOST and PORT is not a replica."}}}
	}
	l.after(500*time.Millisecond, func() {
		d.of, to.of = &to.addr, nil
	})
	return Reply{Kind: ReplyArray, Array: []Reply{{Kind: ReplyStatus, Text: "OK"}, {Kind: ReplyStatus, Text: "OK"}}}
}

// infoOf is what INFO of a node says.
func (l *lab) infoOf(d *dataNode) string {
	s := "# Server\r\nrun_id:" + d.runID + "\r\n# Replication\r\n"
	if d.of == nil {
		s += "role:master\r\n"
		i := 0
		for _, r := range l.nodes {
			if r.up && r.of != nil && *r.of == d.addr && l.reaches(r.addr.Host, d.addr.Host) {
				s += fmt.Sprintf("slave%d:ip=%s,port=%d,state=online,offset=%d,lag=0\r\n", i, r.addr.Host, r.addr.Port, r.offset)
				i++
			}
		}
	} else {
		s += fmt.Sprintf("role:slave\r\nmaster_host:%s\r\nmaster_port:%d\r\n", d.of.Host, d.of.Port)
		if m := l.nodeAt(*d.of); m != nil && m.up && !m.hung && l.reaches(m.addr.Host, d.addr.Host) {
			d.lostAt = time.Time{}
			s += "master_link_status:up\r\n"
		} else {
			if d.lostAt.IsZero() {
				d.lostAt = l.now
			}
			s += fmt.Sprintf("master_link_status:down\r\nmaster_link_down_since_seconds:%d\r\n", 1+int(l.now.Sub(d.lostAt).Seconds()))
		}
		s += fmt.Sprintf("slave_repl_offset:%d\r\nslave_priority:%d\r\nreplica_announced:1\r\n", d.offset, d.priority)
	}
	if !d.noBefore {
		s += "master_failover_state:no-failover\r\n"
	}
	if d.watch != nil {
		confirmed := 1
		if d.of == nil && d.watch.State(l.now) != vouch.Confirmed {
			confirmed = 0
		}
		s += fmt.Sprintf("sentinel_confirmed:%d\r\n", confirmed)
	}
	return s
}

func (l *lab) kill(d *dataNode) {
	d.up = false
	l.dropConnsTo(d.addr)
}

func (l *lab) revive(d *dataNode) {
	d.up = true
	d.runID = d.runID[1:] + "f"
	if d.watch != nil {
		d.watch = vouch.NewWatch(d.watch.Records())
		d.watch.Ask()
	}
}

func (m *member) master() InstanceView {
	v, _ := m.node.Master(m.lab.now, labMaster)
	return v
}

func (m *member) replicas() []InstanceView {
	v, _ := m.node.Replicas(m.lab.now, labMaster)
	return v
}

func (m *member) masterAddr() Addr {
	a, _ := m.node.MasterAddr(labMaster)
	return a
}

// said reports whether a notice that begins so was made.
func (m *member) said(prefix string) bool { return m.count(prefix) > 0 }

func (m *member) count(prefix string) int {
	count := 0
	for _, n := range m.notices {
		if strings.HasPrefix(n, prefix) {
			count++
		}
	}
	return count
}

// agreed reports whether all running Sentinels have the same master, and it is
// not old.
func (l *lab) agreed(old Addr) bool {
	var at Addr
	for _, m := range l.members {
		if m.node == nil {
			continue
		}
		a := m.masterAddr()
		if a == old || at != (Addr{}) && a != at {
			return false
		}
		at = a
	}
	return true
}
