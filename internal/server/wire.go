package server

import (
	"net"
	"sync"
	"time"
)

// wire moves the bytes of a connection that a poller cannot watch. Two
// goroutines do so: one reads into a buffer, posts it to the loop and waits
// until the loop asks for more; one writes what the loop hands it. Neither
// looks into the bytes.
type wire struct {
	nc   net.Conn
	c    *conn
	next chan struct{} // a token: the loop has taken the bytes, read again
	gone chan struct{} // closed with the connection
	// written is closed when the writer has ended, after its last bytes.
	written chan struct{}

	mu      sync.Mutex
	wake    sync.Cond
	pending []byte // guarded by mu; being written, or to be
	ended   bool   // guarded by mu

	busy bool // the loop's: the writer has bytes
	idle bool // the loop's: the reader waits for the token

	closeOnce sync.Once
}

const wireReadBytes = 16 << 10

// serveWire makes nc a connection of one of the loops.
func (s *Server) serveWire(nc net.Conn) {
	remote := nc.RemoteAddr().String()
	if nc.RemoteAddr().Network() == "unix" {
		remote = nc.LocalAddr().String() + ":0"
	}
	c := s.newConn(-1, remote, nc.LocalAddr().String())
	w := &wire{nc: nc, c: c, next: make(chan struct{}, 1), gone: make(chan struct{}), written: make(chan struct{})}
	w.wake.L = &w.mu
	c.wire = w
	l := s.loopFor(c.id)
	l.expect(c, func() {
		s.goroutines.Go(w.read)
		s.goroutines.Go(w.write)
		if err := s.admit(); err != "" {
			l.turnAway(c, err)
		}
	})
}

// read is the goroutine that takes bytes off the wire.
func (w *wire) read() {
	buf := make([]byte, wireReadBytes)
	for {
		n, err := w.nc.Read(buf)
		w.toLoop(func(l *loop) {
			if n > 0 {
				w.idle = true
				l.received(w.c, buf[:n])
			}
			if err != nil {
				l.drop(w.c)
			}
		})
		if err != nil {
			return
		}
		select {
		case <-w.next:
		case <-w.gone:
			return
		}
	}
}

// toLoop runs f on the connection's loop, unless it is closed by then.
func (w *wire) toLoop(f func(l *loop)) {
	l := w.c.home.Load()
	l.post(func() {
		if !w.c.is(stateClosed) {
			f(l)
		}
	})
}

// received takes bytes that a wire has read.
func (l *loop) received(c *conn, b []byte) {
	if c.in == nil && c.runnable() {
		l.arrived(c, b, len(b))
		if !c.is(stateClosed) {
			l.watchSocket(c)
		}
		return
	}
	c.in = append(c.in, b...)
	l.countRead(c, len(b))
	switch {
	case !c.runnable():
		l.watchSocket(c)
	case !l.overlong(c):
		l.runBuffered(c)
	}
}

// more lets the reader read again.
func (w *wire) more() {
	if w.idle {
		w.idle = false
		w.next <- struct{}{}
	}
}

// writeWire hands what may leave to the writer, if that is not still busy.
func (l *loop) writeWire(c *conn) {
	w := c.wire
	end := c.releasable()
	if w.busy {
		l.checkOutput(c)
		return
	}
	if c.sent == end {
		l.wrote(c)
		return
	}
	w.busy = true
	w.mu.Lock()
	w.pending = append(w.pending[:0], c.out.Bytes()[c.sent:end]...)
	w.wake.Signal()
	w.mu.Unlock()
	l.countWrite(c, end-c.sent)
	if !c.is(stateClosing) {
		l.wrote(c)
	}
}

// write is the goroutine that puts bytes on the wire.
func (w *wire) write() {
	defer close(w.written)
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.pending) == 0 && !w.ended {
			w.wake.Wait()
		}
		if len(w.pending) == 0 {
			return
		}
		b := w.pending
		w.mu.Unlock()
		_, err := w.nc.Write(b)
		w.mu.Lock()
		w.pending = w.pending[:0]
		w.toLoop(func(l *loop) {
			w.busy = false
			if err != nil {
				l.drop(w.c)
				return
			}
			w.c.active = l.mono
			l.write(w.c)
			l.recount(w.c)
		})
	}
}

// drained waits until the writer has written what it was given, and reports false if
// that takes too long. The loop hears of it later.
func (w *wire) drained(wait time.Duration) bool {
	for until := time.Now().Add(wait); ; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		n := len(w.pending)
		w.mu.Unlock()
		if n == 0 || time.Now().After(until) {
			return n == 0
		}
	}
}

// detach ends the goroutines without closing the connection, which somebody else
// takes over. The writer first writes what it was given.
func (w *wire) detach() {
	w.closeOnce.Do(func() { close(w.gone) })
	w.mu.Lock()
	w.ended = true
	w.wake.Signal()
	w.mu.Unlock()
}

// close ends the goroutines and the connection.
func (w *wire) close() {
	w.detach()
	w.nc.Close()
}
