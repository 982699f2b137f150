package node

import (
	"context"
	"net"
	"time"

	"go.uber.org/zap"

	"redoubt/replication"
	"redoubt/replication/psync"
)

// tether is a link and the follower that it was started for.
type tether struct {
	*psync.Link
	follower *follower
}

func (r *replicator) wakeLinks() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// runLinks keeps a link for the current follower, and closes the one before
// first, so that there is one at a time.
func (r *replicator) runLinks(ctx context.Context) {
	var current *follower
	for {
		if want := r.follower.Load(); want != current {
			r.closeLink()
			if current = want; current != nil {
				r.n.applier.Admit = current.admit
				r.link.Store(&tether{psync.Start(r.linkConfig(current)), current})
			}
			continue
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
			r.closeLink()
			return
		}
	}
}

// relink ends the connection to the primary, so that the link makes another one.
func (r *replicator) relink() {
	if nc := r.upstream.Load(); nc != nil {
		_ = (*nc).Close()
	}
}

func (r *replicator) closeLink() {
	f := r.link.Swap(nil)
	if f == nil {
		return
	}
	f.Close()
}

func (r *replicator) linkConfig(f *follower) psync.LinkConfig {
	settings := r.n.config
	dialer := func(ctx context.Context, addr string) (net.Conn, error) {
		nc, err := r.dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		tracked := r.n.server.TrackPrimary(nc)
		r.upstream.Store(&tracked)
		return &countedConn{Conn: tracked, in: &r.in}, nil
	}
	return psync.LinkConfig{
		Addr: f.to.addr(),
		Dial: dialer,
		Identity: func() psync.Identity {
			c := settings.Current()
			port := c.ReplicaAnnouncePort
			switch {
			case port != 0:
			case c.TLSReplication && c.TLSPort != 0:
				port = c.TLSPort
			default:
				port = c.Port
			}
			return psync.Identity{
				User: c.PrimaryUser, Password: c.PrimaryAuth, Port: port, IP: c.ReplicaAnnounceIP,
				NodeID: r.n.memberID(), Member: r.n.quorum != nil,
			}
		},
		Dir:      r.stagingDir,
		Timeout:  func() time.Duration { return settings.Current().ReplTimeout },
		Target:   f,
		Handover: handover{r, f},
		Rewinder: f,
		Log:      r.log,
	}
}

// stagingDir is where a snapshot is received: in the directory in which it is to stay,
// which may lie on a file system of its own, and is another one once the journal is
// switched on or off.
func (r *replicator) stagingDir() string {
	if r.n.stream.Enabled() {
		return r.n.stream.Dir() // dir may have moved since
	}
	return r.n.config.Current().Dir
}

// status is that of the link to the present primary; ok is false if there is
// none yet.
func (r *replicator) status() (s psync.Status, ok bool) {
	f := r.link.Load()
	if f == nil || f.follower != r.follower.Load() {
		return s, false
	}
	return f.Status(), true
}

// heard is when a link that was up last heard of its primary; zero if it never
// was up.
func heard(s psync.Status) time.Time {
	if s.Up() {
		return s.LastIO
	}
	return s.DownSince
}

// Standing is what the node may tell its cluster about its data.
func (r *replicator) Standing() replication.Standing {
	// The link is looked at before the state: one that is up had the state say
	// so before, and if the role has changed since, the state knows that the
	// contact is with another.
	link, ok := r.status()
	standing := r.state.Load().standing
	if ok {
		standing.Hear(heard(link))
	}
	return standing
}

// fitnessPeriod is how often the fitness of a replica is looked at, to be saved
// if it has changed or its contact is older than repl-ping-replica-period on
// disk. By that much data may be older than cluster-replica-validity-factor
// says, so a restart costs a replica nothing.
const fitnessPeriod = time.Second

// runFitness keeps the fitness on disk up to date, and what the journal has to keep.
func (r *replicator) runFitness(ctx context.Context) {
	tick := time.NewTicker(fitnessPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-tick.C:
			r.keepOlderBase(at)
			r.saveFitness(r.Standing(), r.n.config.Current().ReplPingReplicaPeriod)
		}
	}
}

// saveFitness saves what the data of a replica are worth, unless the disk has
// the same with a contact that is at most so much older.
func (r *replicator) saveFitness(standing replication.Standing, older time.Duration) {
	history, f, saved := r.ID(), standing.Fitness(), r.saved
	same := saved.history == history && saved.Shard == f.Shard && saved.Primary == f.Primary
	if same && f.Contact.Sub(saved.Contact) <= older {
		return
	}
	if err := r.n.stream.SaveFitness(history, f); err != nil {
		r.log.Warn("What the data are worth in an election cannot be saved", zap.Error(err))
	}
	r.saved = savedFitness{history, f}
}

// savedFitness is a fitness and the id of the history it was saved for.
type savedFitness struct {
	history string
	replication.Fitness
}
