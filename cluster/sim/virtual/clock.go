package virtual

import (
	"time"
	"unsafe"
)

// A time of time.Now has two readings: the wall clock's, which an administrator or NTP may
// step, and a monotonic one, by which Sub, Before and After compare. A program that keeps
// a time without its monotonic reading (Round, Unix, a file) is exposed to steps. So that
// a simulation can show it, a host has a clock with both: package time makes such times
// only of the real clock, and the layout of one is copied here.

// reading is a time.Time that has a monotonic reading.
type reading struct {
	wall uint64 // 1 bit that says so, 33 bits of seconds since 1885, 30 bits of nanoseconds
	ext  int64  // nanoseconds since the process began
	loc  *time.Location
}

// hasMonotonic is the bit of reading.wall.
const hasMonotonic = 1 << 63

// year1885 is what the seconds of a reading count from.
var year1885 = time.Date(1885, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

// withReadings makes a time of its two readings.
func withReadings(wall time.Time, mono time.Duration) time.Time {
	t := reading{
		wall: hasMonotonic | uint64(wall.Unix()-year1885)<<30 | uint64(wall.Nanosecond()),
		ext:  int64(mono),
		loc:  time.UTC,
	}
	return *(*time.Time)(unsafe.Pointer(&t))
}

// Clock is what a program on the host gets from time.Now. Its monotonic reading goes on
// with the time of the world, and begins anew with each life.
func (h *Host) Clock() time.Time {
	return withReadings(h.world.now.Add(h.stepped), h.world.now.Sub(h.began)+1)
}

// When is the time of the world at which the host's clock will have got to t.
func (h *Host) When(t time.Time) time.Time { return h.world.now.Add(t.Sub(h.Clock())) }

// StepClock sets the wall clock of the host by d forward, or back.
func (h *Host) StepClock(d time.Duration) {
	h.world.Log(h, "its clock is set by "+d.String())
	h.stepped += d
}
