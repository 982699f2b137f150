package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"redoubt/internal/certs"
	"redoubt/internal/config"
	"redoubt/internal/redistest"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// overTLS has the clients of all tests speak TLS, but those that say how they connect.
var overTLS = flag.Bool("tls", false, "clients speak TLS")

// tlsOptions are directives of a server with a certificate.
func tlsOptions(t testing.TB) []string {
	t.Helper()
	a := newAuthority(t)
	cert, key := a.issue(certs.Request{Name: "node"})
	return []string{"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", a.file, "--tls-auth-clients", "no"}
}

// notOverTLS skips a test of what differs with TLS; another one is there for that.
func notOverTLS(t *testing.T, other string) {
	t.Helper()
	if *overTLS {
		t.Skip("differs with TLS: see " + other)
	}
}

// authority issues certificates into a directory of the test.
type authority struct {
	t         testing.TB
	dir, file string
	*certs.Authority
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a, err := certs.New("Test authority")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, _, err := a.Write(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, dir, file, a}
}

// issue makes the files of a certificate, anew if they are there.
func (a *authority) issue(r certs.Request) (cert, key string) {
	a.t.Helper()
	made, err := a.Issue(r)
	if err == nil {
		cert, key, err = made.Write(a.dir, r.Name)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// memoryStream is a stream without a journal. With manual set, it is committed
// only as far as a test says.
type memoryStream struct {
	mu        sync.Mutex
	end       replication.Offset
	committed replication.Offset
	announced replication.Offset
	manual    bool
	quick     bool // TryCommit commits
	full      bool
	fullAt    int  // so many units fill it; 0: none do
	quiet     bool // keep no units
	units     []string
	onCommit  []func(replication.Offset)
	onRoom    func(bool)

	awaits bool // Committed is what replicas have acknowledged
	given  replication.Offset
	term   uint32
	lasts  bool // … until the next unit has ended, behind which the role changes
	strict bool
	rounds atomic.Uint64 // of Confirm, each answered at once
}

func (m *memoryStream) Shown() replication.Offset {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(m.committed, m.given)
}

func (m *memoryStream) AwaitsReplicas() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.awaits
}

func (m *memoryStream) Term() uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.term + 1
}

func (m *memoryStream) Strict() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.strict
}

func (m *memoryStream) Confirm() uint64   { return m.rounds.Add(1) }
func (m *memoryStream) Confirmed() uint64 { return m.rounds.Load() }

func (m *memoryStream) GiveUp(at replication.Offset) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.given = max(m.given, at)
}

func (m *memoryStream) Append(_, _ int, unit []byte) replication.Offset {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end += replication.Offset(len(unit))
	if !m.quiet {
		m.units = append(m.units, string(unit))
	}
	if !m.manual {
		m.committed = m.end
	}
	if len(m.units) == m.fullAt && m.fullAt > 0 {
		m.setFull(true)
	}
	return m.end
}

func (m *memoryStream) Announce() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.announced = m.end
	if m.lasts && m.committed < m.end { // units have ended since
		m.lasts = false
		m.term++
	}
}

func (m *memoryStream) End() replication.Offset {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.end
}

func (m *memoryStream) Committed() replication.Offset {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.committed
}

// TryCommit commits everything without telling anybody, if the stream is quick.
func (m *memoryStream) TryCommit() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quick {
		m.committed = m.end
	}
}

func (m *memoryStream) OnCommit(f func(replication.Offset)) { m.onCommit = append(m.onCommit, f) }

func (m *memoryStream) Room() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.full
}

func (m *memoryStream) OnRoom(f func(bool)) {
	m.onRoom = f
	f(true)
}

// fill makes the stream full, or gives it room.
func (m *memoryStream) fill(full bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.setFull(full)
}

func (m *memoryStream) setFull(full bool) {
	m.full = full
	m.onRoom(!full)
}

// recorded is the units appended so far.
func (m *memoryStream) recorded() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.units)
}

// holdButTry stops commits from now on but for those of TryCommit.
func (m *memoryStream) holdButTry() {
	m.hold()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.quick = true
}

// hold stops commits from now on.
func (m *memoryStream) hold() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.manual = true
}

// commit commits up to at, or everything if at is below 0.
func (m *memoryStream) commit(at replication.Offset) {
	m.mu.Lock()
	if at < 0 {
		at = m.end
	}
	m.committed = at
	m.mu.Unlock()
	for _, f := range m.onCommit {
		f(at)
	}
}

// replace puts another stream in the place of this one, all of which has been
// committed, so that it ends at offset at.
func (m *memoryStream) replace(at replication.Offset) {
	m.commit(-1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end, m.committed = at, at
}

// node is a server under test.
type node struct {
	*Server
	t      testing.TB
	stream *memoryStream
	dir    string
}

// startNode starts a server on a free port of the loopback interface, with the
// given directives besides.
func startNode(t testing.TB, directives ...string) *node {
	t.Helper()
	return startParts(t, func(*Config) {}, directives...)
}

// startParts is startNode with further parts.
func startParts(t testing.TB, parts func(*Config), directives ...string) *node {
	t.Helper()
	dir := t.TempDir()
	args := []string{"--bind", "127.0.0.1", "--port", freePort(t), "--dir", dir, "--save", "", "--enable-debug-command", "yes"}
	if *overTLS {
		args = append(args, "--port", "0", "--tls-port", freePort(t))
		args = append(args, tlsOptions(t)...)
	}
	args = append(args, directives...)
	settings, err := config.Load(config.Source{Args: args, Product: "test"})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, stream: &memoryStream{}, dir: dir}
	c := Config{
		Settings: settings, Stream: n.stream,
		Keyspace: storage.New(storage.Config{Databases: settings.Current().Databases, Stream: n.stream}),
	}
	parts(&c)
	if n.Server, err = New(c); err != nil {
		t.Fatal(err)
	}
	if err := n.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return n
}

