package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"redoubt/internal/resp"
	"redoubt/internal/tlsconf"
)

// This file is TLS under the connections of clients. Their loops poll the sockets and
// own them like plain ones: a loop reads ciphertext, has crypto/tls decrypt it in memory,
// and runs what that gave; what it writes it has encrypted in memory, and writes the
// ciphertext. Nothing but the handshake has a goroutine.
//
// crypto/tls works on a feed, a net.Conn without a socket. Its Read gives what the loop
// has put in and then a temporary error, after which a tls.Conn that has shaken hands
// goes on where it was. A handshake does not, so it runs in a goroutine of its own whose
// Read waits, and which also keeps the signatures away from the loop. The goroutine
// moves no bytes: it asks the loop to.

const (
	// cipherBytes is how much ciphertext is read at once: so little that its plaintext,
	// that of a record which was there in part, and what the connection keeps of an
	// unfinished request fit into the loop's buffer (see loop.read).
	cipherBytes = 32 << 10
	// sealBytes is how much output is encrypted before the socket is asked whether it
	// takes it: two records. The rest stays output, with its limits.
	sealBytes = 32 << 10
	// shakeTime is how long a handshake may take. A storm of clients that come back
	// after an outage must get through.
	shakeTime = 30 * time.Second
	// shakeBytes is how much a client may send before its handshake has ended: what
	// follows its last message.
	shakeBytes = 64 << 10
	// secureBytes is about what TLS takes of memory for each connection: keys and buffers,
	// 9 KiB for one that has said nothing yet.
	secureBytes = 16 << 10
)

// secured is the TLS of a connection. The connection's loop owns it; while hands are
// shaken, conn belongs to the goroutine that does so.
type secured struct {
	conn   *tls.Conn
	feed   *feed
	begun  bool   // the handshake has its goroutine
	sealed []byte // ciphertext that the socket has not taken yet
	ended  bool   // the client has said that it sends nothing more, and requests of it wait
}

// settle moves what crypto/tls has written of itself, the answer to a new key or an alert,
// behind the ciphertext that is to be sent: what follows is encrypted by the new key.
func (t *secured) settle() {
	if len(t.feed.out) > 0 {
		t.sealed = append(t.sealed, t.feed.out...)
	}
	t.feed.out = nil
}

// TLS reports whether the client uses TLS.
func (c *conn) TLS() bool { return c.tls != nil }

// greetsByTLS reports whether a client begins with a handshake of TLS where there is none.
// It would wait for the answer for ever.
func (c *conn) greetsByTLS(b []byte) bool {
	const handshake, major = 22, 3 // of a record
	return len(b) > 1 && b[0] == handshake && b[1] == major && c.commands == 0 && c.tls == nil
}

// secure makes c a connection with TLS, which begins with a handshake.
func (c *conn) secure(cfg *tls.Config) {
	f := &feed{shaking: true}
	f.more.L = &f.mu
	f.tokens = c.srv.shakes
	f.wrote = func() {
		l := c.home.Load()
		l.post(func() { l.flushShake(c) })
	}
	c.tls = &secured{conn: tls.Server(f, cfg), feed: f}
	c.state |= stateShaking
}

// unsent is how much output there is that the socket has not taken.
func (c *conn) unsent() int {
	n := c.out.Len() - c.sent
	if c.tls != nil {
		n += len(c.tls.sealed)
	}
	return n
}

// shakeHands gives the handshake what the socket has.
func (l *loop) shakeHands(c *conn, what interest) {
	t := c.tls
	if what&writable != 0 {
		l.flushShake(c)
	}
	if what&(readable|broken|gone) == 0 || c.is(stateClosed) {
		return
	}
	if t.feed.waiting() >= shakeBytes {
		if what&broken != 0 {
			l.drop(c)
			return
		}
		l.watchFor(c, c.polled&^readable)
		return
	}
	n, err := readSocket(c.fd, l.ciphertext())
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	if err != nil || n == 0 {
		l.drop(c)
		return
	}
	c.active = l.mono
	t.feed.give(l.cipherBuf[:n])
	if !t.begun {
		t.begun = true
		l.srv.goroutines.Go(func() { l.srv.shake(c) })
	}
}

