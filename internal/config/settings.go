package config

import (
	"io/fs"
	"slices"
	"time"

	"redoubt/internal/tlsconf"
)

// Settings is one state of all settings. It never changes once it has been
// published: Config.Set makes a copy and swaps it in, so a reader that takes
// the pointer once sees one consistent state for as long as it holds it.
//
// The text of every directive is kept as CONFIG GET prints it; the fields
// below are read from those texts by the table, for the server's use without
// look-ups.
type Settings struct {
	text []string // by directive.index

	// The network.
	Bind            []string // addresses; a leading '-' means it may be missing; none: do not listen on TCP
	BindSourceAddr  string   // for outgoing links; empty: any
	Port            int      // 0: do not listen on TCP
	TCPBacklog      int
	TCPKeepAlive    time.Duration // 0: off
	UnixSocket      string        // empty: none
	UnixSocketPerm  fs.FileMode   // 0: as the umask leaves it
	UnixSocketGroup string        // by name or number; empty: the process's
	ProtectedMode   bool
	Timeout         time.Duration // of idle clients; 0: none
	MaxClients      int64
	EventLoops      int // 0: chosen from the number of processors

	// TLS. See UsesTLS and TLSOptions.
	TLSPort        int // 0: none
	TLSReplication bool
	TLSCluster     bool
	TLS            tlsconf.Options // but for Links
	TLSReload      time.Duration   // between looks at the files; 0: none

	// The process.
	Daemonize         bool
	Supervised        string // no, systemd, upstart or auto
	PIDFile           string // empty: none, unless daemonized
	LogLevel          LogLevel
	LogFile           string // empty: standard output
	SyslogEnabled     bool
	SyslogIdent       string
	SyslogFacility    string // a key of logging.Facilities
	Databases         int    // outside of cluster mode
	HZ                int    // 1 to 500
	ShutdownTimeout   time.Duration
	ShutdownOnSigint  Shutdown
	ShutdownOnSigterm Shutdown
	SetProcTitle      bool
	ProcTitleTemplate string

	// Files and durability.
	Dir                      string // absolute
	DBFilename               string
	Save                     []SavePoint
	StopWritesOnBgsaveError  bool
	RDBCompression           bool
	RDBChecksum              bool
	DumpIncrementalFsync     bool
	BaseIncrementalFsync     bool
	SnapshotMemory           SnapshotMemory
	AppendOnly               bool
	AppendFsync              Fsync
	AppendDirName            string
	AppendFilename           string // of Redis, in Dir or AppendDirName
	AutoAOFRewritePercentage int    // 0: never
	AutoAOFRewriteMinBytes   int64
	AOFLoadTruncated         bool
	KeySaveDelayMicros       int // see the directive
	KeyLoadDelayMicros       int // likewise

	// Security.
	RequirePass            string // empty: none
	ACLFile                string // empty: none; relative to Dir
	ACLLogEntries          int64
	ACLAllChannels         bool // of new users
	EnableProtectedConfigs Access
	EnableDebugCommand     Access

	// Clients.
	NormalOutput     OutputLimit
	ReplicaOutput    OutputLimit
	PubSubOutput     OutputLimit
	QueryBufferBytes int64
	MaxBulkBytes     int64
	KeyspaceEvents   string // letters: K and E, and those of classes
	TrackingMaxKeys  int64  // 0: no limit
	HLLSparseMax     int    // bytes up to which a HyperLogLog is sparse
	MaxMemory        MaxMemory
	Defrag           Defrag

	// Values.
	Encodings     Encodings
	LazyServerDel bool // what the server deletes by itself goes out as UNLINK

	// Replication.
	ReplicaOf             Address // Host empty: a primary
	PrimaryUser           string
	PrimaryAuth           string
	ReplicaServeStaleData bool
	ReplicaReadOnly       bool
	ReplicaPriority       int // for Sentinel; 0: never promote
	ReplicaAnnounced      bool
	ReplicaAnnounceIP     string
	ReplicaAnnouncePort   int
	ReplDisklessSync      bool
	ReplDisklessLoad      DisklessLoad
	ReplPingReplicaPeriod time.Duration
	ReplTimeout           time.Duration
	ReplDisableTCPNoDelay bool
	ReplBacklogBytes      int64
	RewindMaxBytes        int64 // rewind-max-bytes
	RewindFiles           int   // rewind-files
	MinReplicasToWrite    int
	MinReplicasMaxLag     time.Duration
	Durability            Durability
	QuorumReads           QuorumReads
	QuorumUnsafeRecover   bool
	MinReplicasToAck      int           // 0: replies do not wait for replicas
	MinReplicasAckTimeout time.Duration // of that wait; 0: no end
	ReplSendBeforeReply   bool
	// SentinelConfirmTimeout is in seconds; 0: no waiting, -1: no end of it.
	SentinelConfirmTimeout int

	// The cluster.
	ClusterEnabled                  bool
	ClusterConfigFile               string
	ClusterPort                     int // of the bus; 0: Port + 10000
	ClusterNodeTimeout              time.Duration
	ClusterPingInterval             time.Duration // 0: as Redis's schedule
	ClusterReplicaValidityFactor    int
	ClusterMigrationBarrier         int
	ClusterAllowReplicaMigration    bool
	ClusterRequireFullCoverage      bool
	ClusterReplicaNoFailover        bool
	ClusterAllowReadsWhenDown       bool
	ClusterAllowPubSubShardWhenDown bool
	ClusterSlotStats                bool
	ClusterLinkSendBufBytes         int64 // 0: no limit
	ClusterAnnounceIP               string
	ClusterAnnouncePort             int
	ClusterAnnounceTLSPort          int
	ClusterAnnounceBusPort          int
	ClusterAnnounceHostname         string
	ClusterAnnounceHumanNodename    string
	ClusterAnnounceClientIPv4       string
	ClusterAnnounceClientIPv6       string
	ClusterPreferredEndpoint        Endpoint
	ClusterBlacklistTTL             time.Duration
	ClusterManualFailoverTimeout    time.Duration
	ClusterFastFail                 bool

	// What the kernel is told.
	OOMScoreAdj OOMMode
	OOMScores   [2]int // of a primary, of a replica

	// Where metrics are served; port 0: nowhere.
	MetricsPort int
	MetricsBind []string
	MetricsTLS  bool

	// What the node records about itself.
	SlowlogLogSlowerThan    time.Duration // negative: off; 0: everything
	SlowlogMaxLen           int64
	LatencyMonitorThreshold time.Duration // 0: off
	LatencyTracking         bool
	LatencyPercentiles      []float64

	// Scripts.
	BusyReplyThreshold time.Duration // 0: no script takes long
	LuaMemoryLimit     int64         // bytes
}

