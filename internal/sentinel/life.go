package sentinel

import "sync/atomic"

// pulse is whether the driver's loop goes round.
type pulse struct {
	asked   bool // by the goroutine that calls alive
	waiting atomic.Bool
}

// alive reports whether the loop has come round since it was asked last, for one
// goroutine; the first time it only asks.
func (d *driver) alive() bool {
	p := &d.pulse
	if p.waiting.Load() {
		return false
	}
	alive := p.asked
	p.waiting.Store(true)
	select {
	case d.inbox <- func() { p.waiting.Store(false) }:
		p.asked = true
	default: // it is full, and that is no good sign
		p.asked = false
		p.waiting.Store(false)
	}
	return alive
}

// Alive implements supervisor.Process: clients are served, and the masters are watched.
func (s *Sentinel) Alive() bool {
	served := s.server.Alive()
	return s.driver.alive() && served
}

// Advancing implements supervisor.Process: nothing that a Sentinel does takes long.
func (s *Sentinel) Advancing() bool { return false }

// Status implements supervisor.Process.
func (s *Sentinel) Status() string { return "Ready to accept connections" }
