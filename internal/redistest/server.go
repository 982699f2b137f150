package redistest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Kind says which program a Server runs.
type Kind int

const (
	Redis   Kind = iota // redis-server from $PATH
	Redoubt             // our own binary
)

// String names the program.
func (k Kind) String() string {
	if k == Redoubt {
		return "redoubt"
	}
	return "redis-server"
}

const (
	// startTimeout is how long a server may take until it answers, stopTimeout
	// until it has ended after SIGTERM.
	startTimeout = 20 * time.Second
	stopTimeout  = 20 * time.Second
	// logShown is how much of the log of a server a failed test prints.
	logShown = 16 << 10
)

// Server is one process with a port and a directory, which it keeps over
// restarts. Its methods are for the goroutine of the test.
type Server struct {
	Kind    Kind
	Port    int
	TLSPort int    // 0: it has none
	Dir     string // data directory

	t      testing.TB
	host   Host // nil: this machine as it is, at 127.0.0.1
	args   []string
	file   string // the configuration file of a Sentinel; "" for a node
	log    string
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
}

// Start runs a server of the given kind with options as they are given on the
// command line of redis-server ("--appendonly", "yes"), on a free port and in
// a new directory. It returns when the server answers PING.
func Start(t testing.TB, kind Kind, args ...string) *Server {
	t.Helper()
	s := &Server{Kind: kind, Port: Port(t), Dir: t.TempDir(), t: t, args: args}
	s.begin()
	return s
}

// Host is where a server may run beside 127.0.0.1: a place with an address of its own, as
// those of internal/netlab.
type Host interface {
	Addr() netip.Addr // it may change
	Start(*exec.Cmd) error
	Dial(context.Context, netip.AddrPort) (net.Conn, error)
}

// hostPort is the port of a server that has a host for itself.
const hostPort = 6379

// StartOn is Start on a host that has no other server. The server listens on all addresses
// of the host. It is spoken to from within the host.
func StartOn(t testing.TB, host Host, kind Kind, args ...string) *Server {
	t.Helper()
	s := &Server{Kind: kind, Port: hostPort, Dir: t.TempDir(), t: t, host: host}
	s.args = append([]string{"--protected-mode", "no"}, args...)
	s.begin()
	return s
}

// StartSentinel runs a Sentinel of the given kind with a configuration file of these
// lines, on a free port. It returns when the Sentinel answers PING.
func StartSentinel(t testing.TB, kind Kind, lines ...string) *Server {
	t.Helper()
	s := &Server{Kind: kind, Port: Port(t), Dir: t.TempDir(), t: t}
	s.file = filepath.Join(s.Dir, "sentinel.conf")
	lines = append([]string{fmt.Sprintf("port %d", s.Port), "bind 127.0.0.1", "dir " + s.Dir}, lines...)
	if err := os.WriteFile(s.file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.begin()
	return s
}

// ConfigFile is what the configuration file of a Sentinel has now.
func (s *Server) ConfigFile() string {
	s.t.Helper()
	text, err := os.ReadFile(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// begin starts the process that ends with the test.
func (s *Server) begin() {
	t := s.t
	t.Helper()
	s.log = filepath.Join(t.TempDir(), "log")
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("log of %v at %s:\n%s", s.Kind, s.Addr(), tail(s.Log(), logShown))
		}
	})
	s.Restart()
}

// Restart starts the server anew, after Kill or Terminate, on the same port
// and in the same directory. It returns when the server answers PING.
func (s *Server) Restart() {
	s.t.Helper()
	s.Launch()
	Until(s.t, startTimeout, fmt.Sprintf("%v on port %d answers", s.Kind, s.Port), func() error {
		if !s.Running() {
			s.t.Fatalf("redistest: %v on port %d ended at start: %v", s.Kind, s.Port, s.cmd.ProcessState)
		}
		return s.ping()
	})
}

// RestartWith is Restart with further options, for this start and those that follow. Of
// one that is given twice the last counts.
func (s *Server) RestartWith(args ...string) {
	s.t.Helper()
	s.args = append(slices.Clip(s.args), args...)
	s.Restart()
}

