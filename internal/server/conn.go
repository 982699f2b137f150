package server

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"redoubt/internal/admin"
	"redoubt/internal/command"
	"redoubt/internal/pieces"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/storage"
)

// conn is a client's connection. It belongs to the loop in home: only who holds
// that loop's turn touches it, home and the identity excepted.
type conn struct {
	srv  *Server
	id   uint64
	fd   int      // -1 if a wire moves the bytes
	wire *wire    // nil for polled connections
	tls  *secured // nil without TLS
	home atomic.Pointer[loop]

	remote, local string // addresses as CLIENT LIST shows them
	loopback      bool   // came over the loopback interface or a Unix socket
	ipv6          bool   // came over IPv6
	born          time.Duration
	active        time.Duration // when bytes came last or were sent, or a wait ended

	parser resp.Parser
	in     []byte // what has arrived and was not parsed; nil when there is nothing
	out    resp.Writer
	sent   int    // bytes of out that have left
	marks  []mark // what of out must wait for an offset, ascending

	conds    condition // the connection's share of what gates look at
	db       int
	user     *account
	authed   bool // it has logged in, or needed not when it came
	identity admin.Identity
	last     *command.Row
	woff     replication.Offset // WAIT's: the greatest gate of the connection's units
	multi    *transaction       // nil outside MULTI
	debug    debugMode          // of scripts
	watched  []watch
	// watchedNames is the bytes of the names of the watched keys.
	watchedNames int
	watchMissed  bool // a WATCH could not look at its keys: they count as changed

	subs      *subscriber // nil until there is something to be sent without being asked for
	track     *tracker    // CLIENT TRACKING; nil: off
	replica   *Handshake  // what REPLCONF said; nil until then
	state     connState
	queued    bool          // in the loop's ready list
	parked    *parked       // what it waits for; nil if it does not
	inHeld    bool          // in the loop's held list
	postponed bool          // in the loop's list of that name
	takesOver time.Duration // when it asked the node to take over, as a time since the server's start; 0: it has not
	polled    interest
	softFrom  time.Duration // when the output passed its soft limit; 0: it has not
	counted   counted       // in the memory of the loop

	// What CLIENT LIST tells of all that the connection has done.
	inBytes, outBytes, commands int64
}

// connState is a set of what can be said of a connection besides gates.
type connState uint16

const (
	stateClosing   connState = 1 << iota // nothing more is read; closes when the output has left
	stateClosed                          // gone; mail for it is dropped
	stateReadOnly                        // READONLY: replicas may answer
	stateAsking                          // ASKING: for the next command
	stateMonitor                         // MONITOR
	stateReplyOff                        // CLIENT REPLY OFF
	stateReplySkip                       // CLIENT REPLY SKIP: the next command's reply is dropped
	stateSkipping                        // … which is this one
	stateNoEvict                         // CLIENT NO-EVICT
	stateNoTouch                         // CLIENT NO-TOUCH
	stateDetached                        // handed to replication or a debugger; the loop forgets it
	stateWaiting                         // it is parked: nothing more is run
	stateRunning                         // its script takes long: the loop leaves it alone
	stateCaching                         // CLIENT CACHING: for the next command
	stateShaking                         // its TLS begins: nothing of it is read but that
	stateDoomed                          // it was to be closed while its script took long: nothing leaves any more
)

func (c *conn) is(s connState) bool { return c.state&s != 0 }

func (c *conn) set(s connState, on bool) {
	if on {
		c.state |= s
	} else {
		c.state &^= s
	}
}

// DB and Proto are what handlers of data know of their connection.
func (c *conn) DB() int    { return c.db }
func (c *conn) Proto() int { return c.out.Proto() }

// NoTouch is CLIENT NO-TOUCH.
func (c *conn) NoTouch() bool { return c.is(stateNoTouch) }

// Redact hides arguments of the request from the slow log and from MONITOR.
func (c *conn) Redact(at ...int) {
	l := c.home.Load()
	for _, i := range at {
		if i < len(l.runner.Ctx.Args) {
			l.redacted = append(l.redacted, i)
		}
	}
}

