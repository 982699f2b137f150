package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"redoubt/bus"
	"redoubt/internal/config"
	"redoubt/internal/node/driver"
	"redoubt/internal/resp"
	"redoubt/internal/server"
	"redoubt/replication"
	"redoubt/replication/raftgroup"
)

// quorum is the node's part of its shard's group (durability quorum): it is what package
// raftgroup asks of a node, and what the driver of the cluster asks of a group.
//
// The group elects the primary, and the cluster hears of that by a claim, as of any other
// failover; so replicas follow, and clients are redirected, as they always are. What
// the group says of the stream goes to commits.
type quorum struct {
	n     *Node
	group atomic.Pointer[raftgroup.Group] // nil before start
	conns chan net.Conn
	// closed is closed when conns is not received from any more.
	closed chan struct{}

	confirmed atomic.Uint64 // the last round of questions that was answered
	term      atomic.Uint64 // of the group, in which this node leads; 0: it does not

	learned atomic.Pointer[raftgroup.Mark] // the last mark of another leader that was committed

	stranger sync.Once // tells of a log of another group

	mu     sync.Mutex
	probed map[string]probe     // by node id: whether it has a part of the group
	lost   map[string]time.Time // by node id: since when it has been out of the shard
}

// probe is what was found out about a node.
type probe struct {
	at     time.Time
	member bool
}

const (
	probePeriod = 3 * time.Second
	// goneAfter is how long a node must have been out of the shard before it loses its
	// vote: the views of the cluster may differ for a while after a failover.
	goneAfter = 10 * time.Second
	// nearBytes is how far a node may be behind that gets a vote.
	nearBytes = 1 << 20
	peerTime  = 2 * time.Second
)

// What the first byte of a connection between the groups' parts of two nodes is for; the
// ids of who dials and of who is dialled follow, and the name of the former's group (all 40
// characters). The answer is a byte.
const (
	forRaft  = 'R' // Raft's own messages follow
	forProbe = 'P' // nothing does
	forElect = 'E' // the dialler wants to be the primary

	peerYes = 1
	peerNo  = 0
)

func newQuorum(n *Node) *quorum {
	return &quorum{n: n, conns: make(chan net.Conn), closed: make(chan struct{}), probed: map[string]probe{}, lost: map[string]time.Time{}}
}

// start begins to take part.
func (q *quorum) start() error {
	n := q.n
	g, err := raftgroup.Open(raftgroup.Config{
		ID:           q.self(),
		Dir:          filepath.Join(n.config.Current().Dir, "quorum"),
		Recovered:    n.recovered.History,
		RecoveredEnd: n.recovered.End,
		Node:         q,
		Dial:         func(id string, timeout time.Duration) (net.Conn, error) { return q.dial(id, forRaft, timeout) },
		Accept:       q.conns,
		Log:          n.log,
		Fatal: func(err error) {
			n.log.Fatal("The log of the shard's group cannot be written. Exiting...", zap.Error(err))
		},
	})
	if err != nil {
		return err
	}
	q.group.Store(g)
	n.replicator.running.Go(func() { q.found(n.replicator.ctx) })
	return nil
}

// Close ends it. A primary gives its lead to another member first, so that nobody has to
// miss it before there is an election.
func (q *quorum) Close() error {
	defer close(q.closed)
	g := q.group.Load()
	if g == nil {
		return nil
	}
	if g.Leads() {
		if err := g.Transfer(""); err != nil { // there may be nobody
			q.n.log.Info("The lead of the shard is not handed over: " + err.Error())
		}
	}
	return g.Close()
}

func (q *quorum) self() string { return string(q.n.cluster.View().Me().ID) }

