package server

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/internal/script"
)

// SCRIPT DEBUG: the EVAL that a connection sends next is a debugging session, which
// the client steers over the same connection, and which ends with it.
//
// A synchronous session is a script like others: it runs on its loop in the unit of
// its call, with the world locked, and what it changes stays. While it waits for its
// client everybody else waits for it, and gets BUSY after busy-reply-threshold
// (handover.go).
//
// An asynchronous session, for which Redis forks, leaves the loops with its connection
// and runs beside them on a keyspace of its own (debugView). Nobody waits for it, and
// nothing of it reaches the data or the stream.

// debugMode is what SCRIPT DEBUG has chosen for a connection.
type debugMode uint8

const (
	debugOff debugMode = iota
	debugAsync
	debugSync
)

// scriptDebug is SCRIPT DEBUG. It matches the part of scriptCommand. It is refused
// behind output that has not left, which would come between the lines of the session.
func scriptDebug(x *command.Ctx, c *conn) {
	switch {
	case c.out.Len() != 0:
		x.Out.Error(resp.ErrScriptDebugPipe)
	case resp.EqualFold(x.Args[2], "no"):
		c.debug = debugOff
		x.Out.OK()
	case resp.EqualFold(x.Args[2], "yes"):
		c.debug = debugAsync
		x.Out.OK()
	case resp.EqualFold(x.Args[2], "sync"):
		c.debug = debugSync
		x.Out.OK()
	default:
		x.Out.Error(resp.ErrScriptDebug)
	}
}

// maxAsyncDebugs is how many asynchronous sessions there are at a time.
const maxAsyncDebugs = 16

// debugSessions are the debugging sessions of the node.
type debugSessions struct {
	mu     sync.Mutex
	open   map[terminal]struct{} // guarded by mu
	asides int                   // how many of them are asynchronous; guarded by mu
	ended  bool                  // no more begin; guarded by mu
	copier copier
	limits debugLimits // set before the server runs
}

// terminal is the client of a session. Any goroutine can hang up: then the session goes
// on as if the client had gone.
type terminal interface {
	script.Terminal
	hangUp()
}

// begin notes a session; the error is that there are too many, or that the server ends.
// aside says that it is an asynchronous one.
func (x *debugSessions) begin(t terminal, aside bool) resp.Error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.ended:
		return resp.ErrDebugEnds
	case aside && x.asides >= maxAsyncDebugs:
		return resp.ErrDebugSessions
	}
	if x.open == nil {
		x.open = map[terminal]struct{}{}
	}
	x.open[t] = struct{}{}
	if aside {
		x.asides++
	}
	return ""
}

func (x *debugSessions) end(t terminal, aside bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.open, t)
	if aside {
		x.asides--
	}
}

// hangUp hangs up all terminals, so that no session waits for its client. final says
// that no more sessions begin.
func (x *debugSessions) hangUp(final bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = x.ended || final
	for t := range x.open {
		t.hangUp()
	}
}

// debug is EVAL of a connection that has asked for a debugger.
func (s *Server) debug(x *command.Ctx, h *scriptHost, f form) {
	c, l := h.conn, h.conn.home.Load()
	switch {
	case f.bySHA:
		x.Out.Error(resp.ErrDebugSHA)
	case c.out.Len() != 0: // a pipeline, or a transaction
		x.Out.Error(resp.ErrDebugPipe)
	case c.debug == debugAsync:
		s.debugAside(x, h, f)
	case !x.Tx.World():
		l.strayed = true // the call is repeated, with the world
	default:
		s.debugHere(x, h, f)
	}
}

// debugHere runs a synchronous session.
func (s *Server) debugHere(x *command.Ctx, h *scriptHost, f form) {
	t, ok := h.conn.terminal()
	if !ok {
		x.Out.Error(resp.ErrDebugPipe)
		return
	}
	if err := s.debugs.begin(t, false); err != "" {
		x.Out.Error(err)
		return
	}
	s.log.Warn("A synchronous debugging session of a script begins: the node waits for its client.")
	d := script.NewDebugger(x.Args[1], t, h.cfg.BusyReplyThreshold, false)
	s.evaluate(x, h, f, d)
	d.End()
	s.debugs.end(t, false)
	t.restore()
	h.conn.CloseAfterReply()
	s.log.Warn("The synchronous debugging session has ended.")
}

// A lineTerminal is a terminal that gives its connection back.
type lineTerminal interface {
	terminal
	restore()
}

