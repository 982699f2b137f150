package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/node/driver"
	"redoubt/internal/server"
	"redoubt/replication"
	"redoubt/replication/psync"
	"redoubt/replication/raftgroup"
	"redoubt/storage"
)

// replicator owns the node's role and the histories of its stream. It serves
// the node's replicas (replication_serve.go) and, on a replica, keeps the link
// to the primary (replication_link.go) whose stream a follower puts into effect
// (replication_follow.go).
//
// A role changes in one unit that holds the world lock: the replicas are sent
// away and kept away (psync.Primary.Bar), the follower is cut off, the
// new history is saved, and only then anything of it can be seen. So at every
// moment one party alone adds to the stream: the commands of clients on a
// primary, the current follower on a replica.
//
// A replica that is given another primary keeps its own replicas, as in Redis: its
// stream stands still until the new link goes on in it, and should that have to be in
// another history, the follower sends them away then.
//
// Nobody waits for a link while holding the world, since the link's goroutine
// may itself be waiting for it. A link whose follower is cut off can do no harm;
// it is closed afterwards by runLinks, which also starts the next one, so
// that there is one at a time.
type replicator struct {
	n       *Node
	log     *zap.Logger
	primary *psync.Primary

	ctx     context.Context // ends with that of start, or with Close
	started bool            // by start; Close looks at it
	cancel  context.CancelFunc
	running sync.WaitGroup
	ids     atomic.Uint64 // of replicas, so far
	onAck   atomic.Pointer[func()]
	handing atomic.Pointer[failover] // FAILOVER under way; nil: none

	sentinels *sentinels

	state    atomic.Pointer[roleState] // replaced under the world lock
	follower atomic.Pointer[follower]  // likewise; nil if nobody is followed
	link     atomic.Pointer[tether]    // set by runLinks
	upstream atomic.Pointer[net.Conn]  // the last connection to a primary
	wake     chan struct{}             // wakes runLinks
	asked    chan struct{}             // wakes runBeat: a client waits for acknowledgements
	acksTo   atomic.Int64              // replicas have been asked to acknowledge the stream up to here
	prompted atomic.Int64              // when they were last asked to go on by themselves, in Unix nanoseconds …
	askedOf  atomic.Int64              // … and Primary.Came then
	owed     atomic.Pointer[[]byte]    // see SayOwed
	saved    savedFitness              // last; runFitness's, and then Close's
	outrun   atomic.Int64              // how far a replica has this node's stream, beyond its end
	in, out  atomic.Int64              // bytes from the primary and to replicas, so far
	rewinds  atomic.Pointer[rewinds]   // changed by the link's goroutine only
	began    time.Time                 // when the node was made
	atStep   func(step string)         // told of the steps of a rewind; only tests change it

	// Guarded by the world lock.
	begun   bool          // start has taken up the first role
	loading chan struct{} // closed once a received snapshot has been loaded; nil while none is
	delayed *role         // asked for meanwhile by a client
	by      string        // who has asked for delayed, or for the change at hand; "" if nobody has
}

// roleState is what the node is. It never changes once it is published.
type roleState struct {
	role
	history  replication.History
	standing replication.Standing // what the data are worth to the node's shard
	// known: the history is one in which a primary could go on, because the
	// node has been in step with it or made it.
	known bool
	// unconfirmed: a primary that waits for the word of its Sentinels, see sentinels.
	unconfirmed bool
	// What promote leaves for the case that nothing comes of it: the database that was
	// selected in the stream, and the number of replicas that had asked for the stream.
	selected int
	asked    uint64
	// settled is up to where the stream had to be kept when the node became a primary:
	// what follows, up to the end it had then, changes no data.
	settled replication.Offset
}

// role is what a node is told to be. A replica without a host follows nobody:
// a cluster does not know its primary's address yet.
type role struct {
	replica bool
	host    string
	port    int
	source  replication.Source // in a cluster: who is at that address
}

// sameLink reports whether the role needs the same link as another.
func (r role) sameLink(other role) bool {
	r.source.Shard = other.source.Shard // a name for the same data
	return r == other
}

// unknownHost is how a replica calls a primary whose address is not known.
const unknownHost = "?"

