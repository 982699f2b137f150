package link

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"redoubt/bus"
)

// writeBatchBytes is about how much is written with one system call.
const writeBatchBytes = 64 << 10

// Link is one connection of the bus, from the moment it is dialled or
// accepted. Its methods may be called from any goroutine and never wait.
type Link struct {
	endpoint *Endpoint
	inbound  bool
	created  time.Time
	timeout  time.Duration // of opening a dialled link
	tls      *TLS          // nil: the link is plain
	// life ends when the link is closed; its cause is what Handler.Closed is
	// told. The first reason to close wins.
	life context.Context
	end  context.CancelCauseFunc
	wake chan struct{} // tells the writer, once, that the queue is not empty

	mu     sync.Mutex // guards what follows; not held across I/O
	local  netip.Addr
	remote netip.Addr
	queue  [][]byte // waiting messages, encoded
	// used counts the bytes that wait, including the batch that is being
	// written; allocated is the memory behind them.
	used      int
	allocated int
}

func newLink(e *Endpoint, inbound bool) *Link {
	life, end := context.WithCancelCause(context.Background())
	return &Link{
		endpoint: e, inbound: inbound, created: time.Now(),
		life: life, end: end, wake: make(chan struct{}, 1),
	}
}

// Inbound reports whether the other side opened the link.
func (l *Link) Inbound() bool { return l.inbound }

// Created is when the link was accepted or began to be dialled.
func (l *Link) Created() time.Time { return l.created }

// LocalIP is the address of this side of the connection, the zero Addr before
// there is one.
func (l *Link) LocalIP() netip.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.local
}

// RemoteIP is the address of the other side, the zero Addr before there is
// a connection: one whose TLS handshake fails has it.
func (l *Link) RemoteIP() netip.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.remote
}

// QueueBytes returns how many bytes wait to be sent and how much memory they
// take, as CLUSTER LINKS shows them.
func (l *Link) QueueBytes() (used, allocated int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used, l.allocated
}

// Close closes the link. What waits to be sent is lost.
func (l *Link) Close() { l.end(ErrClosed) }

// Send queues an encoded message, which may be in the queues of other links
// too and must not change any more. A link that is closed drops it; one whose
// queue is over the limit closes (see Endpoint.SetSendLimit).
func (l *Link) Send(message []byte) {
	l.mu.Lock()
	if l.life.Err() != nil {
		l.mu.Unlock()
		return
	}
	over := int64(l.used) > l.endpoint.sendLimit.Load()
	if !over {
		l.queue = append(l.queue, message)
		l.used += len(message)
		l.allocated += cap(message)
	} else {
		// Under the lock, so that the next Send sees the end of the link and
		// the link is counted once.
		l.end(ErrSendLimit)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run is the life of the link, in its own goroutine.
func (l *Link) run(open func(context.Context) (net.Conn, error)) {
	h := l.endpoint.cfg.Handler
	defer func() {
		l.forget()
		h.Closed(l, context.Cause(l.life))
	}()
	conn, err := open(l.life)
	if err != nil {
		l.end(err)
		return
	}
	// A goroutine blocked in Read or Write notices the end by this.
	context.AfterFunc(l.life, func() { conn.Close() })

	l.mu.Lock()
	l.local, l.remote = addrOf(conn.LocalAddr()), addrOf(conn.RemoteAddr())
	l.mu.Unlock()
	stream := conn
	if l.tls != nil {
		if stream, err = l.secure(conn); err != nil {
			l.end(err)
			return
		}
	}
	h.Opened(l)

	written, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		err := l.write(stream)
		if l.tls != nil {
			l.awaitReason(read)
		}
		l.end(err)
	}()
	l.end(l.read(stream))
	close(read)
	<-written
}

// reasonTime is how long a failed write waits for the reader to find out why.
const reasonTime = 100 * time.Millisecond

// awaitReason lets the reader end first, when a write has failed: a peer that refuses this
// node's certificate says so and hangs up, and its alert is still there to be read.
func (l *Link) awaitReason(read <-chan struct{}) {
	select {
	case <-read:
	case <-l.life.Done():
	case <-time.After(reasonTime):
	}
}

func (l *Link) read(conn net.Conn) error {
	h := l.endpoint.cfg.Handler
	frames := frameReader{from: conn}
	decoder := bus.Decoder{Intern: l.endpoint.names.of}
	if guest, err := l.guest(conn, &frames); guest {
		return err
	}
	for {
		frame, err := frames.next()
		if isAlert(err) {
			return &HandshakeError{Refused: true, Err: err}
		}
		if err != nil {
			return err
		}
		m, err := decoder.Decode(frame)
		if l.life.Err() != nil {
			// Closed while this one arrived: the owner may have forgotten
			// the link and its node.
			return ErrClosed
		}
		if err != nil {
			h.Dropped(l, bus.TypeOf(frame), err)
		} else {
			h.Received(l, m)
		}
	}
}

func (l *Link) write(conn io.Writer) error {
	var buffers [][]byte // reused; WriteTo consumes a copy of the slice header
	for {
		var size, allocated int
		buffers, size, allocated = l.batch(buffers[:0])
		if size == 0 {
			select {
			case <-l.wake:
				continue
			case <-l.life.Done():
				return ErrClosed
			}
		}
		if err := writeAll(conn, buffers); err != nil {
			return err
		}
		l.mu.Lock()
		l.used -= size
		l.allocated -= allocated
		l.mu.Unlock()
	}
}

// writeAll writes a batch with one system call, or in as few records of TLS as it takes.
func writeAll(conn io.Writer, buffers [][]byte) error {
	if _, ok := conn.(*tls.Conn); ok && len(buffers) > 1 {
		buffers = [][]byte{slices.Concat(buffers...)}
	}
	vector := net.Buffers(buffers)
	_, err := vector.WriteTo(conn)
	return err
}

// batch moves messages from the head of the queue to buffers: as many as make
// one write, at least one if there is any.
func (l *Link) batch(buffers [][]byte) (batch [][]byte, size, allocated int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.queue) && size < writeBatchBytes {
		size += len(l.queue[n])
		allocated += cap(l.queue[n])
		n++
	}
	buffers = append(buffers, l.queue[:n]...)
	clear(l.queue[:n])
	l.queue = l.queue[n:]
	if len(l.queue) == 0 {
		l.queue = nil
	}
	return buffers, size, allocated
}

// forget frees the queue of a link that has ended.
func (l *Link) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue, l.used, l.allocated = nil, 0, 0
}

func addrOf(a net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}
