package server

// cronConns is a loop's share of Redis's clientsCron: idle connections,
// output limits, waiting requests.
func (l *loop) cronConns() {
	if l.cfg.Timeout > 0 || l.softLimits() {
		for _, c := range l.conns {
			if c != nil {
				l.cronConn(c)
			}
		}
		for c := range l.other {
			l.cronConn(c)
		}
	}
}

// softLimits reports whether some class of connections has an output limit, so
// that connections must be looked at although nothing happens to them.
func (l *loop) softLimits() bool {
	return l.cfg.NormalOutput.SoftBytes > 0 || l.cfg.PubSubOutput.SoftBytes > 0 || l.cfg.ReplicaOutput.SoftBytes > 0
}

func (l *loop) cronConn(c *conn) {
	if l.cfg.Timeout > 0 && l.mono-c.active > l.cfg.Timeout && c.subs.count() == 0 &&
		!c.is(stateMonitor|stateWaiting) && !c.inPaused {
		l.srv.log.Debug("Closing idle client")
		l.drop(c)
		return
	}
	if c.softFrom != 0 {
		l.checkOutput(c)
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
