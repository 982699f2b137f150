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

	host    *Host
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
	d.writing = &s
	d.host.Later(d.host.world.Between(fsyncMin, d.FsyncMax), d.written)
}

func (d *Disk[S]) written() {
	s, next := *d.writing, d.next
	d.Keep(s)
	d.writing, d.next = nil, nil
	if next != nil {
		d.Write(*next)
	}
	d.Saved(s)
}

// Crash loses what is not safe. The write in progress may just have made it.
func (d *Disk[S]) Crash() {
	if d.writing != nil && d.host.world.Rand.IntN(2) == 0 {
		d.Keep(*d.writing)
	}
	d.writing, d.next = nil, nil
}

// Held are things that may not be done, or said, before a version of a program's
// state is on disk. They keep their order.
type Held[T any] struct{ list []held[T] }

type held[T any] struct {
	version uint64
	thing   T
}

// Add has a thing wait for a version, which is not below those of the things
// that wait already.
func (h *Held[T]) Add(version uint64, thing T) { h.list = append(h.list, held[T]{version, thing}) }

// Join has a thing wait behind those that wait. It reports false if none does.
func (h *Held[T]) Join(thing T) bool {
	if len(h.list) == 0 {
		return false
	}
	h.Add(h.list[len(h.list)-1].version, thing)
	return true
}

// Release does what has waited for the version, or an older one.
func (h *Held[T]) Release(version uint64, do func(T)) {
	for len(h.list) > 0 && h.list[0].version <= version {
		thing := h.list[0].thing
		h.list = h.list[1:]
		do(thing)
	}
}

// Drop forgets all that waits.
func (h *Held[T]) Drop() { h.list = nil }
