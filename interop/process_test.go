package interop

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// TestACrashIsInTheLogFile: SIGABRT is what service managers send to a process that
// hangs, for a report.
func TestACrashIsInTheLogFile(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(redistest.Binary(t), "server", "--bind", "127.0.0.1", "--port", fmt.Sprint(redistest.Port(t)),
		"--dir", dir, "--logfile", "node.log", "--save", "")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	logged := func(text string) error {
		log, err := os.ReadFile(filepath.Join(dir, "node.log"))
		if err == nil && !strings.Contains(string(log), text) {
			err = fmt.Errorf("the log is %s", log)
		}
		return err
	}
	redistest.Until(t, 20*time.Second, "the node serves", func() error { return logged("Ready to accept connections") })
	if err := cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the node has ended in good order")
	}
	for _, text := range []string{"crashed by signal: 6", "SIGABRT: abort", "goroutine "} {
		if err := logged(text); err != nil {
			t.Errorf("there is no %q: %v", text, err)
		}
	}
}

// TestALostTerminalEndsNoNode: neither its hang-up nor a pipe for the log that
// nobody reads any more.
func TestALostTerminalEndsNoNode(t *testing.T) {
	port := redistest.Port(t)
	cmd := exec.Command(redistest.Binary(t), "server", "--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--dir", t.TempDir(), "--save", "")
	log, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	lines := bufio.NewScanner(log)
	for lines.Scan() && !strings.Contains(lines.Text(), "Ready to accept connections") {
	}
	log.Close()
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	replies := bufio.NewReader(nc)
	for _, line := range []struct{ send, want string }{
		{"REPLICAOF 127.0.0.1 1", "+OK"}, // it is logged
		{"REPLICAOF NO ONE", "+OK"},
		{"PING", "+PONG"},
	} {
		fmt.Fprintf(nc, "%s\r\n", line.send)
		if got, err := replies.ReadString('\n'); err != nil || strings.TrimSpace(got) != line.want {
			t.Fatalf("%s: %q, %v", line.send, got, err)
		}
	}
}

// TestTheTitleOfTheProcess: what ps shows follows proc-title-template, and the node is
// still what its arguments have made it.
func TestTheTitleOfTheProcess(t *testing.T) {
	for _, shown := range []bool{true, false} {
		t.Run(fmt.Sprint(shown), func(t *testing.T) {
			set := map[bool]string{true: "yes", false: "no"}[shown]
			s := start(t, ours(), "--cluster-enabled", "yes", "--set-proc-title", set, "--maxmemory", "123456789")
			c, err := redistest.Dial(s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			pid := processID(t, c)
			title := func() string {
				args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				if err != nil {
					t.Fatal(err)
				}
				return strings.TrimSpace(strings.ReplaceAll(string(args), "\x00", " "))
			}
			atStart := fmt.Sprintf("127.0.0.1:%d [cluster]", s.Port)
			if got := title(); strings.HasSuffix(got, atStart) != shown {
				t.Errorf("ps shows %q", got)
			}
			if reply, err := c.Do("CONFIG", "SET", "proc-title-template", "a node at {port}"); err != nil || reply != "OK" {
				t.Fatal(reply, err)
			}
			if got := title(); (got == fmt.Sprintf("a node at %d", s.Port)) != shown {
				t.Errorf("with another template ps shows %q", got)
			}
			for directive, want := range map[string]string{"dir": s.Dir, "maxmemory": "123456789", "bind": "127.0.0.1"} {
				if reply, err := c.Do("CONFIG", "GET", directive); err != nil || fmt.Sprint(reply) != fmt.Sprintf("[%s %s]", directive, want) {
					t.Errorf("CONFIG GET %s: %v, %v", directive, reply, err)
				}
			}
		})
	}
}

// TestASecondInterrupt: it ends a node that saves for its shutdown at once, with nothing
// left behind. Once a shutdown has failed the next interrupt is a first one again, and
// loses nothing.
func TestASecondInterrupt(t *testing.T) {
	s := start(t, ours(), "--appendonly", "no", "--save", "900 1")
	interrupt := func() {
		t.Helper()
		c, err := redistest.Dial(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := syscall.Kill(processID(t, c), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		redistest.Until(t, patience, what, func() error {
			if !holds() {
				return fmt.Errorf("it does not; the log:\n%s", s.Log())
			}
			return nil
		})
	}
	c, err := redistest.Dial(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 1000 {
		if _, err := c.Do("SET", i, i); err != nil {
			t.Fatal(err)
		}
	}
	dump := filepath.Join(s.Dir, "dump.rdb")
	if err := os.MkdirAll(filepath.Join(dump, "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	interrupt()
	until("the shutdown fails", func() bool { return strings.Contains(s.Log(), "Error trying to save the DB, can't exit") })
	interrupt()
	until("the next one fails as well", func() bool { return strings.Count(s.Log(), "Error trying to save the DB, can't exit") == 2 })
	if _, err := c.Do("CONFIG", "SET", "rdb-key-save-delay", "1000000"); err != nil {
		t.Fatal(err)
	}
	pid := processID(t, c)
	temp := filepath.Join(s.Dir, fmt.Sprintf("temp-%d.rdb", pid))
	exists := func() bool {
		_, err := os.Stat(temp)
		return err == nil
	}
	interrupt()
	until("the snapshot is being written", exists)
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	until("the node has ended", func() bool { return !s.Running() })
	if exists() {
		t.Error("the snapshot is left behind, unfinished")
	}
}

// processID asks a node for its process.
func processID(t *testing.T, c *redistest.Client) int {
	t.Helper()
	info, err := c.Do("INFO", "server")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(fmt.Sprint(info), "process_id:")
	text, _, _ := strings.Cut(rest, "\r\n")
	pid, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
