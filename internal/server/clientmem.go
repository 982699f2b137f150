package server

import (
	"fmt"
	"math/bits"
	"sync/atomic"

	"redoubt/internal/config"
)

const (
	// connBytes is about what a connection occupies besides its buffers.
	connBytes = 640
	// watchBytes is about what a watched key takes besides its name: the mark, its
	// place in the connection's list and in that of the slot.
	watchBytes = 160
	// prefixBytes is about what a prefix of CLIENT TRACKING takes besides its bytes:
	// the places in the list of the client and in that of all.
	prefixBytes = 112
	// queuedBytes is about what a queued command takes besides its bytes, and
	// queuedArgBytes what each of its arguments does.
	queuedBytes, queuedArgBytes = 112, 40
)

// memory is what a connection occupies: its buffers, the scratch space of its
// parser, its transaction, its watches, subscriptions and prefixes
// (getClientMemoryUsage). It costs some loads of memory that the loop has at hand.
func (c *conn) memory() int64 {
	n := int64(cap(c.in)+cap(c.out.Bytes())+c.parser.Scratch()) + connBytes
	if c.tls != nil {
		n += secureBytes + int64(cap(c.tls.sealed))
	}
	if c.multi != nil {
		n += c.multi.memory()
	}
	if len(c.watched) > 0 {
		n += int64(len(c.watched)*watchBytes + c.watchedNames)
	}
	if c.subs != nil {
		n += c.subs.Memory()
	}
	if c.track != nil {
		n += c.track.memory
	}
	return n
}

func (m *transaction) memory() int64 {
	return int64(m.bytes + len(m.queue)*queuedBytes + m.args*queuedArgBytes)
}

// Connections are put into classes by their size, each twice as large as the one
// before: below 32 KiB, from there to 64 KiB, and so on, the last from 4 GiB on.
// The largest are found without a look at the others, as by Redis's
// client_mem_usage_buckets.
const (
	smallestClassBits = 15
	sizeClasses       = 19
)

// sizeClass is the class of a size.
func sizeClass(bytes int64) int {
	return min(max(bits.Len64(uint64(bytes))-smallestClassBits, 0), sizeClasses-1)
}

// clientMemory is what the connections of a loop occupy. The loop keeps it; what
// others may read is told to them at the end of a turn.
type clientMemory struct {
	bytes   int64              // of all connections
	classes [sizeClasses]*conn // those that may be evicted: the first of a ring, or nil
	present uint32             // the classes that have one, as bits

	_           [64]byte // what others read is not in a line of cache that changes all the time
	toldBytes   atomic.Int64
	toldPresent atomic.Uint32
	asked       atomic.Bool // another loop has asked this one to evict
	_           [64]byte
}

// counted is a connection's place in the memory of its loop.
type counted struct {
	bytes      int64
	class      int8 // from 1; 0: it may not be evicted, or is in no loop
	prev, next *conn
}

// recount brings the loop's counts up to date after a connection has changed.
func (l *loop) recount(c *conn) {
	if c.is(stateClosed | stateDetached) {
		return
	}
	m := &l.memory
	bytes := c.memory()
	m.bytes += bytes - c.counted.bytes
	c.counted.bytes = bytes
	class := int8(0)
	if !c.is(stateNoEvict | stateRunning) {
		class = int8(sizeClass(bytes) + 1)
	}
	if class != c.counted.class {
		m.leave(c)
		m.enter(c, class)
	}
}

// uncount takes a connection out of the loop's counts.
func (l *loop) uncount(c *conn) {
	l.memory.bytes -= c.counted.bytes
	l.memory.leave(c)
	c.counted.bytes = 0
}

// enter puts c at the end of a class.
func (m *clientMemory) enter(c *conn, class int8) {
	c.counted.class = class
	if class == 0 {
		return
	}
	first := m.classes[class-1]
	if first == nil {
		m.classes[class-1] = c
		m.present |= 1 << (class - 1)
		c.counted.prev, c.counted.next = c, c
		return
	}
	last := first.counted.prev
	c.counted.prev, c.counted.next = last, first
	last.counted.next, first.counted.prev = c, c
}

