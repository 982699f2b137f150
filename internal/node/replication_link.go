package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"redoubt/internal/command"
	"redoubt/replication"
	"redoubt/replication/psync"
	"redoubt/storage"
)

// target is the node as one link sees it. Its methods are called by the link's
// goroutine, one at a time; it executes with the node's applier, which thereby
// belongs to the goroutine of the current link.
type target struct {
	r      *replicator
	to     role
	ctx    context.Context // ended when the target is cut off
	cancel context.CancelFunc

	live bool // guarded by being in a unit; changed under the world lock

	effects []command.Effect
	db      int // what the stream was last told to be selected; -1: nothing yet
}

func newTarget(r *replicator, to role) *target {
	t := &target{r: r, to: to, live: true, db: -1}
	t.ctx, t.cancel = context.WithCancel(r.ctx)
	return t
}

// errCutOff ends a link that the node does not follow any more.
var errCutOff = errors.New("node: this primary is not followed any more")

// admit is the applier's: the last look before a unit is executed.
func (t *target) admit() error {
	if !t.live {
		return errCutOff
	}
	return nil
}

// following is a link and the target it has.
type following struct {
	*psync.Link
	target *target
}

func (r *replicator) wakeLinks() {
	select {
	case r.turn <- struct{}{}:
	default:
	}
}

// runLinks keeps a link for the current target, and closes the one before
// first, so that there is one at a time.
func (r *replicator) runLinks(ctx context.Context) {
	var current *target
	for {
		if want := r.target.Load(); want != current {
			r.closeLink()
			if current = want; current != nil {
				r.n.applier.Admit = current.admit
				r.link.Store(&following{psync.Start(r.linkConfig(current)), current})
			}
			continue
		}
		select {
		case <-r.turn:
		case <-ctx.Done():
			r.closeLink()
			return
		}
	}
}

func (r *replicator) closeLink() {
	f := r.link.Swap(nil)
	if f == nil {
		return
	}
	r.noteContact(f.Status())
	f.Close()
}

func (r *replicator) linkConfig(t *target) psync.LinkConfig {
	settings := r.n.config
	dialer := func(ctx context.Context, addr string) (net.Conn, error) {
		d := net.Dialer{}
		if source := settings.Current().BindSourceAddr; source != "" {
			local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(source, "0"))
			if err != nil {
				return nil, err
			}
			d.LocalAddr = local
		}
		return d.DialContext(ctx, "tcp", addr)
	}
	return psync.LinkConfig{
		Addr: t.to.addr(),
		Dial: dialer,
		Identity: func() psync.Identity {
			c := settings.Current()
			port := c.ReplicaAnnouncePort
			if port == 0 {
				port = c.Port
			}
			return psync.Identity{User: c.PrimaryUser, Password: c.PrimaryAuth, Port: port, IP: c.ReplicaAnnounceIP}
		},
		Dir:     settings.Current().Dir,
		Timeout: func() time.Duration { return settings.Current().ReplTimeout },
		Target:  t,
		Log:     r.log,
	}
}

// status is that of the link to the present primary; ok is false if there is
// none yet.
func (r *replicator) status() (s psync.Status, ok bool) {
	f := r.link.Load()
	if f == nil || f.target != r.target.Load() {
		return s, false
	}
	return f.Status(), true
}

// noteContact remembers when a primary was last heard of.
func (r *replicator) noteContact(s psync.Status) {
	at := s.DownSince
	if s.Up() {
		at = s.LastIO
	}
	if !at.IsZero() {
		r.contact.Store(at.UnixNano())
	}
}