// shake is the goroutine of a handshake.
func (s *Server) shake(c *conn) {
	s.shakes <- struct{}{} // few at a time compute; see feed.Read
	err := c.tls.conn.Handshake()
	<-s.shakes
	l := c.home.Load()
	l.post(func() {
		if !c.is(stateClosed) {
			l.shaken(c, err)
		}
	})
}

// flushShake sends what the handshake has written.
func (l *loop) flushShake(c *conn) {
	if c.is(stateClosed) || !c.is(stateShaking) {
		return
	}
	t := c.tls
	t.sealed = t.feed.taken(t.sealed)
	switch err := l.flushSealed(c); {
	case err == unix.EAGAIN:
		l.watchFor(c, c.polled|writable)
	case err != nil:
		l.drop(c)
	case c.polled&writable != 0:
		l.watchFor(c, c.polled&^writable)
	}
}

// shaken goes on with a connection whose handshake has ended.
func (l *loop) shaken(c *conn, err error) {
	l.flushShake(c) // an alert says why it failed
	if c.is(stateClosed) {
		return
	}
	if err != nil {
		l.srv.shakeFailed(c, tlsconf.Explain(err))
		l.drop(c)
		return
	}
	c.state &^= stateShaking
	c.active = l.mono
	f := c.tls.feed
	f.shaking, f.wrote = false, nil
	l.watchFor(c, c.polled|readable)
	if l.exposed(c) {
		l.srv.rejected.Add(1)
		l.turnAway(c, resp.ErrProtectedMode)
		return
	}
	// What the client sent behind its last message may be in the feed, or in crypto/tls
	// already, and no poller tells of it.
	l.openPrivate(c)
}

// slowShake is why the server ends a handshake that takes too long.
var slowShake = fmt.Sprintf("no TLS handshake within %v", shakeTime)

// failureEvery is how often a failed handshake is logged: they come from whoever can
// reach the port.
const failureEvery = time.Second

// shakeFailures is the log of handshakes that have failed.
type shakeFailures struct {
	mu     sync.Mutex
	last   time.Time // guarded by mu
	silent int       // not logged since; guarded by mu
}

// shakeFailed logs a failed handshake in the words of Redis.
func (s *Server) shakeFailed(c *conn, reason string) {
	x := &s.shakeFailures
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	if now.Sub(x.last) < failureEvery {
		x.silent++
		return
	}
	more := ""
	if x.silent > 0 {
		more = fmt.Sprintf("; %d more since the last one that was logged", x.silent)
	}
	x.last, x.silent = now, 0
	s.log.Warn(fmt.Sprintf("Error accepting a client connection: %s (addr=%s laddr=%s)%s", reason, c.remote, c.local, more))
}

// ciphertext is the loop's buffer for what comes.
func (l *loop) ciphertext() []byte {
	if l.cipherBuf == nil {
		l.cipherBuf = make([]byte, cipherBytes)
	}
	return l.cipherBuf
}

// readSecured is loop.read for a connection with TLS.
func (l *loop) readSecured(c *conn) {
	n, err := readSocket(c.fd, l.ciphertext())
	if l.readFailed(c, n, err) {
		return
	}
	c.tls.feed.in = l.cipherBuf[:n]
	k := len(c.in)
	if k > smallRest || c.parser.Missing(k) > readBytes-smallRest {
		l.openPrivate(c)
		return
	}
	copy(l.readBuf, c.in)
	n = k
	for err == nil {
		var m int
		m, err = c.tls.conn.Read(l.readBuf[n:])
		n += m
	}
	if n > k {
		l.arrived(c, l.readBuf[:n], n-k)
	}
	l.deciphered(c, err)
}

// openPrivate decrypts what the feed has into the connection's own buffer, and runs it.
func (l *loop) openPrivate(c *conn) {
	before := len(c.in)
	var err error
	for err == nil {
		var m int
		c.reserve()
		m, err = c.tls.conn.Read(c.in[len(c.in):cap(c.in)])
		c.in = c.in[:len(c.in)+m]
	}
	if n := len(c.in) - before; n > 0 {
		l.arrivedMore(c, n)
	} else if len(c.in) == 0 {
		c.in = nil
	}
	l.deciphered(c, err)
}

