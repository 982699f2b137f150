package link

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"redoubt/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen before it fails.
const patience = 10 * time.Second

// event is one call of the Handler.
type event struct {
	kind    string // opened, received, dropped, closed
	link    *Link
	message *bus.Message
	typ     bus.Type
	err     error
}

// recorder is a Handler that queues its calls.
type recorder chan event

func (r recorder) Opened(l *Link) { r <- event{kind: "opened", link: l} }
func (r recorder) Received(l *Link, m *bus.Message) {
	r <- event{kind: "received", link: l, message: m}
}
func (r recorder) Dropped(l *Link, t bus.Type, err error) {
	r <- event{kind: "dropped", link: l, typ: t, err: err}
}
func (r recorder) Closed(l *Link, err error) { r <- event{kind: "closed", link: l, err: err} }

// next returns the next call, which must be of the given kind.
func (r recorder) next(t *testing.T, kind string) event {
	t.Helper()
	select {
	case e := <-r:
		if e.kind != kind {
			t.Fatalf("got %s (%v), want %s", e.kind, e.err, kind)
		}
		return e
	case <-time.After(patience):
		t.Fatalf("no %s", kind)
		return event{}
	}
}

// endpoint returns an endpoint that is closed with the test, and its calls.
func endpoint(t *testing.T, cfg Config) (*Endpoint, recorder) {
	t.Helper()
	r := make(recorder, 1000)
	cfg.Handler = r
	e := New(cfg)
	t.Cleanup(e.Close)
	return e, r
}

func listen(t *testing.T, e *Endpoint) string {
	t.Helper()
	addr, err := e.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return addr.String()
}

func publish(payload string) []byte {
	m := &bus.Message{Publish: &bus.Publish{Channel: []byte("c"), Payload: []byte(payload)}}
	m.Type, m.Sender = bus.TypePublish, "0123456789abcdef0123456789abcdef01234567"
	return bus.Append(nil, m)
}

func TestMessagesGoBothWaysOnOneLink(t *testing.T) {
	a, fromA := endpoint(t, Config{Source: netip.MustParseAddr("127.0.0.1")})
	b, fromB := endpoint(t, Config{KeepAlive: 30 * time.Second})
	before := time.Now()
	dialled := a.Dial(listen(t, b), patience)
	dialled.Send(publish("sent before the link was open"))
	if got := fromA.next(t, "opened").link; got != dialled {
		t.Error("another link was opened than was dialled")
	}
	accepted := fromB.next(t, "opened").link
	if dialled.Inbound() || !accepted.Inbound() {
		t.Error("the direction of a link is wrong")
	}
	if c := dialled.Created(); c.Before(before) || c.After(time.Now()) {
		t.Errorf("created at %v", c)
	}
	localhost := netip.MustParseAddr("127.0.0.1")
	for _, got := range []netip.Addr{dialled.LocalIP(), dialled.RemoteIP(), accepted.LocalIP(), accepted.RemoteIP()} {
		if got != localhost {
			t.Errorf("address of a link is %v", got)
		}
	}
	if got := fromB.next(t, "received"); string(got.message.Publish.Payload) != "sent before the link was open" {
		t.Errorf("received %q", got.message.Publish.Payload)
	}

	accepted.Send(publish("answer"))
	if got := fromA.next(t, "received"); got.link != dialled || string(got.message.Publish.Payload) != "answer" {
		t.Errorf("received %q", got.message.Publish.Payload)
	}

	dialled.Close()
	dialled.Close()
	dialled.Send(publish("sent too late"))
	if err := fromA.next(t, "closed").err; err != ErrClosed {
		t.Errorf("the closing side ends with %v", err)
	}
	if err := fromB.next(t, "closed").err; err != io.EOF {
		t.Errorf("the other side ends with %v", err)
	}
	if used, allocated := dialled.QueueBytes(); used != 0 || allocated != 0 {
		t.Errorf("a closed link has %d bytes waiting in %d", used, allocated)
	}
}

// TestOrderAndSizesSurvive sends messages from a few bytes to many times the
// buffers on both sides, the large ones cut by the network at will.
func TestOrderAndSizesSurvive(t *testing.T) {
	a, fromA := endpoint(t, Config{})
	b, fromB := endpoint(t, Config{})
	l := a.Dial(listen(t, b), patience)
	fromA.next(t, "opened")
	fromB.next(t, "opened")
	sizes := []int{0, 1, 1 << 20, 5, 2000, 300 << 10, 0, 70 << 10, 4096}
	for i, n := range sizes {
		payload := make([]byte, n)
		for j := range payload {
			payload[j] = byte(i + j)
		}
		l.Send(publish(string(payload)))
	}
	for i, n := range sizes {
		got := fromB.next(t, "received").message.Publish.Payload
		if len(got) != n {
			t.Fatalf("message %d has %d bytes, want %d", i, len(got), n)
		}
		for j := range got {
			if got[j] != byte(i+j) {
				t.Fatalf("message %d differs at %d", i, j)
			}
		}
	}
}