// Launch is Restart without waiting for the server: it may be killed while it loads.
func (s *Server) Launch() {
	s.t.Helper()
	if s.Running() {
		s.t.Fatalf("redistest: %v on port %d is still running", s.Kind, s.Port)
	}
	command := s.command()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(command[0], command[1:]...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.Dir, log, log
	begin := s.cmd.Start
	if s.host != nil {
		begin = func() error { return s.host.Start(s.cmd) }
	}
	if err := begin(); err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
	cmd, exited := s.cmd, make(chan struct{})
	s.exited = exited
	go func() {
		cmd.Wait()
		close(exited)
	}()
}

// command is the command line.
func (s *Server) command() []string {
	switch {
	case s.file != "" && s.Kind == Redoubt:
		return []string{Binary(s.t), "sentinel", s.file}
	case s.file != "":
		return []string{Tool(s.t, "redis-server"), s.file, "--sentinel"}
	}
	var command []string
	if s.Kind == Redoubt {
		command = []string{Binary(s.t), "server"}
	} else {
		command = []string{Tool(s.t, "redis-server")}
	}
	bind := "127.0.0.1"
	if s.host != nil {
		bind = "0.0.0.0"
	}
	command = append(command, "--port", strconv.Itoa(s.Port), "--bind", bind, "--dir", s.Dir)
	return append(command, s.args...)
}

// ping returns nil if the server takes commands; one that asks for a password
// does.
func (s *Server) ping() error {
	c, err := s.Connect()
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Do("PING")
	var refusal Error
	if errors.As(err, &refusal) && strings.HasPrefix(string(refusal), "NOAUTH") {
		return nil
	}
	return err
}

// Addr is "127.0.0.1:port", or with the address of the host.
func (s *Server) Addr() string {
	if s.host != nil {
		return netip.AddrPortFrom(s.host.Addr(), uint16(s.Port)).String()
	}
	return fmt.Sprintf("127.0.0.1:%d", s.Port)
}

// Connect opens a connection to the server, from within its host if it has one.
func (s *Server) Connect() (*Client, error) { return s.ConnectWithin(replyTimeout) }

// ConnectWithin is Connect for a client that waits no longer than so, as that of
// DialWithin. Any goroutine may call it.
func (s *Server) ConnectWithin(within time.Duration) (*Client, error) {
	if s.host == nil {
		return DialWithin(s.Addr(), within)
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	conn, err := s.host.Dial(ctx, netip.AddrPortFrom(s.host.Addr(), uint16(s.Port)))
	if err != nil {
		return nil, err
	}
	return newClient(conn, within), nil
}

// Running reports whether the process is there, paused or not.
func (s *Server) Running() bool {
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

// Kill ends the process as kill -9 does and waits until it is gone. It does
// nothing if it is gone already.
func (s *Server) Kill() {
	if s.Running() {
		s.cmd.Process.Signal(syscall.SIGKILL)
		<-s.exited
	}
}

// Quit ends the process with SIGQUIT. If it is ours its log then has the stacks of all
// goroutines.
func (s *Server) Quit() {
	if !s.Running() {
		return
	}
	s.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.exited:
	case <-time.After(stopTimeout):
		s.Kill()
	}
}

// Terminate asks the process to end with SIGTERM and waits for it. The test
// fails if it ends with an error or not at all.
func (s *Server) Terminate() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(stopTimeout):
		s.t.Fatalf("redistest: %v on port %d runs on %v after SIGTERM", s.Kind, s.Port, stopTimeout)
	}
	if !s.cmd.ProcessState.Success() {
		s.t.Errorf("redistest: %v on port %d ended with %v", s.Kind, s.Port, s.cmd.ProcessState)
	}
}

// Pause stops the process in its tracks (SIGSTOP) until Resume.
func (s *Server) Pause() { s.t.Helper(); s.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on (SIGCONT).
func (s *Server) Resume() { s.t.Helper(); s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if !s.Running() {
		s.t.Fatalf("redistest: %v on port %d is not running", s.Kind, s.Port)
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
}

// Log returns what the server has written so far, over all its starts.
func (s *Server) Log() string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

var panicked = regexp.MustCompile(`(?m)^(panic:|fatal error:|WARNING: DATA RACE|goroutine \d+ \[|.*=== REDIS BUG REPORT START)`)

// Panicked is what in a log tells of a panic, or of a data race; "" if nothing does.
func Panicked(log string) string { return panicked.FindString(log) }

func tail(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return "...\n" + s[len(s)-most:]
}

// Client returns a new connection to the server, closed with the test.
func (s *Server) Client() *Client {
	s.t.Helper()
	c, err := s.Connect()
	if err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// Do runs one command on a connection of its own. While the server loads a data
// set, its own or its primary's, Do asks again. An error of any other sort
// fails the test.
func (s *Server) Do(args ...any) (reply any) {
	s.t.Helper()
	return s.do(false, args)
}

// do is Do. It also asks again when the connection ends, if repeat is set: a Sentinel
// closes those of a node whose role it changes.
func (s *Server) do(repeat bool, args []any) (reply any) {
	s.t.Helper()
	c, err := s.Connect()
	if err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
	defer func() { c.Close() }()
	Until(s.t, startTimeout, fmt.Sprintf("%v on port %d has loaded its data", s.Kind, s.Port), func() error {
		reply, err = c.Do(args...)
		switch {
		case err == nil || strings.HasPrefix(err.Error(), "LOADING"):
		case repeat && (errors.Is(err, io.EOF) || errors.As(err, new(*net.OpError))):
			c.Close()
			next, failed := s.Connect()
			if failed != nil {
				s.t.Fatalf("redistest: %v", failed)
			}
			c = next
		default:
			s.t.Fatalf("redistest: %v on port %d: %v", args, s.Port, err)
		}
		return err
	})
	return reply
}

// Info returns a field of INFO or, for those that begin with "cluster_", of
// CLUSTER INFO; empty if there is none of that name.
func (s *Server) Info(field string) string {
	s.t.Helper()
	command := []any{"INFO", "everything"}
	if strings.HasPrefix(field, "cluster_") && field != "cluster_enabled" {
		command = []any{"CLUSTER", "INFO"}
	}
	text, _ := s.do(true, command).(string)
	for line := range strings.SplitSeq(text, "\r\n") {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return value
		}
	}
	return ""
}
