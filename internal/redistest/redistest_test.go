package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestAServerKeepsItsPortAndDataOverRestarts(t *testing.T) {
	s := Start(t, Redis, "--appendonly", "yes", "--appendfsync", "always")
	c := s.Client()
	if got, err := c.Do("SET", "key", []byte("value\x00\r\n")); got != "OK" || err != nil {
		t.Fatalf("SET: %v, %v", got, err)
	}
	s.Kill()
	if s.Running() {
		t.Error("the server runs on after Kill")
	}
	if _, err := c.Do("GET", "key"); err == nil {
		t.Error("a killed server answered")
	}
	s.Kill() // once more does no harm
	s.Restart()
	if got := s.Do("GET", "key"); got != "value\x00\r\n" {
		t.Errorf("GET after a restart: %q", got)
	}
	s.Terminate()
	s.Restart()
	if got := s.Do("DBSIZE"); got != int64(1) {
		t.Errorf("DBSIZE after another restart: %v", got)
	}
	if got := strings.Count(s.Log(), "Ready to accept connections"); got != 3 {
		t.Errorf("the log tells of %d starts, want 3", got)
	}
	if got := s.Info("tcp_port"); got != fmt.Sprint(s.Port) {
		t.Errorf("tcp_port of INFO is %q", got)
	}
	if got := s.Info("no_such_field"); got != "" {
		t.Errorf("a field that is not there is %q", got)
	}
}

func TestAPausedServerAnswersOnceItResumes(t *testing.T) {
	s := Start(t, Redis)
	c := s.Client()
	s.Pause()
	if err := c.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	stat := fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid)
	Until(t, 10*time.Second, "the process is stopped", func() error {
		b, err := os.ReadFile(stat)
		if err == nil && !strings.Contains(string(b), ") T ") {
			err = fmt.Errorf("it is %q", b)
		}
		return err
	})
	if !s.Running() {
		t.Error("a paused server counts as gone")
	}
	s.Resume()
	if raw, err := c.ReadRaw(); string(raw) != "+PONG\r\n" || err != nil {
		t.Errorf("after Resume: %q, %v", raw, err)
	}
}

func TestRepliesOfARealServer(t *testing.T) {
	s := Start(t, Redis, "--requirepass", "secret")
	c := s.Client()
	if _, err := c.Do("GET", "key"); err != Error("NOAUTH Authentication required.") {
		t.Errorf("without a password: %v", err)
	}
	if _, err := c.Do("AUTH", "secret"); err != nil {
		t.Fatal(err)
	}
	got, err := c.Pipeline(
		[]any{"SET", "n", 41},
		[]any{"INCR", "n"},
		[]any{"LPUSH", "n", "x"},
		[]any{"GET", "nothing"},
		[]any{"MGET", "n", "nothing"},
		[]any{"EXEC"},
	)
	want := []any{
		"OK", int64(42), Error("WRONGTYPE Operation against a key holding the wrong kind of value"),
		nil, []any{"42", nil}, Error("ERR EXEC without MULTI"),
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Pipeline:\n got %#v, %v\nwant %#v", got, err, want)
	}
	if raw, err := c.DoRaw("HELLO", 3); err != nil || !strings.HasPrefix(string(raw), "%7\r\n$6\r\nserver\r\n") {
		t.Errorf("HELLO 3: %q, %v", raw, err)
	}
	if raw, err := c.DoRaw("GET", "nothing"); string(raw) != "_\r\n" || err != nil {
		t.Errorf("GET in RESP3: %q, %v", raw, err)
	}
	if _, err := c.Do("HGETALL", "nothing"); err == nil {
		t.Error("Do understood a RESP3 map")
	}
	if err := c.Write([]byte("QUIT\r\n")); err != nil {
		t.Fatal(err)
	}
	if raw, err := c.ReadRaw(); string(raw) != "+OK\r\n" || err != nil {
		t.Errorf("QUIT: %q, %v", raw, err)
	}
	if _, err := c.ReadRaw(); err != io.EOF {
		t.Errorf("after QUIT: %v", err)
	}
}

// TestAMixedCluster lets a script stand for our binary: what is tested is that
// every other node is started with it, not what it does.
func TestAMixedCluster(t *testing.T) {
	redis := Tool(t, "redis-server")
	script := filepath.Join(t.TempDir(), "redoubt")
	text := "#!/bin/sh\n[ \"$1\" = server ] || exit 1\nshift\nexec " + redis + " \"$@\"\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("REDOUBT_BIN", script)

	c := StartCluster(t, ClusterConfig{Primaries: 3, Replicas: 1, Kinds: []Kind{Redis, Redoubt}})
	roles := map[string]int{}
	for i, s := range c.Nodes {
		if want := Kind(i % 2); s.Kind != want {
			t.Errorf("node %d is %v, want %v", i, s.Kind, want)
		}
		roles[s.Info("role")]++
	}
	if roles["master"] != 3 || roles["slave"] != 3 {
		t.Errorf("roles %v", roles)
	}
}