// OOMMode is whether, and how, the kernel's score of the process is changed.
type OOMMode uint8

// The modes. OOMYes is OOMRelative, as in Redis.
const (
	OOMNo OOMMode = iota
	OOMYes
	OOMRelative
	OOMAbsolute
)

// Encodings are up to which sizes collections have the names of Redis's compact
// encodings.
type Encodings struct {
	HashEntries, HashValue int
	ListSize               int // elements; -1 to -5: 4 KiB to 64 KiB
	SetInts                int
	SetEntries, SetValue   int
	ZSetEntries, ZSetValue int
	NodeBytes, NodeItems   int // of a node of a stream
}

// SavePoint asks for a snapshot when at least Changes writes have happened
// and After has passed since the last one.
type SavePoint struct {
	After   time.Duration
	Changes int
}

// OutputLimit bounds the output that waits for one client of a class. The
// client is closed at HardBytes, or after For above SoftBytes; 0: no limit.
type OutputLimit struct {
	HardBytes, SoftBytes int64
	For                  time.Duration
}

// Address is a host or IP address and a port.
type Address struct {
	Host string
	Port int
}

// LogLevel is the least severity that is logged, in Redis's words.
type LogLevel uint8

// The values are in the order of the names in the table, here and below.
const (
	LogDebug LogLevel = iota
	LogVerbose
	LogNotice
	LogWarning
	LogNothing
)

// Fsync says when the journal is forced to disk.
type Fsync uint8

const (
	FsyncEverySec Fsync = iota
	FsyncAlways
	FsyncNo
)

// Durability says when a reply to a write may leave.
type Durability uint8

const (
	DurabilityAsync  Durability = iota // by appendfsync and min-replicas-to-ack
	DurabilityQuorum                   // when a majority of the shard's nodes has it on disk
)

// QuorumReads says what a read in a quorum shard shows.
type QuorumReads uint8

const (
	ReadsLinearizable QuorumReads = iota // all that was acknowledged before it began
	ReadsLocal                           // what this node believes to be committed
)

// DisklessLoad says when a replica loads a snapshot while it arrives, instead of from a
// file that was received and checked before.
type DisklessLoad uint8

// Never; if the node has no keys, which LoadSwap is about as well: with keys it is
// LoadNever that serves them meanwhile; always.
const (
	LoadNever DisklessLoad = iota
	LoadOnEmpty
	LoadSwap
	LoadAlways
)

// Access says from where a guarded command or setting may be used.
type Access uint8

const (
	AccessNo    Access = iota
	AccessYes          // by every client
	AccessLocal        // by clients on loopback and Unix sockets
)

// Allows reports whether a client may; local says that it connected over
// loopback or a Unix socket.
func (a Access) Allows(local bool) bool {
	return a == AccessYes || a == AccessLocal && local
}

// Endpoint is what CLUSTER SLOTS and redirections give as a node's address.
type Endpoint uint8

const (
	EndpointIP Endpoint = iota
	EndpointHostname
	EndpointUnknown
)

// Shutdown is the set of options with which a signal shuts the node down;
// none of them is "default": save if save points are configured.
type Shutdown uint8

const (
	ShutdownSave Shutdown = 1 << iota
	ShutdownNoSave
	ShutdownNow
	ShutdownForce
	ShutdownSafe     // of Valkey 9: a primary with slots does not end, unless it is forced to
	ShutdownFailover // likewise: a primary of a cluster hands over to a replica first
)

// clone copies s so that directives can be set in the copy.
func (s *Settings) clone() *Settings {
	c := *s
	c.text = slices.Clone(s.text)
	return &c
}

// SnapshotMemory is how much memory snapshots under way may hold beside the data,
// in bytes or in percent of the data; both 0 is no limit.
type SnapshotMemory struct {
	Bytes   int64
	Percent int
	Policy  SnapshotPolicy
}

// SnapshotPolicy is what happens when snapshots hold more than they may.
type SnapshotPolicy uint8

// Writes wait until snapshots hold less, or the snapshots are given up.
const (
	SlowWriters SnapshotPolicy = iota
	AbortSnapshots
)

// Defrag says when memory that lies free between keys and values is won back.
type Defrag struct {
	Active      bool
	LostPercent int // of what the blocks need
	IgnoreBytes int64
}

// MaxMemory is how much memory the data may take, and which keys go when they
// take more.
type MaxMemory struct {
	Bytes          int64 // 0: no limit
	ClientsBytes   int64 // maxmemory-clients; 0: no limit, or ClientsPercent
	ClientsPercent int   // of Bytes; 0: it is not given so
	Policy         string
	Samples        int
	Tenacity       int // 0 to 100
	ReplicaIgnores bool
	LFULogFactor   int
	LFUDecayMin    int // minutes
}
