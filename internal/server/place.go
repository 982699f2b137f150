package server

import "runtime"

// Connections are spread over the first n loops, n being as small as carries
// the load: a second loop on a small machine takes the processor from the
// clients and from the journal, and doubles what deep pipelines can do. A
// connection's place follows from its id and n, so the loops need not agree
// about it; when n changes, each loop sends the connections that belong
// elsewhere, between turns and only those with nothing buffered.

// load is what one loop did since its last housekeeping.
type load struct {
	busyPermille   int64 // of the time, in turns
	depth          int64 // commands for each read
	queuedPermille int64 // sleeps until another loop gave a slot back, for each read
}

const (
	saturated = 900 // permille of a loop's time
	slack     = 400
	deep      = 8   // commands a read from which execution outweighs system calls
	crowded   = 100 // permille of reads for which a loop has to sleep
	patience  = 3   // housekeepings in a row before n changes

	// After loops have been in each other's way there are not more of them for so
	// many housekeepings. If it is the same then, the next time is twice as long.
	leastShy = 20
	mostShy  = 640
)

// spread decides how many loops are active, from what they did in each period
// between two housekeepings.
type spread struct {
	unsettled int // periods in a row that asked for another number
	shy       int // periods that must pass before there may be more
	lastShy   int // how many they were at first, the last time
	calm      int // periods since loops were last in each other's way
}

// loops is how many loops shall be active from now on, of at least least and at most
// most.
func (s *spread) loops(active, least, most, processors int, loads []load) int {
	s.shy = max(s.shy-1, 0)
	if s.calm++; s.calm > 2*mostShy {
		s.lastShy = 0 // the clients have changed
	}
	want, inTheWay := wantLoops(active, least, most, processors, loads)
	if want == active || (want > active && s.shy > 0) {
		s.unsettled = 0
		return active
	}
	if s.unsettled++; s.unsettled < patience {
		return active
	}
	s.unsettled = 0
	if inTheWay {
		s.lastShy = min(max(2*s.lastShy, leastShy), mostShy)
		s.shy, s.calm = s.lastShy, 0
	}
	return want
}

// wantLoops is how many loops the load asks for, given how many are active:
// one more if all are saturated and either the work is in executing commands
// or processors are plenty, one less if what there is fits into one loop less. It is
// one less, too, if most of the work is on the same few slots: then the loops are in
// each other's way. A slot is worked on by one loop at a time, and whenever one has to
// sleep until another gives it back, that costs more than a short command.
func wantLoops(active, least, most, processors int, loads []load) (want int, inTheWay bool) {
	var sum, depth int64
	full, waiting := 0, 0
	for _, x := range loads[:active] {
		sum += x.busyPermille
		depth = max(depth, x.depth)
		if x.busyPermille >= saturated {
			full++
		}
		if x.queuedPermille >= crowded {
			waiting++
		}
	}
	switch {
	case active > least && waiting == active && sum > slack:
		return active - 1, true
	case full == active && active < most && (depth >= deep || processors >= 2*(active+1)):
		return active + 1, false
	case active > least && sum <= int64(active-1)*slack:
		return active - 1, false
	}
	return active, false
}

// balance decides about the number of active loops; loop 0 calls it with its
// housekeeping.
func (s *Server) balance() {
	loads := make([]load, len(s.loops))
	for i, l := range s.loops {
		loads[i] = load{l.stats.busy.Load(), l.stats.depth.Load(), l.stats.queued.Load()}
	}
	active := int(s.active.Load())
	if n := s.spread.loops(active, s.minLoops, len(s.loops), runtime.NumCPU(), loads); n != active {
		s.active.Store(int32(n))
	}
}

// loopFor is the loop on which a connection belongs now.
func (s *Server) loopFor(id uint64) *loop {
	return s.loops[id%uint64(s.active.Load())]
}

// place sends connections that belong to other loops there.
func (l *loop) place() {
	if n := l.srv.active.Load(); n != l.placed {
		l.placed, l.moving = n, true
	}
	if !l.moving {
		return
	}
	l.moving = false
	for _, c := range l.conns {
		if c == nil {
			continue
		}
		to := l.srv.loopFor(c.id)
		switch {
		case to == l:
		case c.movable():
			l.move(c, to)
		default:
			l.moving = true
		}
	}
}

// move sends a connection of the loop to another one.
func (l *loop) move(c *conn, to *loop) {
	l.disown(c)
	to.expect(c, nil)
}

// arrival is a connection on its way to a loop, and what is done once it is there.
type arrival struct {
	c    *conn
	then func()
}

// expect makes c a connection of the loop from its next turn on, and then calls
// then unless it is nil. Any goroutine may call it.
func (l *loop) expect(c *conn, then func()) {
	c.home.Store(l)
	l.mailMu.Lock()
	l.arrivals = append(l.arrivals, arrival{c, then})
	l.mailMu.Unlock()
	l.post(l.welcome)
}

// welcome adopts the connections that are on their way. Whoever stops all loops
// to look at every connection calls it too, or such a connection would be in no
// list.
func (l *loop) welcome() {
	l.mailMu.Lock()
	arrivals := l.arrivals
	l.arrivals = nil
	l.mailMu.Unlock()
	for _, a := range arrivals {
		l.adopt(a.c)
		if a.then != nil {
			a.then()
		}
	}
}