// deciphered deals with what ended a series of reads: most often that all has been read.
func (l *loop) deciphered(c *conn, err error) {
	if c.is(stateClosed | stateDetached) {
		return
	}
	t := c.tls
	if t.settle(); len(t.sealed) > 0 {
		l.wantWrite(c)
	}
	switch err {
	case errNoMore:
	case io.EOF:
		// The client sends nothing more, but may be waiting for what it has asked.
		t.ended = true
		l.endSecured(c)
	default:
		l.drop(c)
	}
}

// endSecured closes a connection whose client sends nothing more, unless requests of it
// still wait: for the end of a pause, or until replies have left. One that waits within a
// command, as in BLPOP, is closed as if it had gone.
func (l *loop) endSecured(c *conn) {
	waits := len(c.in) > 0 && !c.runnable() && !c.is(stateClosing|stateWaiting)
	if c.tls == nil || !c.tls.ended || waits || c.is(stateClosed|stateDetached) {
		return
	}
	c.state |= stateClosing
	l.wantWrite(c)
}

// sendSecured is loop.send for a connection with TLS.
func (l *loop) sendSecured(c *conn, end int) error {
	t := c.tls
	t.settle() // or it would be lost, or come behind what is encrypted by the new key
	for {
		if err := l.flushSealed(c); err != nil || c.sent == end || c.is(stateShaking) {
			return err
		}
		n := min(end-c.sent, sealBytes)
		t.feed.out = l.sealBuf[:0]
		_, err := t.conn.Write(c.out.Bytes()[c.sent : c.sent+n])
		l.sealBuf, t.feed.out = t.feed.out, nil
		if err != nil {
			return err
		}
		l.countWrite(c, n)
		rest := l.sealBuf
		for len(rest) > 0 {
			n, err := writeSocket(c.fd, rest)
			if err == unix.EAGAIN {
				t.sealed = append(t.sealed, rest...)
				return err
			}
			if err != nil {
				return err
			}
			rest = rest[n:]
			c.active = l.mono
		}
	}
}

// flushSealed writes ciphertext that was left.
func (l *loop) flushSealed(c *conn) error {
	t := c.tls
	done := 0
	for done < len(t.sealed) {
		n, err := writeSocket(c.fd, t.sealed[done:])
		if err != nil {
			t.sealed = t.sealed[:copy(t.sealed, t.sealed[done:])]
			return err
		}
		done += n
		c.active = l.mono
	}
	t.sealed = nil
	return nil
}

// closeSecured takes leave of the client as far as the socket takes it, and ends a
// handshake that is under way.
func (l *loop) closeSecured(c *conn) {
	t := c.tls
	if c.is(stateShaking) {
		_ = t.feed.Close()
		return
	}
	t.settle()
	t.feed.out = t.sealed
	_ = t.conn.CloseWrite()
	if len(t.feed.out) > 0 {
		_, _ = writeSocket(c.fd, t.feed.out)
	}
	_ = t.feed.Close()
}

// unloop makes the TLS of a connection that has left its loop one over nc.
func (t *secured) unloop(nc net.Conn) net.Conn {
	t.feed.nc = nc
	return t.conn
}

// feed is the net.Conn that crypto/tls works on. While hands are shaken its fields are
// guarded by mu; then they belong to the loop of the connection, and when that has left
// the loops everything is nc's.
type feed struct {
	mu      sync.Mutex
	more    sync.Cond // in has grown, or the connection is closed
	in      []byte    // ciphertext for crypto/tls
	out     []byte    // … and from it
	closed  bool
	told    bool // wrote was called, and nobody has taken out
	shaking bool
	wrote   func()        // asks the loop to take out
	tokens  chan struct{} // held by the goroutine of a handshake while it computes

	nc net.Conn // nil while a loop has the connection
}

// errNoMore says that there is nothing more to be read at present.
var errNoMore = noMore{}

type noMore struct{}

