package server

import "time"

// cronConns is a loop's share of Redis's clientsCron: idle connections and
// output limits.
func (l *loop) cronConns() {
	var in, out int64
	each := func(c *conn) {
		if c.is(stateRunning) {
			return
		}
		in = max(in, int64(len(c.in)))
		out = max(out, int64(c.unsent()))
		l.cronConn(c)
		l.recount(c)
	}
	for _, c := range l.conns {
		if c != nil {
			each(c)
		}
	}
	for c := range l.other {
		each(c)
	}
	l.stats.longestIn.Store(in)
	l.stats.longestOut.Store(out)
}

// restAfter is how long a connection is quiet until it keeps no more than it
// needs to be there.
const restAfter = 2 * time.Second

func (l *loop) cronConn(c *conn) {
	if c.is(stateShaking) {
		if l.mono-c.born > shakeTime {
			l.srv.shakeFailed(c, slowShake)
			l.drop(c)
		}
		return
	}
	if l.cfg.Timeout > 0 && l.mono-c.active > l.cfg.Timeout && c.subs.count() == 0 &&
		!c.is(stateMonitor|stateWaiting) && !c.postponed {
		l.srv.log.Debug("Closing idle client")
		l.drop(c)
		return
	}
	if p := c.parked; p != nil && l.srv.cluster != nil {
		if b, ok := p.wait.(*blocked); ok {
			l.redirectBlocked(b)
		}
	}
	if c.softFrom != 0 {
		l.checkOutput(c)
	}
	if l.mono-c.active > restAfter {
		c.parser.Shrink()
	}
}

// cron is the server's own housekeeping, on loop 0.
func (s *Server) cron(l *loop) {
	s.refreshConditions()
	s.pauseEnded = s.pause.expire(l.unix) || s.pauseEnded
	if s.pauseEnded && l.everything(s.applyPause) {
		s.pauseEnded = false
	}
	for _, ln := range s.listeners {
		if ln.resting {
			ln.resting = l.poll.add(ln.fd, readable) != nil
		}
	}
	s.refreshTLS(l)
	s.waiters.recheck() // the journal may have been switched off
	s.continueEnd(l)
	s.balance()
	s.admin.Sample(l.mono)
	if s.monitors.any.Load() {
		l.sweepMonitors()
	}
}
