package virtual

import "time"

// fsyncMin is how long a disk write takes at least.
const fsyncMin = 100 * time.Microsecond

// Disk writes the states of a host's program. One write is in progress at a
// time; of those that wait only the newest is written.
type Disk[S any] struct {
	FsyncMax time.Duration // a write takes up to this
	// Keep makes a state the safe one.
	Keep func(S)
	// Saved tells the program that a state is safe. A crash may come between Keep
	// and this.
	Saved func(S)

	// Torn makes the disk hold a part of a state, after a power cut; may be nil.
	Torn func(S)
	// Full tells the program that a state cannot be written; may be nil.
	Full func()
	// Bad: nothing can be written.
	Bad bool

	host    *Host
	stalled time.Time // nothing gets done until then
	writing *S
	next    *S
}

// NewDisk makes the disk of a host. Its fields must be set before it is used.
func NewDisk[S any](h *Host) *Disk[S] { return &Disk[S]{host: h} }

// Write begins to write s, or queues it.
func (d *Disk[S]) Write(s S) {
	if d.writing != nil {
		d.next = &s
		return
	}
	if d.Bad && d.Full != nil {
		d.Full()
		return
	}
	d.writing = &s
	d.host.Later(max(d.stalled.Sub(d.host.world.now), 0)+d.host.world.Between(fsyncMin, d.FsyncMax), d.written)
}

// Stall has each write that begins from now on wait until t has passed.
func (d *Disk[S]) Stall(t time.Duration) { d.stalled = d.host.world.now.Add(t) }

func (d *Disk[S]) written() {
	s, next := *d.writing, d.next
	d.Keep(s)
	d.writing, d.next = nil, nil
	if next != nil {
		d.Write(*next)
	}
	d.Saved(s)
}

// CutPower is a Crash in which of the write in progress a part may be on the disk.
func (d *Disk[S]) CutPower() {
	if d.writing != nil && d.Torn != nil && d.host.world.Rand.IntN(2) == 0 {
		d.Torn(*d.writing)
		d.writing = nil
	}
	d.Crash()
}

// Crash loses what is not safe. The write in progress may just have made it.
func (d *Disk[S]) Crash() {
	if d.writing != nil && d.host.world.Rand.IntN(2) == 0 {
		d.Keep(*d.writing)
	}
	d.writing, d.next = nil, nil
}
