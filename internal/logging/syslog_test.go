package logging

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
)

// listen is the system's log of a test.
func listen(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func next(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	conn := listen(t, path)
	l := New(io.Discard)
	if err := l.addSyslog(&syslog{path: path, ident: "shop", facility: Facilities["local3"]}); err != nil {
		t.Fatal(err)
	}
	l.SetLevel(Debug)
	for _, c := range []struct {
		log  func()
		want string
	}{
		{func() { l.Warn("full", zap.Error(syscall.ENOSPC)) }, `^<156>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d shop\[\d+\]: full: No space left on device$`},
		{func() { l.Info("ready", zap.String("on", "a b")) }, `^<157>.*: ready on="a b"$`},
		{func() { l.Debug("talkative") }, `^<158>.*: talkative$`},
		{func() { l.Log(Debug, "more so") }, `^<159>.*: more so$`},
		{func() { l.With(zap.Int("n", 1)).Warn("two\nlines") }, `^<156>.*: two\\nlines n=1$`},
	} {
		c.log()
		if got := next(t, conn); !regexp.MustCompile(c.want).MatchString(got) {
			t.Errorf("%q, want %s", got, c.want)
		}
	}
	l.SetLevel(Warning)
	l.Info("not sent")
	l.Warn("sent")
	if got := next(t, conn); !strings.HasSuffix(got, "sent") || strings.HasSuffix(got, "not sent") {
		t.Errorf("%q", got)
	}
}

// TestSyslogComesBack: a daemon that is started anew gets the lines again, and hears how many
// it has missed. The node neither fails nor waits.
func TestSyslogComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := &syslog{path: path, ident: "x", facility: 1}
	l := New(io.Discard)
	if err := l.addSyslog(s); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a daemon: %v", err)
	}
	l.Info("lost")
	conn := listen(t, path)
	l.Info("lost, as it is not tried again so soon")
	s.mu.Lock()
	s.until = time.Time{}
	s.mu.Unlock()
	l.Info("first")
	if got := next(t, conn); !strings.Contains(got, "2 lines could not be sent") {
		t.Errorf("%q", got)
	}
	if got := next(t, conn); !strings.HasSuffix(got, ": first") {
		t.Errorf("%q", got)
	}
	conn.Close()
	os.Remove(path)
	conn = listen(t, path)
	l.Info("to the next one")
	if got := next(t, conn); !strings.HasSuffix(got, ": to the next one") {
		t.Errorf("%q", got)
	}
	// One that reads nothing: its queue is full soon, and the lines do not wait for it.
	for range 5000 {
		l.Info(strings.Repeat("x", 1000))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost == 0 {
		t.Error("5000 lines found room in a queue that nobody reads")
	}
}

func TestSeldom(t *testing.T) {
	var out strings.Builder
	l := New(&out)
	now := time.Unix(1e9, 0)
	s := Seldom{now: func() time.Time { return now }}
	for range 125 {
		s.Warn(l.Logger, "Accepting client connection", zap.Error(syscall.EMFILE))
		now = now.Add(time.Second)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[0], "# Accepting client connection: Too many open files") ||
		!strings.HasSuffix(lines[2], "(and 59 times since the last such line): Too many open files") {
		t.Errorf("%q", lines)
	}
}
