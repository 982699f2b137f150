package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"redoubt/bus"
	"redoubt/internal/certs"
)

// authority makes certificates that it trusts itself.
type authority struct {
	*certs.Authority
	pool *x509.CertPool
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a, err := certs.New("authority")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.Cert)
	return authority{a, pool}
}

// tls is how a node of this authority secures its links: it has a certificate, and
// demands one.
func (a authority) tls(t *testing.T) *TLS {
	t.Helper()
	p, err := a.Issue(certs.Request{Name: "node", Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	own := []tls.Certificate{pair}
	return &TLS{
		Client: func() *tls.Config {
			return &tls.Config{Certificates: own, RootCAs: a.pool, ServerName: "127.0.0.1"}
		},
		Server: func() *tls.Config {
			return &tls.Config{Certificates: own, ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert}
		},
	}
}

func TestMessagesAndTheirOrderSurviveTLS(t *testing.T) {
	node := newAuthority(t).tls(t)
	a, fromA := endpoint(t, Config{TLS: node})
	b, fromB := endpoint(t, Config{TLS: node})
	dialled := a.Dial(listen(t, b), patience)
	var sent []string
	for _, n := range []int{0, 5, 1 << 20, 1, 2000, 300 << 10, 16 << 10} {
		sent = append(sent, string(make([]byte, n)))
	}
	for _, payload := range sent {
		dialled.Send(publish(payload))
	}
	fromA.next(t, "opened")
	accepted := fromB.next(t, "opened").link
	if ip := accepted.RemoteIP(); ip != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("the peer is at %v", ip)
	}
	for i, payload := range sent {
		if got := fromB.next(t, "received").message.Publish.Payload; string(got) != payload {
			t.Fatalf("message %d has %d bytes, want %d", i, len(got), len(payload))
		}
	}
	accepted.Send(publish("answer"))
	if got := fromA.next(t, "received").message.Publish.Payload; string(got) != "answer" {
		t.Errorf("received %q", got)
	}
	dialled.Close()
	if err := fromA.next(t, "closed").err; err != ErrClosed {
		t.Errorf("the closing side ends with %v", err)
	}
	if err := fromB.next(t, "closed").err; err != io.EOF {
		t.Errorf("the other side ends with %v", err)
	}
}

// ending returns why a link was closed, whatever was said about it before.
func (r recorder) ending(t *testing.T) error {
	t.Helper()
	for {
		select {
		case e := <-r:
			if e.kind == "closed" {
				return e.err
			}
		case <-time.After(patience):
			t.Fatal("the link is not closed")
		}
	}
}

// Nobody gets in, nor is spoken to, who has no certificate of the right authority. Both
// sides know that it was the handshake, so that an operator can be told.
func TestStrangersAreRefused(t *testing.T) {
	us, others := newAuthority(t), newAuthority(t)
	node := us.tls(t)
	trusting := func(ours *TLS) *TLS { // of a stranger who trusts everybody
		client := ours.Client()
		client.InsecureSkipVerify = true
		return &TLS{Client: func() *tls.Config { return client }}
	}
	nameless := &TLS{Client: func() *tls.Config {
		return &tls.Config{RootCAs: us.pool, ServerName: "127.0.0.1"}
	}}
	for _, c := range []struct {
		name    string
		dialler *TLS
		refused bool // the dialler is, and does not refuse itself
	}{
		{"a peer without a certificate", nameless, true},
		{"a peer with a certificate of somebody else", trusting(others.tls(t)), true},
		{"a peer that does not trust us", others.tls(t), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, fromA := endpoint(t, Config{TLS: c.dialler})
			b, fromB := endpoint(t, Config{TLS: node})
			l := a.Dial(listen(t, b), patience)
			l.Send(publish("for nobody"))
			for end, calls := range map[bool]recorder{true: fromA, false: fromB} {
				var failed *HandshakeError
				if err := calls.ending(t); !errors.As(err, &failed) {
					t.Errorf("it ends with %v", err)
				} else if failed.Refused != (end == c.refused) {
					t.Errorf("dialler %v: refused is %v: %v", end, failed.Refused, err)
				}
			}
			select {
			case got := <-fromB:
				t.Errorf("the listener was told of %s", got.kind)
			default:
			}
		})
	}
}