func TestJunkClosesTheLink(t *testing.T) {
	for _, c := range []struct {
		name string
		sent []byte
		want error
	}{
		{"a command of a client", []byte("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n"), bus.ErrFraming},
		{"zeros", make([]byte, 5000), bus.ErrFraming},
		{"a length that is too small", []byte("RCmb\x00\x00\x00\x20\x00\x01\x00\x00\x00\x00\x00\x00"), bus.ErrFraming},
		{"a length that is too large", []byte("RCmb\xff\xff\xff\xff\x00\x01\x00\x00\x00\x00\x00\x00"), bus.ErrFraming},
		{"nothing", nil, io.EOF},
		{"the beginning of a prefix", []byte("RCmb\x00"), io.ErrUnexpectedEOF},
		{"the beginning of a large message", append([]byte("RCmb\x10\x00\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00"), make([]byte, 9000)...), io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, calls := endpoint(t, Config{})
			conn, err := net.Dial("tcp", listen(t, e))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(c.sent); err != nil {
				t.Fatal(err)
			}
			if c.want != bus.ErrFraming {
				conn.Close()
			}
			opened := calls.next(t, "opened")
			closed := calls.next(t, "closed")
			if closed.link != opened.link || !errors.Is(closed.err, c.want) {
				t.Errorf("closed with %v, want %v", closed.err, c.want)
			}
			if c.want == bus.ErrFraming {
				conn.SetReadDeadline(time.Now().Add(patience))
				if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the connection is still there: %v", err)
				}
			}
		})
	}
}

func TestAnInvalidMessageIsDroppedAndTheLinkGoesOn(t *testing.T) {
	e, calls := endpoint(t, Config{})
	conn, err := net.Dial("tcp", listen(t, e))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	invalid := publish("hello")
	invalid[9] = 2 // version
	conn.Write(append(invalid, publish("next")...))
	calls.next(t, "opened")
	if got := calls.next(t, "dropped"); got.typ != bus.TypePublish || got.err == nil {
		t.Errorf("dropped a %v: %v", got.typ, got.err)
	}
	if got := calls.next(t, "received"); string(got.message.Publish.Payload) != "next" {
		t.Errorf("received %q", got.message.Publish.Payload)
	}
}

func TestDialToNobodySaysSo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	e, calls := endpoint(t, Config{})
	l := e.Dial(addr, patience)
	got := calls.next(t, "closed")
	if got.link != l || !errors.Is(got.err, syscall.ECONNREFUSED) {
		t.Errorf("closed with %v", got.err)
	}
	if l.RemoteIP().IsValid() || l.LocalIP().IsValid() {
		t.Error("a link that was never open has addresses")
	}
}

// stuckNet dials until the end of the context.
type stuckNet struct{ TCP }

func (stuckNet) Dial(ctx context.Context, _ netip.Addr, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestDialTakesNoLongerThanItsTimeout(t *testing.T) {
	e, calls := endpoint(t, Config{Net: stuckNet{}})
	e.Dial("127.0.0.1:1", time.Millisecond)
	if err := calls.next(t, "closed").err; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("closed with %v", err)
	}
	l := e.Dial("127.0.0.1:1", patience)
	l.Close()
	if err := calls.next(t, "closed").err; err != ErrClosed {
		t.Errorf("closed with %v", err)
	}
}

// pipeNet dials one end of a pipe, on which nothing moves unless the other end
// reads.
type pipeNet struct {
	TCP
	conn net.Conn
}

func (p pipeNet) Dial(context.Context, netip.Addr, string) (net.Conn, error) { return p.conn, nil }

func TestALinkWhosePeerDoesNotReadIsClosedAtTheLimit(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	message := publish("x")
	e, calls := endpoint(t, Config{Net: pipeNet{conn: ours}, SendLimit: int64(2 * len(message))})
	l := e.Dial("peer", patience)
	calls.next(t, "opened")
	for range 3 {
		l.Send(message) // the third passes the limit and is still taken
	}
	if total := e.Bytes(); total < int64(3*len(message)) {
		t.Errorf("the links take %d bytes", total)
	}
	if used, allocated := l.QueueBytes(); used != 3*len(message) || allocated < used {
		t.Errorf("%d bytes wait in %d, want %d", used, allocated, 3*len(message))
	}
	l.Send(message)
	l.Send(message)
	if err := calls.next(t, "closed").err; err != ErrSendLimit {
		t.Errorf("closed with %v", err)
	}
}

