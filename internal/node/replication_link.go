package node

import (
	"context"
	"net"
	"time"

	"redoubt/replication/psync"
)

// tether is a link and the follower that it was started for.
type tether struct {
	*psync.Link
	follower *follower
}

func (r *replicator) wakeLinks() {
	select {
	case r.turn <- struct{}{}:
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

func (r *replicator) linkConfig(f *follower) psync.LinkConfig {
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
		nc, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return &countedConn{Conn: r.n.server.TrackPrimary(nc), in: &r.in}, nil
	}
	dir := settings.Current().Dir
	if r.n.stream.Enabled() {
		dir = r.n.stream.Dir() // where a received snapshot is to stay; dir may have moved since
	}
	return psync.LinkConfig{
		Addr: f.to.addr(),
		Dial: dialer,
		Identity: func() psync.Identity {
			c := settings.Current()
			port := c.ReplicaAnnouncePort
			if port == 0 {
				port = c.Port
			}
			return psync.Identity{User: c.PrimaryUser, Password: c.PrimaryAuth, Port: port, IP: c.ReplicaAnnounceIP}
		},
		Dir:     dir,
		Timeout: func() time.Duration { return settings.Current().ReplTimeout },
		Target:  f,
		Log:     r.log,
	}
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
