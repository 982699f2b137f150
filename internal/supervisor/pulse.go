package supervisor

import "sync/atomic"

// Pulse is whether a goroutine that takes functions out of a queue goes round. The zero
// value is ready for use.
type Pulse struct {
	asked   bool // by the goroutine that calls Alive
	waiting atomic.Bool
}

// Alive reports whether the goroutine has come round since it was asked last. The first
// time it only asks, and whenever the queue is full. post puts a function into the queue,
// or reports false if there is no room. One goroutine calls Alive.
func (p *Pulse) Alive(post func(answer func()) bool) bool {
	if p.waiting.Load() {
		return false
	}
	alive := p.asked
	p.waiting.Store(true)
	if p.asked = post(func() { p.waiting.Store(false) }); !p.asked {
		p.waiting.Store(false)
	}
	return alive
}
