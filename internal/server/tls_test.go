package server

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redoubt/internal/certs"
	"redoubt/internal/redistest"
)

// The tests of this package run over TLS too: go test ./internal/server -tls. Here is
// what only TLS has.

// tlsNode starts a server with a plain port and one for TLS, whose address it returns.
func tlsNode(t *testing.T, directives ...string) (n *node, addr string) {
	t.Helper()
	return tlsNodeWith(t, zap.NewNop(), directives...)
}

func tlsNodeWith(t testing.TB, log *zap.Logger, directives ...string) (n *node, addr string) {
	t.Helper()
	port := freePort(t)
	args := append([]string{"--port", freePort(t), "--tls-port", port}, append(tlsOptions(t), directives...)...)
	return startParts(t, func(c *Config) { c.Log = log }, args...), "127.0.0.1:" + port
}

var anyServer = &tls.Config{InsecureSkipVerify: true}

func secureTo(t *testing.T, addr string) *client {
	t.Helper()
	return dialTo(t, "tcp", addr).overTLS(anyServer)
}

// settled waits until the server has no connection but so many.
func (n *node) settled(clients int64) {
	n.t.Helper()
	redistest.Until(n.t, 30*time.Second, fmt.Sprintf("there are %d clients", clients), func() error {
		if got := n.clients.Load(); got != clients {
			return fmt.Errorf("there are %d", got)
		}
		return nil
	})
}

// Both ports serve, at once, and each its own protocol only.
func TestPlainAndTLSPort(t *testing.T) {
	n, addr := tlsNode(t)
	plain := dialTo(t, "tcp", n.Addr())
	c := secureTo(t, addr)
	c.want("SET k v", "OK")
	plain.want("GET k", "v")
	list := c.do("CLIENT LIST")
	if strings.Count(list, "laddr="+addr) != 1 || strings.Count(list, "laddr="+n.Addr()) != 1 {
		t.Errorf("the clients are\n%s", list)
	}
	for _, hello := range []string{"PING\r\n", "*1\r\n$4\r\nPING\r\n", "\r\n\r\n\r\n\r\n"} {
		stranger := dialTo(t, "tcp", addr)
		stranger.raw(hello)
		stranger.closed()
	}
	stranger := dialTo(t, "tcp", n.Addr())
	stranger.raw(string(greeting(t)))
	stranger.closed() // it would wait for an answer
	c.want("PING", "PONG")
	plain.want("PING", "PONG")
}

// Whatever the sizes of records and of what is in them, nothing is lost or out of order:
// requests that arrive byte by byte, in records that end anywhere, and replies that do
// not fit into the socket.
func TestAnyRecordsAreRead(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			_, addr := tlsNode(t)
			c := dialTo(t, "tcp", addr).overTLS(&tls.Config{InsecureSkipVerify: true, MaxVersion: version, DynamicRecordSizingDisabled: true})
			value := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
			var want []string
			var requests strings.Builder
			for i := range 24 {
				v := value[:i*i*i*i*3]
				fmt.Fprintf(&requests, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", len(v), v)
				want = append(want, "OK", v)
			}
			sent := make(chan error, 1)
			go func() {
				b, size := []byte(requests.String()), 1
				var err error
				for len(b) > 0 && err == nil {
					n := min(size, len(b))
					_, err = c.nc.Write(b[:n])
					b, size = b[n:], size%70001*3+1 // 1, 4, 13 … 70,000 and again
				}
				sent <- err
			}()
			for i, w := range want {
				if got := c.read(); got != w {
					t.Fatalf("reply %d has %d bytes, want %d", i, len(got), len(w))
				}
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	}
}

// splitting hands out what is written in pieces, so that records arrive in parts.
type splitting struct {
	net.Conn
	size int
}

func (s splitting) Write(b []byte) (done int, err error) {
	for done < len(b) && err == nil {
		var n int
		n, err = s.Conn.Write(b[done:min(done+s.size, len(b))])
		done += n
	}
	return done, err
}

func TestRecordsThatArriveInParts(t *testing.T) {
	_, addr := tlsNode(t)
	for _, size := range []int{1, 5, 100} {
		c := dialTo(t, "tcp", addr)
		c.nc = splitting{c.nc, size}
		c.overTLS(anyServer)
		c.want("SET k "+strings.Repeat("v", 1000), "OK")
		c.want("STRLEN k", "1000")
	}
}

// What a client sends with its last message of the handshake is there when that ends,
// and no poller tells of it; and a client that has said goodbye gets its replies.
func TestACommandBehindTheHandshake(t *testing.T) {
	n, addr := tlsNode(t)
	for range 20 {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		held := &delaying{Conn: nc}
		c := tls.Client(held, anyServer)
		_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "PING\r\nECHO there\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil { // sends what was held back in one piece
			t.Fatal(err)
		}
		if err := held.flush(); err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(c)
		if err != nil || string(all) != "+PONG\r\n$5\r\nthere\r\n" {
			t.Fatalf("%q, error %v", all, err)
		}
		nc.Close()
	}
	n.settled(0)
}

