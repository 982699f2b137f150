package server

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/internal/script"
	"redoubt/slots"
	"redoubt/storage"
)

// A script runs on its loop's goroutine, under the locks of its unit, and nobody
// knows how long it will take. When that has become longer than
// busy-reply-threshold, the loop is handed over: another goroutine takes its turns,
// with another desk, while the script keeps goroutine and desk to itself. Clients
// get BUSY from then on, those of other loops too that wait for the script's locks
// (storage.Executor.MayGiveUp). When the script has ended, its goroutine has the
// other one stop, takes the turn and the old desk back, and goes on where it was: in
// the middle of a turn, with the reply.
//
// One goroutine of the server watches the scripts (watchScripts). It does the
// handing over without the script's help, which may be deep in a single command.
//
// A script has its loop's turn back before its unit ends. So who holds the turns of
// all loops must not wait for the world: loops give up while a script takes long,
// others ask Everything.

// run is the script that a desk's unit runs, if any.
type run struct {
	// began is when it began, as a time since the server's start; 0: there is none;
	// handedOver: its loop has another goroutine.
	began  atomic.Int64
	engine atomic.Pointer[script.Engine]
	killed atomic.Bool // by SCRIPT KILL, FUNCTION KILL or the server's end
	// fate is decided once: what has written is not killed, and what is killed does
	// not write.
	fate atomic.Uint32

	// What others look at while it takes long. It is set before began.
	loop  *loop
	conn  *conn // whose call it is
	tx    *storage.Tx
	eval  bool // of EVAL and its like; else it is a function
	name  string
	args  [][]byte      // of the call
	since time.Duration // when it began

	mu       sync.Mutex    // held while something is done about a run that takes long
	recalled atomic.Bool   // it is over; set with mu held
	gone     chan struct{} // guarded by mu; closed when the other goroutine has stopped
}

const handedOver = -1

// The fates of a run.
const (
	fateOpen uint32 = iota
	fateWritten
	fateKilled
)

// writes is called before the run's first command that writes, and reports false if
// the run has been killed.
func (r *run) writes() bool { return r.fate.CompareAndSwap(fateOpen, fateWritten) }

// killUnwritten ends the run, and reports false if it has written.
func (r *run) killUnwritten() bool {
	if !r.fate.CompareAndSwap(fateOpen, fateKilled) && r.fate.Load() == fateWritten {
		return false
	}
	r.kill()
	return true
}

// begin begins a run, whose description has been set.
func (r *run) begin(now time.Duration) {
	r.since = now
	r.fate.Store(fateOpen)
	r.killed.Store(false)
	r.began.Store(int64(max(now, 1)))
}

// finish ends the run of a desk. The loop's turn is the caller's, as it was.
func (l *loop) finish(d *desk) {
	began := d.run.began.Load()
	if began == handedOver || !d.run.began.CompareAndSwap(began, 0) {
		l.takeBack(d)
	}
}

// handOver gives the loop of a run another goroutine, unless the run that began
// then is over.
func (s *Server) handOver(d *desk, began int64) {
	r := &d.run
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.began.CompareAndSwap(began, handedOver) {
		return
	}
	// From here on the loop's own goroutine looks at nothing of the loop.
	l := r.loop
	s.log.Warn(slowScript(r, time.Since(s.started)))
	r.recalled.Store(false)
	r.gone = make(chan struct{})
	l.desk = l.secondDesk()
	l.handovers++
	l.setAside(r.conn, d.answered)
	s.addLong(r)
	d.exec.Long(true)
	// What the loop did before the script and has kept to itself: its replies leave now,
	// and only the script's executor knows of it.
	s.stream.Announce()
	p := &poller{epfd: l.poll.epfd, wakefd: l.poll.wakefd}
	s.goroutines.Go(func() {
		defer close(r.gone)
		l.takeTurns(p, &r.recalled)
	})
	if d.stopped {
		s.resumeLoops(l)
	}
	l.turn.Unlock()
}

// slowScript is what the log says of a script that takes long.
func slowScript(r *run, now time.Duration) string {
	by := "SCRIPT KILL"
	if !r.eval {
		by = "FUNCTION KILL"
	}
	return fmt.Sprintf("Slow script detected: still in execution after %d milliseconds. You can try killing the script using the %s command. Script name is: %s.",
		(now - r.since).Milliseconds(), by, r.name)
}

