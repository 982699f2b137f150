package admin

import (
	"time"

	"redoubt/internal/acl"
	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/storage"
)

// Server is what the commands need of the shell. What takes a tx runs with all
// loops stopped and the world locked through it.
type Server interface {
	Statistics
	Users
	// Loading reports whether data are being loaded.
	Loading() bool
	// IsReplica reports whether the node follows a primary.
	IsReplica() bool
	// PauseClients holds back the commands of all clients, or only writes, until a
	// time in Unix milliseconds; UnpauseClients ends that.
	PauseClients(tx *storage.Tx, until int64, all bool)
	UnpauseClients(tx *storage.Tx)
	// Follow makes the node a replica of a primary, or with an empty host a primary.
	// Record notes the settings that this changes, for CONFIG GET and REWRITE.
	Follow(tx *storage.Tx, host string, port int, by string)
	Record(name string, args ...string)
	// BeginShutdown begins a shutdown, or joins the one that waits for replicas;
	// client, if not nil, goes on if it fails. AbortShutdown ends that wait, and
	// reports whether there was one.
	BeginShutdown(tx *storage.Tx, how config.Shutdown, client command.Resume)
	AbortShutdown(tx *storage.Tx) bool
	// Busy is what clients are told while a script takes long, "" otherwise. EndNow
	// ends the server then, without saving anything.
	Busy() resp.Error
	EndNow()
	// AllowInScripts is DEBUG SET-DISABLE-DENY-SCRIPTS.
	AllowInScripts(on bool)
	// TakeAnyChecksum is DEBUG SET-SKIP-CHECKSUM-VALIDATION.
	TakeAnyChecksum(on bool)
	// SetActiveExpire is DEBUG SET-ACTIVE-EXPIRE.
	SetActiveExpire(on bool)
	// PauseCron is DEBUG PAUSE-CRON: no housekeeping, and signals wait.
	PauseCron(on bool)
	// Unblock ends the wait of the client with this number, as if its time were up
	// or with an error, and reports whether there was one.
	Unblock(id uint64, err resp.Error) bool
	// Go runs f in a goroutine that ends before the server does.
	Go(f func())
}

// Users is who there is. The caller has the turn of a loop.
type Users interface {
	// ACLCommands is what rules can name.
	ACLCommands() *acl.Commands
	// User finds a user by name, nil if there is none. Users is all, by name.
	User(name string) *acl.User
	Users() []*acl.User
	// ReadUsers reads the file aclfile, and WriteUsers writes what there is to it. The
	// error of the first is a line for the client, of the second one for the log.
	ReadUsers() ([]*acl.User, error)
	WriteUsers() error
}

// Statistics are the counters of the shell. All may be asked for at any time, and
// stop no loop.
type Statistics interface {
	Stats() Stats
	// Table is all commands, CommandStats the counts of the row with this index there.
	Table() *command.Table
	CommandStats(row int) command.RowStats
	// CommandLatencies adds how long the calls of that row took to sum.
	CommandLatencies(sum *command.Latencies, row int)
	// ErrorCounts are the errors that clients were answered with, by code.
	ErrorCounts() map[string]int64
	// ResetStats sets to zero what CONFIG RESETSTAT does. All loops are stopped.
	ResetStats()
}

// Stats is the state of the shell in numbers.
type Stats struct {
	// What has been counted since the start, or since CONFIG RESETSTAT.
	Commands           int64 // of clients, and those that streams brought
	InBytes, OutBytes  int64 // of clients
	Reads, Writes      int64 // system calls on sockets
	Turns              int64 // of event loops
	MostCommands       int64 // that one turn has executed
	LongestTurn        time.Duration
	Turning, Cron      time.Duration // spent in turns, and of that in housekeeping
	Accepted, Rejected int64         // connections
	ErrorReplies       int64
	UnexpectedErrors   int64         // that a replica would have been answered with
	OutputLimit        int64         // connections closed for their output
	InputLimit         int64         // … and for their requests
	EvictedClients     int64         // connections closed for maxmemory-clients
	Exceeded           time.Duration // for which more memory than maxmemory was in use
	Expiring           time.Duration // spent in deleting expired keys
	ExpireCapped       int64         // slices of that which did not get done

	// What there is now.
	Clients               int64
	Watching              int64         // clients that watch keys
	Tracking, Prefixes    int           // clients that are told of changes, and prefixes of broadcasts
	Waiting, WithDeadline int64         // clients that wait, and of them those whose wait has an end
	LongestIn, LongestOut int64         // bytes of a client's input and output that wait
	UsedMemory            int64         // what maxmemory limits, in bytes
	ClientBytes           int64         // of memory that clients occupy
	BusBytes              int64         // of messages that the cluster bus will have to send
	ExceededNow           time.Duration // for which it has been so without a break
	Loops, ActiveLoops    int
	Scripts               ScriptCounts
	// EndsAt is when a shutdown stops waiting for replicas, in Unix milliseconds; 0:
	// none waits.
	EndsAt int64
}