// A client says goodbye in the same read as requests that have to wait. They are carried
// out when their time has come, and answered.
func TestAGoodbyeBehindRequestsThatWait(t *testing.T) {
	n, addr := tlsNode(t)
	admin := dialTo(t, "tcp", n.Addr())
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	held := &delaying{Conn: nc}
	c := tls.Client(held, anyServer)
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	admin.want("CLIENT PAUSE 100000 WRITE", "OK")
	if _, err := io.WriteString(c, "SET k v\r\nGET k\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := held.flush(); err != nil {
		t.Fatal(err)
	}
	n.untilPostponed()
	admin.want("CLIENT UNPAUSE", "OK")
	if all, err := io.ReadAll(c); err != nil || string(all) != "+OK\r\n$1\r\nv\r\n" {
		t.Fatalf("%q, error %v", all, err)
	}
	nc.Close()
	n.settled(1)
}

// What crypto/tls writes of itself while it reads, the answer to a new key, leaves before
// what is encrypted after it, also if replies leave in the middle of a read.
func TestAnswersOfTLSLeaveInOrder(t *testing.T) {
	const answer = "the answer to a new key"
	for _, size := range []int{1, 2 * flushBytes} {
		n, addr := tlsNode(t)
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
		c := &client{t: t, nc: nc}
		c.overTLS(anyServer)
		c.want("SET k "+strings.Repeat("v", size), "OK")
		n.stopLoops(nil)
		n.eachConn(func(c *conn) {
			if c.tls != nil {
				c.tls.feed.out = []byte(answer)
			}
		})
		n.resumeLoops(nil)
		c.raw("GET k\r\nGET k\r\n")
		got := make([]byte, len(answer))
		if _, err := io.ReadFull(nc, got); err != nil || string(got) != answer {
			t.Errorf("with a value of %d bytes %q leaves first, error %v", size, got, err)
		}
	}
}

// delaying keeps everything but the first message, that of the client's greeting, until
// it is flushed.
type delaying struct {
	net.Conn
	first bool
	held  bytes.Buffer
}

func (d *delaying) Write(b []byte) (int, error) {
	if !d.first {
		d.first = true
		return d.Conn.Write(b)
	}
	return d.held.Write(b)
}

// SetWriteDeadline does nothing: what is held back leaves after the goodbye, which sets one.
func (d *delaying) SetWriteDeadline(time.Time) error { return nil }

func (d *delaying) flush() error {
	_, err := d.Conn.Write(d.held.Bytes())
	return err
}

// A pipeline whose client does not read stops being read, and goes on when it does; one
// that never does is closed by the limit of output.
func TestAClientThatDoesNotReadOverTLS(t *testing.T) {
	n, addr := tlsNode(t, "--client-output-buffer-limit", "normal 8mb 0 0")
	c := secureTo(t, addr)
	c.want("SET k "+strings.Repeat("v", 100000), "OK")
	c.pipelined(50, word("GET k"), word(strings.Repeat("v", 100000)))
	other := secureTo(t, addr)
	go func() {
		for range 1000 {
			if _, err := io.WriteString(other.nc, "GET k\r\n"); err != nil {
				return
			}
		}
	}()
	redistest.Until(t, 30*time.Second, "the client is closed", func() error {
		if n.Stats().OutputLimit != 1 {
			return errors.New("it is not")
		}
		return nil
	})
	c.want("PING", "PONG")
}

// Connections move between loops, with TLS too.
func TestSecuredConnectionsMove(t *testing.T) {
	n, addr := tlsNode(t, "--event-loops", "3")
	var cs []*client
	for i := range 9 {
		c := secureTo(t, addr)
		c.want(fmt.Sprintf("SET k%d %d", i, i), "OK")
		cs = append(cs, c)
	}
	for _, active := range []int32{1, 3, 2, 1} {
		n.active.Store(active)
		redistest.Until(t, 30*time.Second, "connections are where they belong", func() error {
			n.keepHouse()
			n.stopLoops(nil)
			defer n.resumeLoops(nil)
			var err error
			n.eachConn(func(c *conn) {
				if c.home.Load() != n.loopFor(c.id) {
					err = errors.New("one is not")
				}
			})
			return err
		})
		for i, c := range cs {
			c.want(fmt.Sprintf("GET k%d", i), strconv.Itoa(i))
		}
	}
}

