package node

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"redoubt/internal/admin"
	"redoubt/internal/server"
	"redoubt/replication"
	"redoubt/replication/psync"
	"redoubt/storage"
)

// Serve feeds the replica at the other end of a connection until it ends.
func (r *replicator) Serve(nc net.Conn, rest []byte, hello server.Handshake) {
	if tcp, ok := nc.(interface{ SetNoDelay(on bool) error }); ok && r.n.config.Current().ReplDisableTCPNoDelay {
		_ = tcp.SetNoDelay(false) // a matter of speed only
	}
	sender, direct := nc.(psync.Sender)
	if len(rest) > 0 {
		nc = &resumedConn{Conn: nc, rest: rest}
	}
	counted := &countedConn{Conn: nc, out: &r.out}
	nc = counted
	if direct {
		nc = &countedSender{counted, sender}
	}
	h := psync.Handshake{
		ListeningPort: hello.ListeningPort, IP: hello.IP,
		EOF: hello.EOF, PSYNC2: hello.PSYNC2, RDBOnly: hello.RDBOnly, Filtered: hello.EmptyRDB, Functions: hello.Functions,
		Prompt: hello.PromptAcks, NodeID: hello.NodeID, Member: hello.Member, Stray: hello.Stray,
	}
	if hello.Psync {
		h.Request = &replication.Request{ID: hello.ID, From: hello.Offset}
	}
	id := replication.ReplicaID(r.ids.Add(1))
	// Serve logs why it ended.
	go func() { _ = r.primary.Serve(r.ctx, nc, id, h) }()
}

// resumedConn is a connection of which something has been read already.
type resumedConn struct {
	net.Conn
	rest []byte
}

