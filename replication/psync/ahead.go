package psync

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/replication"
)

// Sender is a connection whose socket can be written to without waiting for it.
type Sender interface {
	net.Conn
	// TrySend writes as much of p as the socket takes at once, which may be nothing
	// of it, and that is no error.
	TrySend(p []byte) (n int, err error)
}

// ahead is the part of a feeder by which others send the stream in its place: whoever
// has appended to the stream, before it answers its clients (Primary.Push). Once a
// write has been answered, the kernel has it for the replica, and delivers it even if
// the process dies.
//
// Either the feeder sends or the others do. The others do while the replica has been
// sent everything and its socket takes what comes; otherwise the feeder does, which
// can wait.
type ahead struct {
	sender Sender // nil: the connection cannot be written to by others

	turn   sync.Mutex  // held by others while they send
	caught atomic.Bool // others send; changed with turn held
	end    context.Context
	pin    Pin                // guarded by turn while others send, like what follows
	after  replication.Offset // what has been sent
	buf    []byte
	wanted chan struct{} // the feeder is to go on; of one element
}

// pushMost is for how many bytes whoever appends them sends them: so many are in memory
// for sure, and more than any socket takes at once.
const pushMost = 16 << 20

// Push sends replicas that have everything else what was appended to the stream, as
// far as their sockets take it at once. Any goroutine may call it that holds no lock of
// the stream. It costs next to nothing if there is nothing to send.
func (p *Primary) Push() {
	if list := p.direct.Load(); list != nil {
		for _, f := range *list {
			f.push()
		}
	}
}

// SetAhead says whether Push sends at all (repl-send-before-reply); it does at first.
func (p *Primary) SetAhead(on bool) {
	if p.late.Swap(!on) == !on {
		return
	}
	if list := p.direct.Load(); list != nil && !on {
		for _, f := range *list {
			f.ahead.turn.Lock()
			f.recall()
			f.ahead.turn.Unlock()
		}
	}
}

// lend enters a feeder among those for whom Push sends, and returns what takes it off.
func (p *Primary) lend(f *feeder) (end func()) {
	change := func(edit func([]*feeder) []*feeder) {
		p.mu.Lock()
		defer p.mu.Unlock()
		var list []*feeder
		if old := p.direct.Load(); old != nil {
			list = slices.Clone(*old)
		}
		list = edit(list)
		p.direct.Store(&list)
	}
	change(func(list []*feeder) []*feeder { return append(list, f) })
	return func() {
		change(func(list []*feeder) []*feeder {
			return slices.DeleteFunc(list, func(x *feeder) bool { return x == f })
		})
	}
}

// yields reports whether others are to send from now on: all before them is sent. What
// is sent when it is committed, and not when it is appended, is the feeder's.
func (f *feeder) yields(after replication.Offset) bool {
	return f.from == f.primary.cfg.Stream && f.ahead.sender != nil && !f.primary.late.Load() && f.from.End() == after
}

// yield lets others send what follows after, until the socket takes no more, and
// returns what they have sent.
func (f *feeder) yield(ctx context.Context, after replication.Offset, pin Pin, buf []byte) (replication.Offset, error) {
	f.conn.SetWriteDeadline(time.Time{}) // one that has passed would fail their writes
	a := &f.ahead
	a.turn.Lock()
	a.end, a.pin, a.after, a.buf = ctx, pin, after, buf
	a.caught.Store(true)
	a.turn.Unlock()
	f.push() // what came before caught was set; so does what turns Push off
	if f.primary.late.Load() {
		a.turn.Lock()
		f.recall()
		a.turn.Unlock()
	}
	select {
	case <-a.wanted:
	case <-ctx.Done():
		a.turn.Lock() // whoever sends has done so
		defer a.turn.Unlock()
		a.caught.Store(false)
		return a.after, context.Cause(ctx)
	}
	a.turn.Lock()
	defer a.turn.Unlock()
	return a.after, nil
}

// recall has the feeder send again. The turn is held.
func (f *feeder) recall() {
	if f.ahead.caught.Swap(false) {
		f.ahead.wanted <- struct{}{} // there is room: it was taken since caught was set
	}
}

// push sends in the feeder's place, if it lets others. An error, too, is left to the
// feeder, which meets it again and tells of it.
func (f *feeder) push() {
	a, from := &f.ahead, f.from
	if !a.caught.Load() || int64(from.End()) == f.sent.Load() {
		return
	}
	a.turn.Lock()
	defer a.turn.Unlock()
	for a.caught.Load() && a.after < from.End() {
		if from.End()-a.after > pushMost {
			f.recall()
			return
		}
		n, err := from.ReadAt(a.buf, a.after)
		if a.end.Err() != nil {
			return // as in write: what was read may be of another history
		}
		sent := 0
		if err == nil {
			sent, err = a.sender.TrySend(a.buf[:n])
		}
		a.after += replication.Offset(sent)
		f.sent.Store(int64(a.after))
		a.pin.Move(a.after)
		if err != nil || sent < n {
			f.recall()
			return
		}
	}
}
