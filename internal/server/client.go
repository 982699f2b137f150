package server

import (
	"strings"
	"time"

	"redoubt/internal/admin"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// This file is a connection as the commands of package admin see it.
var (
	_ admin.Session    = (*conn)(nil)
	_ admin.Operator   = (*conn)(nil)
	_ admin.Subscriber = (*conn)(nil)
	_ admin.Publisher  = (*conn)(nil)
	_ admin.Selector   = (*conn)(nil)
	_ admin.Tracker    = (*conn)(nil)
)

func (c *conn) ID() uint64                { return c.id }
func (c *conn) Identity() *admin.Identity { return &c.identity }
func (c *conn) Select(db int)             { c.db = db }
func (c *conn) SetNoEvict(on bool)        { c.set(stateNoEvict, on) }
func (c *conn) SetNoTouch(on bool)        { c.set(stateNoTouch, on) }
func (c *conn) InTransaction() bool       { return c.home.Load().inExec }
func (c *conn) CloseAfterReply()          { c.state |= stateClosing }

// SetReply is CLIENT REPLY: admin.Client.
func (c *conn) SetReply(m admin.ReplyMode) {
	switch m {
	case admin.ReplyOn:
		c.state &^= stateReplyOff | stateReplySkip | stateSkipping
	case admin.ReplyOff:
		c.state |= stateReplyOff
	case admin.ReplySkip:
		if !c.is(stateReplyOff) {
			c.state |= stateReplySkip
		}
	}
}

// Authenticated reports whether the connection has logged in, or need not:
// admin.Session.
func (c *conn) Authenticated() bool { return c.authed }

// SetProto chooses the version of RESP: admin.Session.
func (c *conn) SetProto(version int) {
	c.out.SetProto(version)
	c.noteSubscriptions()
}

// Reset brings the connection back to what it was when it came: admin.Session.
func (c *conn) Reset() resp.Error {
	l := c.home.Load()
	if c.replica != nil && c.is(stateDetached) {
		return resp.ErrResetReplica
	}
	l.discard(c)
	l.srv.untrack(c)
	l.srv.unsubscribeAll(c)
	if c.is(stateMonitor) {
		l.srv.monitors.remove(c)
	}
	c.state &^= stateMonitor | stateReadOnly | stateAsking | stateReplyOff | stateReplySkip | stateSkipping | stateNoEvict | stateNoTouch
	c.conds &^= condMonitor
	c.db, c.identity.Name, c.replica = 0, "", nil
	c.SetProto(resp.Proto2)
	c.becomeDefault()
	return ""
}

// Stop and World are admin.Operator's.
func (c *conn) Stop(f func())                { c.home.Load().allConns(f) }
func (c *conn) World(f func(tx *storage.Tx)) { c.home.Load().everything(f) }

// EachClient shows every connection, those of replicas last: admin.Operator.
func (c *conn) EachClient(f func(admin.Peer)) {
	l := c.home.Load()
	l.allConns(func() {
		l.srv.eachConn(func(p *conn) { f(peer{p, l}) })
	})
	for _, r := range l.srv.replicas.all() {
		f(r)
	}
}

// peer is a connection as a client on loop l sees it, with all loops stopped.
type peer struct {
	c *conn
	l *loop
}

// Info is admin.Peer's.
func (p peer) Info() admin.ClientInfo { return p.c.info(p.l) }

// Kill closes the connection: admin.Peer.
func (p peer) Kill() bool {
	c := p.c
	if c.is(stateClosing) {
		return false
	}
	// It runs nothing more from here on, and gets nothing that it waits for; its own
	// loop closes it.
	c.state |= stateClosing
	if c.parked != nil {
		c.parked.wait.take()
	}
	home := c.home.Load()
	home.post(func() { home.drop(c) })
	return true
}

// Info describes the connection of the call at hand: admin.Client.
func (c *conn) Info() admin.ClientInfo { return c.info(c.home.Load()) }

// String is the line of CLIENT LIST about the connection of the call at hand, for the log.
func (c *conn) String() string { return c.Info().String() }

// info describes a connection. l is the loop that asks, whose call at hand is the
// only one that is looked at; the caller holds the turn of the connection's loop.
func (c *conn) info(l *loop) admin.ClientInfo {
	now := time.Since(c.srv.started)
	i := admin.ClientInfo{
		Identity: c.identity,
		ID:       c.id, Kind: c.kind(), Addr: c.remote, LocalAddr: c.local, FD: c.fd, User: c.user.name,
		Age: now - c.born, Idle: now - c.active, Flags: c.flags(), DB: c.db,
		Queued: -1, Watched: len(c.watched), InBytes: c.inBytes, OutBytes: c.outBytes, Commands: c.commands, InputFree: max(cap(c.in)-len(c.in), 0),
		Buffer: cap(c.out.Bytes()), Memory: int(c.memory()), Events: c.events(), Command: "NULL", Proto: c.out.Proto(),
	}
	// Arguments that have arrived whole are no longer in Redis's query buffer.
	i.Args, i.Input = c.parser.Unfinished(len(c.in))
	i.Channels, i.Patterns, i.ShardChannels = c.subs.counts()
	if c.multi != nil {
		i.Queued, i.QueuedBytes = len(c.multi.queue), c.multi.bytes
	}
	i.Redirect = -1
	if c.track != nil {
		i.Redirect = int64(c.track.how.Redirect)
	}
	if c.last != nil {
		i.Command = c.last.FullName()
	}
	if c == l.runner.Ctx.Caller {
		i.Input = max(i.Input, l.processing)
		for _, a := range l.runner.Ctx.Args {
			i.Args += len(a)
		}
	}
	unsent := c.out.Len() - c.sent
	i.Obl = min(unsent, smallOutput)
	i.Omem = unsent - i.Obl
	i.Oll = min(i.Omem, 1)
	return i
}

// kind is the class of the connection.
func (c *conn) kind() string {
	if c.subs.count() > 0 {
		return "pubsub"
	}
	return "normal" // monitors too; replicas are no longer a loop's connections, see replicaConn
}

// flags are the letters by which CLIENT LIST marks a connection.
func (c *conn) flags() string {
	var flags []byte
	mark := func(on bool, f byte) {
		if on {
			flags = append(flags, f)
		}
	}
	mark(c.is(stateMonitor), 'O')
	mark(c.subs.count() > 0, 'P')
	mark(c.multi != nil, 'x')
	mark(c.is(stateWaiting) || c.postponed, 'b')
	if t := c.track; t != nil {
		mark(true, 't')
		mark(t.broken.Load(), 'R')
		mark(t.how.BCast, 'B')
	}
	mark(c.is(stateClosing), 'c')
	mark(strings.HasPrefix(c.remote, "/"), 'U')
	mark(c.is(stateReadOnly), 'r')
	mark(c.is(stateNoEvict), 'e')
	mark(c.is(stateNoTouch), 'T')
	if len(flags) == 0 {
		return "N"
	}
	return string(flags)
}

// events is what the poller is asked for.
func (c *conn) events() string {
	events := ""
	if c.runnable() {
		events = "r"
	}
	if c.polled&writable != 0 {
		events += "w"
	}
	return events
}

// IPv6 reports whether the client came over IPv6.
func (c *conn) IPv6() bool { return c.ipv6 }