func (noMore) Error() string   { return "server: nothing more to read" }
func (noMore) Timeout() bool   { return true }
func (noMore) Temporary() bool { return true } // or crypto/tls would not go on

// give adds to what the handshake can read.
func (f *feed) give(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.in = append(f.in, b...)
	f.more.Signal()
}

// waiting is how much the handshake has not read.
func (f *feed) waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.in)
}

// taken takes what the handshake has written, and appends it to b.
func (f *feed) taken(b []byte) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	b = append(b, f.out...)
	f.out, f.told = nil, false
	return b
}

// Read is net.Conn's.
func (f *feed) Read(b []byte) (int, error) {
	if f.nc != nil {
		return f.nc.Read(b)
	}
	if !f.shaking {
		if len(f.in) == 0 {
			f.in = nil
			return 0, errNoMore
		}
		n := copy(b, f.in)
		f.in = f.in[n:]
		return n, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.in) == 0 && !f.closed {
		<-f.tokens // others may compute meanwhile
		for len(f.in) == 0 && !f.closed {
			f.more.Wait()
		}
		f.mu.Unlock()
		f.tokens <- struct{}{}
		f.mu.Lock()
	}
	if f.closed {
		return 0, net.ErrClosed
	}
	n := copy(b, f.in)
	f.in = f.in[n:]
	return n, nil
}

// Write is net.Conn's.
func (f *feed) Write(b []byte) (int, error) {
	if f.nc != nil {
		return f.nc.Write(b)
	}
	if !f.shaking {
		f.out = append(f.out, b...)
		return len(b), nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, net.ErrClosed
	}
	f.out = append(f.out, b...)
	if !f.told {
		f.told = true
		f.wrote()
	}
	return len(b), nil
}

// Close is net.Conn's.
func (f *feed) Close() error {
	if f.nc != nil {
		return f.nc.Close()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.more.Signal()
	return nil
}

// LocalAddr is net.Conn's.
func (f *feed) LocalAddr() net.Addr {
	if f.nc == nil {
		return nil
	}
	return f.nc.LocalAddr()
}

// RemoteAddr is net.Conn's.
func (f *feed) RemoteAddr() net.Addr {
	if f.nc == nil {
		return nil
	}
	return f.nc.RemoteAddr()
}

// SetDeadline is net.Conn's. A loop's connection has none: the loop looks at the clock.
func (f *feed) SetDeadline(t time.Time) error { return f.timed(net.Conn.SetDeadline, t) }

// SetReadDeadline is net.Conn's.
func (f *feed) SetReadDeadline(t time.Time) error { return f.timed(net.Conn.SetReadDeadline, t) }

// SetWriteDeadline is net.Conn's.
func (f *feed) SetWriteDeadline(t time.Time) error { return f.timed(net.Conn.SetWriteDeadline, t) }

func (f *feed) timed(set func(net.Conn, time.Time) error, t time.Time) error {
	if f.nc == nil {
		return nil
	}
	return set(f.nc, t)
}

// securedTerminal is the terminal of a synchronous debugging session whose client uses
// TLS.
type securedTerminal struct {
	socketTerminal
	t     *secured
	plain []byte
}

// Receive is script.Terminal's.
func (t *securedTerminal) Receive() (b []byte, open bool) {
	raw, open := t.socketTerminal.Receive()
	if len(raw) == 0 {
		return nil, open
	}
	t.t.feed.in = raw
	t.plain = t.plain[:0]
	var err error
	for err == nil {
		var buf [terminalBytes]byte
		var n int
		n, err = t.t.conn.Read(buf[:])
		t.plain = append(t.plain, buf[:n]...)
	}
	if err != errNoMore {
		t.gone = true
	}
	return t.plain, !t.gone || len(t.plain) > 0
}

// Send is script.Terminal's.
func (t *securedTerminal) Send(b []byte) {
	x := t.t
	x.settle()
	x.feed.out, x.sealed = x.sealed, nil
	if _, err := x.conn.Write(b); err != nil {
		t.gone = true
	}
	t.socketTerminal.Send(x.feed.out)
	x.feed.out = nil
}