// newConn makes a connection that no loop has adopted yet.
func (s *Server) newConn(fd int, remote, local string) *conn {
	cfg := s.config.Current()
	c := &conn{
		srv: s, id: s.nextID.Add(1), fd: fd, remote: remote, local: local,
		loopback: isLoopback(remote), ipv6: isIPv6(remote),
		born: time.Since(s.started),
	}
	c.active = c.born
	c.parser.Limits.MaxBulk = cfg.MaxBulkBytes
	c.becomeDefault()
	return c
}

func isLoopback(remote string) bool {
	if strings.HasPrefix(remote, "/") {
		return true // a Unix socket
	}
	ap, err := netip.ParseAddrPort(remote)
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// isIPv6 reports whether an address is of that family. A socket for both shows
// IPv4 addresses as mapped ones.
func isIPv6(remote string) bool {
	ap, err := netip.ParseAddrPort(remote)
	return err == nil && ap.Addr().Unmap().Is6()
}

// adopt makes c a connection of the loop.
func (l *loop) adopt(c *conn) {
	c.home.Store(l)
	if c.user.gone.Load() {
		// Deleted while no loop had the connection.
		c.become(l.srv.users.fallback, false)
		c.state |= stateClosing
		l.post(func() { l.drop(c) })
	} else {
		c.followUser()
	}
	l.count++
	l.recount(c)
	if c.wire != nil {
		l.other[c] = struct{}{}
		return
	}
	for len(l.conns) <= c.fd {
		l.conns = append(l.conns, nil)
	}
	l.conns[c.fd] = c
	c.polled = readable
	if err := l.poll.add(c.fd, c.polled); err != nil {
		l.drop(c)
	}
}

// disown takes c from the loop without closing it.
func (l *loop) disown(c *conn) {
	l.count--
	l.uncount(c)
	if c.wire != nil {
		delete(l.other, c)
		return
	}
	l.poll.remove(c.fd)
	l.conns[c.fd] = nil
}

// drop closes c at once, or when its script has ended: without the reply.
func (l *loop) drop(c *conn) {
	switch {
	case c.is(stateClosed):
		return
	case c.is(stateRunning):
		c.state |= stateClosing | stateDoomed
		return
	}
	l.forget(c)
	l.disown(c)
	if c.tls != nil {
		l.closeSecured(c)
	}
	if c.wire != nil {
		c.wire.close()
	} else {
		unix.Close(c.fd)
	}
	l.srv.clients.Add(-1)
}

// forget ends everything the node keeps for a connection that closes or is
// handed over.
func (l *loop) forget(c *conn) {
	c.state |= stateClosed
	l.unwatch(c)
	c.multi = nil
	if c.subs != nil {
		c.subs.gone.Store(true)
	}
	l.srv.untrack(c)
	l.srv.unsubscribeAll(c)
	if c.is(stateMonitor) {
		l.srv.monitors.remove(c)
	}
	if c.postponed {
		l.dropPostponed(c)
	}
	if p := c.parked; p != nil {
		p.wait.take() // or somebody answers, whom nobody hears
		l.unpark(p)
	}
	l.recycle(c.out.Bytes())
	c.out.SetBuffer(nil)
	c.in, c.sent, c.marks = nil, 0, nil
}

// movable reports whether the connection can change loops: nothing of it is
// buffered, and nobody else holds it for its place.
func (c *conn) movable() bool {
	return c.state&stateRunning == 0 && c.wire == nil && c.in == nil && c.out.Len() == 0 && c.unsent() == 0 && !c.queued && !c.inHeld && !c.postponed &&
		c.state&(stateClosing|stateClosed|stateMonitor|stateWaiting|stateShaking) == 0 &&
		c.multi == nil && len(c.watched) == 0 && c.subs.idle() && !c.parser.Partial()
}

// idle reports whether nothing is or may be about to be sent to the connection by way
// of its subscriptions. What comes by then follows it.
func (s *subscriber) idle() bool {
	if s == nil {
		return true
	}
	return !s.posted.Load() && !s.target && s.count() == 0
}

// owns reports whether c is a connection of the loop.
func (l *loop) owns(c *conn) bool {
	if c.wire != nil {
		_, ok := l.other[c]
		return ok
	}
	return c.fd < len(l.conns) && l.conns[c.fd] == c
}

// read takes what the socket has, up to one buffer, and runs what is whole.
func (l *loop) read(c *conn) {
	if !c.runnable() {
		l.watchSocket(c)
		return
	}
	if c.tls != nil {
		l.readSecured(c)
		return
	}
	if k := len(c.in); k <= smallRest && c.parser.Missing(k) <= readBytes-smallRest {
		copy(l.readBuf, c.in)
		n, err := readSocket(c.fd, l.readBuf[k:])
		if l.readFailed(c, n, err) {
			return
		}
		l.arrived(c, l.readBuf[:k+n], n)
		return
	}
	c.reserve()
	n, err := readSocket(c.fd, c.in[len(c.in):cap(c.in)])
	if l.readFailed(c, n, err) {
		return
	}
	c.in = c.in[:len(c.in)+n]
	l.arrivedMore(c, n)
}

// readFailed deals with everything a read can bring but bytes.
func (l *loop) readFailed(c *conn, n int, err error) bool {
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return true
	case err != nil || n == 0:
		l.drop(c)
		return true
	}
	return false
}

