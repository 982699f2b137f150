package server

import (
	"sync/atomic"

	"redoubt/internal/command"
)

// pause holds commands back for a time: CLIENT PAUSE, and failovers.
//
// It begins under the world lock with all loops stopped, so when it has begun
// no unit of the held kind is under way.
type pause struct {
	until atomic.Int64 // Unix milliseconds; 0: none
	all   atomic.Bool  // all commands; else those that may write
}

// holds reports whether a command with these flags has to wait.
func (p *pause) holds(now int64, f command.Flags) bool {
	return now < p.until.Load() && (p.all.Load() || f&(command.Write|command.MayReplicate) != 0)
}

// begin holds commands back until the time until. A pause of all commands
// stays one, and a later end is not brought forward, as in Redis.
func (p *pause) begin(now, until int64, all bool) {
	if p.until.Load() > now {
		all = all || p.all.Load()
		until = max(until, p.until.Load())
	}
	p.all.Store(all)
	p.until.Store(until)
}

func (p *pause) end() { p.until.Store(0) }

// Pause holds writes back until the time given in Unix milliseconds, for a
// failover. Nothing is appended to the stream when it returns. The caller is
// no loop.
func (s *Server) Pause(until int64) {
	s.stopLoops(nil)
	s.pauseUntil(s.now(), until, false)
	s.resumeLoops(nil)
}

// Resume ends a pause.
func (s *Server) Resume() {
	s.stopLoops(nil)
	s.endPause()
	s.resumeLoops(nil)
}

// pauseUntil begins a pause; all loops are stopped.
func (s *Server) pauseUntil(now, until int64, all bool) {
	s.pause.begin(now, until, all)
	s.setCondition(condPause, true)
}

// endPause ends a pause; all loops are stopped.
func (s *Server) endPause() {
	s.pause.end()
	s.setCondition(condPause, false)
	for _, l := range s.loops {
		l.post(l.retry)
	}
}

// holdBack keeps a connection with a request that has to wait.
func (l *loop) holdBack(c *conn) {
	if !c.inPaused {
		c.inPaused = true
		l.paused = append(l.paused, c)
		l.stats.paused.Store(int64(len(l.paused)))
	}
}

// retry gives the requests that wait another try.
func (l *loop) retry() {
	if len(l.paused) == 0 {
		return
	}
	waiting := l.paused
	l.paused = nil
	for _, c := range waiting {
		c.inPaused = false
		if !c.is(stateClosed) {
			l.goOn(c)
		}
	}
	l.stats.paused.Store(int64(len(l.paused)))
}
