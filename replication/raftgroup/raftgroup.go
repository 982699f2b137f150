// Package raftgroup makes the nodes of one shard a Raft group, by hashicorp/raft:
// it elects the shard's primary, and says how much of that primary's stream can
// never be lost.
//
// # What the log holds
//
// The bytes of the stream are not in Raft's log. They go where they go without
// this package, from the primary's journal to the replicas' by PSYNC. An entry of
// the log is a Mark: it names a place in a stream, and a node that stores the entry
// says with that that its journal has the stream up to there, on its disk. So there
// is one copy of the data on each disk and one way by which they travel, and a
// snapshot of Raft holds nothing but the last mark.
//
// Why that is as good as having the bytes in the log. A write is acknowledged when
// a mark behind it is committed: when a majority has stored that mark in the term in
// which the primary has set it, and so has the bytes. By Raft's completeness of
// leaders whoever leads later has stored it, too. What it has to keep beside Raft's
// own rules is this one: between the moment when a node has stored a mark and the
// moment when it leads, nothing that is marked may be taken from its journal.
//
//  1. A node changes what it has only to become like the primary it follows: it goes
//     back to where the two streams part, or takes a snapshot. It follows who has
//     claimed the shard's slots with the greatest epoch. The epoch of a claim is a
//     committed entry of the term in which the claimant leads (Claim), and greater than
//     those before. So whom it follows has led in a term, and had what was
//     committed before that term. It may have lost that since, and come back with its claim
//     in nodes.conf: who does not lead has nobody give up anything.
//  2. A node that has stored a mark of term t had that term's stream at the time, and
//     so has followed its leader; it follows none of an earlier term any more.
//
// What may be taken from it is what only a minority has: the end of the stream of a
// primary that was cut off. An entry that names it may still be in the node's log, and
// even be committed with others later on. It is of no consequence: nobody was
// acknowledged by it in its term, and in another term a mark of another term is not
// looked at.
//
// # Marks of former terms
//
// Of what former leaders have marked, a member may lack bytes that the new leader has. It
// gets them when it follows that one, which cannot become the primary before a
// majority has stored its log. So such marks are stored without their data; nobody is
// acknowledged by them. The member then owes data, and does not stand for election
// (wire.RequestVote) until it has what the last mark in its log names: that has everything in
// it that was marked before. A debt is kept on disk, as votes are, and noted before a node
// gives up any data (Without). So whoever is elected has what its log names.
//
// # How a leader begins
//
// A node that Raft has elected waits until all entries of former terms are applied,
// has the epoch of its claim committed, and only then becomes the shard's primary
// (Node.Lead). From then on it sets marks, one at a time, each at the end of the
// stream as it is. It answers nobody before the first one is committed.
package raftgroup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"go.uber.org/zap"

	"redoubt/internal/fault"
	"redoubt/replication"
)

// Node is the group's member, as the group sees it.
type Node interface {
	// Line is the replication id under which the node's stream goes on, and its end.
	Line() (id string, end replication.Offset)
	// Sync has the node's own journal put the stream on disk, and returns when it is there up
	// to an offset, or with the context's error.
	Sync(ctx context.Context, at replication.Offset) error
	// Holds reports whether the journal is known to have on disk what a mark names; see
	// the function of that name.
	Holds(m Mark) bool
	// Has reports whether the node has what a mark names, and will hold it when Sync returns.
	Has(m Mark) bool

	// NextEpoch is a config epoch beyond all that the node knows of, for its claim.
	NextEpoch(ctx context.Context) (uint64, error)
	// Lead makes the node the primary of its shard, by a claim with that epoch, and
	// returns when it is. If it begins to lead it owns what the shard has agreed on last
	// (Group.Agree): nil says that it never has, and that the node is to have it agree on
	// something. Else it goes on with what it has.
	Lead(ctx context.Context, epoch uint64, begins bool, owned []byte) error
	// Owns says that the shard has agreed on something, in the term in which this node leads or
	// begins to. It must not wait.
	Owns(Owned)
	// Led says that the node may serve: it leads in a term, and sets marks from now on.
	// Committed tells, while that lasts, up to where its stream is committed, and Verified
	// that it still was the leader after the round of that number had begun (Group.Ask).
	// Lost says that it does not lead any more. Learned tells of a mark of another leader
	// that is committed.
	Led(term uint64)
	Committed(term uint64, at replication.Offset)
	Verified(round uint64)
	Lost()
	Learned(m Mark)

	// Attached is how many nodes copy this one's stream at present, or have begun to.
	Attached() int
	// Members are those of the nodes that the shard consists of beside this primary: ready are
	// those that have about all of the stream. Gone reports whether a member is known to be
	// no more, or has left the shard for good.
	Members() (all, ready []string)
	Gone(id string) bool
}

