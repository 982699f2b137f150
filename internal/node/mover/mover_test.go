package mover

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"redoubt/internal/certs"
	"redoubt/internal/node/nodetest"
	"redoubt/internal/redistest"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
)

// testTarget is a node that keys are moved to. It answers each request as the
// test says and remembers them.
type testTarget struct {
	ln     net.Listener
	answer func(n int, args []string) string // "" closes the connection

	mu    sync.Mutex
	asked []string
	conns []net.Conn
}

func startTarget(t *testing.T, answer func(n int, args []string) string) *testTarget {
	t.Helper()
	return startTargetBy(t, nil, answer)
}

// startTargetBy is startTarget with TLS, unless secure is nil.
func startTargetBy(t *testing.T, secure *tls.Config, answer func(n int, args []string) string) *testTarget {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if secure != nil {
		ln = tls.NewListener(ln, secure)
	}
	g := &testTarget{ln: ln, answer: answer}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { g.serve(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		g.mu.Lock()
		for _, conn := range g.conns {
			conn.Close()
		}
		g.mu.Unlock()
		running.Wait()
	})
	return g
}

func (g *testTarget) serve(conn net.Conn) {
	defer conn.Close()
	g.mu.Lock()
	g.conns = append(g.conns, conn)
	g.mu.Unlock()
	var in []byte
	buf := make([]byte, 4096)
	var p resp.Parser
	p.Limits = resp.Limits{MaxBulk: 1 << 20}
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		in = append(in, buf[:n]...)
		for {
			used, err := p.Parse(in)
			if err != nil {
				return
			}
			if used == 0 {
				break
			}
			var args []string
			for _, a := range p.Args {
				args = append(args, string(a))
			}
			in = bytes.Clone(in[used:])
			g.mu.Lock()
			shown := args
			if strings.HasPrefix(args[0], "RESTORE") {
				shown = append(slices.Clone(args[:3]), args[4:]...) // without the value
			}
			g.asked = append(g.asked, strings.Join(shown, " "))
			number := len(g.asked)
			g.mu.Unlock()
			reply := g.answer(number, args)
			if reply == "" {
				return
			}
			if _, err := conn.Write([]byte(reply)); err != nil {
				return
			}
		}
	}
}

func (g *testTarget) requests() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.asked)
}

func (g *testTarget) connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns)
}

func (g *testTarget) port() string {
	_, port, _ := net.SplitHostPort(g.ln.Addr().String())
	return port
}

func always(reply string) func(int, []string) string {
	return func(int, []string) string { return reply }
}

// source is a node without a network, that moves keys.
type source struct {
	*nodetest.Commands
	mover  *Mover
	stream *testStream
}

// testStream keeps what is appended.
type testStream struct {
	mu    sync.Mutex
	bytes []byte
}

func (s *testStream) Announce() {}

func (s *testStream) Append(_, _ int, unit []byte) replication.Offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes = append(s.bytes, unit...)
	return replication.Offset(len(s.bytes))
}

func (s *testStream) End() replication.Offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return replication.Offset(len(s.bytes))
}

