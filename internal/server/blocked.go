package server

import (
	"bytes"

	"redoubt/internal/acl"
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
)

// blocked is a connection whose command waits for an element: BLPOP and its
// like. It is registered in the unit that found nothing and served by the unit
// that makes a key ready, on whatever loop that runs, under that unit's locks.
// The reply then goes to the connection's own loop. Whoever takes the waiter ends
// the wait.
type blocked struct {
	storage.Waiter
	at      *parked // set before the unit that found nothing ends
	row     *command.Row
	args    [][]byte // its own bytes
	db      int
	proto   int
	noTouch bool
	user    *account
	serve   func(c *command.Ctx, key []byte) bool
	expired func(out *resp.Writer)
}

// take ends the wait, unless a unit has or looks whether there is something for
// it: waiting.
func (b *blocked) take() bool {
	if !b.Take() {
		return false
	}
	b.End()
	return true
}

func (b *blocked) over() bool              { return b.Ended() }
func (b *blocked) timeUp(out *resp.Writer) { b.expired(out) }

// leave takes the client out of the queues of its keys: waiting.
func (b *blocked) leave(l *loop) {
	l.slots = b.AppendSlots(l.slots[:0])
	l.within(l.slots, func(tx *storage.Tx) { tx.Leave(&b.Waiter) })
}

// DB, Proto, NoTouch, Redact and Block make a waiting client the caller of its command
// when it is served: command.Caller.
func (b *blocked) DB() int                                { return b.db }
func (b *blocked) Proto() int                             { return b.proto }
func (b *blocked) NoTouch() bool                          { return b.noTouch }
func (b *blocked) Redact(...int)                          {}
func (b *blocked) Block(*command.Ctx, *command.Wait) bool { return false }

// Block makes the connection wait: command.Caller.
func (c *conn) Block(x *command.Ctx, w *command.Wait) bool {
	l := c.home.Load()
	if l.inExec {
		return false
	}
	b := &blocked{
		row: x.Row, args: make([][]byte, len(x.Args)),
		db: c.db, proto: c.out.Proto(), noTouch: c.is(stateNoTouch), user: c.user,
		serve: w.Serve, expired: w.Expired,
	}
	b.Owner, b.Gone = b, w.Gone
	for i, a := range x.Args {
		b.args[i] = bytes.Clone(a)
	}
	for _, key := range w.Keys {
		x.Tx.Await(&b.Waiter, key, w.Also...)
	}
	b.at = l.park(c, b, w.Timeout)
	return true
}

// served is a blocked client with the reply that a unit has for it.
type served struct {
	b     *blocked
	reply []byte
	term  uint32 // of the unit
	// denied is why there is none: the rules of the client's user have changed while it
	// waited.
	denied denied
}

// serveBlocked serves those who wait for keys that the unit at hand has changed,
// before it ends. Each is a transaction of its own in the stream, as in Redis
// (handleClientsBlockedOnKeys).
func (l *loop) serveBlocked() {
	if !l.runner.Ctx.Tx.HasReady() {
		return
	}
	asked := l.runner.Ctx
	l.readClock()
	l.runner.Ctx.Tx.Serve(l.unix, func(w *storage.Waiter, key []byte) bool { return l.serveOne(w.Owner.(*blocked), key) })
	l.runner.Ctx = asked
}

// serveOwn is serveBlocked in a unit that the executor began by itself.
func (l *loop) serveOwn(tx *storage.Tx) {
	asked := l.runner.Ctx
	l.runner.Ctx.Tx = tx
	l.serveBlocked()
	l.runner.Ctx = asked
}

// serveOne serves a client with a key that has become ready, unless its wait is
// over or it has no use for what the key holds.
func (l *loop) serveOne(b *blocked, key []byte) (over bool) {
	l.served, over = b.serveBy(&l.runner, key, l.served)
	return over
}

