package server

import (
	"sync/atomic"
	"time"
)

// pulse is whether the loops turn: each is asked for a sign of life by mail, which it
// reads in its next turn. That costs a loop nothing while nobody asks.
type pulse struct {
	asked   bool         // by the goroutine that calls Alive
	waiting atomic.Int32 // loops that were asked and have not answered
}

// Alive reports whether all loops have taken a turn since it was asked last, for one
// goroutine; the first time it only asks. A command that takes long holds a loop up, but
// for scripts, which go on beside it.
func (s *Server) Alive() bool {
	p := &s.pulse
	if p.waiting.Load() > 0 {
		return false
	}
	alive := p.asked
	p.asked = true
	p.waiting.Store(int32(len(s.loops)))
	for _, l := range s.loops {
		l.post(func() { p.waiting.Add(-1) })
	}
	return alive
}

// Hung is for how long the loop that stands still longest has done nothing: a command
// or a lock holds it up. A loop that turns looks like one that has stood still for up to
// cronPeriod. It is 0 before Run.
func (s *Server) Hung() (longest time.Duration) {
	now := time.Since(s.started)
	for _, l := range s.loops {
		if beat := l.stats.beat.Load(); beat != 0 {
			longest = max(longest, now-time.Duration(beat))
		}
	}
	return longest
}

// AwaitsReplicas reports whether a shutdown waits until its replicas have caught up.
func (s *Server) AwaitsReplicas() bool { return s.ending.until.Load() != 0 }

// SavesAtEnd reports whether a shutdown writes the last snapshot.
func (s *Server) SavesAtEnd() bool { return s.ending.saving.Load() }
