package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/durable"
	"redoubt/replication"
	"redoubt/replication/psync"
	"redoubt/storage"
)

// follower is the node as one link sees it. Its methods are called by the link's
// goroutine, one at a time; it executes with the node's applier, which thereby
// belongs to the goroutine of the current link.
type follower struct {
	r      *replicator
	to     role
	ctx    context.Context // ended when the follower is cut off
	cancel context.CancelFunc

	live bool // guarded by being in a unit; changed under the world lock

	// stuck: the stream has what this server cannot execute, so it cannot be
	// gone on with; a snapshot may do.
	stuck bool
	// hopeless: the node could not go back to the primary's history; see Rewind. refused is
	// the end of the stream for which the log says so.
	hopeless bool
	refused  replication.Offset
	unkept   time.Time // since when what would be given up cannot be kept; zero if it was not tried

	effects []command.Effect
	db      int // what the stream was last told to be selected; -1: nothing yet
}

func newFollower(r *replicator, to role) *follower {
	f := &follower{r: r, to: to, live: true, db: -1}
	f.ctx, f.cancel = context.WithCancel(r.ctx)
	return f
}

// errCutOff ends a link that the node does not follow any more.
var errCutOff = errors.New("node: this primary is not followed any more")

// admit is the applier's: the last look before a unit is executed.
func (f *follower) admit() error {
	if !f.live {
		return errCutOff
	}
	return nil
}

// Position is where the node's stream stands.
func (f *follower) Position() (psync.Position, bool) {
	s, stream := f.r.state.Load(), f.r.n.stream
	return psync.Position{History: s.history, End: stream.End(), DB: max(stream.ReadersDB(), 0)}, s.known && !f.stuck
}

// Continue goes on in the history that the primary has named. If it is a new
// one, the node's own replicas must learn of it: they come again.
func (f *follower) Continue(h replication.History) (err error) {
	r := f.r
	r.n.keys.World(now(), func(*storage.Tx) {
		if err = f.admit(); err != nil {
			return
		}
		next := *r.state.Load()
		next.standing.Sync(time.Now())
		if next.history == h {
			r.state.Store(&next)
			return
		}
		lift := r.primary.Bar()
		next.history = h
		err = r.publish(&next, lift)
	})
	r.n.relearn()
	return err
}

// Apply executes a unit and adds its bytes to the node's stream, so that
// offsets are the primary's. It waits, without a lock, while the journal is
// behind, snapshots hold too much memory or clients are paused.
func (f *follower) Apply(u *psync.Unit) error {
	n := f.r.n
	if !n.stream.Room() {
		if err := n.stream.WaitRoom(f.ctx); err != nil {
			return err
		}
	}
	if err := n.persistence.waitRoom(f.ctx); err != nil {
		return err
	}
	if err := n.server.WaitPause(f.ctx); err != nil {
		return err
	}
	f.effects = f.effects[:0]
	for _, c := range u.Commands {
		f.effects = append(f.effects, command.Effect(c))
	}
	end := n.stream.End() + replication.Offset(len(u.Raw))
	n.applier.Prepare(u.Ahead)
	err := n.applier.Apply(now(), f.effects, end, func() {
		n.stream.AppendRaw(u.Raw)
		if f.db != u.DB {
			f.db = u.DB
			n.stream.SetSelectedDB(u.DB)
		}
	})
	n.stream.Announce()
	if err == nil && n.server.Monitored() {
		host, port := f.r.Primary()
		n.server.ShowApplied(net.JoinHostPort(host, strconv.Itoa(port)), f.effects)
	}
	f.stuck = errors.Is(err, command.ErrUnknownEffect)
	return err
}

// Committed is how far the stream is as durable as appendfsync promises.
func (f *follower) Committed() replication.Offset { return f.r.n.stream.Committed() }

// Synced is how far the stream is on disk.
func (f *follower) Synced() (replication.Offset, bool) { return f.r.onDisk() }

// Direct reports whether a snapshot is to be loaded while it arrives: with
// repl-diskless-load, if there are no keys and functions that could be lost by it, or if
// they are not to be kept.
func (f *follower) Direct() bool {
	n := f.r.n
	switch n.config.Current().ReplDisklessLoad {
	case config.LoadNever:
		return false
	case config.LoadAlways:
		return true
	}
	empty := false
	n.keys.World(now(), func(tx *storage.Tx) { empty = count(n.keys) == 0 && len(n.server.Libraries(tx)) == 0 })
	return empty
}

// arriving is how long a snapshot is that is loaded as it arrives; 0: not known.
func arriving(full psync.Full, link psync.Status) int64 {
	if full.In == nil {
		return 0
	}
	return max(link.SyncTotal, 0)
}

// Replace puts a received snapshot in the place of everything: data, stream,
// history. The file has been checked and is a good one, or it is still arriving and
// nobody has seen it. Clients wait, and are told that the node is loading if it takes
// long. The node's own replicas are sent away; they will need the snapshot, too.
//
// Up to the new generation of the journal a crash finds the old state whole,
// from there on the new one. A failure up to there leaves the old state, too.
func (f *follower) Replace(ctx context.Context, full psync.Full) error {
	n := f.r.n
	if most := n.keys.Databases(); full.Databases > most {
		return fmt.Errorf("the snapshot has keys in database %d and there are only %d databases", full.Databases-1, most)
	}
	return f.exchange(ctx, exchange{
		load: func(ctx context.Context) (err error) {
			link, _ := f.r.status()
			n.persistence.expect(full.Path, arriving(full, link))
			if full.In != nil {
				full.DB, err = n.loadArriving(ctx, full.In)
			} else {
				_, err = n.loadFile(ctx, full.Path, 0, loadRule{libraries: n.server})
			}
			return err
		},
		adopt: func(tx *storage.Tx) error { return f.adopt(tx, full) },
		what:  "The received snapshot could not be loaded",
	})
}