// serveBy is serveOne by anybody's runner; the reply goes to the end of list.
func (b *blocked) serveBy(r *command.Runner, key []byte, list []served) ([]served, bool) {
	if !b.Take() {
		return list, true
	}
	// Within the unit no other role begins: one that begins behind it makes it uncertain.
	term := b.at.c.srv.stream.Term()
	if why, at := b.user.check(b.row, b.args); why != acl.Allowed {
		b.End()
		return append(list, served{b: b, term: term, denied: b.user.deny(why, at, b.row, b.args)}), true
	}
	out := resp.NewWriter(nil, b.proto)
	r.Ctx.Tx.Break()
	r.Bind(b, out, b.row, b.args)
	if !r.Resume(func(c *command.Ctx) bool { return b.serve(c, key) }) {
		b.GiveBack()
		return list, false
	}
	b.End()
	return append(list, served{b: b, term: term, reply: out.Bytes()}), true
}

// ServeReaders has those who wait to read served with what an applier brings, as on
// every replica of Redis. Who waits to write stays: that is the primary's business.
func (s *Server) ServeReaders(a *command.Applier) {
	a.Serve, a.Served = s.serving(a.Executor(), func(b *blocked) bool { return !b.row.Is(command.Write) })
}

// ServeBeside has those served who wait for keys that units of an executor change
// which belongs to no loop. It is called before the first of them.
func (s *Server) ServeBeside(e *storage.Executor) {
	e.OnReady(s.serving(e, func(*blocked) bool { return true }))
}

// serving is what an executor that belongs to no loop calls before a unit ends, and
// behind that with its gate, so that those are served whom may names of the clients
// that wait for the unit's keys.
func (s *Server) serving(e *storage.Executor, may func(*blocked) bool) (serve func(*storage.Tx), answer func(replication.Offset)) {
	r := command.NewRunner(s.table, e, s)
	var list []served
	serve = func(tx *storage.Tx) {
		r.Ctx.Tx = tx
		tx.Serve(s.now(), func(w *storage.Waiter, key []byte) (over bool) {
			b := w.Owner.(*blocked)
			if !may(b) {
				return false
			}
			list, over = b.serveBy(&r, key, list)
			return over
		})
		r.Ctx.Tx = nil
	}
	return serve, func(gate replication.Offset) { list = answerAll(list, gate) }
}

// answerAll sends the replies of those who were served in a unit with this gate, and
// empties the list.
func answerAll(list []served, gate replication.Offset) []served {
	for _, one := range list {
		one.b.at.term = one.term
		one.b.at.answerLater(gate, one.answer)
	}
	clear(list)
	return list[:0]
}

// answer writes the reply, on the loop of the client.
func (one served) answer(out *resp.Writer) {
	if one.denied.why == acl.Allowed {
		out.Raw(one.reply)
		return
	}
	p := one.b.at
	p.rejected = true
	one.denied.note(p.c.srv, acl.TopLevel, p.c.info(p.c.home.Load()).String())
	out.Error(one.denied.err())
}

// sendServed sends the replies of those that the last unit has served; they
// depend on its gate.
func (l *loop) sendServed(gate replication.Offset) { l.served = answerAll(l.served, gate) }

// redirectBlocked ends waits for keys whose slots this node does not serve any
// more (clusterRedirectBlockedClientIfNeeded).
func (l *loop) redirectBlocked(b *blocked) {
	ss := b.AppendSlots(nil)
	if len(ss) == 0 {
		return
	}
	way := Route{Slot: ss[0], Keys: len(ss), Write: b.row.Is(command.Write), ReadOnly: b.at.c.is(stateReadOnly)}
	if err := l.srv.cluster.Route(way); err != "" && b.take() {
		l.answer(b.at, 0, func(out *resp.Writer) { out.Error(err) })
	}
}

// begin begins a unit on slots for a command that may write: with the world
// if one of them has a waiter whom nothing less can serve. It is nil while a script
// takes long that holds what is needed.
func (l *loop) begin(ss []slots.Slot, writes bool) *storage.Tx {
	tx := l.exec.Begin(l.unix, ss)
	if tx != nil && writes && tx.Wide() {
		l.exec.End()
		tx = l.exec.BeginWorld(l.unix)
	}
	return tx
}