func TestMaxClientsOverTLS(t *testing.T) {
	n, addr := tlsNode(t, "--maxclients", "2")
	a, b := secureTo(t, addr), secureTo(t, addr)
	a.want("PING", "PONG")
	b.want("PING", "PONG")
	secureTo(t, addr).closed() // without a handshake, which costs more than a client
	if got := n.rejected.Load(); got != 1 {
		t.Errorf("%d are rejected", got)
	}
	b.want("QUIT", "OK")
	b.closed()
	n.settled(1)
	secureTo(t, addr).want("PING", "PONG")
}

// Whoever comes to the port with anything but a whole handshake leaves nothing behind:
// no connection, no goroutine, no descriptor.
func TestNothingIsLeftOfHostileClients(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	n, addr := tlsNodeWith(t, zap.New(core))
	c := secureTo(t, addr)
	c.want("PING", "PONG")
	hello := greeting(t)
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	goroutines, files := runtime.NumGoroutine(), descriptors()
	noise := make([]byte, 100<<10)
	_, _ = rand.Read(noise)
	for _, attack := range []struct {
		name string
		sent []byte
		wait bool // for the server to close the connection
	}{
		{"nothing", nil, false},
		{"one byte", hello[:1], false},
		{"half a greeting", hello[:len(hello)/2], false},
		{"a greeting, and no more", hello, false},
		{"noise", noise, true},
		{"a greeting and noise", append(bytes.Clone(hello), noise...), true},
		{"plain requests", []byte(strings.Repeat("PING\r\n", 1000)), true},
		{"a record of too many bytes", []byte{22, 3, 1, 0xff, 0xff, 1}, true},
		{"empty records", bytes.Repeat([]byte{22, 3, 1, 0, 0}, 1000), true},
		{"application data first", []byte{23, 3, 3, 0, 4, 1, 2, 3, 4}, true},
		{"SSL 2", []byte{0x80, 0x2e, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0}, true},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), true},
	} {
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				nc, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				defer nc.Close()
				_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
				_, err = nc.Write(attack.sent)
				if attack.wait && err == nil {
					_, err = io.Copy(io.Discard, nc)
					if errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("%s: the connection stays open", attack.name)
					}
				}
				if i%2 == 0 {
					_ = nc.(*net.TCPConn).SetLinger(0) // ends with a reset
				}
			})
		}
		wg.Wait()
		n.settled(1)
	}
	// In the middle of a session as well.
	for i := range 20 {
		x := secureTo(t, addr)
		x.want("PING", "PONG")
		tcp := x.nc.(*tls.Conn).NetConn().(*net.TCPConn)
		if i%2 == 0 {
			_, _ = tcp.Write(noise)
			_, _ = io.Copy(io.Discard, tcp)
		} else {
			_ = tcp.SetLinger(0)
		}
		tcp.Close()
	}
	n.settled(1)
	c.want("PING", "PONG")
	redistest.Until(t, 30*time.Second, "goroutines and descriptors are as before", func() error {
		if g, f := runtime.NumGoroutine(), descriptors(); g > goroutines || f > files {
			return fmt.Errorf("%d goroutines of %d, %d descriptors of %d", g, goroutines, f, files)
		}
		return nil
	})
	lines := logged.FilterMessageSnippet("Error accepting a client connection: ").All()
	if len(lines) == 0 || len(lines) > 100 {
		t.Errorf("%d lines about failed handshakes", len(lines))
	}
}

// greeting is what a client sends first.
func greeting(t testing.TB) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		_ = tls.Client(b, anyServer).Handshake()
	}()
	buf := make([]byte, 16<<10)
	n, err := a.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// A handshake that does not end is ended.
func TestSlowHandshakesAreBounded(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	n, addr := tlsNodeWith(t, zap.New(core))
	slow := dialTo(t, "tcp", addr)
	slow.raw(string(greeting(t)[:10]))
	n.settled(1)
	n.keepHouse()
	n.stopLoops(nil)
	n.eachConn(func(c *conn) { c.born -= shakeTime })
	n.resumeLoops(nil)
	n.keepHouse()
	slow.closed()
	n.settled(0)
	if logged.FilterMessageSnippet("no TLS handshake within 30s").Len() != 1 {
		t.Errorf("the log says %v", logged.All())
	}
}