// terminal makes the connection the terminal of a synchronous session, for as long as
// its script runs. ok is false if output is under way.
func (c *conn) terminal() (t lineTerminal, ok bool) {
	switch {
	case c.tls != nil:
		return &securedTerminal{socketTerminal: socketTerminal{fd: c.fd}, t: c.tls}, true
	case c.wire == nil:
		return &socketTerminal{fd: c.fd}, true
	}
	// The reader waits to be asked for more, and the writer has nothing to do.
	return &netTerminal{nc: c.wire.nc}, c.wire.idle && c.wire.drained(terminalSend)
}

const (
	// terminalBeat is how long a terminal waits at most before it looks whether it was
	// hung up.
	terminalBeat = 50 * time.Millisecond
	// terminalSend is how long a client may take to read what it is sent, as in Redis.
	terminalSend = 5 * time.Second
	// terminalBytes is how much is read at a time.
	terminalBytes = 4 << 10
)

// socketTerminal is a socket that a loop polls at other times.
type socketTerminal struct {
	fd     int
	gone   bool
	hungUp atomic.Bool
	buf    [terminalBytes]byte
}

func (t *socketTerminal) hangUp()  { t.hungUp.Store(true) }
func (t *socketTerminal) restore() {}

// await waits until the socket is ready, and reports false if it is not in time.
func (t *socketTerminal) await(events int16, wait time.Duration) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(t.fd), Events: events}}, int(wait.Milliseconds()))
	return err == nil && n > 0
}

// Receive is script.Terminal's.
func (t *socketTerminal) Receive() (b []byte, open bool) {
	if t.gone || t.hungUp.Load() {
		return nil, false
	}
	if !t.await(unix.POLLIN, terminalBeat) {
		return nil, true
	}
	n, err := unix.Read(t.fd, t.buf[:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil, true
	case err != nil || n == 0:
		t.gone = true
		return nil, false
	}
	return t.buf[:n], true
}

// Send is script.Terminal's.
func (t *socketTerminal) Send(b []byte) {
	for until := time.Now().Add(terminalSend); len(b) > 0 && !t.gone; {
		n, err := unix.Write(t.fd, b)
		switch {
		case err == nil:
			b = b[n:]
		case err == unix.EINTR:
		case err == unix.EAGAIN && time.Now().Before(until):
			t.await(unix.POLLOUT, terminalBeat)
		default:
			t.gone = true
		}
	}
}

// netTerminal is a connection with blocking calls: one that has left the loops, or one
// that no poller can watch.
type netTerminal struct {
	nc     net.Conn
	first  []byte // what the client had sent behind its EVAL
	gone   bool
	hungUp atomic.Bool
	buf    [terminalBytes]byte
}

func (t *netTerminal) hangUp()  { t.hungUp.Store(true) }
func (t *netTerminal) restore() { _ = t.nc.SetDeadline(time.Time{}) }

// Receive is script.Terminal's.
func (t *netTerminal) Receive() (b []byte, open bool) {
	if t.gone || t.hungUp.Load() {
		return nil, false
	}
	if len(t.first) > 0 {
		b, t.first = t.first, nil
		return b, true
	}
	_ = t.nc.SetReadDeadline(time.Now().Add(terminalBeat))
	n, err := t.nc.Read(t.buf[:])
	if n == 0 && err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.gone = true
		return nil, false
	}
	return t.buf[:n], true
}

// Send is script.Terminal's.
func (t *netTerminal) Send(b []byte) {
	_ = t.nc.SetWriteDeadline(time.Now().Add(terminalSend))
	if _, err := t.nc.Write(b); err != nil {
		t.gone = true
	}
}

// debugAside begins an asynchronous session: the connection leaves the loops.
func (s *Server) debugAside(x *command.Ctx, h *scriptHost, f form) {
	c, l := h.conn, h.conn.home.Load()
	t := &netTerminal{}
	if err := s.debugs.begin(t, true); err != "" {
		x.Out.Error(err)
		return
	}
	v := &debugSession{srv: s, form: f, conn: c, db: c.db, proto: c.out.Proto(), noTouch: c.NoTouch(), terminal: t}
	v.user, v.client = h.user, h.client
	v.cfg, v.readOnly, v.asking, v.outOfMemory = h.cfg, h.readOnly, h.asking, h.outOfMemory
	for _, a := range x.Args {
		v.args = append(v.args, bytes.Clone(a))
	}
	c.state |= stateDetached
	l.leaving = append(l.leaving, departure{c: c, take: v.begin})
}

// begin takes the connection over.
func (v *debugSession) begin(nc net.Conn, rest []byte) {
	s := v.srv
	if nc == nil {
		s.debugs.end(v.terminal, true)
		return
	}
	s.clients.Add(1) // it is still one, though of no loop
	v.terminal.nc, v.terminal.first = s.track(v.conn, nc, debugPeer), rest
	s.goroutines.Go(v.run)
}