// newReplicator takes the role that the configuration asks for. Until start
// the node decides nothing: the keyspace is a replica's, so that nothing
// expires while data are restored.
func newReplicator(n *Node) *replicator {
	r := &replicator{n: n, log: n.log, began: time.Now(), wake: make(chan struct{}, 1), asked: make(chan struct{}, 1)}
	// Made here, not in start: a replica may ask before that.
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.sentinels = newSentinels(r)
	r.rewinds.Store(new(rewinds))
	r.atStep = func(string) {}
	cfg := n.config.Current()
	s := &roleState{history: replication.NewHistory(newID())}
	s.replica = cfg.ReplicaOf.Host != "" || cfg.ClusterEnabled
	s.host, s.port = cfg.ReplicaOf.Host, cfg.ReplicaOf.Port
	r.state.Store(s)
	n.keys.SetRole(storage.RoleReplica)
	var committed psync.Stream
	if n.quorum != nil {
		committed = committedBacklog{backlog{n.stream}, n.commits}
	}
	r.primary = psync.NewPrimary(psync.PrimaryConfig{
		Stream:    backlog{n.stream},
		Committed: committed,
		Snapshots: snapshots{n},
		History:   r.History,
		Later:     r.later,
		Settings:  r.serveSettings,
		OnAck: func() {
			n.commits.acknowledged()
			if f := r.onAck.Load(); f != nil {
				(*f)()
			}
		},
		Log: n.log,
	})
	n.commits.replicas = r.primary
	r.primary.SetAhead(cfg.ReplSendBeforeReply)
	n.stream.OnGrown(func() {
		r.primary.Push()
		if n.quorum != nil {
			n.quorum.appended()
		}
	})
	return r
}

// snapshots is the node's persistence, which is made later than the
// replicator.
type snapshots struct{ n *Node }

func (s snapshots) Base(ctx context.Context, need psync.Need, began func(replication.Offset)) (*psync.Base, error) {
	return s.n.persistence.Base(ctx, need, began)
}

// newID draws a replication id. The system's source of randomness does not
// fail; it ends the process if it cannot deliver.
func newID() string {
	id, _ := replication.NewID(rand.Reader)
	return id
}

// History is the histories of the stream.
func (r *replicator) History() replication.History { return r.state.Load().history }

// ID is the replication id of the present history.
func (r *replicator) ID() string { return r.History().ID }

// start takes up the role, with what was restored. A primary opens a new
// history, because a replica may hold bytes that a crash took from this node. A
// replica goes on in its own. In a cluster the node is a replica of nobody
// until the cluster has said what it is.
func (r *replicator) start(ctx context.Context) error {
	r.started = true
	context.AfterFunc(ctx, r.cancel)
	first := *r.state.Load()
	if id := r.n.recovered.History.ID; replication.ValidID(id) && id != replication.NoID {
		first.history, first.known = r.n.recovered.History, true
	}
	first.standing.Restore(r.n.recovered.Fitness, time.Now())
	begin := first.role
	// Seen from here the node is a replica of nobody that takes a role.
	first.role = role{replica: true}
	wait, err := r.sentinels.load()
	if err != nil {
		return err
	}
	r.n.keys.World(now(), func(tx *storage.Tx) {
		r.state.Store(&first)
		err = r.change(tx, begin)
		if wait {
			r.log.Warn("No writes are taken until most of the Sentinels have said that this is still the primary (sentinel-confirm-timeout)")
			r.sentinels.set(tx, false)
		}
		r.begun = true
	})
	if err != nil {
		return fmt.Errorf("save the replication history: %w", err)
	}
	r.running.Go(func() { r.runLinks(r.ctx) })
	if r.n.cluster == nil {
		r.running.Go(func() { r.sentinels.run(r.ctx) })
	}
	r.running.Go(func() { r.runBeat(r.ctx) })
	r.running.Go(func() { r.runFitness(r.ctx) })
	return nil
}

// Close sends the replicas away and ends the link.
func (r *replicator) Close() {
	if !r.started {
		r.cancel()
		return // there is nothing that could be saved
	}
	r.primary.Close()
	last := r.Standing() // the link knows when its primary was last heard
	r.cancel()
	r.running.Wait()
	r.saveFitness(last, 0)
}

func now() int64 { return time.Now().UnixMilli() }