// found makes a group where there is none: of a primary that has slots and belongs to
// no group yet. Its replicas are added to it.
func (q *quorum) found(ctx context.Context) {
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		v := q.n.cluster.View()
		if me := v.Me(); !v.IsReplica() && me.Slots != nil && !me.Slots.Empty() {
			if err := q.group.Load().Bootstrap(); err != nil {
				q.n.log.Warn("The shard's group cannot be founded", zap.Error(err))
			} else {
				tick.Stop()
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}

// confirm asks whether this node still leads, if reads want to know.
func (q *quorum) confirm() uint64 {
	g := q.group.Load()
	if g == nil || q.term.Load() == 0 || q.n.config.Current().QuorumReads == config.ReadsLocal {
		return 0
	}
	return g.Ask()
}

// appended says that the stream has grown.
func (q *quorum) appended() {
	if g := q.group.Load(); g != nil {
		g.Appended()
	}
	q.relearn()
}

var _ raftgroup.Node = (*quorum)(nil)

// Line implements raftgroup.Node.
func (q *quorum) Line() (id string, end replication.Offset) {
	for {
		id = q.n.replicator.ID()
		end = q.n.stream.End()
		if q.n.replicator.ID() == id {
			return id, end
		}
	}
}

// WaitSynced implements raftgroup.Node.
func (q *quorum) WaitSynced(ctx context.Context, at replication.Offset) error {
	return q.n.stream.WaitSynced(ctx, at)
}

// Holds implements raftgroup.Node.
func (q *quorum) Holds(m raftgroup.Mark) bool {
	for r := q.n.replicator; ; {
		is := r.state.Load()
		synced, _ := r.onDisk()
		if r.state.Load() == is { // so both are of one stream
			return raftgroup.Holds(is.history, synced, m)
		}
	}
}

// NextEpoch implements raftgroup.Node.
func (q *quorum) NextEpoch(context.Context) (uint64, error) { return q.n.cluster.NextEpoch(), nil }

// Lead implements raftgroup.Node.
func (q *quorum) Lead(ctx context.Context, epoch uint64) error { return q.n.cluster.Lead(ctx, epoch) }

// Led implements raftgroup.Node.
func (q *quorum) Led(term uint64) {
	q.term.Store(term)
	q.n.commits.lead(true)
	q.n.log.Info(fmt.Sprintf("The shard has elected this node as its primary (term %d)", term))
}

// Lost implements raftgroup.Node.
func (q *quorum) Lost() {
	q.n.commits.lead(false)
	q.term.Store(0) // last: without a term confirm asks nobody
	q.n.log.Warn("This node is not any more the primary that its shard has elected: it answers with CLUSTERDOWN until there is one")
}

// Committed implements raftgroup.Node.
func (q *quorum) Committed(term uint64, at replication.Offset) {
	if q.term.Load() == term {
		q.n.commits.agreed(true, at)
	}
}

// Verified implements raftgroup.Node.
func (q *quorum) Verified(round uint64) {
	q.confirmed.Store(round)
	q.n.commits.tell()
}

// Learned implements raftgroup.Node.
func (q *quorum) Learned(m raftgroup.Mark) {
	q.learned.Store(&m)
	q.relearn()
}

// relearn has a replica show what the last mark says that is committed, as far as it has
// the stream that the mark names. A mark may be learned before that: it is asked again when
// the stream grows, and when it becomes another one. There may be no later mark, as long
// as nobody writes.
//
// What is committed stays so, and is in all streams that follow. So it does not matter
// what becomes of the stream meanwhile.
func (q *quorum) relearn() {
	m := q.learned.Load()
	if m == nil {
		return
	}
	if id, end := q.Line(); id == m.Line {
		q.n.commits.agreed(false, min(m.At, end))
	}
}

// relearn is that of a node with durability quorum, whose stream has become another one.
func (n *Node) relearn() {
	if n.quorum != nil {
		n.quorum.relearn()
	}
}

// Members implements raftgroup.Node.
func (q *quorum) Members() (all, ready []string) {
	v := q.n.cluster.View()
	me, end := v.Me().ID, int64(q.n.stream.End())
	for i := range v.Nodes {
		o := &v.Nodes[i]
		if o.ID == me || o.Primary != me || o.Flags.Has(bus.FlagFail) || !q.takesPart(string(o.ID)) {
			continue
		}
		all = append(all, string(o.ID))
		if o.Offset > 0 && end-o.Offset < nearBytes {
			ready = append(ready, string(o.ID))
		}
	}
	return all, ready
}

// takesPart reports whether a node has a part of the group; it is asked now and then.
func (q *quorum) takesPart(id string) bool {
	q.mu.Lock()
	p, known := q.probed[id]
	q.mu.Unlock()
	if known && time.Since(p.at) < probePeriod {
		return p.member
	}
	conn, err := q.dial(id, forProbe, peerTime)
	if err == nil {
		conn.Close()
	}
	if err != nil && p.member && !errors.Is(err, errNoPart) {
		return true // it cannot be asked now
	}
	q.mu.Lock()
	q.probed[id] = probe{time.Now(), err == nil}
	q.mu.Unlock()
	return err == nil
}

// Gone implements raftgroup.Node.
func (q *quorum) Gone(id string) bool {
	v := q.n.cluster.View()
	there := false
	for i := range v.Nodes {
		o := &v.Nodes[i]
		there = there || string(o.ID) == id && o.ShardID == v.ShardID
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if there {
		delete(q.lost, id)
		return false
	}
	since, known := q.lost[id]
	if !known {
		q.lost[id] = time.Now()
	}
	return known && time.Since(since) > goneAfter
}

var errNoPart = errors.New("the node has no part of this shard's group")

// idLen is the length of the id of a node.
const idLen = 40

// dial connects to the part of the group that another node has.
func (q *quorum) dial(id string, purpose byte, timeout time.Duration) (net.Conn, error) {
	if len(id) != idLen {
		return nil, fmt.Errorf("%q is not the id of a node", id)
	}
	g := q.group.Load()
	if g == nil || g.Name() == "" {
		return nil, errNoPart
	}
	conn, err := q.n.cluster.DialNode(id, timeout)
	if err != nil {
		return nil, err
	}
	hello := append([]byte{purpose}, q.self()+id+g.Name()...)
	answer := make([]byte, 1)
	_ = conn.SetDeadline(time.Now().Add(timeout))
	if _, err = conn.Write(hello); err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	if err == nil && answer[0] != peerYes {
		err = errNoPart
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, conn.SetDeadline(time.Time{})
}

// Guest implements driver.Quorum.
func (q *quorum) Guest(conn net.Conn) {
	hello := make([]byte, 1+3*idLen)
	_ = conn.SetDeadline(time.Now().Add(peerTime))
	if _, err := io.ReadFull(conn, hello); err != nil {
		return
	}
	from, to, name := string(hello[1:1+idLen]), string(hello[1+idLen:1+2*idLen]), string(hello[1+2*idLen:])
	g := q.group.Load()
	answer := byte(peerNo)
	switch {
	case g == nil || to != q.self() || !q.inShard(from) || !replication.ValidID(name):
	case !g.MayJoin(name):
		q.stranger.Do(func() {
			q.n.log.Warn("This node has the log of another shard's group, and takes no part in that of its present shard. " +
				"When the former counts it no more (quorum_members), stop it, remove the directory quorum, and start it again")
		})
	case hello[0] != forRaft || g.Join(name):
		answer = peerYes
	}
	if hello[0] == forElect && answer == peerYes && g.Transfer(from) != nil {
		answer = peerNo
	}
	if _, err := conn.Write([]byte{answer}); err != nil || answer == peerNo || hello[0] != forRaft {
		return
	}
	_ = conn.SetDeadline(time.Time{})
	ended := make(chan struct{})
	select {
	case q.conns <- &watchedConn{Conn: conn, ended: ended}:
		<-ended
	case <-q.closed:
	}
}

// inShard reports whether a node is of this shard, as far as this one knows.
func (q *quorum) inShard(id string) bool {
	v := q.n.cluster.View()
	for i := range v.Nodes {
		if string(v.Nodes[i].ID) == id {
			return v.Nodes[i].ShardID == v.ShardID
		}
	}
	return false
}

// watchedConn tells when it is closed.
type watchedConn struct {
	net.Conn
	once  sync.Once
	ended chan struct{}
}

// Close implements net.Conn.
func (c *watchedConn) Close() error {
	c.once.Do(func() { close(c.ended) })
	return c.Conn.Close()
}

// Reclaim implements driver.Quorum.
func (q *quorum) Reclaim() {
	if g := q.group.Load(); g != nil {
		g.Reclaim()
	}
}

// Elect implements driver.Quorum.
func (q *quorum) Elect(ctx context.Context) error {
	g := q.group.Load()
	if g == nil {
		return errNoPart
	}
	switch leader := g.Leader(); leader {
	case q.self():
		return errors.New("You should send CLUSTER FAILOVER to a replica")
	case "":
		return errors.New("The shard has no primary that could hand over")
	default:
		conn, err := q.dial(leader, forElect, peerTime)
		if err != nil {
			return fmt.Errorf("The primary does not hand over: %w", err)
		}
		conn.Close()
	}
	for !g.Leads() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return errors.New("The shard has not elected this node in time")
		}
	}
	return nil
}

// info is what INFO replication tells of the group.
func (q *quorum) info(line func(string, any)) {
	g := q.group.Load()
	if g == nil {
		return
	}
	voters, all := g.Voters()
	line("quorum_leading", oneIf(q.n.commits.leads.Load()))
	line("quorum_leader", g.Leader())
	line("quorum_term", g.CurrentTerm())
	line("quorum_voters", len(voters))
	line("quorum_members", len(all))
	line("quorum_committed_offset", q.n.commits.Committed())
	line("quorum_uncertain_replies", q.n.server.Uncertain())
}

// elected is the node's cluster as a server of a quorum shard sees it: it serves no keys
// unless its shard has elected it.
type elected struct {
	*driver.Driver
	n *Node
}

// Route implements server.Cluster.
func (e elected) Route(r server.Route) resp.Error {
	if refusal := e.Driver.Route(r); refusal != "" {
		return refusal
	}
	if !e.n.commits.leads.Load() && !e.View().IsReplica() {
		return resp.ErrNotElected
	}
	return ""
}
