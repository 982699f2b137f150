package server

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/replication"
)

// waiters are the connections whose WAIT or WAITAOF has not been answered. The
// list has a lock of its own, since acknowledgements come from other goroutines.
type waiters struct {
	srv  *Server
	mu   sync.Mutex
	list []*waiter // guarded by mu
}

// waiter is one unanswered WAIT or WAITAOF.
type waiter struct {
	srv     *Server
	onDisk  bool // WAITAOF: what counts is disks, this node's among them
	local   int64
	wants   int64
	at      replication.Offset
	timeout time.Duration
	parked  *parked     // set before the waiter is in the list
	taken   atomic.Bool // somebody answers it
}

func (w *waiter) take() bool              { return w.taken.CompareAndSwap(false, true) }
func (w *waiter) over() bool              { return w.taken.Load() }
func (w *waiter) timeUp(out *resp.Writer) { w.reply(out, w.have()) }
func (w *waiter) leave(*loop)             { w.srv.waiters.remove(w) }

// acked is how much of what a waiter wants there is.
type acked struct{ local, replicas int64 }

// waitRow is WAIT for a client, and for a script, which gets its answer at once.
func waitRow(x *command.Ctx) {
	switch c := x.Caller.(type) {
	case *conn:
		waitCommand(x, c)
	case *scriptHost:
		if c.view != nil {
			x.Out.Int(0) // the writes of a debugging session are nobody's
			return
		}
		waitCommand(x, c.conn)
	default:
		x.Out.Error(resp.ErrNotForCaller)
	}
}

func waitCommand(x *command.Ctx, c *conn) {
	w := &waiter{srv: c.srv}
	if c.srv.IsReplica() {
		x.Out.Error(resp.ErrWaitReplica)
		return
	}
	var ok bool
	if w.wants, ok = resp.ParseInt(x.Args[1]); !ok {
		x.Out.Error(resp.ErrNotInteger)
		return
	}
	if err := w.until(x, x.Args[2]); err != "" {
		x.Out.Error(err)
		return
	}
	if _, scripted := x.Caller.(command.Scripted); scripted {
		w.at = min(c.woff, c.srv.stream.End())
		w.reply(x.Out, w.have())
		return
	}
	c.home.Load().beginWait(x, c, w)
}

func waitAOFCommand(x *command.Ctx, c *conn) {
	w := &waiter{srv: c.srv, onDisk: true}
	local, ok := resp.ParseInt(x.Args[1])
	wants, wantsOK := resp.ParseInt(x.Args[2])
	w.local, w.wants = local, wants
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
		err = w.until(x, x.Args[3])
	}
	switch {
	case err != "":
	case c.srv.IsReplica():
		err = resp.ErrWaitAOFReplica
	case local > 0 && !c.srv.config.Current().AppendOnly:
		err = resp.ErrWaitAOFOff
	}
	if err != "" {
		x.Out.Error(err)
		return
	}
	c.home.Load().beginWait(x, c, w)
}

// longestWait is in effect for ever, and fits a time.Duration.
const longestWait = 100 * 365 * 24 * time.Hour

// until takes in the timeout of a waiter, in milliseconds.
func (w *waiter) until(x *command.Ctx, text []byte) resp.Error {
	ms, ok := resp.ParseInt(text)
	switch {
	case !ok:
		return resp.ErrBadTimeout
	case ms < 0:
		return resp.ErrNegTimeout
	case ms > math.MaxInt64-x.Host.Now():
		return resp.ErrFarTimeout
	}
	w.timeout = time.Duration(min(ms, longestWait.Milliseconds())) * time.Millisecond
	return ""
}

// beginWait answers at once what can be, and enters w among the waiters
// otherwise.
func (l *loop) beginWait(x *command.Ctx, c *conn, w *waiter) {
	s := l.srv
	w.at = min(c.woff, s.stream.End()) // it may be of a longer stream that was replaced
	have := w.have()
	if w.satisfied(have) || l.inExec {
		w.reply(x.Out, have)
		return
	}
	w.parked = l.park(c, w, w.timeout)
	s.waiters.mu.Lock()
	s.waiters.list = append(s.waiters.list, w)
	s.waiters.mu.Unlock()
	if s.replication != nil {
		s.replication.AskAcks()
		s.waiters.recheck() // an acknowledgement may have come before the list knew
	}
}

// have counts who has the stream up to the waiter's offset.
func (w *waiter) have() (a acked) {
	s := w.srv
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

func (w *waiter) satisfied(a acked) bool { return a.local >= w.local && a.replicas >= w.wants }

func (w *waiter) reply(out *resp.Writer, a acked) {
	if w.onDisk {
		out.Array(2)
		out.Int(a.local)
	}
	out.Int(a.replicas)
}

// answer is what ends the wait now; nil: nothing does.
func (w *waiter) answer() func(out *resp.Writer) {
	if w.local > 0 && !w.srv.config.Current().AppendOnly {
		return func(out *resp.Writer) { out.Error(resp.ErrWaitAOFOff) }
	}
	have := w.have()
	if !w.satisfied(have) {
		return nil
	}
	return func(out *resp.Writer) { w.reply(out, have) }
}

// recheck answers those whose wait is over. Any goroutine may call it.
func (ws *waiters) recheck() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	kept := ws.list[:0]
	for _, w := range ws.list {
		answer := w.answer()
		if answer == nil {
			kept = append(kept, w)
			continue
		}
		if w.take() {
			w.parked.answerLater(0, answer)
		}
	}
	clear(ws.list[len(kept):])
	ws.list = kept
}

// remove forgets a wait that is over.
func (ws *waiters) remove(w *waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if i := slices.Index(ws.list, w); i >= 0 {
		ws.list = slices.Delete(ws.list, i, i+1)
	}
}
