package sentinel

import "time"

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
func (n *Node) Names() []string { return nil }

// Masters are all masters, by name (SENTINEL MASTERS).
func (n *Node) Masters(now time.Time) []InstanceView { return nil }

// Master is one master (SENTINEL MASTER).
func (n *Node) Master(now time.Time, name string) (InstanceView, bool) { return InstanceView{}, false }

// Replicas are the replicas of a master (SENTINEL REPLICAS), without those that
// do not want to be announced.
func (n *Node) Replicas(now time.Time, name string) ([]InstanceView, bool) { return nil, false }

// Sentinels are the other Sentinels of a master (SENTINEL SENTINELS).
func (n *Node) Sentinels(now time.Time, name string) ([]InstanceView, bool) { return nil, false }

// MasterAddr is where clients find the master (SENTINEL
// GET-MASTER-ADDR-BY-NAME), as it is announced: the promoted replica from when
// its promotion was seen and is on disk.
func (n *Node) MasterAddr(name string) (Addr, bool) { return Addr{}, false }

// CheckQuorum is SENTINEL CKQUORUM: how many Sentinels are usable, this one
// included, whether they are enough for the quorum, and whether enough to
// elect a leader.
func (n *Node) CheckQuorum(name string) (usable int, quorum, majority, ok bool) {
	return 0, false, false, false
}

// InfoCache is the last INFO of a master, then those of its replicas (SENTINEL
// INFO-CACHE).
func (n *Node) InfoCache(now time.Time, name string) ([]CachedInfo, bool) { return nil, false }

// Summary is what INFO shows.
func (n *Node) Summary(now time.Time) Summary { return Summary{TiltSince: -1} }

// Snapshot is the State as it is now, on disk or not.
func (n *Node) Snapshot() *State { return nil }
