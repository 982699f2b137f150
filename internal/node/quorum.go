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
	"redoubt/cluster"
	"redoubt/internal/config"
	"redoubt/internal/fault"
	"redoubt/internal/metrics"
	"redoubt/internal/node/driver"
	"redoubt/internal/resp"
	"redoubt/internal/server"
	"redoubt/replication"
	"redoubt/replication/raftgroup"
	"redoubt/storage/journal"
)

// quorum is the node's part of its shard's group (durability quorum): it is what package
// raftgroup asks of a node, and what the driver of the cluster asks of a group.
//
// The group elects the primary, and the cluster hears of that by a claim, as of any other
// failover; so replicas follow, and clients are redirected, as they always are. What
// the group says of the stream goes to commits.
type quorum struct {
	n    *Node
	part atomic.Pointer[membership] // nil before start, and while the node changes its shard

	confirmed atomic.Uint64 // the last round of questions that was answered
	term      atomic.Uint64 // of the group, in which this node leads; 0: it does not

	learned atomic.Pointer[raftgroup.Mark] // the last mark of another leader that was committed

	gave     atomic.Bool // data were given up while there was no part
	founding atomic.Bool // this node founds a group, or has
	stranger sync.Once   // tells of a log of another group

	changing sync.Mutex // serialises what begins and ends a part
	ended    bool       // guarded by changing

	commits metrics.SharedTimes // how long marks took

	fresh atomic.Pointer[time.Time] // what this replica shows has all that was acknowledged before; nil: not known

	mu     sync.Mutex
	probed map[string]probe     // by node id: what it is of the group
	lost   map[string]time.Time // by member: since when its node has been out of the shard
}

// membership is the node's member of a group, from the time when the node comes to a shard, or
// starts, to when it leaves the shard, or ends.
type membership struct {
	*raftgroup.Group
	conns chan net.Conn // from other members
	end   context.CancelFunc
	ended <-chan struct{} // closed when conns is not received from any more

	mu     sync.Mutex
	guests map[net.Conn]bool // given to conns and not closed
}