func (c *resumedConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// countedConn counts the bytes of the direction in which a stream goes.
type countedConn struct {
	net.Conn
	in, out *atomic.Int64 // nil: not counted
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.in != nil {
		c.in.Add(int64(n))
	}
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if c.out != nil {
		c.out.Add(int64(n))
	}
	return n, err
}

// countedSender is a countedConn that can be written to without waiting.
type countedSender struct {
	*countedConn
	sender psync.Sender
}

// TrySend is psync.Sender's.
func (c *countedSender) TrySend(p []byte) (int, error) {
	n, err := c.sender.TrySend(p)
	c.out.Add(int64(n))
	return n, err
}

// SendAhead is server.Replication's.
func (r *replicator) SendAhead() { r.primary.Push() }

// serveSettings are those of replicas. Without a journal a replica that is
// behind holds memory, and client-output-buffer-limit bounds that. With one it
// reads from disk, and being sent away would only make it come back for the
// same bytes.
func (r *replicator) serveSettings() psync.Settings {
	c := r.n.config.Current()
	s := psync.Settings{Timeout: c.ReplTimeout, Diskless: c.ReplDisklessSync}
	if !r.n.stream.Enabled() {
		s.Limit = psync.Limit{HardBytes: c.ReplicaOutput.HardBytes, SoftBytes: c.ReplicaOutput.SoftBytes, SoftTime: c.ReplicaOutput.For}
		if s.Limit.HardBytes > 0 { // below that of the backlog it would only make the replica come back
			s.Limit.HardBytes = max(s.Limit.HardBytes, int64(backlogBytes(c)))
		}
	}
	return s
}

// later reports whether a replica that cannot go on is told to ask again: as long
// as the cluster, or the Sentinels, have not settled whether this node, which has just
// started, remains the primary. If the replica has more of the node's own stream than the
// node, that is a fact for the cluster to decide by.
func (r *replicator) later(v replication.Verdict, asked replication.Request) bool {
	if r.n.cluster == nil {
		return r.state.Load().unconfirmed
	}
	if r.settled() {
		return false
	}
	if v == replication.FullDiverged || v == replication.FullAhead {
		at := int64(asked.From - 1)
		for old := r.outrun.Load(); at > old && !r.outrun.CompareAndSwap(old, at); old = r.outrun.Load() {
		}
	}
	return true
}

// settled reports whether this node's stream may take the place of what replicas have. In a
// cluster that takes a primary of which no better one is known; in a quorum shard that is the one
// that the group has elected: a node that has lost its journal, and starts with the slots in its
// nodes.conf, would empty those that have what was acknowledged.
func (r *replicator) settled() bool {
	if r.n.quorum != nil {
		return r.n.commits.leads.Load()
	}
	return r.n.cluster.View().Settled
}

// GoodReplicas counts those that acknowledged within min-replicas-max-lag.
func (r *replicator) GoodReplicas() int {
	return r.primary.Good(time.Now(), r.n.config.Current().MinReplicasMaxLag)
}

// Acked counts the replicas that have applied the stream up to at.
func (r *replicator) Acked(at replication.Offset) int { return r.primary.Applied(at) }

// Synced reports whether the node's own journal has the stream up to at on
// disk, and counts the replicas that do.
func (r *replicator) Synced(at replication.Offset) (local bool, replicas int) {
	synced, ok := r.onDisk()
	return ok && synced >= at, r.primary.Synced(at)
}

// onDisk is how far the node's own journal has the stream on disk. Before its first
// base what it has is not the whole data, so that counts for nothing. ok is false if
// there is no journal.
func (r *replicator) onDisk() (synced replication.Offset, ok bool) {
	s := r.n.stream
	synced = s.Synced() // first: it is 0 once there is no journal
	if _, _, whole := s.Restart(); !whole {
		synced = 0
	}
	return synced, s.Enabled()
}

var _ admin.SyncCounter = (*replicator)(nil)

// Syncs counts the resyncs that the node served.
func (r *replicator) Syncs() (full, partial, refused int64) { return r.primary.Syncs() }

var _ admin.TrafficCounter = (*replicator)(nil)

// Traffic counts the bytes that came from primaries and went to replicas.
func (r *replicator) Traffic() (in, out int64) { return r.in.Load(), r.out.Load() }

// OnAck has f called after an acknowledgement came in, or a replica came or
// went.
func (r *replicator) OnAck(f func()) {
	r.onAck.Store(&f)
	r.n.stream.OnSync(func() {
		f()
		if link := r.link.Load(); link != nil {
			link.Committed()
		}
	})
}

// AskAcks asks all replicas how far they are. Clients that ask at the same time
// are content with one question.
func (r *replicator) AskAcks() {
	select {
	case r.asked <- struct{}{}:
	default:
	}
}

// OnlineReplicas counts those that receive the stream and have acknowledged something
// within min-replicas-max-lag, unless that is 0.
func (r *replicator) OnlineReplicas() int {
	if lag := r.n.config.Current().MinReplicasMaxLag; lag > 0 {
		return r.primary.Good(time.Now(), lag)
	}
	all, _ := r.primary.CountOnline()
	return all
}

// Attached counts the replicas that get the stream or are about to.
func (r *replicator) Attached() int { return r.primary.Attached() }

// WantAcks asks replicas to acknowledge the stream as it is, unless they have been
// asked or do so by themselves, in a unit of e: server.Replication. One question at the
// end of a loop's turn is for all clients that wait.
func (r *replicator) WantAcks(e *storage.Executor) {
	end := int64(r.n.stream.End())
	if r.n.quorum != nil || r.acksTo.Load() >= end {
		return
	}
	unit, at := getAckUnit, time.Now()
	came := r.primary.Came()
	all, prompt := r.primary.CountOnline()
	enough := prompt >= r.n.config.Current().MinReplicasToAck
	if enough {
		if r.askedOf.Load() == came && at.UnixNano()-r.prompted.Load() < int64(psync.PromptFor/2) {
			return
		}
		unit = promptUnit
	}
	if all == 0 {
		return
	}
	tx := e.Begin(now(), nil)
	if tx == nil {
		return // a script takes long; replicas tell once a second
	}
	said := r.sayIn(tx, unit)
	e.End()
	if !said {
		return // during a pause the stream stands still; what is held back asks again
	}
	r.acksTo.Store(int64(r.n.stream.End()))
	if enough {
		r.askedOf.Store(came)
		r.prompted.Store(at.UnixNano())
	}
	r.n.stream.TellReaders()
}

// What a primary adds to the stream by itself: it belongs to no database.
var (
	pingUnit   = []byte("*1\r\n$4\r\nping\r\n")
	promptUnit = []byte(psync.PromptAcks)
	getAckUnit = []byte("*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n")
)

// runBeat adds PING and GETACK to the stream of a primary with replicas.
func (r *replicator) runBeat(ctx context.Context) {
	e := r.n.keys.NewExecutor()
	e.MayGiveUp()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.asked:
			r.say(e, getAckUnit)
		case at := <-tick.C:
			if at.Sub(last) >= r.n.config.Current().ReplPingReplicaPeriod {
				last = at
				r.say(e, pingUnit)
			}
		}
	}
}

// say adds a unit that changes no data. It is one like any other: whoever
// holds the world, for a change of roles or for a pause, has the stream stand
// still.
func (r *replicator) say(e *storage.Executor, unit []byte) {
	if len(r.primary.Replicas()) == 0 {
		return
	}
	tx := e.Begin(now(), nil)
	if tx == nil {
		r.owed.Store(&unit) // a script takes long, and will find it
		return
	}
	r.sayIn(tx, unit)
	e.End()
	r.n.stream.Announce()
}

// sayIn is say in a unit; it reports whether the stream has the unit.
func (r *replicator) sayIn(tx *storage.Tx, unit []byte) bool {
	if tx.Role() != storage.RolePrimary || tx.ExpiryPaused() {
		return false
	}
	r.n.stream.Append(-1, -1, unit)
	return true
}

// SayOwed says what could not be said for a unit that takes long, in that unit:
// server.Replication.
func (r *replicator) SayOwed(tx *storage.Tx) {
	if unit := r.owed.Swap(nil); unit != nil {
		r.sayIn(tx, *unit)
		r.n.stream.Announce()
	}
}