// keepNoHouse puts the loops' housekeeping off.
func (n *node) keepNoHouse() {
	for _, l := range n.loops {
		done := make(chan struct{})
		l.post(func() {
			l.nextCron = time.Hour
			close(done)
		})
		<-done
	}
}

// keepHouse has all loops do their housekeeping, and waits for that.
func (n *node) keepHouse() {
	for _, l := range n.loops {
		done := make(chan struct{})
		l.post(func() {
			l.cron()
			close(done)
		})
		<-done
	}
}

func freePort(t testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

// untilScriptRuns waits until a loop runs a script.
func (n *node) untilScriptRuns() {
	n.t.Helper()
	redistest.Until(n.t, 10*time.Second, "the script runs", func() error {
		for _, l := range n.loops {
			if l.first.run.began.Load() > 0 {
				return nil
			}
		}
		return errors.New("none does")
	})
}

// untilPostponed waits until some request has to wait.
func (n *node) untilPostponed() {
	n.t.Helper()
	redistest.Until(n.t, 10*time.Second, "a request waits", func() error {
		for _, l := range n.loops {
			if l.stats.postponed.Load() > 0 {
				return nil
			}
		}
		return errors.New("none does")
	})
}

// client is a connection to a server under test.
type client struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func (n *node) dial() *client {
	n.t.Helper()
	return n.dialBy("tcp", n.Addr())
}

// dialBy connects by TCP or to a Unix socket.
func (n *node) dialBy(network, addr string) *client {
	n.t.Helper()
	c := dialTo(n.t, network, addr)
	if *overTLS && network == "tcp" {
		return c.overTLS(&tls.Config{InsecureSkipVerify: true})
	}
	return c
}

// overTLS makes c, which has sent nothing yet, a connection with TLS.
func (c *client) overTLS(cfg *tls.Config) *client {
	c.nc = tls.Client(c.nc, cfg)
	c.r = bufio.NewReader(c.nc)
	return c
}

func dialTo(t testing.TB, network, addr string) *client {
	t.Helper()
	nc, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &client{t, nc, bufio.NewReader(nc)}
}

// send sends a command line of words.
func (c *client) send(line string) {
	c.t.Helper()
	var args [][]byte
	for w := range strings.FieldsSeq(line) {
		args = append(args, []byte(w))
	}
	c.raw(string(resp.AppendArray(nil, args...)))
}

// raw sends bytes as they are.
func (c *client) raw(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.nc, s); err != nil {
		c.t.Fatal(err)
	}
}

// read reads one reply and prints it on a line.
func (c *client) read() string {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	s, err := readReply(c.r)
	if err != nil {
		c.t.Fatalf("no reply: %v", err)
	}
	return s
}

// do sends a command line and returns its reply.
func (c *client) do(line string) string {
	c.t.Helper()
	c.send(line)
	return c.read()
}

// want checks the reply of a command line.
func (c *client) want(line, reply string) {
	c.t.Helper()
	if got := c.do(line); got != reply {
		c.t.Errorf("%s: %q, want %q", line, got, reply)
	}
}

// wantNext checks the next reply.
func (c *client) wantNext(reply string) {
	c.t.Helper()
	if got := c.read(); got != reply {
		c.t.Errorf("got %q, want %q", got, reply)
	}
}

// sends sends a write, and returns when the stream has it: its reply may be held.
func (n *node) sends(c *client, write string) {
	n.t.Helper()
	before := n.stream.End()
	c.send(write)
	eventually(n.t, func() bool { return n.stream.End() > before })
}

// silent checks that nothing comes for a moment.
func (c *client) silent() {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if _, err := c.r.Peek(1); err == nil {
		c.t.Errorf("%q comes too early", c.read())
	}
}

// closed checks that the server closes the connection.
func (c *client) closed() {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	if b, err := c.r.ReadByte(); err == nil {
		c.t.Errorf("the connection is open and sent %q", b)
	}
}

func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	kind, rest := line[0], line[1:]
	switch kind {
	case '$', '=':
		n, _ := strconv.Atoi(rest)
		if n < 0 {
			return "(nil)", nil
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		return string(b[:n]), nil
	case '*', '>', '~', '%':
		n, _ := strconv.Atoi(rest)
		if n < 0 {
			return "(nil array)", nil
		}
		if kind == '%' {
			n *= 2
		}
		var parts []string
		for range n {
			s, err := readReply(r)
			if err != nil {
				return "", err
			}
			parts = append(parts, s)
		}
		return "[" + strings.Join(parts, " ") + "]", nil
	case '_':
		return "(nil)", nil
	case '-':
		return "error: " + rest, nil
	}
	return rest, nil
}

// pipelined sends n commands made by line and checks the replies.
func (c *client) pipelined(n int, line func(i int) string, reply func(i int) string) {
	c.t.Helper()
	var b strings.Builder
	for i := range n {
		b.WriteString(line(i) + "\r\n")
	}
	go io.WriteString(c.nc, b.String())
	for i := range n {
		if got, want := c.read(), reply(i); got != want {
			c.t.Fatalf("reply %d of %d: %q, want %q", i, n, got, want)
		}
	}
}

func word(s string) func(int) string { return func(int) string { return s } }

func key(format string) func(int) string {
	return func(i int) string { return fmt.Sprintf(format, i) }
}
