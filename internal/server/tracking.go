package server

import (
	"slices"
	"sync"
	"sync/atomic"

	"redoubt/internal/admin"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// Client-side caching: a client is told when a key changes of which it may hold a
// value (Redis's tracking.c). Marks of who has read what lie in the keyspace;
// this file knows the clients behind the marks, and those who want to hear of all
// changes below a prefix.
//
// That no client keeps an old value for ever follows from the lock of the key's
// slot. A read puts its mark and its reply, in the output of its connection, while
// it holds the lock. A change takes the marks while it holds the lock, and puts its
// messages into inboxes before it gives the lock back (storage.Audience). So a
// change that comes after a read finds the mark, and its message is moved to the
// output behind the reply, as the connection's loop does both. And a change that
// comes before a read has been made when the read looks at the key. A message may
// come although the client holds the new value already; that costs it a read.
//
// Broadcasts need no marks. They are told of each change in the same place, so the
// same order holds for them.

// tracker is a connection that is told of changes. It does not change once it is
// registered, but for broken.
type tracker struct {
	c        *conn
	own      *subscriber // of the connection itself
	to       *subscriber // that gets the messages: of another connection after REDIRECT
	how      admin.Tracking
	broken   atomic.Bool // a message could not be sent, since that connection is gone
	redirect bool
	memory   int64 // bytes of the prefixes
}

// tracking are all trackers.
type tracking struct {
	mu       sync.RWMutex
	byID     map[uint64]*tracker            // guarded by mu; by the number of the connection
	prefixes map[string]map[uint64]struct{} // guarded by mu; of broadcasts, to which connections
	lengths  map[int]int                    // guarded by mu; how many prefixes have a length
}

// add registers a tracker in the place of the connection's old one, if it had one.
func (ts *tracking) add(t *tracker, ks *storage.Keyspace) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.byID == nil {
		ts.byID, ts.prefixes, ts.lengths = map[uint64]*tracker{}, map[string]map[uint64]struct{}{}, map[int]int{}
	}
	if old := ts.byID[t.c.id]; old != nil && !t.how.BCast {
		ts.dropPrefixes(old)
	}
	ts.byID[t.c.id] = t
	for _, p := range t.how.Prefixes { // there may be more of them, never less
		if ts.prefixes[p] == nil {
			ts.prefixes[p] = map[uint64]struct{}{}
			ts.lengths[len(p)]++
		}
		ts.prefixes[p][t.c.id] = struct{}{}
	}
	ts.changed(ks)
}

// remove forgets a connection's tracker. Marks stay, and mean nothing any more.
func (ts *tracking) remove(c *conn, ks *storage.Keyspace) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.byID[c.id]; t != nil {
		delete(ts.byID, c.id)
		ts.dropPrefixes(t)
		ts.changed(ks)
	}
}

// dropPrefixes forgets the prefixes of a tracker; the caller holds mu.
func (ts *tracking) dropPrefixes(t *tracker) {
	for _, p := range t.how.Prefixes {
		if delete(ts.prefixes[p], t.c.id); len(ts.prefixes[p]) > 0 {
			continue
		}
		delete(ts.prefixes, p)
		if ts.lengths[len(p)]--; ts.lengths[len(p)] == 0 {
			delete(ts.lengths, len(p))
		}
	}
}

// changed follows a change of the trackers; the caller holds mu. Units that have not
// seen it yet were under way before the client has its reply.
func (ts *tracking) changed(ks *storage.Keyspace) {
	ks.SetTracks(len(ts.byID) > 0, len(ts.prefixes) > 0)
}

// counts is how many clients are told of changes, and of how many prefixes.
func (ts *tracking) counts() (clients, prefixes int) {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return len(ts.byID), len(ts.prefixes)
}

// heard sends messages about what a unit has changed, whose locks are still held.
func (ts *tracking) heard(o *storage.Outcome) {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	for i := range o.Stale {
		s := &o.Stale[i]
		by := changer(s.By)
		for _, id := range s.Readers {
			// Marks from before BCAST are not told of, as in Redis.
			if t := ts.byID[id]; t != nil && !t.how.BCast && !(t.how.NoLoop && t.c == by) {
				t.send(s.Key)
			}
		}
		if s.Changed {
			ts.broadcast(s.Key, by)
		}
	}
	if o.AllStale {
		for _, t := range ts.byID {
			t.send(nil)
		}
	}
}

// changer is the connection that made a change, nil if none did.
func changer(by any) *conn {
	switch x := by.(type) {
	case *conn:
		return x
	case *blocked:
		return x.at.c
	case *scriptHost:
		return x.conn
	}
	return nil
}

// broadcast has the change of a key told to those with a prefix of it; the caller
// holds mu. What comes together is one message for each prefix.
func (ts *tracking) broadcast(key []byte, by *conn) {
	for n := range ts.lengths {
		if n > len(key) {
			continue
		}
		for id := range ts.prefixes[string(key[:n])] {
			t := ts.byID[id]
			if t.how.NoLoop && t.c == by {
				continue
			}
			if to := t.target(); to != nil && to.hears(t.redirect) {
				to.gather(t, string(key[:n]), key)
			}
		}
	}
}

