package sentinel

import (
	"strings"
	"time"
)

// The functions here read a Node. They belong to the goroutine that owns it,
// as Step does. Durations are ages at now.

// Role is what an instance is to this Sentinel.
type Role uint8

const (
	RoleMaster Role = iota
	RoleReplica
	RoleSentinel
)

// InstanceView is what SENTINEL MASTER, REPLICAS and SENTINELS show of an
// instance (addReplySentinelRedisInstance). Of ages, -1 means that there is
// none.
type InstanceView struct {
	Role  Role
	Name  string
	Host  string // as it is announced: a name or an address
	Port  uint16
	RunID string // empty if not known
	Flags string // "s_down,master,disconnected"

	LinkPendingCommands int
	LinkRefcount        int
	FailoverState       string        // empty unless a failover is in progress
	LastPingSent        time.Duration // 0 if none is unanswered
	LastOKPingReply     time.Duration
	LastPingReply       time.Duration
	SDownTime           time.Duration // -1 unless it is SDOWN
	ODownTime           time.Duration // -1 unless it is ODOWN
	DownAfter           time.Duration

	// Of masters and replicas.
	InfoRefresh      time.Duration // 0 if there was no INFO yet
	RoleReported     string        // "master" or "slave"
	RoleReportedTime time.Duration

	// Of masters.
	SDown, ODown         bool
	ConfigEpoch          uint64
	Replicas             int
	OtherSentinels       int
	Quorum               int
	FailoverTimeout      time.Duration
	ParallelSyncs        int
	NotificationScript   string
	ClientReconfigScript string

	// Of replicas.
	MasterLinkDownTime time.Duration
	MasterLinkUp       bool
	MasterHost         string // "?" if not known
	MasterPort         int
	Priority           int
	ReplOffset         uint64
	Announced          bool

	// Of Sentinels.
	LastHello        time.Duration
	VotedLeader      string // "?" if there is none
	VotedLeaderEpoch uint64
}

// CachedInfo is the last INFO of an instance (SENTINEL INFO-CACHE).
type CachedInfo struct {
	Age  time.Duration // 0 if there is none
	Text string
	Has  bool
}

// Summary is what INFO shows of a Sentinel.
type Summary struct {
	Masters    int
	Tilt       bool
	TiltSince  time.Duration // -1 unless in TILT
	TotalTilt  int           // how often it was in TILT mode
	SimFailure SimFailure
}

// MyID is the Sentinel's id.
func (n *Node) MyID() string { return n.myID }

// CurrentEpoch is the newest epoch that this Sentinel has heard of.
func (n *Node) CurrentEpoch() uint64 { return n.currentEpoch }

// Names are the names of the masters, sorted.
func (n *Node) Names() []string {
	names := make([]string, len(n.masters))
	for i, m := range n.masters {
		names[i] = m.name
	}
	return names
}

// Masters are all masters, by name (SENTINEL MASTERS).
func (n *Node) Masters(now time.Time) []InstanceView {
	views := make([]InstanceView, len(n.masters))
	for i, m := range n.masters {
		views[i] = n.viewMaster(now, m)
	}
	return views
}

// Master is one master (SENTINEL MASTER).
func (n *Node) Master(now time.Time, name string) (InstanceView, bool) {
	m := n.byName[name]
	if m == nil {
		return InstanceView{}, false
	}
	return n.viewMaster(now, m), true
}

// Replicas are the replicas of a master (SENTINEL REPLICAS), without those that
// do not want to be announced.
func (n *Node) Replicas(now time.Time, name string) ([]InstanceView, bool) {
	m := n.byName[name]
	if m == nil {
		return nil, false
	}
	views := make([]InstanceView, 0, len(m.replicas))
	for _, r := range m.replicas {
		if r.announced {
			views = append(views, n.viewReplica(now, r))
		}
	}
	return views, true
}

// Sentinels are the other Sentinels of a master (SENTINEL SENTINELS).
func (n *Node) Sentinels(now time.Time, name string) ([]InstanceView, bool) {
	m := n.byName[name]
	if m == nil {
		return nil, false
	}
	views := make([]InstanceView, len(m.peers))
	for i, p := range m.peers {
		views[i] = n.viewPeer(now, p)
	}
	return views, true
}

// MasterAddr is where clients find the master (SENTINEL
// GET-MASTER-ADDR-BY-NAME), as it is announced: the promoted replica from when
// its promotion was seen and is on disk.
func (n *Node) MasterAddr(name string) (Addr, bool) {
	m := n.byName[name]
	if m == nil {
		return Addr{}, false
	}
	return n.announced(m.shown), true
}

// CheckQuorum is SENTINEL CKQUORUM: how many Sentinels are usable, this one
// included, whether they are enough for the quorum, and whether enough to
// elect a leader. Not ok: there is no such master.
func (n *Node) CheckQuorum(name string) (usable int, quorum, majority, ok bool) {
	m := n.byName[name]
	if m == nil {
		return 0, false, false, false
	}
	usable, voters := m.usable()
	return usable, usable >= m.quorum, usable >= voters/2+1, true
}

