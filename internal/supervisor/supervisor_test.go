package supervisor

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A process that is as the test says.
type process struct {
	alive, advancing atomic.Bool
	mu               sync.Mutex
	status           string
}

func (p *process) Alive() bool     { return p.alive.Load() }
func (p *process) Advancing() bool { return p.advancing.Load() }

func (p *process) Status() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

func (p *process) become(status string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

// socket is what systemd listens on.
type socket struct {
	t    *testing.T
	conn *net.UnixConn
}

// listen makes a socket that NOTIFY_SOCKET names.
func listen(t *testing.T, name string) *socket {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return &socket{t, conn}
}

// next is the lines of the next message, nil if none comes within wait.
func (s *socket) next(wait time.Duration) []string {
	s.t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		s.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := s.conn.Read(buf)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(buf[:n]), "\n"), "\n")
}

// until reads messages up to one that has the line.
func (s *socket) until(line string) {
	s.t.Helper()
	var seen []string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		lines := s.next(time.Until(end))
		if slices.Contains(lines, line) {
			return
		}
		seen = append(seen, lines...)
	}
	s.t.Fatalf("no %q among %q", line, seen)
}

func TestWhatSystemdHears(t *testing.T) {
	for name, at := range map[string]string{
		"a path":           filepath.Join(t.TempDir(), "notify"),
		"an abstract name": fmt.Sprintf("@redoubt-supervisor-test-%d", os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, at)
			t.Setenv("WATCHDOG_USEC", "40000")
			t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
			m := Find(Auto, zap.NewNop())
			if m == nil || m.Kind() != Systemd {
				t.Fatal("systemd is not found")
			}
			defer m.Close()
			for _, left := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
				if v, ok := os.LookupEnv(left); ok {
					t.Errorf("children would inherit %s=%s", left, v)
				}
			}
			s.until("STATUS=Redis is loading...")
			p := &process{}
			p.become("half of it\nREADY=1")
			m.Watch(p)
			s.until("STATUS=half of it READY=1")
			p.advancing.Store(true)
			s.until("EXTEND_TIMEOUT_USEC=30000000")
			p.advancing.Store(false)
			p.become("all of it")
			told := make(chan struct{})
			go func() { m.Ready(p); close(told) }()
			s.until("READY=1")
			<-told
			p.alive.Store(true)
			s.until("WATCHDOG=1")
			m.Stopping()
			s.until("STOPPING=1")
		})
	}
}

// READY has the status and the number of the process beside it, in one message.
func TestReadyIsOneMessage(t *testing.T) {
	s := listen(t, filepath.Join(t.TempDir(), "notify"))
	m := Find(Systemd, zap.NewNop())
	defer m.Close()
	p := &process{status: "serving"}
	m.Ready(p)
	s.next(time.Minute) // that it loads
	want := []string{"STATUS=serving", "MAINPID=" + strconv.Itoa(os.Getpid()), "READY=1"}
	if got := s.next(time.Minute); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A process that neither turns nor gets on gives no sign of life.
func TestAHungProcessGivesNoSign(t *testing.T) {
	for name, c := range map[string]struct{ alive, advancing, signs bool }{
		"it turns":   {alive: true, signs: true},
		"it gets on": {advancing: true, signs: true},
		"it hangs":   {},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, filepath.Join(t.TempDir(), "notify"))
			t.Setenv("WATCHDOG_USEC", "4000")
			m := Find(Systemd, zap.NewNop())
			defer m.Close()
			p := &process{}
			p.alive.Store(c.alive)
			p.advancing.Store(c.advancing)
			looks := 0
			m.Watch(counted{p, func() { looks++ }, func() bool { return looks >= 3 }, func() { m.end.Do(func() { close(m.over) }) }})
			<-m.finished
			signs := false
			for lines := s.next(time.Minute); lines != nil; lines = s.next(time.Millisecond) {
				signs = signs || slices.Contains(lines, "WATCHDOG=1")
			}
			if signs != c.signs {
				t.Errorf("signs of life: %v", signs)
			}
		})
	}
}

func TestWithinWhichTimeSignsAreDue(t *testing.T) {
	for _, c := range []struct {
		name, usec, pid string
		want            time.Duration
	}{
		{"this process is asked", "30000000", "7", 30 * time.Second},
		{"whoever it is", "30000000", "", 30 * time.Second},
		{"another process is asked", "30000000", "1", 0},
		{"nobody is", "", "", 0},
		{"no number", "soon", "", 0},
		{"no time", "0", "", 0},
		{"no watchdog", "18446744073709551615", "", 0},
		{"longer than any", "9223372036854775807", "", 0},
	} {
		if got := watchdogOf(c.usec, c.pid, 7); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// counted ends the talk when its process was looked at often enough.
type counted struct {
	Process
	look   func()
	enough func() bool
	end    func()
}

func (c counted) Alive() bool {
	if c.look(); c.enough() {
		c.end()
	}
	return c.Process.Alive()
}

func TestWithoutAManager(t *testing.T) {
	for _, c := range []struct{ name, supervised, socket, job, log string }{
		{"nobody asks", None, "/nonexistent", "job", ""},
		{"auto without one", Auto, "", "", ""},
		{"systemd without a socket", Systemd, "", "", "NOTIFY_SOCKET not found!"},
		{"a socket that is not there", Systemd, "/nonexistent/notify", "", "sd_notify: /nonexistent/notify: No such file or directory"},
		{"a socket that is none", Systemd, "vsock:2:1", "", "neither a path nor an abstract name"},
		{"upstart without a job", Upstart, "", "", "UPSTART_JOB not found!"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", c.socket)
			t.Setenv("UPSTART_JOB", c.job)
			core, logs := observer.New(zap.InfoLevel)
			m := Find(c.supervised, zap.New(core))
			if m != nil {
				t.Fatalf("found %s", m.Kind())
			}
			text := ""
			for _, e := range logs.All() {
				text += e.Message
			}
			if c.log == "" && text != "" || !strings.Contains(text, c.log) {
				t.Errorf("logged %q, want %q", text, c.log)
			}
			m.Watch(&process{}) // it can be told all the same
			m.Ready(&process{})
			m.Stopping()
			m.Close()
			if m.Kind() != "no" {
				t.Errorf("INFO has %s", m.Kind())
			}
		})
	}
}

// A manager that goes away is named once, and the process goes on.
func TestAManagerThatGoesAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	s := listen(t, path)
	core, logs := observer.New(zap.WarnLevel)
	m := Find(Systemd, zap.New(core))
	s.conn.Close()
	for range 3 {
		m.Stopping()
	}
	if n := logs.Len(); n != 1 {
		t.Errorf("logged %d times: %v", n, logs.All())
	}
	// It may be another one that comes back, as after systemctl daemon-reexec.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s = listen(t, path)
	m.Stopping()
	s.until("STOPPING=1")
	m.Close()
}