func (s *testStream) has(args ...string) bool {
	var raw [][]byte
	for _, a := range args {
		raw = append(raw, []byte(a))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Contains(s.bytes, resp.AppendArray(nil, raw...))
}

func newSource(t *testing.T, clustered bool) *source { return newSourceBy(t, clustered, nil) }

// newSourceBy is newSource with TLS as in Parts.
func newSourceBy(t *testing.T, clustered bool, secure func() (*tls.Config, bool)) *source {
	stream := &testStream{}
	keys := storage.New(storage.Config{Stream: stream})
	m := New(Parts{Keys: keys, Cluster: clustered, TLS: secure})
	t.Cleanup(m.Close)
	return &source{nodetest.New(t, keys, m.Rows()), m, stream}
}

func TestMigrateMovesKeys(t *testing.T) {
	s := newSource(t, true)
	g := startTarget(t, always("+OK\r\n"))
	s.Set("{k}1", "a")
	s.Set("{k}2", "b")
	s.Set("other", "c")
	s.WantOK("MIGRATE", "127.0.0.1", g.port(), "", 0, 1000, "REPLACE", "AUTH2", "user", "keys", "KEYS", "{k}1", "{k}none", "{k}2")
	want := []string{"AUTH user keys", "SELECT 0", "RESTORE-ASKING {k}1 0 REPLACE", "RESTORE-ASKING {k}2 0 REPLACE"}
	if got := g.requests(); !slices.Equal(got, want) {
		t.Errorf("the target was asked\n%q, not\n%q", got, want)
	}
	if s.Has("{k}1") || s.Has("{k}2") || !s.Has("other") {
		t.Error("the wrong keys are left")
	}
	if !s.stream.has("DEL", "{k}1", "{k}2") {
		t.Errorf("the stream is %q", s.stream.bytes)
	}
	s.WantOK("MIGRATE", "127.0.0.1", g.port(), "other", 0, 1000)
	if got := g.requests()[len(want):]; !slices.Equal(got, []string{"RESTORE-ASKING other 0"}) || g.connections() != 1 {
		t.Errorf("the connection was not used again: %q", got)
	}
	if s.mover.inFlight.Load() != 0 {
		t.Error("a move is still under way")
	}
}

// Keys go to a node by TLS if the bus is so, and never in plain text then: not to a node
// without TLS, nor over a connection of before, nor when there are no certificates.
func TestMigrateByTLS(t *testing.T) {
	ca, err := certs.New("authority")
	if err != nil {
		t.Fatal(err)
	}
	p, err := ca.Issue(certs.Request{Name: "node", Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(ca.Cert)
	config, on := &tls.Config{RootCAs: trusted, ServerName: "127.0.0.1"}, true
	s := newSourceBy(t, true, func() (*tls.Config, bool) { return config, on })
	secure := startTargetBy(t, &tls.Config{Certificates: []tls.Certificate{pair}}, always("+OK\r\n"))
	plain := startTarget(t, always("+OK\r\n"))
	migrate := func(key string, g *testTarget) string {
		s.Set(key, "value")
		return s.Do("MIGRATE", "127.0.0.1", g.port(), key, 0, 1000)
	}
	for range 2 {
		if got := migrate("a", secure); got != "+OK\r\n" {
			t.Errorf("by TLS: %q", got)
		}
	}
	if n := secure.connections(); n != 1 {
		t.Errorf("%d connections, want one that is used again", n)
	}
	if got := migrate("b", plain); !strings.HasPrefix(got, "-IOERR") || !s.Has("b") || len(plain.requests()) > 0 {
		t.Errorf("to a node without TLS: %q, it was asked %q", got, plain.requests())
	}
	config = nil
	if got := migrate("c", startTarget(t, always("+OK\r\n"))); !strings.HasPrefix(got, "-IOERR") || !s.Has("c") {
		t.Errorf("without certificates: %q", got)
	}
	on = false
	other := startTarget(t, always("+OK\r\n"))
	if got := migrate("d", other); got != "+OK\r\n" {
		t.Errorf("without TLS: %q", got)
	}
	on = true
	if got := migrate("e", other); !strings.HasPrefix(got, "-IOERR") || slices.Contains(other.requests(), "RESTORE-ASKING e 0") {
		t.Errorf("by a connection of before: %q, it was asked %q", got, other.requests())
	}
}

func TestSlotsOfKeysUnderWayAreBusy(t *testing.T) {
	m := New(Parts{Keys: storage.New(storage.Config{})})
	defer m.Close()
	keys := []*movingKey{{name: []byte("x")}}
	s := slots.Of([]byte("x"))
	m.inFlight.Store(1)
	m.mark(keys, true)
	if !m.Busy(s) || m.Busy(s+1) {
		t.Fatal("the mark is not where it should be")
	}
	m.mark(keys, false)
	if m.Busy(s) {
		t.Fatal("the mark stays")
	}
}

func TestMigrateAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(n int, args []string) string
		args   []any // after host and port
		want   string
		kept   bool
	}{
		{"nothing to move", always("+OK\r\n"), []any{"none", 0, 1000}, "+NOKEY\r\n", true},
		{"a copy stays", always("+OK\r\n"), []any{"k", 0, 1000, "COPY"}, "+OK\r\n", true},
		{"the target has the key", func(_ int, args []string) string {
			if args[0] == "SELECT" {
				return "+OK\r\n"
			}
			return "-BUSYKEY Target key name already exists.\r\n"
		}, []any{"k", 0, 1000}, "-ERR Target instance replied with error: BUSYKEY Target key name already exists.\r\n", true},
		{"the target wants a password", always("-NOAUTH Authentication required.\r\n"), []any{"k", 0, 1000},
			"-ERR Target instance replied with error: NOAUTH Authentication required.\r\n", true},
		{"the target hangs up", func(n int, _ []string) string { return "" }, []any{"k", 0, 1000},
			"-IOERR error or timeout reading to target instance\r\n", true},
		{"the target hangs up once", func(n int, _ []string) string {
			if n == 1 {
				return ""
			}
			return "+OK\r\n"
		}, []any{"k", 0, 1000}, "+OK\r\n", false},
		{"the target is silent", func(_ int, args []string) string { return "+" }, []any{"k", 0, 50},
			"-IOERR error or timeout reading to target instance\r\n", true},
		{"a key and KEYS", always("+OK\r\n"), []any{"k", 0, 1000, "KEYS", "k"},
			"-ERR When using MIGRATE KEYS option, the key argument must be set to the empty string\r\n", true},
		{"an unknown option", always("+OK\r\n"), []any{"k", 0, 1000, "NOW"}, "-ERR syntax error\r\n", true},
		{"a timeout that is none", always("+OK\r\n"), []any{"k", 0, "soon"}, "-ERR value is not an integer or out of range\r\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSource(t, true)
			g := startTarget(t, c.answer)
			s.Set("k", "v")
			if got := s.Do(append([]any{"MIGRATE", "127.0.0.1", g.port()}, c.args...)...); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if s.Has("k") != c.kept {
				t.Errorf("the key is here: %v", s.Has("k"))
			}
			if len(s.stream.bytes) > 0 && s.stream.has("DEL", "k") == c.kept {
				t.Errorf("the stream is %q", s.stream.bytes)
			}
		})
	}
	t.Run("nobody is there", func(t *testing.T) {
		s := newSource(t, true)
		g := startTarget(t, always("+OK\r\n"))
		g.ln.Close()
		s.Set("k", "v")
		const refused, noHost = "-IOERR error or timeout writing to target instance\r\n", "-IOERR error or timeout connecting to the client\r\n"
		for _, c := range []struct {
			host string
			port any
			want string
		}{
			{"127.0.0.1", g.port(), refused},
			{"127.0.0.1", 0, refused},
			{"127.0.0.1", 99999, refused},
			{"127.0.0.1", "x", refused},
			{"", g.port(), noHost},
		} {
			if got := s.Do("MIGRATE", c.host, c.port, "k", 0, 1000); got != c.want || !s.Has("k") {
				t.Errorf("%s:%v: got %q, want %q", c.host, c.port, got, c.want)
			}
		}
	})
}