// probe is what was found out about a node.
type probe struct {
	at     time.Time
	member string // the name of its member; "" if it has told none
	joins  bool   // it belongs to this group, or may
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

// What the first byte of a connection between the members of two nodes is for; the names
// of who dials and of who is dialled follow, and the name of the former's group. To ask a
// node who its member is takes noDigits in the place of those of its name. The answer is a
// byte and the digits of the name of the member that answers.
const (
	forRaft  = 'R' // Raft's own messages follow
	forAsk   = 'A' // questions whether the dialler still leads follow
	forProbe = 'P' // nothing does
	forElect = 'E' // the dialler wants to be the primary
	forFresh = 'F' // the answer is followed by a mark, see quorum_fresh.go

	peerNo   = 0
	peerYes  = 1
	peerNone = 2 // the node has no member at all, and will have no former one again

	noDigits = "0000000000000000"
	idLen    = 40 // of the id of a node, and of the name of a group
	nameLen  = idLen + len(noDigits)
)

func newQuorum(n *Node) *quorum {
	return &quorum{n: n, probed: map[string]probe{}, lost: map[string]time.Time{}}
}

// start begins to take part.
func (q *quorum) start() error {
	q.changing.Lock()
	defer q.changing.Unlock()
	return q.open(q.n.recovered)
}

// dir is where the group's log is.
func (q *quorum) dir() string { return filepath.Join(q.n.config.Current().Dir, "quorum") }

// open makes the node's member. changing is held.
func (q *quorum) open(rec *journal.Recovered) error {
	n, v := q.n, q.n.cluster.View()
	ctx, end := context.WithCancel(n.replicator.ctx)
	p := &membership{conns: make(chan net.Conn), end: end, ended: ctx.Done(), guests: map[net.Conn]bool{}}
	g, err := raftgroup.Open(raftgroup.Config{
		ID:           string(v.Me().ID),
		Dir:          q.dir(),
		JournalMark:  filepath.Join(n.stream.Dir(), "quorum-member"),
		Group:        v.Group,
		Record:       n.cluster.JoinGroup,
		Recovered:    rec.History,
		RecoveredEnd: rec.End,
		Node:         q,
		Dial:         func(member string, timeout time.Duration) (net.Conn, error) { return q.dial(member, forRaft, timeout) },
		Ask:          func(member string, timeout time.Duration) (net.Conn, error) { return q.dial(member, forAsk, timeout) },
		Accept:       p.conns,
		Took:         q.commits.Record,
		Log:          n.log,
		Fatal: func(err error) {
			n.log.Fatal("The log of the shard's group cannot be written, and nobody knows what of it is on the disk; the other members go on. "+
				"See to the disk, then start this node again; if it cannot read the log remove "+q.dir()+", and it is added anew. Exiting...", zap.Error(err))
		},
	})
	if err != nil {
		end()
		return err
	}
	p.Group = g
	q.part.Store(p)
	if q.gave.Swap(false) { // the log was compared with what was there before
		if err := p.Without(func() error { return nil }); err != nil {
			n.log.Warn("What this node has given up cannot be noted", zap.Error(err))
		}
	}
	n.replicator.running.Go(func() { q.found(ctx, p) })
	n.replicator.running.Go(func() { q.refresh(ctx, p) })
	return nil
}

// Close ends it. A primary gives its lead to another member first, so that nobody has to
// miss it before there is an election.
func (q *quorum) Close() error {
	q.changing.Lock()
	defer q.changing.Unlock()
	q.ended = true
	p := q.part.Load()
	if p == nil {
		return nil
	}
	if p.Leads() {
		if err := p.Transfer(""); err != nil { // there may be nobody
			q.n.log.Info("The lead of the shard is not handed over: " + err.Error())
		}
	}
	return p.close()
}

// close ends the member, and the connections that others have to it.
func (p *membership) close() error {
	p.end()
	p.mu.Lock()
	for c := range p.guests {
		c.Close()
	}
	p.mu.Unlock()
	return p.Group.Close()
}

// Leave implements driver.Quorum. What it cannot put away the next start does, by nodes.conf.
func (q *quorum) Leave() {
	q.changing.Lock()
	defer q.changing.Unlock()
	p := q.part.Swap(nil)
	if p == nil || q.ended {
		return
	}
	err := p.close()
	if err = errors.Join(err, raftgroup.PutAway(q.dir())); err == nil {
		err = q.open(&journal.Recovered{})
	}
	if err != nil {
		q.n.log.Error("This node has left its shard's group, and takes part in no other before it is started again", zap.Error(err))
	}
}

// without runs a change by which the node gives up data, see raftgroup.Group.Without; q may be
// nil. The change includes that the replicator's state is the new one.
func (q *quorum) without(change func() error) error {
	if q == nil {
		return change()
	}
	if p := q.part.Load(); p != nil {
		return p.Without(change)
	}
	q.gave.Store(true)
	return change()
}

// found makes a group where there is none: of a primary that has slots and belongs to
// no group yet. Its replicas are added to it.
func (q *quorum) found(ctx context.Context, p *membership) {
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		v := q.n.cluster.View()
		if founds(v) {
			q.founding.Store(true)
			err := p.Bootstrap()
			q.founding.Store(err == nil)
			switch {
			case errors.Is(err, raftgroup.ErrForgotten):
				q.n.log.Warn("This node has the slots of a shard to whose group it belonged, and no log of it. It serves when the other members have added it. " +
					"If they are gone for good see quorum-unsafe-recover")
				tick.Stop()
				return
			case err != nil:
				q.n.log.Warn("The shard's group cannot be founded", zap.Error(err))
			default:
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

// elects is the node that leads the group, "" if nobody is known to; q may be nil.
func (q *quorum) elects() bus.NodeID {
	if q == nil {
		return ""
	}
	if p := q.part.Load(); p != nil {
		return bus.NodeID(raftgroup.NodeOf(p.Leader()))
	}
	return ""
}

// confirm asks whether this node still leads, if reads want to know.
func (q *quorum) confirm() uint64 {
	g := q.part.Load()
	if g == nil || q.term.Load() == 0 || q.n.config.Current().QuorumReads == config.ReadsLocal || fault.Is(fault.ReadsUnverified) {
		return 0
	}
	return g.Ask()
}

// appended says that the stream has grown.
func (q *quorum) appended() {
	if g := q.part.Load(); g != nil {
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

// Sync implements raftgroup.Node.
func (q *quorum) Sync(ctx context.Context, at replication.Offset) error {
	return q.n.stream.Sync(ctx, at)
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

// Has implements raftgroup.Node. Before the journal's first base what is in it is not the whole
// data.
func (q *quorum) Has(m raftgroup.Mark) bool {
	_, _, whole := q.n.stream.Restart()
	id, end := q.Line()
	return whole && q.n.stream.Enabled() && id == m.Line && end >= m.At
}

// NextEpoch implements raftgroup.Node.
func (q *quorum) NextEpoch(context.Context) (uint64, error) { return q.n.cluster.NextEpoch(), nil }

// Lead implements raftgroup.Node.
func (q *quorum) Lead(ctx context.Context, epoch uint64, begins bool, owned []byte) error {
	var o *cluster.Ownership
	if owned != nil {
		var err error
		if o, err = cluster.ParseOwnership(owned); err != nil {
			return err
		}
	}
	if err := q.n.cluster.Lead(ctx, epoch, o); err != nil || owned != nil || !begins {
		return err
	}
	return q.n.cluster.Found(ctx)
}

// Led implements raftgroup.Node.
func (q *quorum) Led(term uint64) {
	q.term.Store(term)
	q.n.commits.lead(true)
	q.n.log.Info(fmt.Sprintf("The shard has elected this node as its primary (term %d)", term))
}

// Lost implements raftgroup.Node.
func (q *quorum) Lost() {
	time.Sleep(fault.Or(fault.ReadsUnverified, 0, fault.Moment))
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

// Attached implements raftgroup.Node.
func (q *quorum) Attached() int { return q.n.replicator.primary.Attached() }

// Members implements raftgroup.Node.
func (q *quorum) Members() (all, ready []string) {
	v := q.n.cluster.View()
	me, end := v.Me().ID, int64(q.n.stream.End())
	for i := range v.Nodes {
		o := &v.Nodes[i]
		if o.ID == me || o.Primary != me || o.Flags.Has(bus.FlagFail) {
			continue
		}
		p := q.probe(string(o.ID))
		if !p.joins {
			continue
		}
		all = append(all, p.member)
		if o.Offset > 0 && end-o.Offset < nearBytes {
			ready = append(ready, p.member)
		}
	}
	return all, ready
}

// probe tells what a node is of the group; it is asked now and then.
func (q *quorum) probe(id string) probe {
	q.mu.Lock()
	p, known := q.probed[id]
	q.mu.Unlock()
	if known && time.Since(p.at) < probePeriod {
		return p
	}
	conn, member, err := q.ask(id+noDigits, forProbe, peerTime)
	if err == nil {
		conn.Close()
	}
	if err == nil || errors.Is(err, errNoPart) || !p.joins {
		p.member, p.joins = member, err == nil // else it cannot be asked now
	}
	p.at = time.Now()
	q.mu.Lock()
	q.probed[id] = p
	q.mu.Unlock()
	return p
}

// Gone implements raftgroup.Node. A node that has another member now, or none, says so.
func (q *quorum) Gone(member string) bool {
	id := raftgroup.NodeOf(member)
	if p := q.probe(id); p.member != "" && p.member != member {
		return true
	}
	v := q.n.cluster.View()
	there := false
	for i := range v.Nodes {
		o := &v.Nodes[i]
		there = there || string(o.ID) == id && o.ShardID == v.ShardID
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if there {
		delete(q.lost, member)
		return false
	}
	since, known := q.lost[member]
	if !known {
		q.lost[member] = time.Now()
	}
	return known && time.Since(since) > goneAfter
}

var errNoPart = errors.New("the node has no part of this shard's group")

// dial connects to another member.
func (q *quorum) dial(member string, purpose byte, timeout time.Duration) (net.Conn, error) {
	conn, _, err := q.ask(member, purpose, timeout)
	return conn, err
}

// ask is dial that tells who has answered, "" if nobody has, also if the answer is no.
func (q *quorum) ask(member string, purpose byte, timeout time.Duration) (conn net.Conn, answers string, err error) {
	if len(member) != nameLen {
		return nil, "", fmt.Errorf("%q is not the name of a member", member)
	}
	g := q.part.Load()
	if g == nil || g.Name() == "" {
		return nil, "", errNoPart
	}
	id := raftgroup.NodeOf(member)
	if conn, err = q.n.cluster.DialNode(id, timeout); err != nil {
		return nil, "", err
	}
	hello := append([]byte{purpose}, g.Self()+member+g.Name()...)
	answer := make([]byte, 1+len(noDigits))
	_ = conn.SetDeadline(time.Now().Add(timeout))
	if _, err = conn.Write(hello); err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	if err == nil {
		answers = id + string(answer[1:])
		if answer[0] != peerYes {
			err = errNoPart
		}
	}
	if err != nil {
		conn.Close()
		return nil, answers, err
	}
	return conn, answers, conn.SetDeadline(time.Time{})
}

// noGuest answers the members of other nodes where there is none: a node without durability
// quorum is no member any more, see cluster.Effects.LeaveGroup.
func noGuest(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(peerTime))
	if _, err := io.ReadFull(conn, make([]byte, helloLen)); err == nil {
		_, _ = conn.Write(append([]byte{peerNone}, noDigits...))
	}
}

// helloLen is how much a dialler sends before it is answered.
const helloLen = 1 + 2*nameLen + idLen

// Guest serves a connection from the member of another node, and returns when it has
// ended. A dialler that takes this node for another gets no answer.
func (q *quorum) Guest(conn net.Conn) {
	hello := make([]byte, helloLen)
	_ = conn.SetDeadline(time.Now().Add(peerTime))
	if _, err := io.ReadFull(conn, hello); err != nil {
		return
	}
	from, to, name := string(hello[1:1+nameLen]), string(hello[1+nameLen:1+2*nameLen]), string(hello[1+2*nameLen:])
	p := q.part.Load()
	if p == nil || raftgroup.NodeOf(to) != raftgroup.NodeOf(p.Self()) || !q.inShard(raftgroup.NodeOf(from)) {
		return
	}
	answer := byte(peerNo)
	switch {
	case !replication.ValidID(name):
	case !p.MayJoin(name):
		q.follow()
	case hello[0] == forProbe:
		answer = peerYes
	case to != p.Self():
	case hello[0] == forFresh:
		q.tellFresh(conn, p)
		return
	case hello[0] == forElect && p.Transfer(from) == nil, hello[0] == forRaft && p.Join(name), hello[0] == forAsk:
		answer = peerYes
	}
	if _, err := conn.Write(p.answer(answer)); err != nil || answer == peerNo {
		return
	}
	_ = conn.SetDeadline(time.Time{})
	switch hello[0] {
	case forRaft:
		p.serve(conn)
	case forAsk:
		p.Answer(conn)
	}
}

// answer is that to a hello.
func (p *membership) answer(code byte) []byte { return append([]byte{code}, p.Self()[idLen:]...) }

// serve gives a connection to the member, and returns when it has ended.
func (p *membership) serve(conn net.Conn) {
	c := &watchedConn{Conn: conn, ended: make(chan struct{})}
	p.mu.Lock()
	p.guests[c] = true
	p.mu.Unlock()
	select {
	case p.conns <- c:
		<-c.ended
	case <-p.ended:
	}
	p.mu.Lock()
	delete(p.guests, c)
	p.mu.Unlock()
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
	if g := q.part.Load(); g != nil {
		g.Reclaim()
	}
}

// Elect implements driver.Quorum.
func (q *quorum) Elect(ctx context.Context) error {
	g := q.part.Load()
	if g == nil {
		return errNoPart
	}
	if g.Owes() {
		return errors.New("This node lacks data of its shard's primary, and could not be elected. Try again when it has them (quorum_owes of INFO replication)")
	}
	switch leader := g.Leader(); leader {
	case g.Self():
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
	return g.untilLeads(ctx)
}

// untilLeads waits until this node is the primary.
func (p *membership) untilLeads(ctx context.Context) error {
	for !p.Leads() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return errors.New("The shard has not elected this node in time")
		}
	}
	return nil
}

// MayMoveSlots implements driver.Quorum. A node that is on record for a group and has no log of
// it may not: the group goes on without it.
func (q *quorum) MayMoveSlots() bool {
	p := q.part.Load()
	return p != nil && (q.n.commits.leads.Load() || p.Name() == "" && q.n.cluster.View().Group == "")
}

// Recover implements driver.Quorum: this node leaves the group that has no majority any
// more, and founds another, with the data that it has.
func (q *quorum) Recover(ctx context.Context) error {
	g := q.part.Load()
	if g == nil {
		return errNoPart
	}
	if g.Leader() != "" {
		return errors.New("The shard has a primary that most of its nodes have elected: there is nothing to recover")
	}
	voters, _ := g.Voters()
	id, end := q.Line()
	q.n.log.Warn(fmt.Sprintf("quorum-unsafe-recover: this node makes itself the primary of its shard without a majority of its %d members. "+
		"Writes that were acknowledged after offset %d of %s are lost, and those members must not come back with quorum-unsafe-recover no", len(voters), end, id))
	if err := q.n.cluster.JoinGroup(ctx, ""); err != nil { // has Leave called
		return err
	}
	if g = q.part.Load(); g == nil {
		return errNoPart
	}
	if err := g.Bootstrap(); err != nil {
		return err
	}
	return g.untilLeads(ctx)
}

// follow has a node leave a group that is not that of its primary, if its operator says so.
func (q *quorum) follow() {
	if !q.n.config.Current().QuorumUnsafeRecover || !q.n.cluster.View().IsReplica() {
		q.stranger.Do(func() {
			q.n.log.Warn("This node belongs to another group than its shard's primary, and takes no part in that one's. " +
				"If its own has no majority any more: CONFIG SET quorum-unsafe-recover yes, and it joins that of the primary")
		})
		return
	}
	q.n.log.Warn("quorum-unsafe-recover: this node leaves its group for that of its shard's primary")
	if err := q.n.cluster.JoinGroup(q.n.replicator.ctx, ""); err != nil {
		q.n.log.Warn("The group cannot be left", zap.Error(err))
	}
}

// info is what INFO replication tells of the group.
func (q *quorum) info(line func(string, any)) {
	g := q.part.Load()
	if g == nil {
		return
	}
	voters, all := g.Voters()
	line("quorum_leading", oneIf(q.n.commits.leads.Load()))
	line("quorum_leader", raftgroup.NodeOf(g.Leader()))
	line("quorum_term", g.CurrentTerm())
	line("quorum_voters", len(voters))
	line("quorum_members", len(all))
	line("quorum_owes", oneIf(g.Owes()))
	line("quorum_committed_offset", q.n.commits.Committed())
	line("quorum_uncertain_replies", q.n.server.Uncertain())
	line("quorum_staleness_ms", q.staleness(time.Now()).Milliseconds())
}

// measure is info for who monitors the node.
func (q *quorum) measure(p *metrics.Page) {
	g := q.part.Load()
	if g == nil {
		return
	}
	voters, all := g.Voters()
	took, leads := q.commits.Read(), q.n.commits.leads.Load()
	p.Family("redoubt_quorum_leading", metrics.Gauge, "Whether this node is the primary that its shard has elected.").Bool(leads)
	p.Family("redoubt_quorum_elected_total", metrics.Counter, "How often this node has become that.").Int(int64(g.Stints()))
	p.Family("redoubt_quorum_term", metrics.Gauge, "The term of the shard's group, as far as this node knows.").Int(int64(g.CurrentTerm()))
	p.Family("redoubt_quorum_voters", metrics.Gauge, "Members of the shard's group that have a vote.").Int(int64(len(voters)))
	p.Family("redoubt_quorum_members", metrics.Gauge, "Members of the shard's group, with those still catching up.").Int(int64(len(all)))
	p.Family("redoubt_quorum_owes", metrics.Gauge, "Whether this node lacks data that the shard's log names, and cannot be elected before it has them.").Bool(g.Owes())
	p.Family("redoubt_quorum_commit_seconds", metrics.Histogram, "How long the primary's commits took: until a majority had what came with them on disk.").
		Times(&took, metrics.Short)
	if leads {
		p.Family("redoubt_quorum_uncommitted_bytes", metrics.Gauge, "Bytes of the primary's stream that no majority has on disk yet.").
			Int(max(int64(q.n.stream.End()-q.n.commits.Committed()), 0))
	}
	if d := q.staleness(time.Now()); d >= 0 {
		p.Family("redoubt_quorum_staleness_seconds", metrics.Gauge, "By how much the data of this node may be out of date, at most.").Set(d.Seconds())
	}
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