// Config is what a Group needs. All fields but the times are required.
type Config struct {
	// ID is the node's id in the cluster. Members are named and dialled by their names, which
	// begin with it; see member.go.
	ID string
	// Dir is where the log and the votes lie. It is made if it does not exist.
	Dir string
	// JournalMark is a file that comes and goes with the journal; it is kept by this package.
	JournalMark string
	// Group is the group that the node is on record for, "" for none; a log of another is
	// put away. Record changes that, on the disk.
	Group  string
	Record func(ctx context.Context, name string) error
	// Recovered is where the node's journal ended when it was opened, and in which
	// histories. Marks beyond it were never acknowledged by this node and are taken out
	// of the log.
	Recovered    replication.History
	RecoveredEnd replication.Offset
	Node         Node
	// Dial connects to another member, and Accept has one come in. Ask connects to one that
	// calls Group.Answer.
	Dial   func(id string, timeout time.Duration) (net.Conn, error)
	Ask    func(id string, timeout time.Duration) (net.Conn, error)
	Accept <-chan net.Conn
	Log    *zap.Logger
	// Fatal ends the process: a write of the log has failed, and nobody knows what of it
	// is on the disk. It must not return.
	Fatal func(error)
	// Took, if not nil, is told how long each mark took from the end of the stream to its commit.
	Took func(time.Duration)
	fs   vfs.FS // for the log; nil: the operating system's. Only tests set it
	// Heartbeat is for how long a follower hears nothing before it stands for
	// election; 0: DefaultHeartbeat.
	Heartbeat time.Duration
	// Stall is how long a write of the log may take before the leader gives up its
	// office, since whoever waits for a disk cannot lead; 0: DefaultStall.
	Stall time.Duration
}

const (
	// DefaultHeartbeat keeps a failover below a second, and is far above what the
	// scheduler or the garbage collector take.
	DefaultHeartbeat = 300 * time.Millisecond
	DefaultStall     = time.Second

	commitPeriod   = 20 * time.Millisecond // how late followers learn of a commit at most
	barrierTimeout = 10 * time.Second
	settlePeriod   = 300 * time.Millisecond
	retryPeriod    = time.Second            // of beginning to lead, where nobody else can
	snapshotAfter  = 16384                  // entries
	trailing       = 8192                   // entries that stay for followers that lag
	lookAgain      = 100 * time.Millisecond // at the stream, while the disk is waited for
	regroupMost    = 500 * time.Microsecond // how long a mark waits for those who were just answered
	deafAfter      = 3 * time.Second        // without a commit, while too few copy its stream, a leader gives up
	deafMost       = 5                      // how often that time doubles
)

var (
	// ErrNotLeader answers what only the leader can do.
	ErrNotLeader = errors.New("raftgroup: not the leader")
	// ErrClosed answers who comes after Close.
	ErrClosed   = errors.New("raftgroup: closed")
	errDiskFull = errors.New("raftgroup: the disk of the log is full")
	errLags     = errors.New("raftgroup: nobody who could take the lead takes entries at present")
)