// PrimaryContact is when the node last heard from a primary with which it was in
// step; zero if it never was.
func (r *replicator) PrimaryContact() time.Time {
	if s, ok := r.status(); ok {
		r.noteContact(s)
	}
	if at := r.contact.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Position is where the node's stream stands.
func (t *target) Position() (psync.Position, bool) {
	s := t.r.state.Load()
	// After a promotion without a write it is not known what is selected; then
	// what follows begins with SELECT.
	db := max(t.r.n.stream.SelectedDB(), 0)
	return psync.Position{History: s.history, End: t.r.n.stream.End(), DB: db}, s.known
}

// Continue goes on in the history that the primary has named. If it is a new
// one, the node's own replicas must learn of it: they come again.
func (t *target) Continue(h replication.History) (err error) {
	r := t.r
	r.n.keys.World(now(), func(*storage.Tx) {
		if err = t.admit(); err != nil {
			return
		}
		next := *r.state.Load()
		if next.history == h {
			return
		}
		release := r.primary.Hold()
		next.history = h
		err = r.publish(&next, release)
	})
	return err
}

// Apply executes a unit and adds its bytes to the node's stream, so that
// offsets are the primary's. It waits, without a lock, while the journal is
// behind.
func (t *target) Apply(u *psync.Unit) error {
	n := t.r.n
	if !n.stream.Room() {
		if err := n.stream.WaitRoom(t.ctx); err != nil {
			return err
		}
	}
	t.effects = t.effects[:0]
	for _, c := range u.Commands {
		t.effects = append(t.effects, command.Effect(c))
	}
	end := n.stream.End() + replication.Offset(len(u.Raw))
	return n.applier.Apply(now(), t.effects, end, func() {
		n.stream.AppendRaw(u.Raw)
		if t.db != u.DB {
			t.db = u.DB
			n.stream.SetSelectedDB(u.DB)
		}
	})
}

// Synced is how far the stream is on disk.
func (t *target) Synced() (replication.Offset, bool) {
	s := t.r.n.stream
	return s.Synced(), s.Enabled()
}

// Replace puts a received snapshot in the place of everything: data, stream,
// history. The file has been checked and is a good one. Clients are told that
// the node is loading, and the node's own replicas are sent away; they will
// need the snapshot, too.
//
// Up to the new generation of the journal a crash finds the old state whole,
// from there on the new one.
func (t *target) Replace(ctx context.Context, full psync.Full) error {
	r, n := t.r, t.r.n
	if most := n.keys.Databases(); full.Databases > most {
		return fmt.Errorf("the snapshot has keys in database %d and there are only %d databases", full.Databases-1, most)
	}
	// Replies that wait for offsets of the old stream leave now: those of the
	// new one may be lower.
	if err := n.stream.Flush(); err != nil {
		return err
	}
	release := r.primary.Hold()
	defer release()
	n.server.SetLoading(true)
	defer n.server.SetLoading(false)
	run := n.unitsAt(0)
	err := run(func(tx *storage.Tx) error {
		if err := t.admit(); err != nil {
			return err
		}
		r.loading = make(chan struct{})
		n.persistence.replacing = true
		tx.FlushAll()
		return nil
	})
	if err != nil {
		return err
	}
	_, err = loadFile(func(f func(tx *storage.Tx) error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return run(f)
	}, n.keys, full.Path, loadRule{})
	if ctx.Err() != nil {
		return ctx.Err() // the node ends; the disk has the old state
	}
	return run(func(tx *storage.Tx) error {
		if err == nil {
			err = t.adopt(tx, full)
		}
		if err != nil {
			r.forget(tx)
		}
		n.persistence.replacing = false
		close(r.loading)
		r.loading = nil
		t.db = -1
		if to := r.delayed; to != nil {
			r.delayed = nil
			_ = r.change(tx, *to) // logged, and tried again
		}
		return err
	})
}

// adopt makes what was loaded the node's own. The unit holds the world lock.
func (t *target) adopt(tx *storage.Tx, full psync.Full) error {
	r, n := t.r, t.r.n
	info, err := os.Stat(full.Path)
	if err != nil {
		return err
	}
	next := *r.state.Load()
	next.history, next.known = full.History, true
	err = n.persistence.replaced(info.Size(), func() error {
		return n.stream.NewGeneration(full.Path, full.At, full.History, true)
	})
	if err != nil {
		return err
	}
	n.stream.SetSelectedDB(full.DB)
	tx.Rebase(full.At)
	r.state.Store(&next)
	if !n.stream.Enabled() {
		// Without a journal the file is what a restart loads, as in Redis. Without
		// it a restart asks for another one.
		cfg := n.config.Current()
		if err := os.Rename(full.Path, filepath.Join(cfg.Dir, cfg.DBFilename)); err != nil {
			r.log.Warn("The received snapshot cannot be kept: " + err.Error())
		}
	}
	return nil
}
