package server

import (
	"sync"
	"time"
)

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
	s.rate.sample(l.mono, s.commands())
	if s.monitors.any.Load() {
		l.sweepMonitors()
	}
}

// commands is how many commands were processed.
func (s *Server) commands() int64 {
	var n int64
	for _, l := range s.loops {
		n += l.stats.commands.Load()
	}
	return n
}

// rate is the commands a second over the last second and a half, as Redis's
// instantaneous_ops_per_sec averages it.
type rate struct {
	mu      sync.Mutex
	samples [16]struct {
		at time.Duration
		n  int64
	}
	next int
}

func (r *rate) sample(at time.Duration, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples[r.next%len(r.samples)] = struct {
		at time.Duration
		n  int64
	}{at, n}
	r.next++
}

func (r *rate) perSecond() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next < 2 {
		return 0
	}
	newest := r.samples[(r.next-1)%len(r.samples)]
	oldest := r.samples[0]
	if r.next > len(r.samples) {
		oldest = r.samples[r.next%len(r.samples)]
	}
	if newest.at <= oldest.at {
		return 0
	}
	return int64(float64(newest.n-oldest.n) / (newest.at - oldest.at).Seconds())
}