// secondDesk is the desk with which the loop goes on.
func (l *loop) secondDesk() *desk {
	d := l.second.Load()
	if d == nil {
		d = newDesk(l)
		l.second.Store(d)
	}
	return d
}

// takeBack ends what handOver has begun. Those who wait for the unit's locks give up
// until the loop is the caller's.
func (l *loop) takeBack(d *desk) {
	s, r := l.srv, &d.run
	r.mu.Lock()
	r.recalled.Store(true)
	gone := r.gone
	r.mu.Unlock()
	l.poll.wake()
	<-gone
	if d.stopped {
		s.stopLoops(nil)
	} else {
		l.turn.Lock()
	}
	l.announce()
	l.desk = d
	l.handovers++
	l.cfg = s.config.Current()
	l.readClock()
	l.takeIn(r.conn)
	r.began.Store(0)
	d.exec.Long(false)
	if !s.removeLong(r) {
		return
	}
	for _, x := range s.loops {
		x.post(x.makeUp)
	}
}

// setAside keeps the loop from a connection whose script takes long. What it had
// been answered before leaves now, but nothing of the reply at hand, which begins at
// answered: a transaction may have written half of it, and is not in the stream yet.
func (l *loop) setAside(c *conn, answered int) {
	c.state |= stateRunning
	l.recount(c) // it cannot be evicted meanwhile
	if c.wire != nil {
		return // its reader waits to be asked for more
	}
	l.poll.remove(c.fd)
	l.sendAhead()
	_ = l.send(c, min(c.releasable(), answered)) // as much as the socket takes
}

// takeIn undoes setAside. Somebody may have wanted to close the connection
// meanwhile: it is marked as closing then.
func (l *loop) takeIn(c *conn) {
	c.state &^= stateRunning
	c.active = l.mono
	l.recount(c)
	if c.wire != nil {
		return
	}
	c.polled = readable
	if c.is(stateClosing) {
		c.polled = 0
	}
	if err := l.poll.add(c.fd, c.polled); err != nil {
		l.drop(c)
	}
}

// putOff has f run on the loop when no script takes long any more. For the client that
// is as good as done: the command at hand has not given up.
func (l *loop) putOff(f func()) {
	l.delayed = append(l.delayed, f)
	l.exec.GaveUp()
}

// makeUp does what was put off.
func (l *loop) makeUp() {
	delayed := l.delayed
	l.delayed = nil
	for _, f := range delayed {
		f()
	}
}

// surely is everything that is put off if it cannot be now.
func (l *loop) surely(f func(tx *storage.Tx)) {
	if !l.everything(f) {
		l.putOff(func() { l.surely(f) })
	}
}

// within runs f in a unit on slots, now or when no script takes long any more.
func (l *loop) within(ss []slots.Slot, f func(tx *storage.Tx)) {
	tx := l.exec.Begin(l.unix, ss)
	if tx == nil {
		ss = append([]slots.Slot(nil), ss...)
		l.putOff(func() { l.within(ss, f) })
		return
	}
	f(tx)
	l.exec.End()
}

// longRuns are the scripts that take long.
type longRuns struct {
	mu   sync.Mutex
	runs []*run // guarded by mu
}

// addLong notes a script that takes long, for the gates too.
func (s *Server) addLong(r *run) {
	s.long.mu.Lock()
	defer s.long.mu.Unlock()
	s.long.runs = append(s.long.runs, r)
	s.setCondition(condBusy, true)
}

// removeLong undoes addLong, and reports whether the node is not busy any more. While
// it ends it stays so: nobody is to build on what its scripts have left.
func (s *Server) removeLong(r *run) (calm bool) {
	s.long.mu.Lock()
	defer s.long.mu.Unlock()
	s.long.runs = slices.DeleteFunc(s.long.runs, func(x *run) bool { return x == r })
	if calm = len(s.long.runs) == 0 && !s.endsScripts.Load(); calm {
		s.setCondition(condBusy, false)
	}
	return calm
}