// Group is this node's part of its shard's Raft group.
type Group struct {
	cfg      Config
	log      *zap.Logger
	self     string                 // the name of this member
	recorded atomic.Pointer[string] // what Config.Record was last told; nil: Config.Group holds
	raft     *raft.Raft
	disk     *disk
	store    *store
	wire     *wire
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup
	joining  sync.Mutex // one Join or Bootstrap at a time

	term   atomic.Uint64          // in which this node leads and has begun to; 0: it does not
	office atomic.Uint64          // likewise, and from the moment when it begins to
	kick   chan struct{}          // wakes front
	claim  chan struct{}          // wakes reclaim
	asked  chan struct{}          // wakes verify
	again  chan struct{}          // has watch begin once more
	stints atomic.Uint64          // how often it has begun to lead
	begun  atomic.Uint64          // rounds of verify
	epoch  atomic.Uint64          // of the last claim that was committed
	owned  atomic.Pointer[[]byte] // what the shard has agreed on last; nil: nothing
	since  atomic.Int64           // when the mark under way was set, in Unix nanoseconds; 0: there is none
	deaf   atomic.Int32           // how often the lead was given up since the last commit, as too few copy the stream
	gaveUp int64                  // since, when the lead was given up for that; guard's
	up     atomic.Bool            // raft is there
}

// Open starts the node's member of its group. A node that belongs to none yet
// waits until a leader adds it, or Bootstrap.
func Open(cfg Config) (*Group, error) {
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = DefaultHeartbeat
	}
	if cfg.Stall == 0 {
		cfg.Stall = DefaultStall
	}
	g := &Group{cfg: cfg, log: cfg.Log, kick: bell(), claim: bell(), asked: bell(), again: bell()}
	if cfg.fs == nil {
		cfg.fs = vfs.Default
	}
	g.disk = newDisk(cfg.fs, cfg.Log)
	g.ctx, g.cancel = context.WithCancel(context.Background())
	if err := g.openMember(); err != nil {
		return nil, err
	}
	logger := newLogger(cfg.Log)
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(cfg.Dir, 2, logger)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("raftgroup: %w", err), g.store.Close())
	}
	if err := g.summarize(snapshots); err != nil {
		return nil, errors.Join(err, g.store.Close())
	}
	g.wire = newWire(g, logger)
	if g.raft, err = raft.NewRaft(g.options(logger), machine{g}, g.store, g.stable(), snapshotStore{snapshots, g}, g.wire); err != nil {
		g.wire.Close()
		return nil, errors.Join(fmt.Errorf("raftgroup: %w", err), g.store.Close())
	}
	g.up.Store(true)
	g.wire.start()
	g.running.Go(g.watch)
	g.running.Go(g.front)
	g.running.Go(g.verify)
	g.running.Go(g.reclaim)
	g.running.Go(g.settle)
	g.running.Go(g.observe)
	g.running.Go(g.guard)
	return g, nil
}

// stable is where Raft keeps its term and its vote.
func (g *Group) stable() raft.StableStore {
	if fault.Is(fault.VoteUnsynced) {
		return &fleeting{values: map[string][]byte{}}
	}
	return g.store
}

func (g *Group) options(logger hclog.Logger) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(g.self)
	c.HeartbeatTimeout, c.ElectionTimeout = g.cfg.Heartbeat, g.cfg.Heartbeat
	c.LeaderLeaseTimeout = g.cfg.Heartbeat * 3 / 4
	c.CommitTimeout = commitPeriod
	c.SnapshotThreshold, c.TrailingLogs = snapshotAfter, trailing
	c.SnapshotInterval = 10 * time.Second
	c.Logger = logger
	c.NoLegacyTelemetry = true
	return c
}

// summarize finds what the snapshot stands for with which Raft begins: the newest that it can read.
func (g *Group) summarize(snapshots raft.SnapshotStore) error {
	all, err := snapshots.List()
	if err != nil {
		return fmt.Errorf("raftgroup: %w", err)
	}
	for _, meta := range all {
		_, r, err := snapshots.Open(meta.ID)
		if err != nil {
			continue
		}
		s, err := readState(r)
		if errors.Join(err, r.Close()) == nil {
			g.store.snap.Store(&summary{meta.Index, s.mark})
			return nil
		}
	}
	return nil
}