// target is the subscriber that gets the tracker's messages, nil if there is none any
// more. A client that speaks RESP3 is told of that.
func (t *tracker) target() *subscriber {
	if !t.redirect || !t.to.gone.Load() {
		return t.to
	}
	t.broken.Store(true)
	if t.own.proto.Load() == resp.Proto3 {
		t.own.put(func(w *resp.Writer) {
			w.Push(2)
			w.BulkString("tracking-redir-broken")
			w.Int(int64(t.how.Redirect))
		})
	}
	return nil
}

// send tells of a key, or with nil of all keys. It matches sendTrackingMessage.
func (t *tracker) send(key []byte) {
	if to := t.target(); to != nil && to.hears(t.redirect) {
		to.put(func(w *resp.Writer) {
			invalidation(w)
			if key == nil {
				w.Null()
				return
			}
			w.Array(1)
			w.Bulk(key)
		})
	}
}

// hears reports whether a message can be sent to a client: RESP2 has none but those
// of pub/sub, and they must go to another connection.
func (s *subscriber) hears(redirected bool) bool {
	return s.proto.Load() == resp.Proto3 || redirected && s.count() > 0
}

// invalidation begins a message, behind which comes what is invalid.
func invalidation(w *resp.Writer) {
	if w.Proto() == resp.Proto3 {
		w.Push(2)
		w.BulkString("invalidate")
		return
	}
	w.Push(3)
	w.BulkString("message")
	w.BulkString("__redis__:invalidate")
}

// gathered are the keys below a prefix that have changed since the last message.
type gathered struct {
	t      *tracker
	prefix string
	keys   map[string]struct{}
}

// gather adds a key to those of the next message for a prefix.
func (s *subscriber) gather(t *tracker, prefix string, key []byte) {
	s.deliver(func() {
		i := slices.IndexFunc(s.gathered, func(g gathered) bool { return g.t == t && g.prefix == prefix })
		if i < 0 {
			i = len(s.gathered)
			s.gathered = append(s.gathered, gathered{t, prefix, map[string]struct{}{}})
		}
		if _, there := s.gathered[i].keys[string(key)]; !there {
			s.gathered[i].keys[string(key)] = struct{}{}
		}
	})
}

// writeGathered appends the messages that were gathered to the inbox; mu is held.
func (s *subscriber) writeGathered() {
	for _, g := range s.gathered {
		w := resp.NewWriter(s.inbox, int(s.proto.Load()))
		names := make([]string, 0, len(g.keys))
		for k := range g.keys {
			names = append(names, k)
		}
		slices.Sort(names)
		invalidation(w)
		w.Array(len(names))
		for _, k := range names {
			w.BulkString(k)
		}
		s.inbox = w.Bytes()
	}
	s.gathered = nil
}

// limitTracked takes marks away when there are too many (trackingLimitUsedSlots).
func (l *loop) limitTracked() {
	ks, most := l.srv.keyspace, l.cfg.TrackingMaxKeys
	if most == 0 {
		return
	}
	if keys, _ := ks.Tracked(); keys <= most {
		l.overTracked = 0
		return
	}
	// Each time in a row that this is not enough, more is done.
	if l.overTracked++; !l.exec.LimitTracked(l.unix, most, 100*l.overTracked) {
		l.overTracked = 0
	}
}

// reader is by whom the keys that a command reads are marked, 0 for nobody.
func (c *conn) reader() uint64 {
	switch t := c.track; {
	case t == nil, t.how.BCast, t.how.OptIn && !c.is(stateCaching), t.how.OptOut && c.is(stateCaching):
		return 0
	}
	return c.id
}

// Tracking is admin.Tracker's.
func (c *conn) Tracking() (how admin.Tracking) {
	if c.track != nil {
		how = c.track.how
		how.Broken = c.track.broken.Load()
	}
	how.Caching = c.is(stateCaching)
	return how
}

// Track begins to tell the client of changes, or changes how: admin.Tracker.
func (c *conn) Track(how admin.Tracking) {
	if c.is(stateClosed) {
		return // while all loops were stopped
	}
	how.On = true
	own := c.listener()
	t := &tracker{c: c, own: own, to: own, how: how}
	if to, ok := how.To.(*subscriber); ok {
		t.to, t.redirect = to, true
	}
	for _, p := range how.Prefixes {
		t.memory += int64(len(p) + prefixBytes)
	}
	c.track = t
	c.srv.tracking.add(t, c.srv.keyspace)
}

// Untrack ends that: admin.Tracker.
func (c *conn) Untrack() { c.srv.untrack(c) }

func (s *Server) untrack(c *conn) {
	if c.track != nil {
		c.track = nil
		c.set(stateCaching, false)
		s.tracking.remove(c, s.keyspace)
	}
}

// SetCaching is CLIENT CACHING: admin.Tracker.
func (c *conn) SetCaching() { c.set(stateCaching, true) }

// Receiver finds the client with this number, to which messages may be redirected:
// admin.Tracker.
func (c *conn) Receiver(id uint64) (to any) {
	l := c.home.Load()
	l.allConns(func() {
		l.srv.eachConn(func(p *conn) {
			if p.id == id && !p.is(stateClosed|stateClosing) {
				s := p.listener()
				s.target = true
				to = s
			}
		})
	})
	return to
}
