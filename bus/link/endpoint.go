// Package link carries the messages of the cluster bus over sockets, plain or by TLS.
//
// An Endpoint is this node's end of the bus: it accepts links from other nodes
// and dials links to them. A Link is one connection. Between two nodes there
// are normally two, one opened by each; a request sent on a link is answered
// on the same one. What arrives is framed and decoded here and handed to the
// Handler; what is sent was encoded by the caller, once for however many links
// it goes to.
//
// The package decides nothing: it does not know nodes, does not dial again,
// and answers nothing. It does close a link on which framing is lost, and one
// whose send queue has outgrown its limit. The driver of package cluster (in
// internal/node) is the Handler and owns the links.
//
// Each link has a goroutine that opens it, reads, and makes all calls to the
// Handler about it, and while it is open a second one that writes.
package link

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"redoubt/bus"
)

// Handler is told what happens on links. The calls about one link come one
// after the other, in this order: Opened at most once, then Received and
// Dropped, then Closed exactly once. Calls about different links come from
// different goroutines. While a call lasts nothing more is read from its link,
// which is how a slow receiver slows the sender. No call may wait for
// Endpoint.Close.
type Handler interface {
	// Opened says that l is connected. Accepted links are new to the handler,
	// dialled ones are known to it from Dial.
	Opened(l *Link)
	// Received hands over a message.
	Received(l *Link, m *bus.Message)
	// Dropped says that a message of type t was not valid. The link goes on.
	Dropped(l *Link, t bus.Type, err error)
	// Closed says that l is no more, and why: ErrClosed after Link.Close,
	// ErrSendLimit, bus.ErrFraming, io.EOF, a *HandshakeError, ErrHandshakes, or
	// an error of the network. If Opened has not been called, err tells why
	// dialling or the TLS handshake failed; syscall.ECONNREFUSED is in it when
	// nobody listens there.
	Closed(l *Link, err error)
}

var (
	// ErrClosed is the end of a link that this side closed.
	ErrClosed = errors.New("link: closed")
	// ErrSwitched is the end of all links when SetTLS has made the others of another
	// kind.
	ErrSwitched = errors.New("link: the bus is encrypted now, or is not any more")
	// ErrSendLimit is the end of a link whose peer did not read fast enough.
	ErrSendLimit = errors.New("link: send queue over its limit")
)

// MaxQueueBytes bounds the send queue of a link where no lower limit is set.
// Redis has no such bound.
const MaxQueueBytes = 1 << 30

// Config is what an Endpoint needs. Handler must be set.
type Config struct {
	Handler Handler
	// Net opens the sockets; nil means TCP.
	Net Net
	// TLS encrypts the links; nil leaves them plain. See SetTLS.
	TLS *TLS
	// Source is the local address of dialled links (bind-source-addr). The
	// zero value leaves the choice to the system.
	Source netip.Addr
	// KeepAlive is the idle time after which an accepted connection is probed.
	// Zero means no probes.
	KeepAlive time.Duration
	// SendLimit is cluster-link-sendbuf-limit in bytes; see SetSendLimit.
	SendLimit int64
	// Guest takes over an accepted connection that begins with GuestPrefix, which has been
	// read, in the place of a message, and returns when it has no more use for it. nil: such a
	// connection is one that sends junk.
	Guest func(conn net.Conn)
	// Log gets failures to accept; nil discards them.
	Log *zap.Logger
}

// Endpoint opens and accepts links. Its methods may be called from any
// goroutine.
type Endpoint struct {
	cfg       Config
	sendLimit atomic.Int64
	tls       atomic.Pointer[TLS]
	closing   chan struct{} // closed by Close
	running   sync.WaitGroup
	shaking   handshakes
	names     names // of what is received

	mu        sync.Mutex // guards what follows; not held across I/O
	closed    bool
	links     map[*Link]struct{}
	listeners []net.Listener
	accepting bool // Accept has been called
}

// handshakes are the accepted links whose TLS handshakes are under way.
type handshakes struct {
	mu    sync.Mutex
	links []*Link // the oldest first
}

// New returns an endpoint without links. It must be closed.
func New(cfg Config) *Endpoint {
	if cfg.Net == nil {
		cfg.Net = TCP{}
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	e := &Endpoint{cfg: cfg, closing: make(chan struct{}), links: map[*Link]struct{}{}}
	e.SetSendLimit(cfg.SendLimit)
	e.tls.Store(cfg.TLS)
	return e
}

// SetTLS has links be encrypted from now on, or be plain if t is nil. Links of the
// other kind are closed.
func (e *Endpoint) SetTLS(t *TLS) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if before := e.tls.Swap(t); (before == nil) == (t == nil) {
		return
	}
	for l := range e.links {
		l.end(ErrSwitched)
	}
}