func TestReplyFraming(t *testing.T) {
	for _, c := range []struct{ name, wire string }{
		{"a simple string", "+OK\r\n"},
		{"an error", "-ERR no\r\n"},
		{"an integer", ":-1\r\n"},
		{"a bulk string with line ends in it", "$4\r\n\r\n\r\n\r\n"},
		{"an empty bulk string", "$0\r\n\r\n"},
		{"no bulk string", "$-1\r\n"},
		{"no array", "*-1\r\n"},
		{"an empty array", "*0\r\n"},
		{"arrays in arrays", "*2\r\n*1\r\n:1\r\n*2\r\n$1\r\na\r\n*-1\r\n"},
		{"a null, a boolean, a double and a big number", "*4\r\n_\r\n#t\r\n,1.5\r\n(123456789012345678901234567890\r\n"},
		{"a map", "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n"},
		{"a set", "~2\r\n+a\r\n+b\r\n"},
		{"a push", ">2\r\n+message\r\n$1\r\nx\r\n"},
		{"a verbatim string", "=7\r\ntxt:abc\r\n"},
		{"a bulk error", "!5\r\nERR x\r\n"},
		{"attributes and their reply", "|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readReply(bufio.NewReader(strings.NewReader(c.wire+"+next\r\n")), nil)
			if string(got) != c.wire || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			cut := c.wire[:len(c.wire)-1]
			if got, err := readReply(bufio.NewReader(strings.NewReader(cut)), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("cut short: got %q, %v", got, err)
			}
		})
	}
	for _, bad := range []string{"hello\r\n", "$x\r\n", "\r\n"} {
		if got, err := readReply(bufio.NewReader(strings.NewReader(bad)), nil); err == nil {
			t.Errorf("%q is taken for a reply: %q", bad, got)
		}
	}
}

// verdict runs f as a test and tells how it ended.
func verdict(t *testing.T, f func(t testing.TB)) *verdictT {
	v := &verdictT{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(v)
	}()
	<-done
	return v
}

type verdictT struct {
	testing.TB
	skipped, failed string
}

func (v *verdictT) Skip(args ...any)  { v.skipped = fmt.Sprint(args...); runtime.Goexit() }
func (v *verdictT) Fatal(args ...any) { v.failed = fmt.Sprint(args...); runtime.Goexit() }
func (v *verdictT) Fatalf(format string, args ...any) {
	v.Fatal(fmt.Sprintf(format, args...))
}

func TestAMissingToolSkipsAtHomeAndFailsInCI(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	need := func(t testing.TB) { Tool(t, "redis-cli") }
	t.Setenv("CI", "")
	if v := verdict(t, need); !strings.Contains(v.skipped, "apt-get install redis-tools") || v.failed != "" {
		t.Errorf("at home: skipped %q, failed %q", v.skipped, v.failed)
	}
	t.Setenv("CI", "true")
	if v := verdict(t, need); !strings.Contains(v.failed, "apt-get install redis-tools") || v.skipped != "" {
		t.Errorf("in CI: skipped %q, failed %q", v.skipped, v.failed)
	}
}

func TestUntilSaysWhatWasWaitedFor(t *testing.T) {
	asked := 0
	v := verdict(t, func(t testing.TB) {
		Until(t, time.Minute, "the third time", func() error {
			if asked++; asked < 3 {
				return errors.New("too early")
			}
			return nil
		})
	})
	if asked != 3 || v.failed != "" {
		t.Errorf("asked %d times, failed %q", asked, v.failed)
	}
	v = verdict(t, func(t testing.TB) {
		Until(t, time.Millisecond, "the impossible", func() error { return errors.New("not yet") })
	})
	if !strings.Contains(v.failed, "the impossible: not yet") {
		t.Errorf("failed with %q", v.failed)
	}
}

func TestAServerThatEndsAtStartFailsTheTest(t *testing.T) {
	Tool(t, "redis-server")
	var s *Server
	v := verdict(t, func(v testing.TB) {
		s = &Server{Kind: Redis, Port: Port(v), Dir: t.TempDir(), t: v, log: filepath.Join(t.TempDir(), "log")}
		s.args = []string{"--no-such-option", "yes"}
		s.Restart()
	})
	if !strings.Contains(v.failed, "ended at start") || s.Running() {
		t.Errorf("failed with %q", v.failed)
	}
	if !strings.Contains(s.Log(), "no-such-option") {
		t.Errorf("the log is %q", s.Log())
	}
}

func TestBinariesOfDeadProcessesAreSwept(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(os.TempDir(), buildDirPrefix+fmt.Sprint(gone.Process.Pid))
	alive := filepath.Join(os.TempDir(), buildDirPrefix+fmt.Sprint(os.Getpid()))
	other := filepath.Join(os.TempDir(), buildDirPrefix+"results")
	for _, dir := range []string{dead, alive, other} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	sweepBuilds()
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "*"))
	if err != nil || !reflect.DeepEqual(left, []string{alive, other}) && !reflect.DeepEqual(left, []string{other, alive}) {
		t.Errorf("left are %v", left)
	}
}
