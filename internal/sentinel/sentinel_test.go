package sentinel

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	core "redoubt/cluster/sentinel"
	"redoubt/internal/config"
	"redoubt/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = time.Minute

// running is a Sentinel under test.
type running struct {
	*Sentinel
	t    *testing.T
	addr string
	file string
	stop func() // begins the end
	end  func() // stops the Sentinel and waits until it has ended
}

// startSentinel starts a Sentinel with a configuration file of these lines.
func startSentinel(t *testing.T, lines ...string) *running {
	t.Helper()
	return startLogged(t, zap.NewNop(), lines...)
}

func startLogged(t *testing.T, log *zap.Logger, lines ...string) *running {
	t.Helper()
	r := &running{t: t, addr: fmt.Sprintf("127.0.0.1:%d", redistest.Port(t)), file: filepath.Join(t.TempDir(), "sentinel.conf")}
	_, port, _ := net.SplitHostPort(r.addr)
	lines = append([]string{"bind 127.0.0.1", "port " + port, "dir " + t.TempDir()}, lines...)
	if err := os.WriteFile(r.file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(config.Source{Args: []string{r.file}, Sentinel: true})
	if err != nil {
		t.Fatal(err)
	}
	if r.Sentinel, err = New(Config{Settings: settings, Log: log}); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.end = sync.OnceFunc(func() {
		r.stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.end)
	redistest.Until(t, patience, "the Sentinel listens", func() error {
		c, err := redistest.Dial(r.addr)
		if err == nil {
			c.Close()
		}
		return err
	})
	return r
}

func (r *running) client() *redistest.Client {
	r.t.Helper()
	c, err := redistest.Dial(r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	return c
}

// instance is a fake master: it notes what it is sent, and answers with what a test
// wants, or OK.
type instance struct {
	ln      net.Listener
	answers map[string]string // by the first word

	mu    sync.Mutex
	conns []net.Conn
	said  []string // guarded by mu; what each connection said, in one string
}

func startInstance(t *testing.T, answers map[string]string) *instance {
	t.Helper()
	return startInstanceBy(t, nil, answers)
}

// startInstanceBy is startInstance with TLS, unless secure is nil.
func startInstanceBy(t *testing.T, secure *tls.Config, answers map[string]string) *instance {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if secure != nil {
		ln = tls.NewListener(ln, secure)
	}
	i := &instance{ln: ln, answers: answers}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			i.mu.Lock()
			i.conns, i.said = append(i.conns, nc), append(i.said, "")
			at := len(i.said) - 1
			i.mu.Unlock()
			serving.Go(func() { i.serve(nc, at) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		i.hangUp()
		serving.Wait()
	})
	return i
}

// hangUp closes all connections.
func (i *instance) hangUp() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, nc := range i.conns {
		nc.Close()
	}
}

func (i *instance) serve(nc net.Conn, at int) {
	defer nc.Close()
	r := bufio.NewReader(nc)
	for {
		request, err := readReply(r) // a request has the form of an array
		if err != nil {
			return
		}
		var words []string
		for _, word := range request.Array {
			words = append(words, word.Text)
		}
		i.mu.Lock()
		i.said[at] += strings.Join(words, " ") + "|"
		i.mu.Unlock()
		answer, ok := i.answers[words[0]]
		if !ok {
			answer = "+OK\r\n"
		}
		nc.Write([]byte(answer))
	}
}

// saidBy waits until a connection has said this in the beginning.
func (i *instance) untilSaid(t *testing.T, beginning string) {
	t.Helper()
	redistest.Until(t, patience, "a connection begins with "+beginning, func() error {
		i.mu.Lock()
		defer i.mu.Unlock()
		if !slices.ContainsFunc(i.said, func(s string) bool { return strings.HasPrefix(s, beginning) }) {
			return fmt.Errorf("they said %q", i.said)
		}
		return nil
	})
}

func (i *instance) monitored() string {
	return fmt.Sprintf("sentinel monitor m 127.0.0.1 %d 1", i.ln.Addr().(*net.TCPAddr).Port)
}

// The two connections to a master begin as redis-sentinel's do: with a password and
// a name. A lost one is made anew.
func TestConnectionsToAMaster(t *testing.T) {
	i := startInstance(t, map[string]string{"PING": "+PONG\r\n", "INFO": "$13\r\nrole:master\r\n\r\n", "SUBSCRIBE": "*3\r\n$9\r\nsubscribe\r\n$18\r\n__sentinel__:hello\r\n:1\r\n"})
	startSentinel(t, i.monitored(), "sentinel auth-pass m secret", "sentinel auth-user m alice", "sentinel myid "+someID)
	command := "AUTH alice secret|CLIENT SETNAME sentinel-0ea40a1f-cmd|PING|"
	pubsub := "AUTH alice secret|CLIENT SETNAME sentinel-0ea40a1f-pubsub|SUBSCRIBE __sentinel__:hello|"
	i.untilSaid(t, command)
	i.untilSaid(t, pubsub)
	i.mu.Lock()
	i.said = make([]string, len(i.said))
	i.mu.Unlock()
	i.hangUp()
	i.untilSaid(t, command)
	i.untilSaid(t, pubsub)
}

// A password that is refused looks like a dead master to everybody but who reads the log.
func TestARefusedPasswordIsLogged(t *testing.T) {
	i := startInstance(t, map[string]string{"AUTH": "-WRONGPASS invalid pair secret\r\n", "CLIENT": "-NOAUTH Authentication required.\r\n"})
	observed, logs := observer.New(zap.WarnLevel)
	startLogged(t, zap.New(observed), i.monitored(), "sentinel auth-pass m secret")
	redistest.Until(t, patience, "the log has both refusals", func() error {
		var codes []any
		for _, e := range logs.FilterField(zap.String("instance", i.ln.Addr().String())).All() {
			codes = append(codes, e.ContextMap()["error"])
		}
		if !slices.Contains(codes, "WRONGPASS") || !slices.Contains(codes, "NOAUTH") {
			return fmt.Errorf("it has %v", codes)
		}
		return nil
	})
	for _, e := range logs.All() {
		if strings.Contains(fmt.Sprint(e.Message, e.ContextMap()), "secret") {
			t.Errorf("the log has the password: %v", e)
		}
	}
}

// A directory in which the file cannot be replaced is named where the start ends.
func TestAFileThatCannotBeReplacedIsNamed(t *testing.T) {
	s := startSentinel(t)
	err := errors.New("ERR Rewriting config file: Permission denied")
	if got, want := s.driver.notSaved(err), s.file+": Rewriting config file: Permission denied"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A master whose SUBSCRIBE fails is disconnected, whatever its other connection says.
func TestRefusedSubscription(t *testing.T) {
	i := startInstance(t, map[string]string{"PING": "+PONG\r\n", "SUBSCRIBE": "-NOAUTH Authentication required.\r\n"})
	s := startSentinel(t, i.monitored())
	c := s.client()
	redistest.Until(t, patience, "the master is disconnected", func() error {
		i.untilSaid(t, "CLIENT SETNAME")
		reply, err := c.Do("SENTINEL", "MASTER", "m")
		if err != nil || !strings.Contains(fmt.Sprint(reply), "disconnected") {
			return fmt.Errorf("%v, %v", reply, err)
		}
		return nil
	})
}

// What depends on the configuration file is not promised while that cannot be
// written: neither a vote nor a change. When it can, the state is written without
// being asked for again.
func TestNothingIsPromisedThatIsNotOnDisk(t *testing.T) {
	i := startInstance(t, map[string]string{"PING": "+PONG\r\n"})
	s := startSentinel(t, i.monitored())
	c := s.client()
	if err := errors.Join(os.Rename(s.file, s.file+".away"), os.Mkdir(s.file, 0o755)); err != nil {
		t.Fatal(err)
	}
	port := i.ln.Addr().(*net.TCPAddr).Port
	for _, command := range [][]any{
		{"SENTINEL", "SET", "m", "down-after-milliseconds", "12345"},
		{"SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", port, "7", otherID},
		{"SENTINEL", "FLUSHCONFIG"},
	} {
		if reply, err := c.Do(command...); err == nil || err.Error() != string(errSaveFailed) {
			t.Errorf("%v: %v, %v", command, reply, err)
		}
	}
	if err := errors.Join(os.Remove(s.file), os.Rename(s.file+".away", s.file)); err != nil {
		t.Fatal(err)
	}
	redistest.Until(t, patience, "the state is on disk", func() error {
		text, err := os.ReadFile(s.file)
		for _, line := range []string{"sentinel down-after-milliseconds m 12345", "sentinel leader-epoch m 7", "sentinel current-epoch 7"} {
			if !strings.Contains(string(text), line+"\n") {
				return fmt.Errorf("no %q, %v", line, err)
			}
		}
		return nil
	})
	reply, err := c.Do("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", port, "7", someID)
	if want := fmt.Sprint([]any{int64(0), otherID, int64(7)}); err != nil || fmt.Sprint(reply) != want {
		t.Errorf("the vote is %v, %v; want %v", reply, err, want)
	}
}

// What could not be written while the Sentinel ran is written when it ends.
func TestTheLastStateIsKept(t *testing.T) {
	i := startInstance(t, map[string]string{"PING": "+PONG\r\n"})
	s := startSentinel(t, i.monitored())
	if err := errors.Join(os.Rename(s.file, s.file+".away"), os.Mkdir(s.file, 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client().Do("SENTINEL", "SET", "m", "down-after-milliseconds", "12345"); err == nil {
		t.Error("the change is acknowledged")
	}
	s.driver.call(func() { // nothing is tried again meanwhile
		if err := errors.Join(os.Remove(s.file), os.Rename(s.file+".away", s.file)); err != nil {
			t.Error(err)
		}
		s.stop()
	})
	s.end()
	text, err := os.ReadFile(s.file)
	if err != nil || !strings.Contains(string(text), "sentinel down-after-milliseconds m 12345\n") {
		t.Errorf("%v; the file is\n%s", err, text)
	}
}

// What a client gives as a value stays a value in the file.
func TestValuesDoNotBecomeLines(t *testing.T) {
	i := startInstance(t, nil)
	s := startSentinel(t, i.monitored())
	c := s.client()
	evil := "x\nsentinel deny-scripts-reconfig no"
	for _, command := range [][]any{
		{"SENTINEL", "SET", "m", "auth-pass", evil},
		{"SENTINEL", "SET", "m", "auth-user", evil},
		{"SENTINEL", "SET", "m", "rename-command", "CONFIG", evil},
		{"SENTINEL", "CONFIG", "SET", "sentinel-pass", evil, "sentinel-user", evil, "announce-ip", evil},
		{"SENTINEL", "MONITOR", evil, "127.0.0.1", "1", "1"},
	} {
		_, _ = c.Do(command...) // it may be refused
	}
	if _, err := c.Do("SENTINEL", "FLUSHCONFIG"); err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(config.Source{Args: []string{s.file}, Sentinel: true})
	if err != nil {
		t.Fatal(err)
	}
	f, err := readFile(settings, "")
	if err != nil || !f.denyScripts {
		text, _ := os.ReadFile(s.file)
		t.Errorf("%v; the file is\n%s", err, text)
	}
}

// Scripts are set by nobody unless the file allows it, and then must be such that
// they can run.
func TestScriptsAreGuarded(t *testing.T) {
	i := startInstance(t, nil)
	for _, tc := range []struct{ allow, value, want string }{
		{"yes", "/bin/true", string(errScriptsDenied)},
		{"no", "/bin/true", ""},
		{"no", "/nowhere", "ERR Notification script seems non existing or non executable"},
	} {
		c := startSentinel(t, i.monitored(), "sentinel deny-scripts-reconfig "+tc.allow).client()
		_, err := c.Do("SENTINEL", "SET", "m", "notification-script", tc.value)
		if (err == nil) != (tc.want == "") || err != nil && err.Error() != tc.want {
			t.Errorf("deny-scripts-reconfig %s, %s: %v", tc.allow, tc.value, err)
		}
	}
}

// A master that refuses connections is told to the core, and a script hears of it.
func TestNotificationScriptOfAMasterThatIsGone(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	path := program(t, `printf '%s %s\n' "$1" "$2" >> `+out)
	port := redistest.Port(t)
	startSentinel(t, fmt.Sprintf("sentinel monitor m 127.0.0.1 %d 1", port), "sentinel down-after-milliseconds m 100", "sentinel notification-script m "+path)
	redistest.Until(t, patience, "the script hears of +sdown", func() error {
		text, err := os.ReadFile(out)
		if !strings.Contains(string(text), "+sdown master m 127.0.0.1 "+strconv.Itoa(port)+"\n") {
			return fmt.Errorf("it heard %q, %v", text, err)
		}
		return nil
	})
}

// A start without a file, or with one that cannot be kept, is refused.
func TestRefusedStart(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		"":                              "Sentinel needs config file on disk to save state. Exiting...",
		dir:                             "Sentinel config file " + dir + " is not a regular file. Exiting...",
		filepath.Join(dir, "not-there"): "Sentinel config file " + filepath.Join(dir, "not-there") + " is not writable: No such file or directory. Exiting...",
	} {
		if err := checkFile(path); err == nil || err.Error() != want {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// A host name is resolved when it is dialled, and only if that is wanted.
func TestHostNames(t *testing.T) {
	var told []string
	d := dialer{resolved: func(host, ip string) { told = append(told, host+" "+ip) }}
	addr := core.Addr{Host: "localhost", Port: uint16(startInstance(t, nil).ln.Addr().(*net.TCPAddr).Port)}
	if _, err := d.dial(t.Context(), addr); err == nil || told != nil {
		t.Errorf("with resolve-hostnames no: %v, %v", told, err)
	}
	d.resolve = true
	nc, err := d.dial(t.Context(), addr)
	if err != nil || !slices.Equal(told, []string{"localhost 127.0.0.1"}) {
		t.Fatalf("with resolve-hostnames yes: %v, %v", told, err)
	}
	nc.Close()
}