// SetSendLimit changes the limit of every link's send queue, in bytes; zero
// means MaxQueueBytes. A link that is asked to send while more than that is
// waiting is closed with ErrSendLimit. The message that passes the limit is
// still taken, so that one which alone is larger can be sent.
func (e *Endpoint) SetSendLimit(bytes int64) {
	if bytes <= 0 || bytes > MaxQueueBytes {
		bytes = MaxQueueBytes
	}
	e.sendLimit.Store(bytes)
}

// linkBytes is about what a link takes beside its queue, and tlsBytes what it takes
// more if it is encrypted.
const (
	linkBytes = 4 << 10
	tlsBytes  = 16 << 10
)

// Bytes is about how much memory the links take, with what waits to be sent:
// mem_cluster_links of INFO.
func (e *Endpoint) Bytes() (total int64) {
	each := int64(linkBytes)
	if e.tls.Load() != nil {
		each += tlsBytes
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for l := range e.links {
		_, allocated := l.QueueBytes()
		total += each + int64(allocated)
	}
	return total
}

// Listen accepts links on addr, "host:port", until the endpoint is closed. It
// returns the address that was bound, and may be called for several.
func (e *Endpoint) Listen(addr string) (net.Addr, error) {
	at, err := e.Bind(addr)
	if err == nil {
		e.Accept()
	}
	return at, err
}

// Bind is Listen, but nothing is accepted before Accept: meanwhile the kernel takes
// connections, so that a dialler sees that somebody is about to listen here.
func (e *Endpoint) Bind(addr string) (net.Addr, error) {
	ln, err := e.cfg.Net.Listen(addr, e.cfg.KeepAlive)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		ln.Close()
		return nil, ErrClosed
	}
	e.listeners = append(e.listeners, ln)
	if e.accepting {
		e.running.Go(func() { e.accept(ln) })
	}
	return ln.Addr(), nil
}

// Accept begins to accept links on what was bound, and on what will be.
func (e *Endpoint) Accept() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.accepting {
		return
	}
	e.accepting = true
	for _, ln := range e.listeners {
		e.running.Go(func() { e.accept(ln) })
	}
}

// accept survives whatever Accept fails with, mostly a lack of file
// descriptors, by waiting a little longer each time.
func (e *Endpoint) accept(ln net.Listener) {
	const firstPause, longestPause = 5 * time.Millisecond, time.Second
	pause := firstPause
	for {
		conn, err := ln.Accept()
		if err == nil {
			pause = firstPause
			opened := func(context.Context) (net.Conn, error) { return conn, nil }
			if !e.start(newLink(e, true), opened) {
				conn.Close()
			}
			continue
		}
		select {
		case <-e.closing:
			return
		case <-time.After(pause):
			e.cfg.Log.Warn("Error accepting cluster node", zap.Error(err))
			pause = min(2*pause, longestPause)
		}
	}
}

// Dial begins to open a link to addr, "host:port", and returns it at once;
// what is sent meanwhile waits in its queue. Opened or Closed will tell the
// handler how it went, the latter after timeout at the latest. On a closed
// endpoint the link is closed from the beginning and the handler hears
// nothing of it.
func (e *Endpoint) Dial(addr string, timeout time.Duration) *Link {
	l := newLink(e, false)
	l.timeout = timeout
	dial := func(ctx context.Context) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return e.cfg.Net.Dial(ctx, e.cfg.Source, addr)
	}
	if !e.start(l, dial) {
		l.Close()
	}
	return l
}

// start begins the life of l, unless the endpoint is closed.
func (e *Endpoint) start(l *Link, open func(context.Context) (net.Conn, error)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.links[l] = struct{}{}
	l.tls = e.tls.Load()
	e.running.Go(func() {
		l.run(open)
		e.mu.Lock()
		delete(e.links, l)
		e.mu.Unlock()
	})
	return true
}

// Close closes the listeners and all links and waits until the handler has
// been told. It may be called again.
func (e *Endpoint) Close() {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.closing)
		for _, ln := range e.listeners {
			ln.Close()
		}
		for l := range e.links {
			l.Close()
		}
	}
	e.mu.Unlock()
	e.running.Wait()
}
