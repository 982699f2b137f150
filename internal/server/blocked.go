package server

import (
	"bytes"
	"container/heap"
	"sync"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
)

// blocked is a connection whose command waits for an element: BLPOP and its
// like. It is registered in the unit that found nothing and served by the unit
// that makes a key ready, on whatever loop that runs, under that unit's locks.
// The reply then goes to the connection's own loop, where everything else about
// the wait happens too: its timeout, CLIENT UNBLOCK, the end of the connection.
// Whoever claims the waiter ends the wait.
type blocked struct {
	storage.Waiter
	c       *conn
	row     *command.Row
	args    [][]byte // its own bytes
	db      int
	proto   int
	noTouch bool
	serve   func(c *command.Ctx, key []byte) bool
	expired func(out *resp.Writer)

	until time.Duration // since the server's start; 0: it waits for ever
	place int           // in the loop's deadlines, from 1; 0: in none
}

// blockedClients are all of them by the number of their connection.
type blockedClients struct {
	mu   sync.Mutex
	byID map[uint64]*blocked // guarded by mu
}

func (b *blockedClients) add(x *blocked) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byID == nil {
		b.byID = map[uint64]*blocked{}
	}
	b.byID[x.c.id] = x
}

func (b *blockedClients) remove(x *blocked) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byID, x.c.id)
}

func (b *blockedClients) find(id uint64) *blocked {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byID[id]
}

func (b *blockedClients) all() []*blocked {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*blocked, 0, len(b.byID))
	for _, x := range b.byID {
		list = append(list, x)
	}
	return list
}

func (b *blockedClients) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.byID)
}

// DB, Proto, Redact and Block make a waiting client the caller of its command
// when it is served: command.Conn.
func (b *blocked) DB() int                                { return b.db }
func (b *blocked) Proto() int                             { return b.proto }
func (b *blocked) Redact(...int)                          {}
func (b *blocked) Block(*command.Ctx, *command.Wait) bool { return false }

// Block makes the connection wait: command.Conn.
func (c *conn) Block(x *command.Ctx, w *command.Wait) bool {
	l := c.home.Load()
	if l.inExec {
		return false
	}
	b := &blocked{
		c: c, row: x.Row, args: make([][]byte, len(x.Args)),
		db: c.db, proto: c.out.Proto(), noTouch: c.is(stateNoTouch),
		serve: w.Serve, expired: w.Expired,
	}
	b.Owner = b
	for i, a := range x.Args {
		b.args[i] = bytes.Clone(a)
	}
	for _, key := range w.Keys {
		x.Tx.Await(&b.Waiter, key, w.Also...)
	}
	if w.Timeout > 0 {
		b.until = l.look() + w.Timeout
		heap.Push(&l.deadlines, b)
	}
	c.blocked = b
	c.state |= stateWaiting
	l.srv.blocked.add(b)
	return true
}

// served is a blocked client with the reply that a unit has for it.
type served struct {
	b     *blocked
	reply []byte
}

// serveBlocked serves those who wait for keys that the unit at hand has changed,
// before it ends. Each is a transaction of its own in the stream, as in Redis
// (handleClientsBlockedOnKeys).
func (l *loop) serveBlocked() {
	if !l.ctx.Tx.HasReady() {
		return
	}
	asked := l.ctx
	l.look()
	l.ctx.Tx.Serve(l.unix, func(w *storage.Waiter, key []byte) bool { return l.serveOne(w.Owner.(*blocked), key) })
	l.ctx = asked
}

// serveOne serves a client with a key that has become ready, unless its wait is
// over or it has no use for what the key holds.
func (l *loop) serveOne(b *blocked, key []byte) bool {
	if !b.Claim() {
		return true
	}
	tx := l.ctx.Tx
	tx.Break()
	tx.Command(nil)
	out := resp.NewWriter(nil, b.proto)
	l.ctx.Row, l.ctx.Args, l.ctx.Out, l.ctx.Conn = b.row, b.args, out, b
	tx.NoTouch(b.noTouch)
	ok := b.serve(&l.ctx, key)
	tx.CommandEnd()
	if !ok {
		b.Unclaim()
		return false
	}
	b.End()
	l.served = append(l.served, served{b, out.Bytes()})
	return true
}