func TestTheLimitCanBeLifted(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	e, calls := endpoint(t, Config{Net: pipeNet{conn: ours}, SendLimit: 1})
	e.SetSendLimit(0)
	l := e.Dial("peer", patience)
	calls.next(t, "opened")
	message := publish("x")
	for range 100 {
		l.Send(message)
	}
	frames := frameReader{from: theirs}
	for i := range 100 {
		if got, err := frames.next(); err != nil || string(got) != string(message) {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

// failingListener fails to accept a few times, as for lack of descriptors.
type failingListener struct {
	net.Listener
	left atomic.Int32
}

func (f *failingListener) Accept() (net.Conn, error) {
	if f.left.Add(-1) >= 0 {
		return nil, syscall.EMFILE
	}
	return f.Listener.Accept()
}

type failingNet struct{ TCP }

func (n failingNet) Listen(addr string, keepAlive time.Duration) (net.Listener, error) {
	ln, err := n.TCP.Listen(addr, keepAlive)
	if err != nil {
		return nil, err
	}
	f := &failingListener{Listener: ln}
	f.left.Store(3)
	return f, nil
}

func TestAcceptingGoesOnAfterErrors(t *testing.T) {
	e, calls := endpoint(t, Config{Net: failingNet{}})
	conn, err := net.Dial("tcp", listen(t, e))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	calls.next(t, "opened")
}

func TestAClosedEndpointDoesNothingMore(t *testing.T) {
	e, calls := endpoint(t, Config{})
	addr := listen(t, e)
	l := e.Dial(addr, patience)
	calls.next(t, "opened")
	calls.next(t, "opened")
	e.Close()
	calls.next(t, "closed")
	calls.next(t, "closed")
	l.Send(publish("too late"))
	e.Dial(addr, patience).Send(publish("too late"))
	if _, err := e.Listen("127.0.0.1:0"); err != ErrClosed {
		t.Errorf("Listen: %v", err)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Error("somebody still listens")
	}
	e.Close()
	select {
	case got := <-calls:
		t.Errorf("a call after Close: %s", got.kind)
	default:
	}
}

// TestClosingUnderTraffic is for the race detector and goleak: links are
// opened, used and closed from many goroutines while the endpoint closes.
func TestClosingUnderTraffic(t *testing.T) {
	var opened, closed atomic.Int64
	counter := &counting{opened: &opened, closed: &closed}
	e := New(Config{Handler: counter})
	addr := listen(t, e)
	message := publish("x")
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for i := range 20 {
				l := e.Dial(addr, patience)
				for range 10 {
					l.Send(message)
				}
				if i%2 == 0 {
					l.Close()
				}
			}
		})
	}
	e.Close()
	senders.Wait()
	if o, c := opened.Load(), closed.Load(); o > c {
		t.Errorf("%d links were opened and %d closed", o, c)
	}
}

type counting struct{ opened, closed *atomic.Int64 }

func (c *counting) Opened(*Link)                     { c.opened.Add(1) }
func (c *counting) Received(l *Link, _ *bus.Message) { l.Send(publish("pong")) }
func (c *counting) Dropped(*Link, bus.Type, error)   {}
func (c *counting) Closed(*Link, error)              { c.closed.Add(1) }

func TestALengthAloneDoesNotAllocate(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		theirs.Write([]byte("RCmb\x40\x00\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00"))
		theirs.Write(make([]byte, 100_000))
		theirs.Close()
	}()
	frames := frameReader{from: ours}
	if _, err := frames.next(); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v", err)
	}
	if n := len(frames.buf); n > 200_000+firstBufferBytes {
		t.Errorf("%d bytes of buffer for 100016 that arrived", n)
	}
}

func TestABigBufferIsGivenBack(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		theirs.Write(publish(string(make([]byte, 1<<20))))
		theirs.Write(publish("small"))
		theirs.Close()
	}()
	frames := frameReader{from: ours}
	for range 2 {
		if _, err := frames.next(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(frames.buf); n > firstBufferBytes {
		t.Errorf("%d bytes of buffer are kept", n)
	}
}

// While a node loads its data its port must not look like that of a dead process.
func TestABoundPortTakesConnectionsBeforeTheyAreAccepted(t *testing.T) {
	a, fromA := endpoint(t, Config{})
	addr, err := a.Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, fromB := endpoint(t, Config{})
	b.Dial(addr.String(), time.Second)
	fromB.next(t, "opened")
	select {
	case e := <-fromA:
		t.Fatalf("%s before anybody accepts", e.kind)
	default:
	}
	a.Accept()
	a.Accept() // does nothing
	fromA.next(t, "opened")
}