// foundAlone makes this member a group. What it has is what the group has: it owes nothing.
func (g *Group) foundAlone() error {
	if err := g.store.owe(false); err != nil {
		return err
	}
	err := g.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{
		{ID: raft.ServerID(g.self), Address: raft.ServerAddress(g.self)},
	}}).Error()
	if errors.Is(err, raft.ErrCantBootstrap) {
		return nil
	}
	return err
}

// stored reports whether the member has a part of Raft's state, if only a term.
func (g *Group) stored() (bool, error) {
	return raft.HasExistingState(g.store, g.store, emptyStore{})
}

// Name tells the group from those of other shards: 40 hexadecimal digits, "" while the
// node belongs to none. Their logs have nothing in common but terms and numbers, by which
// Raft would take an entry of the one for that of the other.
func (g *Group) Name() string {
	if name := g.store.group.Load(); name != nil {
		return *name
	}
	return ""
}

// MayJoin reports whether the node belongs to the group of that name, or to none.
func (g *Group) MayJoin(name string) bool {
	if name == "" || name == g.Name() {
		return name != ""
	}
	known, err := g.stored()
	return err == nil && !known
}

// Join makes the node one of the group of that name; false if it belongs to another. The
// caller sees to it that the group is that of the node's shard.
func (g *Group) Join(name string) bool {
	g.joining.Lock()
	defer g.joining.Unlock()
	if !g.MayJoin(name) {
		return false
	}
	return name == g.Name() || g.record(name) == nil && g.store.join(name) == nil
}

// Close ends the member. What it has stored stays.
func (g *Group) Close() error {
	g.cancel()
	g.disk.close()
	err := g.raft.Shutdown().Error()
	g.running.Wait()
	return errors.Join(err, g.wire.Close(), g.store.Close())
}

// Leads reports whether this node leads and has begun to.
func (g *Group) Leads() bool { return g.term.Load() != 0 }

// Stints is how often this node has become the primary since it started.
func (g *Group) Stints() uint64 { return g.stints.Load() }

// Leader is the member that leads, as far as this one knows; "" if nobody.
func (g *Group) Leader() string {
	_, id := g.raft.LeaderWithID()
	return string(id)
}

// CurrentTerm is the term that this node knows of.
func (g *Group) CurrentTerm() uint64 { return g.raft.CurrentTerm() }

// Transfer gives the lead to another member; "": to the one that heard from this one last. It is
// refused if the member takes no entries at present, with errLags: the library would wait for it
// in a place where it takes no marks either, and a second attempt would stand there until the
// member answers again. A member that lacks data which its log names refuses it.
func (g *Group) Transfer(id string) error {
	to := []string{id}
	if id == "" {
		to, _ = g.Voters()
	}
	to = slices.DeleteFunc(to, func(m string) bool { return m == g.self })
	id, at := g.wire.lastFed(to)
	if time.Since(at) > g.cfg.Heartbeat {
		return errLags
	}
	return g.outcome(g.raft.LeadershipTransferToServer(raft.ServerID(id), raft.ServerAddress(id)))
}

// Appended says that the stream has grown. It is quick.
func (g *Group) Appended() {
	if g.Leads() { // else front has nothing to do
		wake(g.kick)
	}
}

// Ask asks for a round of questions whether this node still leads, which begins after
// the call, and returns its number for Node.Verified. One round is for all that ask
// while another is under way.
func (g *Group) Ask() uint64 {
	round := g.begun.Load() + 1
	wake(g.asked)
	return round
}

// bell is a channel for wake, which on waits for.
func bell() chan struct{} { return make(chan struct{}, 1) }

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// on calls f whenever it is woken, while this node leads, until the group ends.
func (g *Group) on(c chan struct{}, f func(term uint64)) {
	for {
		select {
		case <-c:
			if term := g.term.Load(); term != 0 {
				f(term)
			}
		case <-g.ctx.Done():
			return
		}
	}
}

// watch follows the elections.
func (g *Group) watch() {
	for {
		select {
		case leads := <-g.raft.LeaderCh():
			g.end()
			if leads {
				g.begin()
			}
		case <-g.again:
			if g.term.Load() == 0 && g.rules() {
				g.begin()
			}
		case <-g.ctx.Done():
			g.end()
			return
		}
	}
}

