package driver

import "sync/atomic"

// pulse is whether run goes round.
type pulse struct {
	asked   bool // by the goroutine that calls Alive
	waiting atomic.Bool
}

// Alive reports whether run has come round since it was asked last, for one goroutine; the
// first time it only asks. Before Start there is nothing that could hang.
func (d *Driver) Alive() bool {
	p := &d.pulse
	if !d.joined.Load() {
		return true
	}
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
