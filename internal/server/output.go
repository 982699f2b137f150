package server

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"redoubt/internal/config"
	"redoubt/replication"
	"redoubt/storage"
)

// mark says that the output from start on must not leave before the stream is
// committed up to at. An offset beyond the stream's end is of a stream that was
// replaced, and was committed before that; see Stream. storage.NeverCommitted is none
// of these: what waits for it never leaves.
type mark struct {
	start, end int // of the reply; what follows waits behind it
	at         replication.Offset
	since      time.Duration // when the output began to wait, by the loop's clock
	// waits: replicas are to acknowledge the offset, and not only the journal; but not
	// for ever. term: the output is the reply to a write that was made in this term of
	// Stream, and is replaced by an error if that was in vain; 0: it is not such a reply.
	waits bool
	term  uint32
	// shows: the output only shows data, and has a term where Stream is Strict. routed: it may
	// also show that there are none, by no offset. round is of Stream.Confirm, and is waited
	// for as well; 0: none.
	shows, routed bool
	round         uint64
	mixed         bool // the reply has what no error can replace
}

const (
	// maxHeldBytes is how much output may wait for its offset before the
	// connection is not read any more.
	maxHeldBytes = 1 << 20
	// compactBytes is how much that has left may stay at the front of a buffer.
	compactBytes = 64 << 10
	// smallOutput is what the limits of output do not look at before the socket
	// has refused it: the size of Redis's fixed buffer.
	smallOutput = 16 << 10
)

// openOutput gives the connection a buffer to write to.
func (l *loop) openOutput(c *conn) {
	if c.out.Bytes() == nil {
		c.out.SetBuffer(l.buffer())
	}
}

// closeOutput takes the buffer back if nothing is in it.
func (l *loop) closeOutput(c *conn) {
	if c.out.Len() == 0 && c.out.Bytes() != nil {
		l.recycle(c.out.Bytes())
		c.out.SetBuffer(nil)
	}
}

// hold makes output wait for an offset: the reply gate. Order is kept, so what is
// written later waits as well. m says where it begins and what it waits for. If it is
// the reply to a write, m.term is the stream's as it was before the write's unit.
func (l *loop) hold(c *conn, m mark) {
	s := l.srv.stream
	m.waits = s.AwaitsReplicas() && m.at != storage.NeverCommitted
	switch {
	case !m.waits || m.shows && !s.Strict():
		m.term = 0
	case m.shows && (m.routed || m.at > 0):
		m.round = s.Confirm()
	case m.shows && m.at == 0:
		m.term = 0 // it shows nothing of the data
	case m.term == 0 && s.Strict():
		m.term, m.shows = s.Term(), true
	}
	if m.term == 0 && m.at <= s.Shown() || m.term != 0 && m.round == 0 && m.at <= s.Committed() && m.term == s.Term() {
		return
	}
	end := s.End()
	if m.term == 0 && beyond(m.at, end) {
		return
	}
	if n := len(c.marks); n > 0 && m.term == 0 && c.marks[n-1].at >= m.at && !beyond(c.marks[n-1].at, end) {
		return
	}
	m.end, m.since = c.out.Len(), l.mono
	c.marks = append(c.marks, m)
	if !c.inHeld {
		c.inHeld = true
		l.held = append(l.held, c)
		l.holding.Store(true)
	}
}

// beyond reports whether an offset is of a stream that was replaced by the one that
// ends at end.
func beyond(at, end replication.Offset) bool { return at > end && at != storage.NeverCommitted }

// heldBytes is how much output waits for an offset.
func (c *conn) heldBytes() int {
	if len(c.marks) == 0 {
		return 0
	}
	return c.out.Len() - c.marks[0].start
}

// releasable is up to where the output may leave.
func (c *conn) releasable() int {
	if len(c.marks) == 0 {
		return c.out.Len()
	}
	return c.marks[0].start
}