// each calls f for every script that takes long until f returns false. None of them
// ends meanwhile.
func (x *longRuns) each(f func(r *run) bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range x.runs {
		if !f(r) {
			return
		}
	}
}

// busy is the error of a command that cannot run because a script takes long.
func (s *Server) busy() (err resp.Error) {
	err = resp.ErrBusyScript // … which has ended just now
	s.long.each(func(r *run) bool {
		if !r.eval {
			err = resp.ErrBusyFunction
		}
		return false
	})
	return err
}

// Busy is what clients are told while a script takes long, "" otherwise:
// admin.Server.
func (s *Server) Busy() resp.Error {
	if !s.is(condBusy) {
		return ""
	}
	return s.busy()
}

// watchScripts hands over the loops of scripts that take long, and has the node do
// meanwhile what would wait for their locks. It returns when the server ends.
func (s *Server) watchScripts() {
	timer := time.NewTimer(0) // for the first look
	defer timer.Stop()
	for {
		select {
		case <-s.ended:
			return
		case <-s.watchNow:
			timer.Reset(5 * time.Millisecond) // the setting that is about to change has done so by then
			continue
		case <-timer.C:
		}
		threshold := s.config.Current().BusyReplyThreshold
		s.findLong(threshold)
		s.long.each(func(r *run) bool { r.beat(s); return true })
		timer.Reset(watchPeriod(threshold, s.is(condBusy)))
	}
}

// watchPeriod is how often scripts are looked at.
func watchPeriod(threshold time.Duration, busy bool) time.Duration {
	switch {
	case busy:
		return 20 * time.Millisecond
	case threshold == 0:
		return time.Second // a change of the setting ends it
	}
	return min(max(threshold/10, 5*time.Millisecond), 250*time.Millisecond)
}

func (s *Server) findLong(threshold time.Duration) {
	if threshold == 0 {
		return
	}
	now := int64(time.Since(s.started))
	for _, l := range s.loops {
		l.eachDesk(func(d *desk) {
			if began := d.run.began.Load(); began > 0 && now-began >= int64(threshold) {
				s.handOver(d, began)
			}
		})
	}
}

// beat adds to the stream what replicas wait for, as whoever would do it waits for
// the script. The role is that of the script's unit, which has not ended.
func (r *run) beat(s *Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.replication != nil && !r.recalled.Load() {
		s.replication.SayOwed(r.tx)
	}
}

// stopScripts ends all scripts that run, and those that begin from now on: the
// server ends. Nothing of what they have done reaches the stream.
func (s *Server) stopScripts() {
	s.long.mu.Lock()
	s.endsScripts.Store(true)
	s.setCondition(condBusy, true)
	s.long.mu.Unlock()
	for any := true; any; {
		any = false
		for _, l := range s.loops {
			l.eachDesk(func(d *desk) {
				if d.run.began.Load() != 0 {
					d.run.kill() // again, if that was before the engine began
					any = true
				}
			})
		}
		if any {
			time.Sleep(time.Millisecond)
		}
	}
}

func (r *run) kill() {
	r.killed.Store(true)
	if e := r.engine.Load(); e != nil {
		e.Kill()
	}
}

// Everything runs f with all loops stopped and the world locked, as soon as no script
// takes long. The caller is no loop and holds no locks of storage.
func (s *Server) Everything(f func(tx *storage.Tx)) {
	for !s.tryStopWorld(f) {
		time.Sleep(stopWorldAgain)
	}
}

// stopWorldAgain is how long Everything waits for the end of a script.
const stopWorldAgain = 10 * time.Millisecond

func (s *Server) tryStopWorld(f func(tx *storage.Tx)) bool {
	s.stopLoops(nil)
	defer s.resumeLoops(nil)
	tx := s.visitor.BeginWorld(s.now()) // guarded by the turns of all loops
	if tx == nil {
		return false
	}
	f(tx)
	s.visitor.End()
	return true
}

// gateBusy lets through what does not need the data while a script takes long.
func gateBusy(l *loop, q *request) verdict {
	if q.lacking&command.AllowBusy == 0 {
		return pass
	}
	v := q.deny(l.srv.busy())
	if l.srv.endsScripts.Load() {
		return wait // the server ends, and there may be no script of which to tell
	}
	return v
}
