package server

import (
	"container/heap"
	"sync"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
)

// parked is a connection whose command is answered later: it waits for an element
// (blocked.go), for acknowledgements (waiters.go) or for something outside of the
// loops (Suspend). Nothing of the connection is run meanwhile, and it stays on its
// loop, where everything about its wait ends: the reply, the timeout, the
// connection itself.
type parked struct {
	c     *conn
	wait  waiting
	until time.Duration // since the server's start; 0: it waits for ever
	place int           // in the loop's deadlines, from 1; 0: in none

	// What the books of the command will say when it is answered: the time that its
	// handler took, without the wait, and the arguments for the slow log.
	took time.Duration
	args [][]byte
	// term is the stream's term in which it was served; 0: it was not by a unit.
	term uint32
	// use is what the call has taken so far of slot, if it counts for one.
	use   command.SlotUse
	slot  slots.Slot
	keyed bool
	// rejected: the answer is that the command is not run after all.
	rejected bool
}

// waiting is what a parked connection waits for.
type waiting interface {
	// take gives the caller the right to end the wait, and with it the duty to
	// answer. Of several callers one gets it. Any goroutine may call it.
	take() bool
	// over reports whether somebody has taken it for good.
	over() bool
	// timeUp writes the reply to a wait that was in vain.
	timeUp(out *resp.Writer)
	// leave takes the connection off the lists on which it waits. Its loop calls
	// it when the wait is over.
	leave(l *loop)
}

// parkedConns are all of them, by the numbers of the connections.
type parkedConns struct {
	mu    sync.Mutex
	byID  map[uint64]*parked // guarded by mu
	timed int                // of them, whose wait has an end; guarded by mu
}

func (x *parkedConns) add(p *parked) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byID == nil {
		x.byID = map[uint64]*parked{}
	}
	x.byID[p.c.id] = p
	if p.until > 0 {
		x.timed++
	}
}

func (x *parkedConns) remove(p *parked) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.byID, p.c.id)
	if p.until > 0 {
		x.timed--
	}
}

func (x *parkedConns) find(id uint64) *parked {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.byID[id]
}

func (x *parkedConns) all() []*parked {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := make([]*parked, 0, len(x.byID))
	for _, p := range x.byID {
		list = append(list, p)
	}
	return list
}

func (x *parkedConns) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.byID)
}

// withDeadline is how many of them have one.
func (x *parkedConns) withDeadline() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.timed
}

// park makes a connection of the loop wait, for a time at most unless that is 0.
func (l *loop) park(c *conn, w waiting, timeout time.Duration) *parked {
	p := &parked{c: c, wait: w}
	if timeout > 0 {
		p.until = l.readClock() + timeout
		heap.Push(&l.deadlines, p)
	}
	c.parked = p
	c.state |= stateWaiting
	l.srv.parked.add(p)
	return p
}

// unpark ends a wait without answering it.
func (l *loop) unpark(p *parked) {
	p.c.parked = nil
	p.c.state &^= stateWaiting
	if p.place > 0 {
		heap.Remove(&l.deadlines, p.place-1)
	}
	l.srv.parked.remove(p)
	p.wait.leave(l)
}

// answer ends a wait with a reply that depends on offset gate, and goes on with
// the connection. If that has left meanwhile, nobody is answered.
func (l *loop) answer(p *parked, gate replication.Offset, reply func(out *resp.Writer)) {
	c := p.c
	if c.parked != p {
		return
	}
	l.unpark(p)
	c.active = l.mono
	start := c.out.Len()
	reply(&c.out)
	l.lateReply(p, start)
	c.commands++
	if p.keyed {
		l.countAnswered(p, start)
	}
	if !p.rejected {
		l.runner.CountLatency(c.last, p.took)
	}
	if p.args != nil && !p.rejected {
		l.logSlow(c, c.last, p.args, p.took)
	}
	if c.is(stateReplyOff | stateSkipping) {
		c.out.Truncate(start)
	}
	l.hold(c, mark{start: start, at: gate, term: p.termOf(gate)})
	if c.subs != nil {
		l.takeInbox(c.subs)
	}
	c.woff = max(c.woff, gate)
	l.wantWrite(c)
	l.resume(c)
}

// termOf is the term of the write that the answer tells of, 0 if it tells of none.
func (p *parked) termOf(gate replication.Offset) uint32 {
	switch {
	case gate == 0 || p.c.last.Flags&command.Write == 0:
		return 0
	case p.term != 0:
		return p.term
	}
	return p.c.srv.stream.Term()
}

// lateReply counts the reply of a command that has waited, which begins at
// start, if it is an error: when the books of the call were kept there was
// none yet.
func (l *loop) lateReply(p *parked, start int) {
	c := p.c
	b := c.out.Bytes()
	if len(b) <= start || b[start] != '-' {
		return
	}
	l.stats.errorReply(errorLine(b[start:]), false)
	if p.rejected {
		l.runner.CountUndone(c.last, p.took)
		return
	}
	l.runner.CountFailure(c.last)
}

// answerLater has the connection's loop answer it. Any goroutine may call it.
func (p *parked) answerLater(gate replication.Offset, reply func(out *resp.Writer)) {
	home := p.c.home.Load() // a connection that waits stays where it is
	home.post(func() { home.answer(p, gate, reply) })
}

// expireParked ends the waits whose time is up.
func (l *loop) expireParked() {
	for len(l.deadlines) > 0 && l.deadlines[0].until <= l.mono {
		p := l.deadlines[0]
		switch {
		case p.wait.take():
			l.answer(p, 0, p.wait.timeUp)
		case p.wait.over(): // its reply is on the way
			heap.Remove(&l.deadlines, p.place-1)
		default:
			return // a unit looks whether there is something for it
		}
	}
}

// Unblock is CLIENT UNBLOCK: admin.Server.
func (s *Server) Unblock(id uint64, err resp.Error) bool {
	p := s.parked.find(id)
	if p == nil || !p.wait.take() {
		return false
	}
	reply := p.wait.timeUp
	if err != "" {
		reply = func(out *resp.Writer) { out.Error(err) }
	}
	p.answerLater(0, reply)
	return true
}

// unblockAll ends all waits with an error: the node is no primary any more. As in
// Redis the connections are closed, so that clients look for the primary.
func (s *Server) unblockAll(err resp.Error) {
	for _, p := range s.parked.all() {
		if !p.wait.take() {
			continue
		}
		home := p.c.home.Load()
		home.post(func() {
			home.answer(p, 0, func(out *resp.Writer) {
				out.Error(err)
				p.c.state |= stateClosing
			})
		})
	}
}

// suspended is the wait of a command for something outside of the loops: only
// that ends it.
type suspended struct{}

func (suspended) take() bool          { return false }
func (suspended) over() bool          { return false }
func (suspended) timeUp(*resp.Writer) {}
func (suspended) leave(*loop)         {}

// Suspend stops the connection, for a command that has to wait for something
// outside of the loops: command.Suspender.
func (c *conn) Suspend() command.Resume {
	l := c.home.Load()
	if l.inExec {
		return nil
	}
	l.asked = true
	return l.park(c, suspended{}, 0).answerLater
}

// deadlines is a heap of the parked connections of a loop whose waits have an end.
type deadlines []*parked

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].until < d[j].until }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i+1, j+1
}

// Push implements heap.Interface.
func (d *deadlines) Push(x any) {
	p := x.(*parked)
	*d = append(*d, p)
	p.place = len(*d)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	old := *d
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	p.place = 0
	return p
}