// release lets go what the commits since the last turn allow.
func (l *loop) release() {
	if len(l.held) == 0 {
		return
	}
	now := l.commits()
	l.acksDue = 0
	kept := l.held[:0]
	for _, c := range l.held {
		wasFull := c.heldBytes() > maxHeldBytes
		n := l.freed(c, &now)
		if n > 0 && !c.is(stateClosed) {
			c.marks = c.marks[:copy(c.marks, c.marks[n:])]
			l.wantWrite(c)
			if wasFull && c.heldBytes() <= maxHeldBytes {
				l.resumable = append(l.resumable, c)
			}
		}
		if len(c.marks) == 0 || c.is(stateClosed) {
			c.inHeld = false
			continue
		}
		kept = append(kept, c)
	}
	clear(l.held[len(kept):])
	l.held = kept
	l.holding.Store(len(kept) > 0)
	l.resumeAll()
}

// freed counts the marks of a connection, from the first on, that hold nothing back any
// more.
func (l *loop) freed(c *conn, now *commits) (n int) {
	for n < len(c.marks) {
		m := &c.marks[n]
		if !now.free(m) && !l.overdue(c, n, now) {
			break
		}
		if c.is(stateClosed) {
			return 0 // and without marks
		}
		l.stats.gate.Record(l.mono - m.since)
		n++
	}
	return n
}

// resumeAll resumes those who can be. What they run may take long, and then whoever has
// the loop goes on with the rest.
func (l *loop) resumeAll() {
	for len(l.resumable) > 0 {
		c := l.resumable[0]
		l.resumable = l.resumable[1:]
		if !c.is(stateClosed) {
			l.resume(c)
		}
	}
}

// resume runs what a connection had sent while nothing of it could run, and reads
// again.
func (l *loop) resume(c *conn) {
	if !c.runnable() {
		return
	}
	if len(c.in) > 0 {
		l.runBuffered(c)
	} else {
		l.watchSocket(c)
	}
	l.endSecured(c)
}

// wantWrite puts c among those whose output is written at the end of the turn.
func (l *loop) wantWrite(c *conn) {
	if c.queued || c.is(stateClosed|stateRunning) || (c.unsent() == 0 && !c.is(stateClosing) && c.polled&writable == 0) {
		return
	}
	c.queued = true
	l.ready = append(l.ready, c)
}

// writeReady writes the output of the turn.
func (l *loop) writeReady() {
	for len(l.ready) > 0 {
		l.ready, l.spare = l.spare[:0], l.ready
		for i, c := range l.spare {
			l.spare[i] = nil
			c.queued = false
			if !c.is(stateClosed) {
				l.write(c)
				l.recount(c)
			}
		}
	}
}

// afterFreeze reports whether the process, or its machine, was frozen for so long
// that the cluster may have replaced this node. Output that has not left by then
// acknowledges writes, and shows data, of a primary that may be none any more. So
// it never leaves, and its connections are closed: whether the writes stand is
// unknown.
//
// The exception is output that a freeze catches between this check and the system
// call after it.
func (l *loop) afterFreeze(now time.Time) bool {
	if l.srv.cluster == nil {
		return false
	}
	freezes := l.srv.cluster.Freezes(now)
	if freezes == l.freezes {
		return false
	}
	l.freezes = freezes
	closed := 0
	cut := func(c *conn) {
		if l.nap == (sleep{c, freezes}) {
			return
		}
		if c.unsent() > 0 || c.is(stateRunning) { // a reply is to come, as old as its script
			l.drop(c)
			closed++
		}
	}
	for _, c := range l.conns {
		if c != nil {
			cut(c)
		}
	}
	for c := range l.other {
		cut(c)
	}
	if closed > 0 {
		l.srv.log.Warn(fmt.Sprintf("%d clients are disconnected, whose replies are older than a freeze of the process", closed))
	}
	return true
}

// A sleep is one of DEBUG SLEEP, from which the client has nothing but the reply to that:
// the freeze that the cluster took it for is no reason not to answer.
type sleep struct {
	c       *conn
	freezes uint64 // Cluster.Freezes after it
}

// FallAsleep implements admin.Sleeper.
func (c *conn) FallAsleep() (awake func()) {
	l := c.home.Load()
	if l.srv.cluster == nil || c.unsent() > 0 {
		return func() {}
	}
	return func() { l.nap = sleep{c, l.srv.cluster.Freezes(time.Now())} }
}