// runnable reports whether requests of the connection may be read and run now.
func (c *conn) runnable() bool {
	return !c.postponed && !c.is(stateClosing|stateClosed|stateWaiting|stateRunning|stateDetached|stateShaking) && c.heldBytes() <= maxHeldBytes
}

// smallRest is how much of an unfinished request is copied to the front of the loop's
// buffer, so that what follows is read behind it. In a pipeline most reads end in the
// middle of a request, and its private buffer has room for little more.
const smallRest = 8 << 10

// countRead keeps the books of a read that has brought n bytes.
func (l *loop) countRead(c *conn, n int) {
	l.stats.inBytes += int64(n)
	l.stats.reads++
	c.inBytes += int64(n)
	c.active = l.mono
}

// countWrite keeps the books of a write that has taken n bytes.
func (l *loop) countWrite(c *conn, n int) {
	l.stats.outBytes += int64(n)
	l.stats.writes++
	c.outBytes += int64(n)
	c.sent += n
}

// arrived takes n bytes that have come; b, which ends with them, is the loop's buffer
// and begins with what the private one held.
func (l *loop) arrived(c *conn, b []byte, n int) {
	l.countRead(c, n)
	private := c.in
	c.in = nil
	rest := l.process(c, b)
	if c.is(stateClosed) {
		return
	}
	if len(rest) == 0 {
		if private != nil {
			l.recount(c)
			l.watchSocket(c)
		}
		return
	}
	missing := c.parser.Missing(len(rest))
	if size := max(2*len(rest), 512, len(rest)+min(missing, firstReserve)); cap(private) >= size {
		c.in = private[:len(rest)]
	} else {
		c.in = make([]byte, len(rest), size)
	}
	copy(c.in, rest)
	l.recount(c)
	switch {
	case !c.runnable():
		l.watchSocket(c)
	case missing > readBytes && c.wire == nil:
		l.read(c) // most of a long argument lies in the socket already
	}
}

// arrivedMore runs what n more bytes in the private buffer completed.
func (l *loop) arrivedMore(c *conn, n int) {
	l.countRead(c, n)
	if l.overlong(c) {
		return
	}
	l.recount(c)
	if l.limitClients(); !c.is(stateClosed) { // before a request that has become large is run
		l.runBuffered(c)
	}
}

// overlong closes a connection whose request has become too long, also if the
// bytes that just came have completed it.
func (l *loop) overlong(c *conn) bool {
	if int64(len(c.in)) <= l.cfg.QueryBufferBytes {
		return false
	}
	l.endOverlong(c)
	return true
}

// endOverlong closes a connection whose request, or transaction, has become too long.
func (l *loop) endOverlong(c *conn) {
	l.srv.log.Warn("Closing client that reached max query buffer length: " + c.info(l).String())
	l.stats.inputLimit++
	l.drop(c)
}

// runBuffered runs what the private buffer holds.
func (l *loop) runBuffered(c *conn) {
	all := c.in
	rest := l.process(c, all)
	switch {
	case c.is(stateClosed):
		return
	case len(rest) == 0:
		c.in = nil
	default:
		if len(rest) < len(all) {
			// Arguments are counted from the beginning of their request, so the
			// parser does not mind that the bytes move.
			c.in = all[:copy(all, rest)]
		}
	}
	l.recount(c)
	l.watchSocket(c)
}

