package server

import (
	"context"
	"net"
	"time"

	"redoubt/internal/admin"
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
)

// Stream is the node's stream; package storage/journal has the real one.
type Stream interface {
	storage.Stream
	// Committed is the offset up to which the stream is as durable as the
	// policy in force promises. Before a stream is replaced by one that ends
	// lower, as a full resync does, all of it has been committed: so an offset
	// beyond End holds nothing back.
	Committed() replication.Offset
	// Shown is up to where replies may leave that only show data. It is Committed, or
	// beyond that what replicas were waited for in vain (GiveUp).
	Shown() replication.Offset
	// AwaitsReplicas reports whether Committed waits for replicas on a primary.
	AwaitsReplicas() bool
	// Term counts the changes of the role, from 1 on. Of what was appended in a term
	// that is over, Committed does not say whether replicas have acknowledged it.
	Term() uint32
	GiveUp(at replication.Offset)
	// Strict reports whether output that shows data has to leave in the term in which it
	// was made, and not before a round of Confirm: what it shows is then neither lost
	// later on nor overtaken by another primary. Confirm asks for a round, and returns its
	// number; Confirmed is the last that was answered.
	Strict() bool
	Confirm() uint64
	Confirmed() uint64
	// TryCommit makes what was appended as durable as the policy in force promises,
	// at once, if that takes the caller no longer than to have it done by others.
	TryCommit()
	// OnCommit has f called, by any goroutine, after Committed has moved.
	OnCommit(f func(replication.Offset))
	// Room reports whether the journal keeps up; if not, writes wait before
	// they take a lock. OnRoom has f called with the answer, now and at once
	// after each change; f must not call the stream.
	Room() bool
	OnRoom(f func(room bool))
}

// Replication is what the shell needs of asynchronous replication. All methods
// may be called from any loop and must not wait.
type Replication interface {
	admin.Replication
	// Serve takes over a connection that has sent PSYNC or SYNC. rest is what
	// arrived after that request.
	Serve(nc net.Conn, rest []byte, hello Handshake)
	// Follow makes the node a replica of a primary, or with an empty host a
	// primary. by says who wants that, for the log. It runs under the world lock.
	Follow(tx *storage.Tx, host string, port int, by string)
	// Confirmed reports whether the node may take writes as far as its Sentinels are
	// concerned, which tell it by messages on the channel of their hellos. Vouched takes
	// one, and reports false if it is another message.
	Confirmed() bool
	Vouched(message []byte) bool
	// GoodReplicas counts those that acknowledged within min-replicas-max-lag.
	GoodReplicas() int
	// Acked counts the replicas that acknowledged an offset, and AskAcks asks
	// all of them to say how far they are. OnAck has f called after an
	// acknowledgement came, or what Synced says of this node has changed.
	Acked(at replication.Offset) int
	AskAcks()
	// OnlineReplicas counts those that could acknowledge a write.
	OnlineReplicas() int
	// Attached counts those that get the stream or are about to. It is quick.
	Attached() int
	// WantAcks asks replicas to acknowledge what was appended, with an executor that is
	// in no unit; it is quick if they have been asked.
	WantAcks(e *storage.Executor)
	// Synced reports whether an offset is fsynced here, and counts the replicas
	// that have it on disk.
	Synced(at replication.Offset) (local bool, replicas int)
	// HandOver has a replica take over from this primary of a cluster, which is about to
	// end and has begun a pause. It does not wait. done is called, by another goroutine:
	// with true when the node has become a replica, with false when no replica is fit or
	// ctx has ended.
	HandOver(ctx context.Context, done func(over bool))
	// SendAhead hands what was appended to the stream to the sockets of replicas that
	// have everything else, as far as these take it at once. The loops call it before
	// they answer clients; it is quick if there is nothing to send.
	SendAhead()
	// SayOwed adds to the stream what replicas wait for, within a unit that takes so
	// long that others cannot.
	SayOwed(tx *storage.Tx)
	// ID is the replication id of the present history.
	ID() string
	OnAck(f func())
	// Behind names the attached replicas that have not acknowledged an offset,
	// those that are only being sent a snapshot among them; all is how many
	// are attached.
	Behind(at replication.Offset) (names []string, all int)
}

// Handshake is what a replica said of itself with REPLCONF, and its request.
type Handshake struct {
	ListeningPort int
	IP            string // as it announces it; empty: that of the connection
	EOF, PSYNC2   bool   // REPLCONF capa
	PromptAcks    bool   // likewise
	Member        bool   // likewise: of the node's quorum
	Version       string
	NodeID        string // in a cluster
	RDBOnly       bool   // redis-cli --rdb
	EmptyRDB      bool   // redis-cli --replica: rdb-filter-only ""
	Functions     bool   // redis-cli --functions-rdb: rdb-filter-only functions

	Psync  bool // PSYNC, with the two below; otherwise SYNC
	ID     string
	Offset replication.Offset
	User   string

	// Stray judges a command that the replica sends from now on and that is no
	// acknowledgement; with an error the connection is to be closed.
	Stray func(args [][]byte) error
}

// Persistence is snapshots and what is left of them.
type Persistence interface {
	admin.Persistence
	// SaveAtEnd is Save before the process exits. It saves even while Background
	// is under way, whose snapshot is given up: it is older.
	SaveAtEnd(tx *storage.Tx) error
	// AwaitsFirstBase reports whether a journal that was switched on has no base
	// yet: a restart would not find the data (Redis's AOF_WAIT_REWRITE).
	AwaitsFirstBase() bool
	// Step lets a loop advance the snapshots that are under way, for about a
	// slice of time. It reports whether there is more to do at once.
	Step(e *storage.Executor, now int64, slice time.Duration) (more bool)
	// OnRoom has f called when snapshots keep as much memory as they may, so that
	// writes have to wait before they take a lock (false), and when they need not
	// any more (true): now and at once after each change, maybe under the locks of
	// slots. f must not wait.
	OnRoom(f func(room bool))
	// Failing is the line that writes get while the disk refuses, "" if it
	// does not.
	Failing() resp.Error
}

// Cluster is the node's share of a cluster.
type Cluster interface {
	admin.Cluster
	// Route says where a request goes: "" if it runs here, or the error that
	// sends the client elsewhere.
	Route(r Route) resp.Error
	// Freezes counts how often the node went on after it had not run for so
	// long that others may have replaced it; it begins at 0. After a change
	// Route knows of it. now is the present time.
	Freezes(now time.Time) uint64
	// Publish spreads a message of PUBLISH, or SPUBLISH if sharded, to other
	// nodes.
	Publish(channel, message []byte, sharded bool)
	// Votes reports whether the node is a primary with slots.
	Votes() bool
	// Rows is the CLUSTER command.
	Rows() []*command.Row
}

// Route is a request as a cluster sees it. It is asked twice: before the unit,
// when Missing is nil, and under the locks of the slots.
type Route struct {
	Slot     slots.Slot
	Keys     int  // how many keys; one that is named twice counts twice
	Many     bool // they are not all the same
	Mixed    bool // they are of several slots
	Write    bool
	Script   bool // a script that may write
	Shard    bool // sharded pub/sub: the keys are channels
	Migrate  bool // the command that moves keys
	ReadOnly bool // the connection said READONLY
	Asking   bool // … or ASKING, or the command implies it
	IPv6     bool // the client came over IPv6
	TLS      bool // … by TLS
	// Missing counts those of the keys that do not exist, with the slot locked;
	// nil before.
	Missing func() int
}
