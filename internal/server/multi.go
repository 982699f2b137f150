package server

import (
	"bytes"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// transaction is what a connection has queued since MULTI.
type transaction struct {
	queue   []queued
	flags   command.Flags // of all queued commands together
	lacking command.Flags // flags that at least one of them does not have
	broken  bool          // a command was refused: EXEC will be, too
	bytes   int
	args    int // of all queued commands
}

// queued is one command of a transaction with bytes of its own.
type queued struct {
	row  *command.Row
	args [][]byte
	raw  []byte
}

// watch is a connection's mark on a key.
type watch = *storage.Watch

// add queues the request. After an error nothing more is kept: the
// transaction cannot run any more.
func (m *transaction) add(q *request) {
	if m.broken {
		return
	}
	raw := bytes.Clone(q.raw)
	if raw == nil {
		raw = resp.AppendArray(nil, q.args...)
	}
	var p resp.Parser
	if _, err := p.Parse(raw); err != nil {
		panic("server: a request that was parsed cannot be parsed again")
	}
	m.queue = append(m.queue, queued{q.row, p.Args, raw})
	m.flags |= q.flags
	m.lacking |= q.lacking
	m.bytes += len(raw)
	m.args += len(p.Args)
}

var transactionRows = []*command.Row{
	{Name: "multi", Arity: 1, Flags: command.NoScript | command.Loading | command.Stale | command.Fast | command.AllowBusy | command.Unqueued, ACL: command.CatTransaction, Lock: command.LockNone, Run: command.For(multiCommand),
		Doc: command.Doc{Summary: "Queues the commands that follow, until EXEC.", Since: "1.2.0", Group: "transactions", Complexity: "O(1)"}},
	{Name: "exec", Arity: 1, Flags: command.NoScript | command.Loading | command.Stale | command.SkipSlowlog | command.RunsQueue | command.Unqueued, ACL: command.CatTransaction, Lock: command.LockNone, Run: execCommand,
		Doc: command.Doc{Summary: "Runs the commands queued since MULTI as one.", Since: "1.2.0", Group: "transactions", Complexity: "Depends on commands in the transaction"}},
	{Name: "discard", Arity: 1, Flags: command.NoScript | command.Loading | command.Stale | command.Fast | command.AllowBusy | command.Unqueued, ACL: command.CatTransaction, Lock: command.LockNone, Run: command.For(discardCommand),
		Doc: command.Doc{Summary: "Forgets the commands queued since MULTI.", Since: "2.0.0", Group: "transactions", Complexity: "O(N), when N is the number of queued commands"}},
	{Name: "watch", Arity: -2, Flags: command.NoScript | command.Loading | command.Stale | command.Fast | command.AllowBusy | command.Unqueued, ACL: command.CatTransaction, Keys: command.KeysFrom(1, -1, 1, command.KeyRO), Run: command.For(watchCommand),
		Doc: command.Doc{Summary: "Makes the next EXEC depend on keys staying as they are.", Since: "2.2.0", Group: "transactions", Complexity: "O(1) for every key."}},
	{Name: "unwatch", Arity: 1, Flags: command.NoScript | command.Loading | command.Stale | command.Fast | command.AllowBusy, ACL: command.CatTransaction, Lock: command.LockNone, Run: command.For(unwatchCommand),
		Doc: command.Doc{Summary: "Ends all WATCHes of the connection.", Since: "2.2.0", Group: "transactions", Complexity: "O(1)"}},
}

func multiCommand(x *command.Ctx, c *conn) {
	if c.multi != nil {
		x.Out.Error(resp.ErrNestedMulti)
		return
	}
	c.multi = &transaction{}
	c.conds |= condMulti
	x.Out.OK()
}

func discardCommand(x *command.Ctx, c *conn) {
	if c.multi == nil {
		x.Out.Error(resp.ErrDiscardNoMulti)
		return
	}
	c.home.Load().discard(c)
	x.Out.OK()
}

// execCommand answers EXEC where there is no transaction; dispatch runs the
// others, because they are units of their own.
func execCommand(x *command.Ctx) { x.Out.Error(resp.ErrExecWithoutMulti) }

func watchCommand(x *command.Ctx, c *conn) {
	if c.multi != nil {
		x.Out.Error(resp.ErrWatchInMulti)
		return
	}
	if len(c.watched) == 0 {
		c.srv.watching.Add(1)
	}
	for _, key := range x.Args[1:] {
		if !c.watches(key) {
			c.watched = append(c.watched, x.Tx.Watch(key))
			c.watchedNames += len(key)
		}
	}
	x.Out.OK()
}

func (c *conn) watches(key []byte) bool {
	for _, w := range c.watched {
		if w.DB() == c.db && w.Key() == string(key) {
			return true
		}
	}
	return false
}

func unwatchCommand(x *command.Ctx, c *conn) {
	// In a transaction EXEC itself ends the watches.
	if x.Tx == nil {
		c.home.Load().unwatch(c)
	}
	x.Out.OK()
}

// unwatch ends all watches of a connection, outside of a unit.
func (l *loop) unwatch(c *conn) {
	c.watchMissed = false
	if len(c.watched) == 0 {
		return
	}
	ss := l.slots[:0]
	for _, w := range c.watched {
		ss = append(ss, w.Slot())
	}
	l.slots = ss
	watched := c.watched
	l.srv.watching.Add(-1)
	c.watched, c.watchedNames, c.watchMissed = nil, 0, false
	l.within(ss, func(tx *storage.Tx) {
		for _, w := range watched {
			tx.Unwatch(w)
		}
	})
}

func endWatches(tx *storage.Tx, c *conn) {
	for _, w := range c.watched {
		tx.Unwatch(w)
	}
	if len(c.watched) > 0 {
		c.srv.watching.Add(-1)
	}
	c.watched, c.watchedNames, c.watchMissed = nil, 0, false
}

// discard ends a transaction without running it.
func (l *loop) discard(c *conn) {
	c.multi = nil
	c.conds &^= condMulti
	l.unwatch(c)
}

// transact runs EXEC: the whole queue is one unit over all slots that its
// commands name or the connection watches, or over the world if one of them
// needs that.
func (l *loop) transact(c *conn, q *request) verdict {
	m := c.multi
	switch {
	case m == nil:
		c.out.Error(resp.ErrExecWithoutMulti)
		return pass
	case m.broken:
		l.discard(c)
		c.out.Error(resp.ErrExecAbort)
		return pass
	}
	world, all := l.needs(m)
	if all {
		l.srv.stopLoops(l)
		if c.is(stateClosed) {
			l.srv.resumeLoops(l)
			return pass
		}
		// The turn was given up meanwhile: a role or a pause may have come.
		if v := l.admit(c, q); v != pass {
			l.srv.resumeLoops(l)
			return v
		}
		l.stopped = true
		defer func() {
			l.stopped = false
			l.srv.resumeLoops(l)
		}()
	}
	if world || all {
		l.runner.Ctx.Tx = l.exec.BeginWorld(l.unix)
	} else {
		for _, w := range c.watched {
			l.slots = append(l.slots, w.Slot())
		}
		l.runner.Ctx.Tx = l.begin(l.slots, m.flags&command.Write != 0)
	}
	if l.runner.Ctx.Tx == nil {
		q.refusal = l.srv.busy()
		return refuse
	}
	defer l.endUnit()
	changed := c.watchMissed
	for _, w := range c.watched {
		changed = changed || l.runner.Ctx.Tx.Changed(w)
	}
	err := l.admitLocked(q)
	endWatches(l.runner.Ctx.Tx, c)
	// The commands that run still see the transaction: CLIENT LIST shows it.
	defer func() {
		c.multi = nil
		c.conds &^= condMulti
	}()
	switch {
	case err != "":
		c.out.Error(err)
	case changed:
		c.out.NullArray()
	default:
		l.runQueue(c, m)
		l.serveBlocked()
	}
	return pass
}

// needs finds what a transaction has to lock: everything with the loops
// stopped, the world, or the slots it leaves in l.slots.
func (l *loop) needs(m *transaction) (world, all bool) {
	l.slots = l.slots[:0]
	for i := range m.queue {
		e := &m.queue[i]
		switch lock := e.row.Needs(e.args); {
		case lock == command.LockSelf:
			all = true
		case lock == command.LockWorld, lock != command.LockNone && len(e.row.Keys) == 0 && e.row.Is(command.Write),
			e.row.Is(command.RunsScript): // which cannot be called again here
			world = true
		case lock == command.LockKeys:
			var ok bool
			if l.slots, ok = l.runner.Slots(l.slots, e.row, e.args); !ok {
				world = true
			}
		}
	}
	return world, all
}

func (l *loop) runQueue(c *conn, m *transaction) {
	l.inExec = true
	defer func() { l.inExec = false }()
	c.out.Array(len(m.queue))
	for i := range m.queue {
		e := &m.queue[i]
		start, began := c.out.Len(), l.mono
		if err := l.deniesQueued(c, e); err != "" {
			c.out.Error(err)
			l.stats.errorReply(err, false)
			continue
		}
		l.redacted = l.redacted[:0]
		l.runner.Bind(c, &c.out, e.row, e.args)
		if c.track != nil {
			l.runner.Reader = c.reader()
		}
		l.runner.Run(e.raw)
		l.account(c, e.row, e.args, start, began)
	}
	l.redacted = l.redacted[:0]
}