func TestWhatIsNotTLSIsRefused(t *testing.T) {
	node := newAuthority(t).tls(t)
	for _, c := range []struct {
		name string
		sent []byte
		want error
	}{
		{"a message in plain text", publish("hello"), nil},
		{"a command of a client", []byte("*1\r\n$4\r\nPING\r\n"), nil},
		{"a handshake that is cut off", []byte("\x16\x03\x01\x02\x00\x01\x00\x01"), io.ErrUnexpectedEOF},
		{"nothing", nil, io.EOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, calls := endpoint(t, Config{TLS: node})
			conn, err := net.Dial("tcp", listen(t, e))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(c.sent); err != nil {
				t.Fatal(err)
			}
			if c.want != nil {
				conn.Close()
			}
			got := calls.next(t, "closed") // and never opened
			var failed *HandshakeError
			if !errors.As(got.err, &failed) || c.want != nil && !errors.Is(got.err, c.want) {
				t.Errorf("closed with %v", got.err)
			}
			if !got.link.RemoteIP().IsValid() {
				t.Error("nobody knows where it came from")
			}
		})
	}
	t.Run("dialled", func(t *testing.T) {
		plain, fromPlain := endpoint(t, Config{})
		e, calls := endpoint(t, Config{TLS: node})
		e.Dial(listen(t, plain), patience)
		if err := calls.next(t, "closed").err; !errors.As(err, new(*HandshakeError)) {
			t.Errorf("closed with %v", err)
		}
		if err := fromPlain.ending(t); !errors.Is(err, bus.ErrFraming) {
			t.Errorf("the plain end is closed with %v", err)
		}
	})
}

// TestNewCertificatesHoldFromTheNextLinkOn: links that are open stay.
func TestNewCertificatesHoldFromTheNextLinkOn(t *testing.T) {
	old, next := newAuthority(t), newAuthority(t)
	var current atomic.Pointer[TLS]
	current.Store(old.tls(t))
	e, calls := endpoint(t, Config{TLS: &TLS{
		Client: func() *tls.Config { return current.Load().Client() },
		Server: func() *tls.Config { return current.Load().Server() },
	}})
	addr := listen(t, e)
	first := e.Dial(addr, patience)
	calls.next(t, "opened")
	calls.next(t, "opened")
	current.Store(next.tls(t))
	stranger, fromStranger := endpoint(t, Config{TLS: old.tls(t)})
	stranger.Dial(addr, patience)
	if err := fromStranger.ending(t); !errors.As(err, new(*HandshakeError)) {
		t.Errorf("a node with the old certificate ends with %v", err)
	}
	calls.next(t, "closed")
	e.Dial(addr, patience)
	calls.next(t, "opened")
	calls.next(t, "opened")
	first.Send(publish("still here"))
	if got := calls.next(t, "received"); string(got.message.Publish.Payload) != "still here" {
		t.Errorf("received %q", got.message.Publish.Payload)
	}
}

// pipes is a Net without sockets: what is sent to it is accepted.
type pipes struct {
	TCP
	incoming chan net.Conn
}

func (p pipes) Listen(string, time.Duration) (net.Listener, error) {
	return pipeListener{p.incoming, make(chan struct{})}, nil
}

type pipeListener struct {
	incoming chan net.Conn
	closed   chan struct{}
}