// While a key is under way its slot is marked, in a cluster; and what changes
// under way is sent again, outside.
func TestMigrateAgainstWriters(t *testing.T) {
	t.Run("in a cluster the slot is marked meanwhile", func(t *testing.T) {
		s := newSource(t, true)
		var marked bool
		g := startTarget(t, func(_ int, args []string) string {
			if args[0] != "SELECT" {
				marked = s.mover.Busy(nodetest.SlotOf("k"))
			}
			return "+OK\r\n"
		})
		s.Set("k", "v")
		s.WantOK("MIGRATE", "127.0.0.1", g.port(), "k", 0, 1000)
		if !marked || s.mover.Busy(nodetest.SlotOf("k")) {
			t.Errorf("marked under way: %v, and afterwards: %v", marked, s.mover.Busy(nodetest.SlotOf("k")))
		}
	})
	t.Run("a changed key is sent again", func(t *testing.T) {
		s := newSource(t, false)
		changes := 0
		g := startTarget(t, func(_ int, args []string) string {
			if args[0] == "RESTORE" && changes < 2 {
				changes++
				s.Set("k", "v"+strconv.Itoa(changes))
			}
			return "+OK\r\n"
		})
		s.Set("k", "v")
		s.WantOK("MIGRATE", "127.0.0.1", g.port(), "k", 3, 1000)
		want := []string{"SELECT 3", "RESTORE k 0", "RESTORE k 0 REPLACE", "RESTORE k 0 REPLACE"}
		if got := g.requests(); !slices.Equal(got, want) || s.Has("k") {
			t.Errorf("the target was asked\n%q, not\n%q", got, want)
		}
	})
	t.Run("a key that always changes stays", func(t *testing.T) {
		s := newSource(t, false)
		n := 0
		g := startTarget(t, func(int, []string) string {
			n++
			s.Set("k", strconv.Itoa(n))
			return "+OK\r\n"
		})
		s.Set("k", "v")
		if got := s.Do("MIGRATE", "127.0.0.1", g.port(), "k", 0, 1000); got != "-"+string(errMigrateBusy)+"\r\n" || !s.Has("k") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a pause for a failover keeps the keys", func(t *testing.T) {
		s := newSource(t, true)
		g := startTarget(t, func(_ int, args []string) string {
			s.World(func(tx *storage.Tx) { tx.PauseExpiry(true) })
			return "+OK\r\n"
		})
		s.Set("k", "v")
		if got := s.Do("MIGRATE", "127.0.0.1", g.port(), "k", 0, 1000); got != "-"+string(errMigratePaused)+"\r\n" || !s.Has("k") || s.stream.has("DEL", "k") {
			t.Errorf("got %q; the key is there: %v", got, s.Has("k"))
		}
	})
	t.Run("a deleted key is deleted there", func(t *testing.T) {
		s := newSource(t, false)
		g := startTarget(t, func(_ int, args []string) string {
			if args[0] == "RESTORE" {
				s.Delete("k")
				return "+OK\r\n"
			}
			return ":1\r\n"
		})
		s.Set("k", "v")
		s.WantOK("MIGRATE", "127.0.0.1", g.port(), "k", 0, 1000)
		if got := g.requests(); !slices.Equal(got, []string{"SELECT 0", "RESTORE k 0", "DEL k"}) {
			t.Errorf("the target was asked %q", got)
		}
	})
}