// InfoCache is the last INFO of a master, then those of its replicas (SENTINEL
// INFO-CACHE).
func (n *Node) InfoCache(now time.Time, name string) ([]CachedInfo, bool) {
	m := n.byName[name]
	if m == nil {
		return nil, false
	}
	cached := []CachedInfo{m.info.cached(now)}
	for _, r := range m.replicas {
		cached = append(cached, r.info.cached(now))
	}
	return cached, true
}

func (r *report) cached(now time.Time) CachedInfo {
	if r.at.IsZero() {
		return CachedInfo{}
	}
	return CachedInfo{Age: now.Sub(r.at), Text: r.text, Has: true}
}

// Summary is what INFO shows.
func (n *Node) Summary(now time.Time) Summary {
	s := Summary{Masters: len(n.masters), Tilt: n.tilt, TiltSince: -1, TotalTilt: n.tilts, SimFailure: n.simFailure}
	if n.tilt {
		s.TiltSince = now.Sub(n.tiltSince)
	}
	return s
}

func (n *Node) viewInstance(now time.Time, w watched) InstanceView {
	i, m := w.inst(), w.of()
	l, a := i.link, n.announced(i.addr)
	v := InstanceView{
		Role:                i.role,
		Name:                i.name,
		Host:                a.Host,
		Port:                a.Port,
		RunID:               i.runID,
		Flags:               flags(w),
		LinkPendingCommands: l.commands,
		LinkRefcount:        len(l.owners),
		LastOKPingReply:     now.Sub(l.lastAvail),
		LastPingReply:       now.Sub(l.lastPong),
		SDownTime:           -1,
		ODownTime:           -1,
		DownAfter:           m.options.DownAfter,
		SDown:               i.sdown,
		ODown:               i.odown,
		RoleReported:        i.info.role.String(),
		RoleReportedTime:    now.Sub(i.info.roleSince),
	}
	if !l.waiting.IsZero() {
		v.LastPingSent = now.Sub(l.waiting)
	}
	if i.sdown {
		v.SDownTime = now.Sub(i.sdownSince)
	}
	if i.odown {
		v.ODownTime = now.Sub(i.odownSince)
	}
	if !i.info.at.IsZero() {
		v.InfoRefresh = now.Sub(i.info.at)
	}
	return v
}

func (n *Node) viewMaster(now time.Time, m *master) InstanceView {
	v := n.viewInstance(now, m)
	if m.failover.running() {
		v.FailoverState = m.failover.state.String()
	}
	v.ConfigEpoch = m.configEpoch
	v.Replicas, v.OtherSentinels = len(m.replicas), len(m.peers)
	v.Quorum = m.quorum
	v.FailoverTimeout, v.ParallelSyncs = m.options.FailoverTimeout, m.options.ParallelSyncs
	v.NotificationScript = m.options.NotificationScript
	v.ClientReconfigScript = m.options.ClientReconfigScript
	return v
}

func (n *Node) viewReplica(now time.Time, r *replica) InstanceView {
	v := n.viewInstance(now, r)
	v.MasterLinkDownTime, v.MasterLinkUp = r.masterLinkDown, r.masterLinkUp
	v.MasterHost, v.MasterPort = r.masterHost, r.masterPort
	if v.MasterHost == "" {
		v.MasterHost = "?"
	}
	v.Priority, v.ReplOffset, v.Announced = r.priority, r.offset, r.announced
	return v
}

func (n *Node) viewPeer(now time.Time, p *peer) InstanceView {
	v := n.viewInstance(now, p)
	v.LastHello = now.Sub(p.lastHello)
	v.VotedLeader, v.VotedLeaderEpoch = p.leader, p.leaderEpoch
	if p.leader == "" {
		v.VotedLeader = "?"
	}
	return v
}

// flags are the flags of an instance, in the order of
// addReplySentinelRedisInstance.
func flags(w watched) string {
	i := w.inst()
	var set []string
	add := func(is bool, name string) {
		if is {
			set = append(set, name)
		}
	}
	add(i.sdown, "s_down")
	add(i.odown, "o_down")
	add(true, i.role.String())
	add(!i.link.connected(), "disconnected")
	if p, ok := w.(*peer); ok {
		add(p.masterDown, "master_down")
	}
	m, isMaster := w.(*master)
	add(isMaster && m.failover.running(), "failover_in_progress")
	if r, ok := w.(*replica); ok {
		add(r.promoted, "promoted")
		add(r.reconf == reconfSent, "reconf_sent")
		add(r.reconf == reconfInProgress, "reconf_inprog")
		add(r.reconf == reconfDone, "reconf_done")
	}
	add(isMaster && m.failover.forced, "force_failover")
	add(i.scriptKillSent, "script_kill_sent")
	add(isMaster && m.rebooted, "master_reboot")
	add(isMaster && m.failover.coordinated, "coordinated_failover")
	return strings.Join(set, ",")
}
