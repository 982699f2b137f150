package server

import "sync/atomic"

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

// AwaitsReplicas reports whether a shutdown waits until its replicas have caught up.
func (s *Server) AwaitsReplicas() bool { return s.ending.until.Load() != 0 }

// SavesAtEnd reports whether a shutdown writes the last snapshot.
func (s *Server) SavesAtEnd() bool { return s.ending.saving.Load() }