// firstReserve is how much of a long argument is made room for at once: what a
// client announces is not yet what it sends.
const firstReserve = 1 << 20

// reserve makes room for the next read.
func (c *conn) reserve() {
	room := cap(c.in) - len(c.in)
	missing := c.parser.Missing(len(c.in))
	if room >= min(missing, 4096) && room > 0 {
		return
	}
	grow := min(missing, max(firstReserve, len(c.in)))
	b := make([]byte, len(c.in), len(c.in)+max(grow, 4096))
	pieces.Copy(b, c.in)
	c.in = b
}

// process runs the requests that b begins with and returns what is left of it.
func (l *loop) process(c *conn, b []byte) []byte {
	if c.greetsByTLS(b) {
		l.srv.shakeFailed(c, "it speaks TLS, and the port is a plain one")
		l.drop(c)
		return nil
	}
	l.processing = len(b)
	l.openOutput(c)
	fetched := 0 // requests whose keys have been fetched ahead
	for len(b) > 0 && c.runnable() {
		if fetched == 0 {
			fetched = l.fetchAhead(c, b)
		}
		fetched--
		n, err := c.parser.Parse(b)
		if err != nil {
			l.processing = 0
			l.protocolError(c, err.(resp.Error))
			return nil
		}
		if n == 0 {
			break
		}
		if len(c.parser.Args) == 0 {
			c.state &^= stateReplySkip // an empty request uses it up, as in Redis
		} else if !l.request(c, c.parser.Args, c.parser.Raw) {
			break // it waits, and is parsed again when its time has come
		}
		b = b[n:]
		if c.is(stateDetached) {
			l.handOff(c, b)
			return nil
		}
		if c.releasable()-c.sent > flushBytes {
			l.write(c)
			l.openOutput(c) // what was written has been given back
		}
	}
	l.processing = 0
	l.closeOutput(c)
	l.wantWrite(c)
	if !c.queued {
		l.recount(c) // or the write does
	}
	return b
}

// fetchAhead has the keyspace fetch what the next requests will look at, if b
// holds several, and returns how many requests it has dealt with, at least 1.
func (l *loop) fetchAhead(c *conn, b []byte) int {
	if c.db != 0 || c.parser.Partial() {
		return storage.AheadKeys
	}
	n := 0
	l.ahead = l.ahead[:0]
	for ; n < storage.AheadKeys && len(b) > 0; n++ {
		key, length := resp.SecondArg(b)
		if length == 0 {
			break
		}
		if key != nil {
			l.ahead = append(l.ahead, key)
		}
		b = b[length:]
	}
	if len(l.ahead) > 1 {
		l.exec.FetchAhead(l.ahead)
	}
	return max(n, 1)
}

// flushBytes is how much output one pipeline may collect before it is written
// in the middle of it: a few bytes of requests can ask for gigabytes, and a
// buffer of more than keepBufferBytes would have to be made anew each time.
const flushBytes = 32 << 10

// protocolError answers bytes that are no request and closes.
func (l *loop) protocolError(c *conn, err resp.Error) {
	l.srv.log.Debug("Protocol error from client: " + c.info(l).String() + ". " + string(err))
	if !c.is(stateReplyOff | stateReplySkip) {
		c.out.Error(err)
	}
	l.stats.errorReply(err, false)
	c.state |= stateClosing
	c.parser.Reset()
	l.wantWrite(c)
}

// watchSocket asks the poller for what the connection can use now. A client that
// is blocked is not read, but must not be served an element once it has left.
func (l *loop) watchSocket(c *conn) {
	if c.wire != nil {
		if c.runnable() || c.parked != nil && len(c.in) < wireReadBytes {
			c.wire.more()
		}
		return
	}
	if c.is(stateClosed | stateShaking) {
		return
	}
	var want interest
	switch {
	case c.runnable():
		want |= readable
	case c.parked != nil:
		want |= gone
	}
	if c.polled&writable != 0 {
		want |= writable
	}
	l.watchFor(c, want)
}

// watchFor asks the poller for want.
func (l *loop) watchFor(c *conn, want interest) {
	if want != c.polled {
		c.polled = want
		_ = l.poll.change(c.fd, want)
	}
}