// Follow is REPLICAOF: it makes the node a replica, or with an empty host a
// primary. While a snapshot is being loaded the change comes after that:
// Redis lets no such command through then, and here one may have passed the
// gate just before.
func (r *replicator) Follow(tx *storage.Tx, host string, port int, by string) {
	to := role{replica: host != "", host: host, port: port}
	r.by = by
	if r.loading != nil {
		r.delayed = &to
		return
	}
	_ = r.change(tx, to) // logged, and tried again
	r.by = ""
	if !to.replica {
		r.sentinels.promoted(tx)
	}
	r.n.roleChanged()
}

// BecomeReplica makes the node a replica of the primary at host:port, or with
// an empty host one of nobody, if it is not that already. It waits for a
// snapshot that is being loaded.
func (r *replicator) BecomeReplica(host string, port int, source replication.Source) {
	r.become(role{replica: true, host: host, port: port, source: source})
}

// BecomePrimary makes the node a primary if it is none.
func (r *replicator) BecomePrimary() { r.become(role{}) }

func (r *replicator) become(to role) {
	for {
		var loading chan struct{}
		r.n.keys.World(now(), func(tx *storage.Tx) {
			if loading = r.loading; loading == nil {
				_ = r.change(tx, to) // logged, and tried again
				r.n.roleChanged()
			}
		})
		if loading == nil {
			return
		}
		select {
		case <-loading:
		case <-r.ctx.Done():
			return
		}
	}
}

// drainBeforeDemotion is how long everybody waits at most for replicas to get what
// has been written before the node became one itself.
const drainBeforeDemotion = 20 * time.Millisecond

// change takes a role, within a unit that holds the world lock and has changed
// nothing. The error is that of publish, which deals with it.
func (r *replicator) change(tx *storage.Tx, to role) error {
	old := r.state.Load()
	if old.role == to {
		return nil
	}
	next := *old
	next.role, next.standing = to, r.Standing()
	if old.sameLink(to) {
		next.standing.Follow(to.source)
		r.state.Store(&next)
		return nil
	}
	if !old.replica {
		r.primary.Drain(drainBeforeDemotion)
	}
	lift := func() {}
	needed, demoted := r.n.stream.End(), !old.replica && to.replica
	if demoted {
		if at, ok := r.knownTo(to.addr(), old); ok {
			needed = at
		}
	}
	if !old.replica || !to.replica {
		lift = r.primary.Bar() // the history changes
	}
	r.cutOff()
	if to.replica {
		next.unconfirmed = false
		next.standing.Follow(to.source)
		if demoted {
			r.dropQuiet(tx, needed)
		}
		if demoted && old.asked == r.ids.Load() {
			next.history = next.history.Rejoin(r.n.stream.End())
		}
		tx.SetRole(storage.RoleReplica)
	} else {
		r.promote(tx, &next)
	}
	r.n.commits.setPrimary(!to.replica)
	r.acksTo.Store(0) // the stream may be another one, and shorter
	r.prompted.Store(0)
	err := r.publish(&next, lift)
	r.n.relearn()
	if to.replica && to.host != "" {
		r.follower.Store(newFollower(r, to))
	}
	if r.begun {
		by := ""
		if r.by != "" {
			by = " (" + r.by + ")"
		}
		r.log.Info(to.String() + by)
	}
	r.n.role(to.replica)
	r.wakeLinks()
	return err
}

// cutOff ends what the current link may do to the node. The unit holds the
// world lock.
func (r *replicator) cutOff() {
	if f := r.follower.Swap(nil); f != nil {
		f.live = false
		f.cancel()
	}
}

// promote makes next that of a primary: the stream goes on from here in a new
// history, and the old one stays known up to here. The next write is preceded
// by SELECT, since a replica may not know which database was selected.
func (r *replicator) promote(tx *storage.Tx, next *roleState) {
	end := r.n.stream.End()
	if next.known {
		next.history = next.history.Branch(newID(), end)
		r.log.Info(fmt.Sprintf("Setting secondary replication ID to %s, valid up to offset: %d. New replication ID is %s",
			next.history.ID2, next.history.Second, next.history.ID))
	} else {
		next.history = replication.NewHistory(newID())
	}
	next.known = true
	next.standing.Promote()
	next.selected, next.asked, next.settled = r.n.stream.ReadersDB(), r.ids.Load(), end
	if !r.begun {
		next.settled = min(end, max(r.n.changed, r.n.stream.First()))
	}
	r.n.stream.ResetDB()
	tx.SetRole(storage.RolePrimary)
}

