package server

import (
	"context"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"redoubt/internal/command"
	"redoubt/storage"
)

// pausePurpose is who asked for a pause: each ends its own only.
type pausePurpose int

const (
	pauseByClient pausePurpose = iota // CLIENT PAUSE
	pauseByFailover
	pauseByShutdown // what is saved is all there is
	pausePurposes
)

// pause holds commands back for a time, for each purpose.
//
// It begins with all loops stopped and under the world lock. So when it has
// begun no unit of the paused kind is under way, none is between its gates and its
// locks, and keys that expire are only hidden: the stream stands still.
type pause [pausePurposes]struct {
	until atomic.Int64 // Unix milliseconds; 0: none
	all   atomic.Bool  // all commands; else those that may write
}

// covers reports whether a command with these flags has to wait.
func (p *pause) covers(now int64, f command.Flags) bool {
	writes := f&(command.Write|command.MayReplicate) != 0
	for i := range p {
		if now < p[i].until.Load() && (writes || p[i].all.Load()) {
			return true
		}
	}
	return false
}

// begin holds commands back until a time. A pause of all commands stays one,
// and a later end is not brought forward, as in Redis.
func (p *pause) begin(why pausePurpose, now, until int64, all bool) {
	x := &p[why]
	if x.until.Load() > now {
		all = all || x.all.Load()
		until = max(until, x.until.Load())
	}
	x.all.Store(all)
	x.until.Store(until)
}

// rest is how long the first of the pauses takes yet; ok is false if there is none
// that ends by itself.
func (p *pause) rest(now int64) (d time.Duration, ok bool) {
	first := int64(math.MaxInt64)
	for i := range p {
		if until := p[i].until.Load(); until > now {
			first = min(first, until)
		}
	}
	if first-now > int64(longestWait/time.Millisecond) {
		return 0, false
	}
	return time.Duration(first-now) * time.Millisecond, true
}

// expire ends what has run out and reports whether it was something.
func (p *pause) expire(now int64) (ended bool) {
	for i := range p {
		if until := p[i].until.Load(); until != 0 && now >= until {
			p[i].until.Store(0)
			ended = true
		}
	}
	return ended
}

// active reports whether there is a pause for some purpose.
func (p *pause) active() bool {
	for i := range p {
		if p[i].until.Load() != 0 {
			return true
		}
	}
	return false
}

// Pause holds writes back until the time given in Unix milliseconds, for a
// failover. Nothing is appended to the stream by commands or by expiry when it
// returns. The caller is no loop and holds no locks of storage.
func (s *Server) Pause(until int64) {
	s.Everything(func(tx *storage.Tx) { s.beginPause(tx, pauseByFailover, until, false) })
}

// Resume ends the pause of a failover. The caller is as that of Pause.
func (s *Server) Resume() {
	s.Everything(s.LetWrites)
}

// HoldWrites is Pause without an end, and LetWrites Resume, for those who have
// stopped all loops and hold the world through tx.
func (s *Server) HoldWrites(tx *storage.Tx) {
	s.handsOver.Store(true)
	s.beginPause(tx, pauseByFailover, math.MaxInt64, false)
}

func (s *Server) LetWrites(tx *storage.Tx) { s.endPause(tx, pauseByFailover) }

// PauseClients is CLIENT PAUSE, UnpauseClients CLIENT UNPAUSE: admin.Server.
func (s *Server) PauseClients(tx *storage.Tx, until int64, all bool) {
	s.beginPause(tx, pauseByClient, until, all)
}

func (s *Server) UnpauseClients(tx *storage.Tx) { s.endPause(tx, pauseByClient) }

// beginPause begins a pause; all loops are stopped and tx holds the world.
func (s *Server) beginPause(tx *storage.Tx, why pausePurpose, until int64, all bool) {
	s.pause.begin(why, s.now(), until, all)
	s.applyPause(tx)
}

// endPause ends a pause; all loops are stopped and tx holds the world.
func (s *Server) endPause(tx *storage.Tx, why pausePurpose) {
	s.pause[why].until.Store(0)
	s.applyPause(tx)
}

// WaitPause waits while CLIENT PAUSE holds writes back, or until ctx ends: a replica
// executes nothing of its primary's stream then, as in Redis, where the link to the
// primary is a client like others. The caller holds no lock.
func (s *Server) WaitPause(ctx context.Context) error {
	for s.pause[pauseByClient].until.Load() != 0 {
		s.pauseMu.Lock()
		changed := s.pauseChanged
		s.pauseMu.Unlock()
		rest := s.pause[pauseByClient].until.Load() - s.now()
		if rest <= 0 {
			break
		}
		over := time.NewTimer(time.Duration(min(rest, longestWait.Milliseconds())) * time.Millisecond)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-over.C:
		}
		over.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (s *Server) applyPause(tx *storage.Tx) {
	s.pauseMu.Lock()
	close(s.pauseChanged)
	s.pauseChanged = make(chan struct{})
	s.pauseMu.Unlock()
	on := s.pause.active()
	s.setCondition(condPause, on)
	if !on {
		s.handsOver.Store(false)
	}
	tx.PauseExpiry(on)
	s.retryAll()
}

// postpone keeps a connection whose request has to wait. It is tried again
// when something has changed that it may wait for: a pause is over, by its time or
// by an order, the stream has room, or a load has ended or takes long.
func (l *loop) postpone(c *conn) {
	if c.postponed {
		return
	}
	c.postponed = true
	l.postponed = append(l.postponed, c)
	l.stats.postponed.Store(int64(len(l.postponed)))
	if rest, ok := l.srv.pause.rest(l.unix); ok {
		l.resumeIn(rest)
	}
	if l.srv.is(condLoading) {
		l.resumeIn(time.Duration(l.srv.patience.Load()) - l.mono)
	}
}

// resumeIn has the requests that wait tried again after d at the latest.
func (l *loop) resumeIn(d time.Duration) {
	if at := l.mono + max(d, time.Millisecond); l.resumeAt == 0 || at < l.resumeAt {
		l.resumeAt = at
	}
}

// retry gives the requests that wait another try.
func (l *loop) retry() {
	l.resumeAt = 0
	if len(l.postponed) == 0 {
		return
	}
	waiting := l.postponed
	l.postponed = nil
	for _, c := range waiting {
		c.postponed, c.active = false, l.mono
	}
	l.resumable = append(l.resumable, waiting...)
	l.resumeAll()
	l.stats.postponed.Store(int64(len(l.postponed)))
}

// dropPostponed forgets a connection that closes.
func (l *loop) dropPostponed(c *conn) {
	if i := slices.Index(l.postponed, c); i >= 0 {
		l.postponed = slices.Delete(l.postponed, i, i+1)
		l.stats.postponed.Store(int64(len(l.postponed)))
	}
}

// retryAll has all loops give the requests that wait another try. Any goroutine
// may call it.
func (s *Server) retryAll() {
	for _, l := range s.loops {
		l.post(l.retry)
	}
}