// ScriptCounts is what there is of scripts and functions; bytes are estimates.
type ScriptCounts struct {
	Cached, Functions, Libraries int
	Evicted                      int64 // scripts of the cache, since the start or CONFIG RESETSTAT
	CachedBytes, LibraryBytes    int64 // text and code
	EvalEngines, FunctionEngines int64 // bytes of the Lua states
}

// Stream is the node's stream.
type Stream interface {
	// End is the offset up to which there is something.
	End() replication.Offset
}

// MeasuredStream is a Stream that counts, for INFO memory, its bytes in memory: the
// backlog, what is kept beyond it for slow replicas, and what is not on disk yet.
type MeasuredStream interface {
	Memory() (backlog, pinned, unsynced int64)
}

// Replication is what the commands ask of asynchronous replication.
type Replication interface {
	// Primary is the address followed; host is empty on a primary.
	Primary() (host string, port int)
	// LinkUp reports whether a replica is in step with its primary, and
	// LinkState the word ROLE has for it.
	LinkUp() bool
	LinkState() string
	// Replicas are the connected ones.
	Replicas() []Replica
	// Info is the lines of INFO replication, role first.
	Info() string
}

// Replica is one connected replica as ROLE shows it.
type Replica struct {
	IP     string
	Port   int
	Offset replication.Offset
}

// Failover is what FAILOVER asks for.
type Failover struct {
	Host    string // of the replica; "" for any
	Port    int
	Timeout time.Duration // 0: none
	Force   bool          // when the time is over, hand over whatever the replica has
	By      string        // who asks, for the log
}

// NoFailover is the state in which none is under way.
const NoFailover = "no-failover"

// Coordinator is a Replication that can hand over to a replica. The methods with a
// tx are called with all loops stopped and the world locked through it; their errors
// are lines for the client.
type Coordinator interface {
	Failover(tx *storage.Tx, how Failover) error
	AbortFailover(tx *storage.Tx, by string) error
	// FailoverState is the state by the words of INFO.
	FailoverState() string
}

// SyncCounter is a Replication that counts, for INFO stats, the full and partial
// resyncs it served and the partial ones it had to refuse.
type SyncCounter interface {
	Syncs() (full, partial, refused int64)
}

// TrafficCounter is a Replication that counts, for INFO stats, the bytes it
// received from its primary and those it sent to replicas.
type TrafficCounter interface {
	Traffic() (in, out int64)
}

// Persistence is what the commands ask of snapshots.
type Persistence interface {
	// Save writes a snapshot and returns when it is done. The caller holds the
	// world lock through tx.
	Save(tx *storage.Tx) error
	// Background begins a snapshot. Errors are lines for the client.
	Background() error
	// Rewrite is BGREWRITEAOF. scheduled says that it begins later: in a transaction,
	// or after the snapshot of Background. Errors are lines for the client.
	Rewrite(inTransaction bool) (scheduled bool, err error)
	// LastSave is the time of the last successful snapshot.
	LastSave() time.Time
	Saving() bool
	// Flushed says that the unit has deleted everything: a snapshot of what was
	// there must not become the dump any more. With save the empty data set is
	// saved in its place, also while one is being given up.
	Flushed(tx *storage.Tx, save bool) error
	// Reload saves, empties the keyspace and loads what was saved; with
	// nosave it loads what is on disk, with noflush over what there is.
	Reload(tx *storage.Tx, nosave, noflush, merge bool) error
	// LoadAgain empties the keyspace and loads what a restart would load.
	LoadAgain(tx *storage.Tx) error
	// Info is the lines of INFO persistence.
	Info() string
	// Load is how far a load of data is; called while there is one.
	Load() LoadProgress
}

// LoadProgress is how far a load of data is.
type LoadProgress struct {
	Began        time.Time
	Total, Bytes int64 // of what is loaded, and of that what has been; 0: not known
}

// percent is how much of it is done.
func (p LoadProgress) percent() float64 {
	if p.Total <= 0 {
		return 0
	}
	return min(100*float64(p.Bytes)/float64(p.Total), 100)
}

// seconds is how long the rest will take, if it goes on as it did; 1 as long as nobody
// knows. (genRedisInfoString)
func (p LoadProgress) seconds(now time.Time) int64 {
	elapsed := int64(now.Sub(p.Began) / time.Second)
	if elapsed <= 0 || p.Bytes <= 0 {
		return 1
	}
	return int64(float64(elapsed) * float64(max(p.Total-p.Bytes, 0)) / float64(p.Bytes))
}

// Cluster is what the commands ask of the node's share of a cluster.
type Cluster interface {
	// Connections is how many links to other nodes there should be.
	Connections() int
	// LinkBytes is about how much memory the links take, with what waits to be
	// sent.
	LinkBytes() int64
}

// Sentinel is what INFO asks of a Sentinel.
type Sentinel interface {
	// Info is the lines of INFO sentinel.
	Info() string
}
