package node

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"redoubt/internal/admin"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/replication/psync"
	"redoubt/storage"
)

// This file is FAILOVER: a primary outside of a cluster hands over to one of its
// replicas, in Redis's way. Writes are held back, so the stream stands still, until
// the replica has acknowledged all of it. Then the primary becomes its replica, and
// asks it with PSYNC … FAILOVER to take over in the history that both are in. When the
// replica has agreed, writes are let go, and get READONLY.
//
// Nobody must write on both sides. So a primary that has asked takes its role back
// only if it knows that the replica has not agreed: it was refused. If the answer was
// lost, it asks without the word until it knows more. A replica that has taken over is
// a primary and answers; one that has not says that it is none (NOMASTERLINK), and is
// asked again. Whatever else comes, that it is loading or cannot be reached, tells
// nothing of what became of the question before. Redis takes its role back then.

// failover is a FAILOVER under way. It is replaced, not changed, with the world
// locked, and all loops stopped where it begins or ends.
type failover struct {
	host  string // the replica; "" if any will do
	port  int
	until time.Time // zero: no limit
	force bool      // hand over when the time is over, whatever the replica has
	// asking: the replica has everything, and the node is its replica.
	asking bool
	// lost: an answer was lost, so the replica may have taken over.
	lost bool
}

var _ admin.Coordinator = (*replicator)(nil)

// failoverPeriod is how often a failover looks at the acknowledgements. Replicas
// tell once a second; they are not asked, because the question would be a part of
// the stream.
const failoverPeriod = 10 * time.Millisecond

// Failover is FAILOVER. All loops are stopped and tx holds the world. The error is
// a line for the client.
func (r *replicator) Failover(tx *storage.Tx, how admin.Failover) error {
	replicas := r.primary.Replicas()
	switch {
	case r.handing.Load() != nil:
		return resp.ErrFailoverRuns
	case r.state.Load().replica:
		return resp.ErrFailoverOfReplica
	case len(replicas) == 0:
		return resp.ErrFailoverNobody
	case how.Force && (how.Timeout == 0 || how.Host == ""):
		return resp.ErrFailoverForce
	}
	f := &failover{host: how.Host, port: how.Port, force: how.Force}
	if f.host == "" {
		r.log.Info("FAILOVER requested to any replica (" + how.By + ").")
	} else {
		target := f.find(replicas)
		switch {
		case target == nil:
			return resp.ErrFailoverTarget
		case target.State != psync.Online:
			return resp.ErrFailoverOffline
		}
		r.log.Info(fmt.Sprintf("FAILOVER requested to %s (%s).", f.target(), how.By))
	}
	if how.Timeout > 0 {
		f.until = time.Now().Add(how.Timeout)
	}
	r.handing.Store(f)
	r.n.server.HoldWrites(tx)
	r.running.Go(r.runFailover)
	return nil
}

// AbortFailover is FAILOVER ABORT. All loops are stopped and tx holds the world.
func (r *replicator) AbortFailover(tx *storage.Tx, by string) error {
	if r.handing.Load() == nil {
		return resp.ErrNoFailover
	}
	r.abort(tx, "Failover manually aborted ("+by+")")
	return nil
}

// FailoverState is the state by the words of INFO.
func (r *replicator) FailoverState() string {
	switch f := r.handing.Load(); {
	case f == nil:
		return admin.NoFailover
	case f.asking:
		return "failover-in-progress"
	default:
		return "waiting-for-sync"
	}
}

// find returns the target among replicas, nil if it is not there.
func (f *failover) find(replicas []psync.Replica) *psync.Replica {
	for i := range replicas {
		if x := &replicas[i]; x.Port == f.port && strings.EqualFold(x.IP, f.host) {
			return x
		}
	}
	return nil
}

// target is the address of the target in the log.
func (f *failover) target() string {
	if f.host == "" {
		return "any replica"
	}
	return f.host + ":" + strconv.Itoa(f.port)
}

