package virtual

import (
	"fmt"
	"time"
)

// Host is a machine: an address, and a program while it is up. The program is
// whatever the functions do that are given to Do and Later.
type Host struct {
	Index int    // among the hosts of the world
	IP    string // may change while it is down
	// Gap is told, before the host does something, how long it has done nothing:
	// a program may care that it was stopped. May be nil.
	Gap func(time.Duration)

	world  *World
	up     bool
	life   int       // counts starts and stops: what was planned in an earlier life does not happen
	frozen time.Time // stopped until then
	ran    time.Time // when it last did something

	began   time.Time     // the life
	stepped time.Duration // by which the wall clock is off
}

// AddHost adds a host, which is down.
func (w *World) AddHost() *Host {
	i := len(w.hosts)
	h := &Host{Index: i, IP: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), world: w}
	w.hosts = append(w.hosts, h)
	return h
}

// byIP is the host with that address; nil if there is none.
func (w *World) byIP(ip string) *Host {
	for _, h := range w.hosts {
		if h.IP == ip {
			return h
		}
	}
	return nil
}

// Up reports whether the program runs, be it frozen.
func (h *Host) Up() bool { return h.up }

// Life is a number that no other life of the host has.
func (h *Host) Life() int { return h.life }

// Frozen reports whether the host is stopped, as after SIGSTOP.
func (h *Host) Frozen() bool { return h.frozen.After(h.world.now) }

// Start begins a life.
func (h *Host) Start() {
	h.up = true
	h.life++
	h.ran, h.began = h.world.now, h.world.now
}

// Stop ends a life: what was planned in it does not happen. What the disk and
// the connections lose by that is said to them with Crash and HangUpAll.
func (h *Host) Stop() {
	h.up = false
	h.life++
}

// Freeze stops the host for d as SIGSTOP does: it does nothing, and nothing
// gets lost.
func (h *Host) Freeze(d time.Duration) {
	h.world.Log(h, fmt.Sprintf("frozen for %v", d))
	h.frozen = h.world.now.Add(d)
}

// Do runs f now, or when the host is not frozen any more, unless its life ends
// before.
func (h *Host) Do(f func()) {
	if !h.up {
		return
	}
	if h.Frozen() {
		h.at(h.frozen, f)
		return
	}
	gap := h.world.now.Sub(h.ran)
	h.ran = h.world.now
	if h.Gap != nil {
		h.Gap(gap)
	}
	if h.up {
		f()
	}
}

// Later runs f after d, if the host lives that long.
func (h *Host) Later(d time.Duration, f func()) { h.at(h.world.now.Add(d), f) }

func (h *Host) at(t time.Time, f func()) {
	life := h.life
	h.world.At(t, func() {
		if h.life == life {
			h.Do(f)
		}
	})
}

// Alarm calls a host's program at the earliest of the times it was set to.
type Alarm struct {
	host *Host
	ring func()
	time time.Time
	life int // in which it was set
}

// NewAlarm makes an alarm that calls ring.
func NewAlarm(h *Host, ring func()) *Alarm { return &Alarm{host: h, ring: ring} }

// Set sets the alarm, unless it will ring earlier already.
func (a *Alarm) Set(t time.Time) {
	if a.life == a.host.life && a.time.After(a.host.world.now) && !t.Before(a.time) {
		return
	}
	a.time, a.life = t, a.host.life
	a.host.at(t, func() {
		if a.time.Equal(t) {
			a.ring()
		}
	})
}