func (g *Group) end() {
	g.office.Store(0)
	if g.term.Swap(0) != 0 {
		g.cfg.Node.Lost()
	}
}

// begin is how a node that was elected becomes the primary. If it fails the lead
// goes to another.
func (g *Group) begin() {
	if err := g.lead(); err != nil && g.ctx.Err() == nil {
		g.log.Warn("The node was elected and cannot lead its shard", zap.Error(err))
		if g.rules() {
			if err := g.Transfer(""); err != nil {
				g.log.Warn("Nobody else can lead the shard either", zap.Error(err))
				time.AfterFunc(retryPeriod, func() { wake(g.again) })
			}
		}
	}
}

func (g *Group) lead() error {
	if err := g.outcome(g.raft.Barrier(barrierTimeout)); err != nil {
		return err
	}
	term := g.raft.CurrentTerm()
	g.office.Store(term)
	if err := g.claimOnce(true); err != nil {
		return err
	}
	if g.raft.CurrentTerm() != term || !g.rules() {
		return ErrNotLeader
	}
	g.cfg.Node.Led(term)
	g.stints.Add(1)
	g.term.Store(term)
	wake(g.kick)
	wake(g.asked) // who has asked since Led found no term
	return nil
}

// Reclaim has the shard agree on a greater epoch for its primary's claim, if this node is
// that. It does not wait.
func (g *Group) Reclaim() { wake(g.claim) }

func (g *Group) reclaim() {
	g.on(g.claim, func(uint64) {
		if err := g.claimOnce(false); err != nil && g.ctx.Err() == nil {
			g.log.Warn("The shard has not agreed on a greater epoch", zap.Error(err))
		}
	})
}

// nextEpoch is one for a claim that nobody has used.
func (g *Group) nextEpoch() (uint64, error) {
	epoch, err := g.cfg.Node.NextEpoch(g.ctx)
	return max(epoch, g.epoch.Load()+1), err
}

// claimOnce has the epoch of a claim committed, and the claim made.
func (g *Group) claimOnce(begins bool) error {
	epoch, err := g.nextEpoch()
	if err != nil {
		return err
	}
	if _, err := g.apply(Claim{Node: g.cfg.ID, Epoch: epoch}.encode()); err != nil {
		return err
	}
	var owned []byte
	if last := g.owned.Load(); begins && last != nil { // until Lead nothing else can be agreed on
		owned = *last
	}
	return g.cfg.Node.Lead(g.ctx, epoch, begins, owned)
}

// Agree has the shard agree on what it has, and on a greater epoch with which it claims that, if
// asked to. It is the node's idea as of its claim with the epoch under. When it returns nil
// Node.Owns has been called. ErrNotLeader says that nothing was agreed on; with any other error
// that is not known.
func (g *Group) Agree(under uint64, what []byte, greater bool) error {
	o := Owned{Under: under, What: what}
	if len(what) > ownedMost {
		return fmt.Errorf("raftgroup: an entry would have %d bytes", len(what))
	}
	if greater {
		var err error
		if o.Epoch, err = g.nextEpoch(); err != nil {
			return err
		}
	}
	switch term, err := g.apply(o.encode()); {
	case err == nil && term == 0:
		return ErrNotLeader
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrEnqueueTimeout), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return ErrNotLeader
	default:
		return err
	}
}

// apply has an entry committed, and returns its term.
func (g *Group) apply(data []byte) (term uint64, err error) {
	f := g.raft.Apply(data, barrierTimeout)
	if err := g.outcome(f); err != nil {
		return 0, err
	}
	return f.Response().(uint64), nil
}

// outcome waits for what was asked of Raft, until the group ends. The library does not
// answer what lies in its queues when it is shut down.
func (g *Group) outcome(f raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		return err
	case <-g.ctx.Done():
		return ErrClosed
	}
}