// retrySave is how long to wait before a history that could not be saved is
// saved again.
const retrySave = time.Second

// publish saves next and makes it what the node is. lift lets the replicas
// come again: not before the history is saved, since a node that forgot it in
// a crash would go on in the old one. The disk being full is no reason to keep
// the old role: clients can write nothing until there is space.
// It is tried again until it succeeds.
func (r *replicator) publish(next *roleState, lift func()) error {
	err := r.n.stream.SaveHistory(next.history, next.replica)
	r.state.Store(next)
	if err == nil {
		lift()
		return nil
	}
	r.log.Error("The replication history cannot be saved; replicas have to wait", zap.Error(err))
	r.running.Go(func() {
		defer lift()
		for err := err; err != nil; {
			select {
			case <-time.After(retrySave):
			case <-r.ctx.Done():
				return
			}
			// What is saved is what the node is by then.
			r.n.keys.World(now(), func(*storage.Tx) {
				s := r.state.Load()
				err = r.n.stream.SaveHistory(s.history, s.replica)
			})
		}
		r.log.Info("The replication history is saved")
	})
	return err
}

// Empty deletes all keys, as CLUSTER RESET does on a replica. On a primary the
// stream tells of it; on a replica what the node had is gone with its history.
func (r *replicator) Empty() {
	r.n.keys.World(now(), func(tx *storage.Tx) {
		if tx.Role() == storage.RolePrimary {
			tx.Command([]byte("*1\r\n$8\r\nFLUSHALL\r\n"))
			tx.FlushAll()
			tx.Force()
			tx.CommandEnd()
			return
		}
		if r.loading != nil {
			return // what comes replaces everything in any case
		}
		lift := r.primary.Bar()
		defer lift()
		to := r.state.Load().role
		r.cutOff()
		r.forget(tx)
		if to.host != "" {
			r.follower.Store(newFollower(r, to))
		}
		r.wakeLinks()
	})
}

// forget leaves the node without data and without a history that anybody could
// add to, in memory and on disk. The unit holds the world lock, the replicas
// are barred. It is the end of the process if the disk does not even take that:
// what is there would come back at the next start, as if it belonged to what
// is written from now on.
func (r *replicator) forget(tx *storage.Tx) {
	next := *r.state.Load()
	next.history, next.known = replication.NewHistory(newID()), false
	next.standing.Forget()
	tx.FlushAll()
	r.n.server.DropLibraries(tx)
	err := r.n.quorum.without(func() error {
		if err := r.n.persistence.replaced(0, func() error { return r.n.stream.NewGeneration("", 0, next.history, true) }); err != nil {
			return err
		}
		tx.Rebase(0)
		r.state.Store(&next)
		return nil
	})
	if errors.Is(err, raftgroup.ErrClosed) {
		return // the node is ending; the next start finds what is there
	}
	if err != nil {
		r.log.Fatal("Neither the data nor their absence can be saved. Exiting...", zap.Error(err))
	}
}

// Primary is the address that is followed; the host is empty on a primary.
func (r *replicator) Primary() (host string, port int) {
	switch s := r.state.Load(); {
	case !s.replica:
		return "", 0
	case s.host == "":
		return unknownHost, 0
	default:
		return s.host, s.port
	}
}

// String says that the role was taken, in the words of Redis's log.
func (r role) String() string {
	switch {
	case !r.replica:
		return "MASTER MODE enabled"
	case r.host == "":
		return "The node is a replica, the address of its primary is not known yet"
	default:
		return fmt.Sprintf("REPLICAOF %s:%d enabled", r.host, r.port)
	}
}

// addr is the address of a role's primary as one string.
func (r role) addr() string { return net.JoinHostPort(r.host, strconv.Itoa(r.port)) }

var (
	_ server.Replication = (*replicator)(nil)
	_ psync.Target       = (*follower)(nil)
	_ psync.Rewinder     = (*follower)(nil)
	_ driver.Roles       = (*replicator)(nil)
)
