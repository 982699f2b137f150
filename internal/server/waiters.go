package server

import (
	"sync"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/replication"
)

// waiters are the connections whose WAIT has not been answered. Their loops
// own the connections; the list has a lock of its own, since acknowledgements
// come from other goroutines.
type waiters struct {
	srv  *Server
	mu   sync.Mutex
	list []*waiter // guarded by mu
}

// waiter is one unanswered WAIT.
type waiter struct {
	c       *conn
	wants   int
	at      replication.Offset
	until   int64 // Unix milliseconds; 0: for ever
	asError bool  // CLIENT UNBLOCK … ERROR
	unblock bool
}

func waitCommand(x *command.Ctx) {
	c, l := connOf(x), loopOf(x)
	s := l.srv
	if s.isReplica() {
		x.Out.Error(resp.ErrWaitReplica)
		return
	}
	wants, ok := resp.ParseInt(x.Args[1])
	if !ok {
		x.Out.Error(resp.ErrNotInteger)
		return
	}
	timeout, ok := resp.ParseInt(x.Args[2])
	switch {
	case !ok || timeout > 1<<62-l.unix:
		x.Out.Error(resp.ErrBadTimeout)
		return
	case timeout < 0:
		x.Out.Error(resp.ErrNegTimeout)
		return
	}
	have := s.acked(c.woff)
	if int64(have) >= wants || l.inExec {
		x.Out.Int(int64(have))
		return
	}
	w := &waiter{c: c, wants: int(wants), at: c.woff}
	if timeout > 0 {
		w.until = l.unix + timeout
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

// acked counts the replicas that acknowledged an offset.
func (s *Server) acked(at replication.Offset) int {
	if s.replication == nil {
		return 0
	}
	return s.replication.Acked(at)
}

// poke answers those whose wait is over. Any goroutine may call it.
func (ws *waiters) poke() { ws.answer(ws.srv.now()) }

func (ws *waiters) answer(now int64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	kept := ws.list[:0]
	for _, w := range ws.list {
		have := ws.srv.acked(w.at)
		if !w.unblock && have < w.wants && (w.until == 0 || now < w.until) {
			kept = append(kept, w)
			continue
		}
		home := w.c.home.Load()
		home.post(func() { home.endWait(w, have) })
	}
	clear(ws.list[len(kept):])
	ws.list = kept
}

// endWait answers a WAIT and goes on with the connection.
func (l *loop) endWait(w *waiter, have int) {
	c := w.c
	if c.is(stateClosed) || !c.is(stateWaiting) {
		return
	}
	c.state &^= stateWaiting
	if w.asError {
		c.out.Error(resp.ErrUnblocked)
	} else {
		c.out.Int(int64(have))
	}
	l.wantWrite(c)
	l.goOn(c)
}

// unblock ends a connection's wait on behalf of CLIENT UNBLOCK; it reports
// whether there was one.
func (ws *waiters) unblock(id uint64, asError bool) bool {
	ws.mu.Lock()
	found := false
	for _, w := range ws.list {
		if w.c.id == id {
			w.unblock, w.asError, found = true, asError, true
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