// A transaction has to have its reply when the handler returns.
func TestMigrateWithinATransaction(t *testing.T) {
	s := newSource(t, true)
	g := startTarget(t, always("+OK\r\n"))
	s.Set("k", "v")
	x := s.Call("MIGRATE", "127.0.0.1", g.port(), "k", 0, 1000)
	x.Tx = s.Exec.BeginWorld(time.Now().UnixMilli())
	x.Tx.Command(nil)
	x.Row.Run(x)
	x.Tx.CommandEnd()
	s.Exec.End()
	if got := string(x.Out.Bytes()); got != "+OK\r\n" || s.Has("k") || !s.stream.has("DEL", "k") {
		t.Errorf("got %q, stream %q", got, s.stream.bytes)
	}
}

func TestMigrateKeys(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"MIGRATE h 1 key 0 10", "[3]"},
		{"MIGRATE h 1 key 0 10 COPY KEYS a", "[]"},
		{"MIGRATE h 1 - 0 10 KEYS a b", "[7 8]"},
		{"MIGRATE h 1 - 0 10 COPY REPLACE KEYS a", "[9]"},
		{"MIGRATE h 1 - 0 10 AUTH KEYS KEYS a", "[9]"},
		{"MIGRATE h 1 - 0 10 AUTH2 keys KEYS KEYS a", "[10]"},
		{"MIGRATE h 1 - 0 10 AUTH2", "[3]"},
	} {
		var args [][]byte
		for _, a := range strings.Fields(c.line) {
			args = append(args, []byte(strings.ReplaceAll(a, "-", "")))
		}
		at, ok := migrateKeys(nil, args)
		if got := fmt.Sprint(at); got != c.want || !ok {
			t.Errorf("%s: %s, %v; want %s", c.line, got, ok, c.want)
		}
	}
}

func TestMigrateToARealServer(t *testing.T) {
	t.Parallel()
	real := redistest.Start(t, redistest.Redis)
	s := newSource(t, false)
	s.Set("k", strings.Repeat("long ", 100))
	s.Set("n", "12345")
	s.WantOK("MIGRATE", "127.0.0.1", real.Port, "", 2, 1000, "KEYS", "k", "n")
	c := real.Client()
	if _, err := c.Do("SELECT", 2); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"k": strings.Repeat("long ", 100), "n": "12345"} {
		if got, err := c.Do("GET", key); err != nil || got != want {
			t.Errorf("%s is %v, %v", key, got, err)
		}
	}
}

// The end of the node does not wait for a target that does not answer.
func TestCloseBreaksOffAMigrationThatIsConnecting(t *testing.T) {
	s := newSource(t, true)
	s.Set("k", "v")
	reply := s.Ask("MIGRATE", "127.0.0.1", deafPort(t), "k", 0, time.Hour.Milliseconds())
	closed := make(chan struct{})
	go func() {
		s.mover.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Fatal("it waits")
	}
	if got := <-reply; got != "-"+string(errMigrateConnect)+"\r\n" || !s.Has("k") {
		t.Errorf("got %q", got)
	}
}

// deafPort is a port whose queue of connections is full, so that nobody can
// connect and nobody is told.
func deafPort(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := at.(*unix.SockaddrInet4).Port
	for range 10 {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), 200*time.Millisecond)
		if err != nil {
			return port
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the queue does not fill up")
	return 0
}