func (p pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.incoming:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipeListener) Close() error   { close(p.closed); return nil }
func (p pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// A handshake that does not go on ends after its time, at both ends.
func TestAHandshakeThatStandsStillEnds(t *testing.T) {
	node := newAuthority(t).tls(t)
	synctest.Test(t, func(t *testing.T) {
		n := pipes{incoming: make(chan net.Conn)}
		e, calls := endpoint(t, Config{TLS: node, Net: n})
		listen(t, e)
		ours, theirs := net.Pipe()
		defer ours.Close()
		began := time.Now()
		n.incoming <- theirs
		err := (<-calls).err
		if !errors.As(err, new(*HandshakeError)) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("accepted: closed with %v", err)
		}
		if took := time.Since(began); took != handshakeTimeout {
			t.Errorf("accepted: it took %v", took)
		}
		e.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		e, calls := endpoint(t, Config{TLS: node, Net: pipeNet{conn: ours}})
		began := time.Now()
		e.Dial("127.0.0.1:1", 3*time.Second)
		if err := (<-calls).err; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dialled: closed with %v", err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("dialled: it took %v", took)
		}
		e.Close()
	})
}

// Connections that only stand there do not keep a node out: the oldest give way.
func TestTooManyHandshakesEndTheOldest(t *testing.T) {
	us := newAuthority(t)
	node, today := us.tls(t), time.Now()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(today)) // certificates have dates
		n := pipes{incoming: make(chan net.Conn)}
		e, calls := endpoint(t, Config{TLS: node, Net: n})
		listen(t, e)
		enter := func() net.Conn {
			ours, theirs := net.Pipe()
			n.incoming <- theirs
			synctest.Wait() // it is in its handshake before the next one comes
			return ours
		}
		var idle []net.Conn
		for range maxHandshakes {
			idle = append(idle, enter())
		}
		conn := tls.Client(enter(), node.Client())
		if err := conn.Handshake(); err != nil {
			t.Errorf("a node does not get in: %v", err)
		}
		go io.Copy(io.Discard, conn) // tickets of the session come first
		told := map[string]error{}
		for range 2 {
			got := <-calls
			told[got.kind] = got.err
		}
		if err, opened := told["opened"]; !opened || err != nil {
			t.Error("the node has no link")
		}
		if err := told["closed"]; err != ErrHandshakes {
			t.Errorf("the oldest is closed with %v", err)
		}
		if _, err := idle[0].Read(make([]byte, 1)); err == nil {
			t.Error("the oldest connection is still there")
		}
		for _, c := range idle {
			c.Close()
		}
		conn.NetConn().Close()
		for range maxHandshakes { // but for the oldest, and the node's
			<-calls
		}
		e.Close()
	})
}

// A bus that is switched to TLS, or back, keeps no link of the other kind.
func TestSwitchingClosesTheLinksOfTheOtherKind(t *testing.T) {
	node := newAuthority(t).tls(t)
	e, calls := endpoint(t, Config{})
	addr := listen(t, e)
	for _, next := range []*TLS{node, nil} {
		e.Dial(addr, patience)
		calls.next(t, "opened")
		calls.next(t, "opened")
		e.SetTLS(next)
		for range 2 {
			if err := calls.next(t, "closed").err; err != ErrSwitched {
				t.Errorf("closed with %v", err)
			}
		}
	}
	e.SetTLS(node)
	e.Dial(addr, patience)
	calls.next(t, "opened")
	calls.next(t, "opened")
	e.SetTLS(node) // nothing is switched
	stranger, fromStranger := endpoint(t, Config{})
	stranger.Dial(addr, patience).Send(publish("hello"))
	fromStranger.ending(t)
	if err := calls.next(t, "closed").err; !errors.As(err, new(*HandshakeError)) {
		t.Errorf("a plain link ends with %v", err)
	}
}

// Without certificates there are no links, least of all plain ones.
func TestWithoutCertificatesThereAreNoLinks(t *testing.T) {
	none := func() *tls.Config { return nil }
	e, calls := endpoint(t, Config{TLS: &TLS{Client: none, Server: none}})
	e.Dial(listen(t, e), patience)
	for range 2 {
		if err := calls.next(t, "closed").err; !errors.Is(err, errNoConfig) {
			t.Errorf("closed with %v", err)
		}
	}
}