// leave takes c out of its class.
func (m *clientMemory) leave(c *conn) {
	at := &c.counted
	if at.class == 0 {
		return
	}
	switch first := &m.classes[at.class-1]; {
	case at.next == c:
		*first = nil
		m.present &^= 1 << (at.class - 1)
	case *first == c:
		*first = at.next
		fallthrough
	default:
		at.prev.counted.next, at.next.counted.prev = at.next, at.prev
	}
	at.class, at.prev, at.next = 0, nil, nil
}

// tell lets others see the counts.
func (m *clientMemory) tell() {
	if m.bytes != m.toldBytes.Load() {
		m.toldBytes.Store(m.bytes)
	}
	if m.present != m.toldPresent.Load() {
		m.toldPresent.Store(m.present)
	}
}

// clientMemory is what all connections of clients occupy, as of the last turn of
// each loop. Those of replication are not among them: nothing waits there.
func (s *Server) clientMemory() (bytes int64) {
	for _, l := range s.loops {
		bytes += l.memory.toldBytes.Load()
	}
	return bytes
}

// clientLimit is maxmemory-clients in bytes, 0 if there is no limit
// (getClientEvictionLimit).
func clientLimit(m *config.MaxMemory) int64 {
	if m.ClientsPercent > 0 {
		percent := int64(m.ClientsPercent)
		return m.Bytes/100*percent + m.Bytes%100*percent/100
	}
	return m.ClientsBytes
}

// limitClients tells others what the loop's connections occupy, and closes some
// if all connections of the node together have reached maxmemory-clients.
func (l *loop) limitClients() {
	l.memory.tell()
	limit := clientLimit(&l.cfg.MaxMemory)
	switch {
	case limit == 0:
	case l.srv.clientMemory() >= limit:
		l.evictClients(limit, nil)
	case l.srv.overClients.Load():
		l.srv.overClients.Store(false)
	}
}

// evictClients closes connections, the largest first, until all of them take less
// than limit (Redis's evictClients). If another loop has the largest, that one is
// asked to go on, unless all loops are stopped. One loop at a time evicts, so that
// two do not make the same room twice.
//
// spared is the connection whose command runs, or nil. If it is the next to go, it
// goes at the end of the turn, when its reply has been written.
func (l *loop) evictClients(limit int64, spared *conn) {
	s := l.srv
	s.clientEviction.Lock()
	defer s.clientEviction.Unlock()
	l.memory.tell()
	for s.clientMemory() >= limit {
		x := s.loopOfLargest()
		switch {
		case x == nil:
			if !s.overClients.Swap(true) {
				s.log.Warn("Over client maxmemory after evicting all evictable clients")
			}
			return
		case x != l && !l.stopped:
			x.askToEvict()
			return
		}
		if !x.evictLargest(spared) {
			return
		}
	}
}

// loopOfLargest is the loop that has the largest connection that may be evicted,
// as far as classes tell, or nil.
func (s *Server) loopOfLargest() (largest *loop) {
	var most uint32
	for _, l := range s.loops {
		if present := l.memory.toldPresent.Load(); bits.Len32(present) > bits.Len32(most) {
			largest, most = l, present
		}
	}
	return largest
}

// askToEvict has the loop go on with an eviction in its next turn.
func (l *loop) askToEvict() {
	if !l.memory.asked.Swap(true) {
		l.post(func() { l.memory.asked.Store(false) }) // the end of that turn does it
	}
}

// evictLargest closes one of the loop's largest connections, and reports false if
// that is spared.
func (l *loop) evictLargest(spared *conn) bool {
	m := &l.memory
	if m.present == 0 {
		m.tell() // the last one has gone since it was told
		return true
	}
	c := m.classes[bits.Len32(m.present)-1]
	if c == spared {
		return false
	}
	l.srv.log.Info(fmt.Sprintf("Evicting client: %s", c.info(l)))
	l.stats.evictedClients++
	l.drop(c)
	m.tell()
	return true
}
