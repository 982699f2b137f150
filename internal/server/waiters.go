package server

import (
	"math"
	"sync"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/replication"
)

// waiters are the connections whose WAIT or WAITAOF has not been answered.
// Their loops own the connections; the list has a lock of its own, since
// acknowledgements come from other goroutines.
type waiters struct {
	srv  *Server
	mu   sync.Mutex
	list []*waiter // guarded by mu
}

// waiter is one unanswered WAIT or WAITAOF.
type waiter struct {
	c       *conn
	onDisk  bool // WAITAOF: what counts is disks, this node's among them
	local   int64
	wants   int64
	at      replication.Offset
	until   int64 // Unix milliseconds; 0: for ever
	unblock bool
	err     resp.Error // with which it ends instead
}

// acked is how much of what a waiter wants there is.
type acked struct{ local, replicas int64 }

func waitCommand(x *command.Ctx) {
	w := &waiter{c: connOf(x)}
	if loopOf(x).srv.isReplica() {
		x.Out.Error(resp.ErrWaitReplica)
		return
	}
	var ok bool
	if w.wants, ok = resp.ParseInt(x.Args[1]); !ok {
		x.Out.Error(resp.ErrNotInteger)
		return
	}
	if err := w.timeout(x, x.Args[2]); err != "" {
		x.Out.Error(err)
		return
	}
	loopOf(x).beginWait(x, w)
}

func waitAOFCommand(x *command.Ctx) {
	w := &waiter{c: connOf(x), onDisk: true}
	local, ok := resp.ParseInt(x.Args[1])
	wants, wantsOK := resp.ParseInt(x.Args[2])
	w.local, w.wants = local, wants
	s := loopOf(x).srv
	var err resp.Error
	switch {
	case !ok:
		err = resp.ErrNotInteger
	case local < 0 || local > 1:
		err = resp.ErrZeroOrOne
	case !wantsOK:
		err = resp.ErrNotInteger
	case wants < 0:
		err = resp.ErrNotPositive
	default:
		err = w.timeout(x, x.Args[3])
	}
	switch {
	case err != "":
	case s.isReplica():
		err = resp.ErrWaitAOFReplica
	case local > 0 && !s.config.Current().AppendOnly:
		err = resp.ErrWaitAOFOff
	}
	if err != "" {
		x.Out.Error(err)
		return
	}
	loopOf(x).beginWait(x, w)
}

// timeout takes in the timeout of a waiter, in milliseconds.
func (w *waiter) timeout(x *command.Ctx, text []byte) resp.Error {
	now := loopOf(x).unix
	ms, ok := resp.ParseInt(text)
	switch {
	case !ok:
		return resp.ErrBadTimeout
	case ms < 0:
		return resp.ErrNegTimeout
	case ms > math.MaxInt64-now:
		return resp.ErrFarTimeout
	case ms > 0:
		w.until = now + ms
	}
	return ""
}

// beginWait answers at once what can be, and enters w among the waiters
// otherwise.
func (l *loop) beginWait(x *command.Ctx, w *waiter) {
	s, c := l.srv, w.c
	w.at = min(c.woff, s.stream.End()) // it may be of a longer stream that was replaced
	have := w.have(s)
	if w.content(have) || l.inExec {
		w.reply(x.Out, have)
		return
	}
	c.state |= stateWaiting
	s.waiters.mu.Lock()
	s.waiters.list = append(s.waiters.list, w)
	s.waiters.mu.Unlock()
	if s.replication != nil {
		s.replication.AskAcks()
		s.waiters.poke() // an acknowledgement may have come before the list knew
	}
}

// have counts who has the stream up to the waiter's offset.
func (w *waiter) have(s *Server) (a acked) {
	if s.replication == nil {
		return a
	}
	if !w.onDisk {
		a.replicas = int64(s.replication.Acked(w.at))
		return a
	}
	local, replicas := s.replication.Synced(w.at)
	if local {
		a.local = 1
	}
	a.replicas = int64(replicas)
	return a
}

func (w *waiter) content(a acked) bool { return a.local >= w.local && a.replicas >= w.wants }

func (w *waiter) reply(out *resp.Writer, a acked) {
	if w.onDisk {
		out.Array(2)
		out.Int(a.local)
	}
	out.Int(a.replicas)
}

// poke answers those whose wait is over. Any goroutine may call it.
func (ws *waiters) poke() { ws.answer(ws.srv.now()) }

func (ws *waiters) answer(now int64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	kept := ws.list[:0]
	for _, w := range ws.list {
		have := w.have(ws.srv)
		if !w.unblock && !w.content(have) && (w.until == 0 || now < w.until) {
			kept = append(kept, w)
			continue
		}
		home := w.c.home.Load()
		home.post(func() { home.endWait(w, have) })
	}
	clear(ws.list[len(kept):])
	ws.list = kept
}

// endWait answers a waiter and goes on with the connection.
func (l *loop) endWait(w *waiter, have acked) {
	c := w.c
	if c.is(stateClosed) || !c.is(stateWaiting) {
		return
	}
	c.state &^= stateWaiting
	start := c.out.Len()
	if w.err != "" {
		c.out.Error(w.err)
	} else {
		w.reply(&c.out, have)
	}
	l.lateReply(c, start)
	if c.is(stateReplyOff | stateSkipping) {
		c.out.Truncate(start)
	}
	if w.err == resp.ErrUnblockedByRole {
		c.state |= stateClosing
	}
	l.wantWrite(c)
	l.goOn(c)
}

// unblock ends a connection's wait on behalf of CLIENT UNBLOCK; it reports
// whether there was one.
func (ws *waiters) unblock(id uint64, asError bool) bool {
	err := resp.Error("")
	if asError {
		err = resp.ErrUnblocked
	}
	return ws.end(func(w *waiter) bool { return w.c.id == id }, err)
}

// demoted ends all waits: on a replica nobody acknowledges anything. As in
// Redis the connections are closed, so that clients look for the primary.
func (ws *waiters) demoted() {
	ws.end(func(*waiter) bool { return true }, resp.ErrUnblockedByRole)
}

// end ends the waits that which picks, with an error if there is one, and
// reports whether there were any.
func (ws *waiters) end(which func(*waiter) bool, err resp.Error) bool {
	ws.mu.Lock()
	found := false
	for _, w := range ws.list {
		if which(w) {
			w.unblock, w.err, found = true, err, true
		}
	}
	ws.mu.Unlock()
	if found {
		ws.poke()
	}
	return found
}

// remove forgets a connection that closes.
func (ws *waiters) remove(c *conn) {
	if !c.is(stateWaiting) {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for i, w := range ws.list {
		if w.c == c {
			ws.list = append(ws.list[:i], ws.list[i+1:]...)
			return
		}
	}
}

// count is the number of waiting connections.
func (ws *waiters) count() int {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return len(ws.list)
}