// caughtUp returns the replica that has all of the stream, which stands still; nil
// if there is none yet.
func (f *failover) caughtUp(replicas []psync.Replica, end replication.Offset) *psync.Replica {
	if f.host != "" {
		if x := f.find(replicas); x != nil && x.State == psync.Online && x.Ack.Offset == end {
			return x
		}
		return nil
	}
	for i := range replicas {
		if x := &replicas[i]; x.State == psync.Online && x.Ack.Offset == end && x.Port != 0 {
			return x
		}
	}
	return nil
}

// runFailover waits until a failover can go on, is aborted, or its time is over
// (Redis's updateFailoverStatus).
func (r *replicator) runFailover() {
	tick := time.NewTicker(failoverPeriod)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
		}
		f := r.handing.Load()
		if f == nil || f.asking {
			return
		}
		over := !f.until.IsZero() && !time.Now().Before(f.until)
		if over || f.caughtUp(r.primary.Replicas(), r.n.stream.End()) != nil {
			r.n.server.Everything(func(tx *storage.Tx) { r.proceed(tx, f, over) })
		}
	}
}

// proceed hands over, or gives up because the time is over.
func (r *replicator) proceed(tx *storage.Tx, f *failover, over bool) {
	if r.handing.Load() != f {
		return // aborted meanwhile
	}
	next := *f
	next.asking = true
	x := f.caughtUp(r.primary.Replicas(), r.n.stream.End())
	switch {
	case over && f.force:
		r.log.Info(fmt.Sprintf("FAILOVER to %s time out exceeded, failing over.", f.target()))
	case over:
		r.abort(tx, "Replica never caught up before timeout")
		return
	case x == nil:
		return // its connection has just ended
	default:
		next.host, next.port = x.IP, x.Port
		r.log.Info(fmt.Sprintf("Failover target %s is synced, failing over.", next.target()))
	}
	r.handing.Store(&next)
	_ = r.change(tx, role{replica: true, host: next.host, port: next.port}) // logged, and tried again
	r.n.roleChanged()
	r.n.server.Record("replicaof", next.host, strconv.Itoa(next.port))
}

// abort ends a failover and leaves the node a primary.
func (r *replicator) abort(tx *storage.Tx, why string) {
	f := r.handing.Load()
	r.log.Info(fmt.Sprintf("FAILOVER to %s aborted: %s", f.target(), why))
	r.handing.Store(nil)
	if f.asking {
		_ = r.change(tx, role{}) // logged, and tried again
		r.n.roleChanged()
		r.n.server.Record("replicaof", "no", "one")
	}
	r.n.server.LetWrites(tx)
}

// handover is the failover as a link sees it, see psync.Handover.
type handover struct {
	r *replicator
	f *follower
}

// Asks reports whether the primary is to be asked to take over.
func (h handover) Asks() bool {
	f := h.r.handing.Load()
	return f != nil && f.asking && !f.lost
}

// Answered takes the answer to a PSYNC.
func (h handover) Answered(a psync.HandoverAnswer) {
	r := h.r
	if f := r.handing.Load(); f == nil || !f.asking {
		return
	}
	r.n.server.Everything(func(tx *storage.Tx) {
		f := r.handing.Load()
		if f == nil || !f.asking || h.f.admit() != nil {
			return
		}
		next, why := f.after(a)
		switch {
		case why != "":
			r.abort(tx, why)
		case next == nil:
			r.handing.Store(nil)
			r.n.server.LetWrites(tx)
		default:
			r.handing.Store(next)
		}
	})
}

// after is what becomes of a failover whose target was asked: nil if it has taken
// over, or why the node is to take its role back.
func (f *failover) after(a psync.HandoverAnswer) (next *failover, why string) {
	if a == psync.Accepted {
		return nil, ""
	}
	if !f.lost {
		switch a {
		case psync.Refused, psync.Unlinked:
			return nil, "Failover target rejected psync request"
		case psync.Unsent:
			return nil, "Write error to failover target"
		}
	}
	still := *f
	still.lost = a != psync.Unlinked
	return &still, ""
}