// CONFIG SET changes port and certificates of a running server; a bad one changes
// nothing, also if it is one of several directives.
func TestTheTLSPortChanges(t *testing.T) {
	notOverTLS(t, "the run without")
	a := newAuthority(t)
	cert, key := a.issue(certs.Request{Name: "one"})
	n := startNode(t, "--port", freePort(t), "--tls-port", "0")
	c := dialTo(t, "tcp", n.Addr())
	port := freePort(t)
	addr := "127.0.0.1:" + port
	const failed = "error: ERR CONFIG SET failed (possibly related to argument '"
	c.want("CONFIG SET tls-port "+port, failed+"tls-port') - Unable to update TLS configuration: No tls-cert-file configured!")
	c.want("CONFIG SET tls-auth-clients no tls-cert-file "+cert+" tls-key-file "+key+" tls-port "+port, "OK")
	named := func(want string) {
		t.Helper()
		x := secureTo(t, addr)
		x.want("PING", "PONG")
		if got := x.nc.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("the certificate is that of %s, want %s", got, want)
		}
	}
	named("one")
	old := secureTo(t, addr)
	old.want("PING", "PONG")

	cert2, key2 := a.issue(certs.Request{Name: "two"})
	c.want("CONFIG SET tls-cert-file "+cert2, failed+"tls-cert-file') - Unable to update TLS configuration: tls-key-file '"+key+"': the key is not that of the certificate of tls-cert-file '"+cert2+"' (private key does not match public key)")
	c.want("CONFIG GET tls-cert-file", "[tls-cert-file "+cert+"]")
	named("one")
	c.want("CONFIG SET tls-cert-file "+cert2+" tls-key-file "+key2, "OK")
	named("two")
	old.want("PING", "PONG") // goes on

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	taken := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	c.want("CONFIG SET tls-cert-file "+cert+" tls-key-file "+key+" port "+taken, failed+"port') - Unable to listen on this port. Check server logs.")
	named("two")
	c.want("CONFIG SET tls-port "+taken, failed+"tls-port') - Unable to listen on this port. Check server logs.")
	named("two")

	// The ports change places.
	_, plain, _ := strings.Cut(n.Addr(), ":")
	c.want("CONFIG SET port "+port+" tls-port "+plain, "OK")
	dialTo(t, "tcp", addr).want("PING", "PONG")
	addr = n.Addr()
	named("two")
	c.want("CONFIG SET port 0", "OK")
	named("two")
	c.want("CONFIG SET tls-port 0 port "+port, "OK")
	dialTo(t, "tcp", "127.0.0.1:"+port).want("PING", "PONG")
	if nc, err := net.Dial("tcp", addr); err == nil {
		nc.Close()
		t.Error("the TLS port is still open")
	}
}

// A file that has changed is used, without anybody saying so; a bad one is not.
func TestChangedFilesAreUsed(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	a := newAuthority(t)
	cert, key := a.issue(certs.Request{Name: "node"})
	port := freePort(t)
	n := startParts(t, func(c *Config) { c.Log = zap.New(core) }, "--port", "0", "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-auth-clients", "no", "--tls-auto-reload-interval", "1")
	serial := func() string {
		x := secureTo(t, n.Addr())
		x.want("PING", "PONG")
		return x.nc.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	text, err := os.ReadFile(cert)
	if err == nil {
		err = os.WriteFile(cert, text[:100], 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	redistest.Until(t, 30*time.Second, "the bad file is named", func() error {
		if logged.FilterMessageSnippet("the old ones stay in force: tls-cert-file '"+cert+"'").Len() == 0 {
			return errors.New("it is not")
		}
		return nil
	})
	if serial() != first {
		t.Error("another certificate is used")
	}
	a.issue(certs.Request{Name: "node"})
	redistest.Until(t, 30*time.Second, "the new file is used", func() error {
		if serial() == first {
			return errors.New("it is not")
		}
		return nil
	})
}

// taking is a replication whose test gets the connections of replicas.
type taking struct {
	*fakeReplication
	taken chan taken
}

type taken struct {
	nc   net.Conn
	rest []byte
}

func (f taking) Serve(nc net.Conn, rest []byte, _ Handshake) { f.taken <- taken{nc, rest} }

// A replica's connection leaves its loop with its TLS.
func TestASecuredConnectionIsHandedOver(t *testing.T) {
	f := taking{newFakeReplication(), make(chan taken, 1)}
	port := freePort(t)
	n := startParts(t, func(c *Config) { c.Replication = f }, append(tlsOptions(t), "--port", "0", "--tls-port", port)...)
	c := secureTo(t, n.Addr())
	c.want("REPLCONF listening-port 7000", "OK")
	c.raw("PSYNC ? -1\r\nrest")
	got := <-f.taken
	defer got.nc.Close()
	if string(got.rest) != "rest" {
		t.Errorf("rest %q", got.rest)
	}
	big := strings.Repeat("x", 1<<20)
	go func() { _, _ = io.WriteString(got.nc, "+CONTINUE\r\n"+big+"\r\n") }()
	c.wantNext("CONTINUE")
	c.wantNext(big[1:]) // as if its first letter were the kind of a reply
	c.raw("ACK\r\n")
	buf := make([]byte, 5)
	if _, err := io.ReadFull(got.nc, buf); err != nil || string(buf) != "ACK\r\n" {
		t.Errorf("%q, error %v", buf, err)
	}
	if err := got.nc.(*replicaConn).SetNoDelay(false); err != nil {
		t.Error(err)
	}
	got.nc.Close()
	c.closed()
}