// front sets the marks: one at a time, so that each carries whatever has come while
// the one before was under way.
func (g *Group) front() {
	var marked Mark
	var markedIn, markedBy uint64
	g.on(g.kick, func(term uint64) {
		for {
			stint := g.stints.Load()
			m := Mark{}
			m.Line, m.At = g.cfg.Node.Line()
			if m == marked && term == markedIn && stint == markedBy {
				return
			}
			began := time.Now()
			g.since.Store(began.UnixNano())
			in, err := g.apply(m.encode())
			g.since.Store(0)
			if err != nil || in != term {
				// It does not lead any more, which watch hears of, or Raft was held up.
				time.AfterFunc(retryPeriod, g.Appended)
				return
			}
			if g.cfg.Took != nil {
				g.cfg.Took(time.Since(began))
			}
			released := m.At - marked.At
			if m.Line != marked.Line {
				released = 0
			}
			marked, markedIn, markedBy = m, term, stint // what it commits machine.Apply has told
			g.regroup(released, time.Since(began))
		}
	})
}

// regroup waits a moment for those who were answered by a mark to write again: for about as
// much as that has released. Otherwise the clients come to be in two groups, of which each waits
// for the marks of both.
func (g *Group) regroup(released replication.Offset, took time.Duration) {
	_, end := g.cfg.Node.Line()
	want := end + released*3/4
	patience := time.NewTimer(min(took/4, regroupMost))
	defer patience.Stop()
	for end < want {
		select {
		case <-g.kick:
			_, end = g.cfg.Node.Line()
		case <-patience.C:
			return
		case <-g.ctx.Done():
			return
		}
	}
}

// verify has rounds of questions, one at a time.
func (g *Group) verify() {
	p := newPoll(g)
	g.on(g.asked, func(term uint64) {
		if round := g.begun.Add(1); p.confirmed(round, term) {
			g.cfg.Node.Verified(round)
		}
	})
}

// rules reports whether Raft holds this node for the leader, be it able to serve or not.
func (g *Group) rules() bool { return g.up.Load() && g.raft.State() == raft.Leader }

// hold is the store's: what has to be on this node's disk before entries count as stored. On a
// follower it was looked at before Raft saw them (see wire), and may have gone since: then a mark
// of the present term is refused, which its leader would count, and one of a former term stored
// with a debt. The stream of a leader may be cut while the disk is waited for, by a primary that
// has a greater epoch: there is nothing to wait for any more, and it owes what its log names.
func (g *Group) hold(logs []*raft.Log) error {
	m, term, ok := lastMark(logs)
	if !ok {
		return nil
	}
	leads := g.rules()
	if !leads && (!g.up.Load() || term != g.raft.CurrentTerm()) {
		if g.cfg.Node.Holds(m) {
			return nil
		}
		return g.store.owe(true)
	}
	for began := time.Now(); !g.cfg.Node.Holds(m); {
		switch {
		case leads && !g.marked(m):
			return g.store.owe(true)
		case !leads && (!g.cfg.Node.Has(m) || time.Since(began) > holdTime):
			return errOwes
		}
		ctx, cancel := context.WithTimeout(g.ctx, lookAgain)
		err := g.cfg.Node.Sync(ctx, m.At)
		cancel()
		switch {
		case g.ctx.Err() != nil:
			return g.ctx.Err()
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			return err
		case err == nil && !g.cfg.Node.Holds(m):
			time.Sleep(commitPeriod) // the journal lacks what it begins with, for a while
		}
	}
	return nil
}

// marked reports whether a mark is still one of this node's own stream.
func (g *Group) marked(m Mark) bool {
	id, end := g.cfg.Node.Line()
	return id == m.Line && end >= m.At
}

// beside is the store's: whether entries may be written at once with the data that they name. A
// follower has those of its leader's term, which wire has waited for.
func (g *Group) beside(logs []*raft.Log) bool {
	if g.rules() {
		return true
	}
	m, term, ok := lastMark(logs)
	return ok && g.up.Load() && term == g.raft.CurrentTerm() && !g.cfg.Node.Holds(m) && g.cfg.Node.Has(m)
}
