package server

import "time"

// cronConns is a loop's share of Redis's clientsCron: idle connections and
// output limits.
func (l *loop) cronConns() {
	for _, c := range l.conns {
		if c != nil {
			l.cronConn(c)
		}
	}
	for c := range l.other {
		l.cronConn(c)
	}
}

// restAfter is how long a connection is quiet until it keeps no more than it
// needs to be there.
const restAfter = 2 * time.Second

func (l *loop) cronConn(c *conn) {
	if l.cfg.Timeout > 0 && l.mono-c.active > l.cfg.Timeout && c.subs.count() == 0 &&
		!c.is(stateMonitor|stateWaiting) && !c.inPaused {
		l.srv.log.Debug("Closing idle client")
		l.drop(c)
		return
	}
	if c.blocked != nil && l.srv.cluster != nil {
		l.redirectBlocked(c.blocked)
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
	if s.pause.expire(l.unix) {
		l.everything(s.pauseChanged)
	}
	for _, ln := range s.listeners {
		if ln.resting {
			ln.resting = l.poll.add(ln.fd, readable) != nil
		}
	}
	s.waiters.answer(l.unix)
	s.continueEnd(l)
	s.balance()
	s.rates.sample(l.mono, s.totals())
	s.notePeak()
	if s.monitors.any.Load() {
		l.sweepMonitors()
	}
}