// sendServed sends the replies of those that the last unit has served; they
// depend on its gate.
func (l *loop) sendServed(gate replication.Offset) {
	for i, s := range l.served {
		l.served[i] = served{}
		home := s.b.c.home.Load() // a connection that waits stays where it is
		home.post(func() { home.endBlocked(s.b, gate, func(out *resp.Writer) { out.Raw(s.reply) }) })
	}
	l.served = l.served[:0]
}

// endBlocked answers a connection whose wait is over and goes on with it.
func (l *loop) endBlocked(b *blocked, gate replication.Offset, reply func(out *resp.Writer)) {
	c := b.c
	l.unblock(b)
	if c.is(stateClosed) {
		return
	}
	l.endSuspension(c, gate, reply)
}

// unblock forgets a wait that is over.
func (l *loop) unblock(b *blocked) {
	if b.c.blocked != b {
		return
	}
	b.c.blocked = nil
	if b.place > 0 {
		heap.Remove(&l.deadlines, b.place-1)
	}
	l.srv.blocked.remove(b)
	l.slots = b.AppendSlots(l.slots[:0])
	l.exec.Begin(l.unix, l.slots).Leave(&b.Waiter)
	l.exec.End()
}

// cancel ends a wait with a reply, unless it is over.
func (l *loop) cancel(b *blocked, reply func(out *resp.Writer)) {
	if b.Claim() {
		b.End()
		l.endBlocked(b, 0, reply)
	}
}

// expireBlocked ends the waits whose time is up. The reply of one that is over
// may still be on its way.
func (l *loop) expireBlocked() {
	for len(l.deadlines) > 0 && l.deadlines[0].until <= l.mono {
		b := l.deadlines[0]
		heap.Remove(&l.deadlines, b.place-1)
		l.cancel(b, b.expired)
	}
}

// redirectBlocked ends waits for keys whose slots this node does not serve any
// more (clusterRedirectBlockedClientIfNeeded).
func (l *loop) redirectBlocked(b *blocked) {
	ss := b.AppendSlots(nil)
	if len(ss) == 0 {
		return
	}
	way := Route{Slot: ss[0], Keys: len(ss), Write: true, ReadOnly: b.c.is(stateReadOnly)}
	if err := l.srv.cluster.Route(way); err != "" {
		l.cancel(b, func(out *resp.Writer) { out.Error(err) })
	}
}

// unblockClient ends the wait of a connection on behalf of CLIENT UNBLOCK, as
// if its time were up or with an error, and reports whether there was one.
func (s *Server) unblockClient(id uint64, err resp.Error) bool {
	b := s.blocked.find(id)
	if b == nil || !b.Claim() {
		return false
	}
	b.End()
	b.answer(err)
	return true
}

// answer ends a wait that was claimed and ended, from any goroutine.
func (b *blocked) answer(err resp.Error) {
	reply := b.expired
	if err != "" {
		reply = func(out *resp.Writer) { out.Error(err) }
	}
	home := b.c.home.Load()
	home.post(func() { home.endBlocked(b, 0, reply) })
}

// unblockAll ends all waits: the node is no primary any more. As in Redis the
// connections are closed, so that clients look for the primary.
func (s *Server) unblockAll(err resp.Error) {
	for _, b := range s.blocked.all() {
		if b.Claim() {
			b.End()
			home := b.c.home.Load()
			home.post(func() {
				home.endBlocked(b, 0, func(out *resp.Writer) { out.Error(err) })
				if !b.c.is(stateClosed) {
					b.c.state |= stateClosing
					home.wantWrite(b.c)
				}
			})
		}
	}
}

// deadlines is a heap of the blocked clients of a loop whose waits have an end.
type deadlines []*blocked

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].until < d[j].until }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i+1, j+1
}

// Push implements heap.Interface.
func (d *deadlines) Push(x any) {
	b := x.(*blocked)
	*d = append(*d, b)
	b.place = len(*d)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	old := *d
	b := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	b.place = 0
	return b
}

// begin begins a unit on slots for a command that may write: with the world
// if one of them has a waiter whom nothing less can serve.
func (l *loop) begin(ss []slots.Slot, writes bool) *storage.Tx {
	tx := l.exec.Begin(l.unix, ss)
	if writes && tx.Wide() {
		l.exec.End()
		tx = l.exec.BeginWorld(l.unix)
	}
	return tx
}