// exchange is how other data take the place of those there.
type exchange struct {
	prepare func() error                    // before anything changes, under the world lock; nil: nothing to do
	load    func(ctx context.Context) error // into an empty keyspace
	adopt   func(tx *storage.Tx) error      // makes what was loaded the node's, on disk too, under the world lock
	what    string                          // the log's line if one of the two fails
}

// exchange carries out an exchange, while clients wait. If it fails the node returns to
// what it was, or is empty if it cannot.
func (f *follower) exchange(ctx context.Context, x exchange) error {
	r, n := f.r, f.r.n
	// Replies that wait for offsets of the old stream leave now: those of the
	// new one may be lower.
	if err := n.stream.Flush(); err != nil {
		return err
	}
	n.commits.parted()
	n.server.SetReplacing()
	defer n.server.SetLoading(false)
	lift := r.primary.Bar()
	defer lift()
	run := n.unitsAt(0)
	err := run(func(tx *storage.Tx) error {
		if err := f.admit(); err != nil {
			return err
		}
		if x.prepare != nil {
			if err := x.prepare(); err != nil {
				return err
			}
		}
		r.loading = make(chan struct{})
		n.persistence.replacing = true
		r.setStanding((*replication.Standing).Load)
		tx.FlushAll()
		n.server.DropLibraries(tx)
		return nil
	})
	if err != nil {
		return err
	}
	runtime.GC() // or the old data and the new would be in memory together
	if err = x.load(ctx); err == nil {
		err = run(x.adopt)
	}
	back := false // what was there before is there again
	if err != nil && ctx.Err() == nil {
		back = f.fallBack(ctx, run, x.what, err)
	}
	if ctx.Err() != nil {
		return ctx.Err() // the node ends; the disk has the old state, or the new one
	}
	return run(func(tx *storage.Tx) error {
		if err != nil && !back {
			r.forget(tx)
		}
		if back {
			r.setStanding((*replication.Standing).Keep)
		}
		n.persistence.replacing = false
		close(r.loading)
		r.loading = nil
		f.db = -1
		f.stuck = f.stuck && back
		n.relearn()
		if to := r.delayed; to != nil {
			r.delayed = nil
			_ = r.change(tx, *to) // logged, and tried again
			r.by = ""
			if !to.replica {
				r.sentinels.promoted(tx)
			}
			r.n.roleChanged()
		}
		return err
	})
}

// setStanding changes what the data are worth. The unit holds the world lock.
func (r *replicator) setStanding(change func(*replication.Standing)) {
	next := *r.state.Load()
	change(&next.standing)
	r.state.Store(&next)
}

// fallBack brings back the data that others were to replace, which could not
// be put in their place: they are in the journal, as a restart would find them,
// and the stream has not moved. So the node is what it was, for those who read
// from it and for an election, and its link will ask again. It reports whether
// that was possible. Without a journal it is not: then the node is empty, as
// Redis is, and says that it has nothing to go on from.
func (f *follower) fallBack(ctx context.Context, run units, what string, why error) bool {
	n := f.r.n
	for base, from, ok := n.stream.Restart(); ok; {
		n.log.Warn(what+"; going back to what the journal has", zap.Error(why))
		_ = run(func(tx *storage.Tx) error { // the part that was loaded
			tx.FlushAll()
			n.server.DropLibraries(tx)
			return nil
		})
		_, _, err := n.loadJournal(ctx, base, from, n.stream.End())
		if err == nil {
			return true
		}
		// One that was begun before may have taken the place of the base meanwhile, and
		// what the other needs of the journal.
		before := base
		if base, from, ok = n.stream.Restart(); base == before {
			n.log.Error("The journal could not be loaded either", zap.Error(err))
			return false
		}
	}
	return false
}

// adopt makes what was loaded the node's own. The unit holds the world lock.
func (f *follower) adopt(tx *storage.Tx, full psync.Full) error {
	r, n := f.r, f.r.n
	info, err := os.Stat(full.Path)
	if err != nil {
		return err
	}
	next := *r.state.Load()
	next.history, next.known = full.History, true
	next.standing.Sync(time.Now())
	err = n.quorum.without(func() error {
		err := n.persistence.replaced(info.Size(), func() error {
			return n.stream.NewGeneration(full.Path, full.At, full.History, true)
		})
		if err != nil {
			return err
		}
		n.stream.SetSelectedDB(full.DB)
		tx.Rebase(full.At)
		r.state.Store(&next)
		return nil
	})
	if err != nil {
		return err
	}
	if !n.stream.Enabled() {
		// Without a journal the file is what a restart loads, as in Redis. Without
		// it a restart asks for another one.
		cfg := n.config.Current()
		err := os.Rename(full.Path, filepath.Join(cfg.Dir, cfg.DBFilename))
		if err == nil {
			err = durable.SyncDir(cfg.Dir)
		}
		if err != nil {
			r.log.Warn("The received snapshot cannot be kept", zap.Error(err))
		}
	}
	return nil
}