// write writes what may leave.
func (l *loop) write(c *conn) {
	switch {
	case c.is(stateRunning):
		return
	case c.is(stateDoomed):
		l.drop(c)
		return
	}
	l.sendAhead() // not behind the look at freezes, between which and the write is little time
	if l.srv.cluster != nil && l.afterFreeze(time.Now()) && c.is(stateClosed) {
		return
	}
	end := c.releasable()
	if end-c.sent > smallOutput {
		if l.checkOutput(c); c.is(stateClosed) {
			return
		}
	}
	if c.wire != nil {
		l.writeWire(c)
		return
	}
	switch err := l.send(c, end); {
	case err == unix.EAGAIN:
		l.full(c)
		return
	case err != nil:
		l.drop(c)
		return
	}
	l.watchFor(c, c.polled&^writable)
	l.wrote(c)
}

// sendAhead has the replicas sent what clients are about to be told of: what was
// answered is then not lost with the process.
func (l *loop) sendAhead() {
	if r := l.srv.replication; r != nil {
		r.SendAhead()
	}
}

// send writes output up to end; the error is EAGAIN if the socket takes no more.
func (l *loop) send(c *conn, end int) error {
	if c.tls != nil {
		return l.sendSecured(c, end)
	}
	for c.sent < end {
		n, err := writeSocket(c.fd, c.out.Bytes()[c.sent:end])
		if err != nil {
			return err
		}
		l.countWrite(c, n)
		c.active = l.mono
	}
	return nil
}

// wrote tidies the buffer after everything that may leave has left.
func (l *loop) wrote(c *conn) {
	switch {
	case c.sent == c.out.Len():
		c.out.Truncate(0)
		c.shiftMarks()
		l.closeOutput(c)
		c.sent, c.softFrom = 0, 0
		if c.is(stateClosing) {
			l.drop(c)
		}
	case c.sent > compactBytes:
		c.compact()
	}
}

// compact moves the output to the front of its buffer.
func (c *conn) compact() {
	b := c.out.Bytes()
	c.out.SetBuffer(b[:copy(b, b[c.sent:])])
	c.shiftMarks()
	c.sent = 0
}

// shiftMarks follows the removal of what has left from the front of the buffer. Marks
// may be left without any output: that of a command whose reply is not wanted
// stands at the end, for the replies that come after it.
func (c *conn) shiftMarks() {
	for i := range c.marks {
		c.marks[i].start -= c.sent
		c.marks[i].end -= c.sent
	}
}

// full deals with a socket that takes no more.
func (l *loop) full(c *conn) {
	if c.sent > compactBytes && c.sent > c.out.Len()/2 {
		c.compact()
	}
	l.watchFor(c, c.polled|writable)
	l.checkOutput(c)
}

// outputLimit is the limit of the connection's class.
func (c *conn) outputLimit(cfg *config.Settings) config.OutputLimit {
	switch {
	case c.parser.Limits.Unauthenticated: // what it is told are errors: nobody is to fill the memory with them
		return config.OutputLimit{HardBytes: smallOutput}
	case c.is(stateMonitor):
		return cfg.ReplicaOutput
	case c.subs.count() > 0:
		return cfg.PubSubOutput
	}
	return cfg.NormalOutput
}

// checkOutput closes a connection whose unread output has passed the limit of
// its class, as Redis's closeClientOnOutputBufferLimitReached.
func (l *loop) checkOutput(c *conn) {
	size := int64(c.unsent())
	limit := c.outputLimit(l.cfg)
	if !c.parser.Limits.Unauthenticated { // before the password all of it counts
		size = max(size-smallOutput, 0) // omem of CLIENT LIST, which is what Redis looks at
	}
	over := limit.HardBytes > 0 && size >= limit.HardBytes
	switch {
	case limit.SoftBytes == 0 || size < limit.SoftBytes:
		c.softFrom = 0
	case c.softFrom == 0:
		// Of now, not of the turn's beginning: nobody is to be closed too early.
		c.softFrom = max(time.Since(l.srv.started), 1)
	default:
		over = over || l.mono-c.softFrom > limit.For
	}
	if over {
		l.srv.log.Warn(fmt.Sprintf("Client %s scheduled to be closed ASAP for overcoming of output buffer limits.", c.info(l).String()))
		l.stats.outputLimit++
		l.drop(c)
	}
}
