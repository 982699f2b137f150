package interop

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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
	for _, text := range []string{"SIGABRT: abort", "goroutine "} {
		if err := logged(text); err != nil {
			t.Errorf("there is no %q: %v", text, err)
		}
	}
}

// TestASecondInterruptEndsTheLastSave: at once, and without leaving its file behind.
func TestASecondInterruptEndsTheLastSave(t *testing.T) {
	dir := t.TempDir()
	s := redistest.Start(t, ours(), "--dir", dir, "--appendonly", "no", "--save", "900 1", "--rdb-key-save-delay", "2000000000")
	s.Do("SET", "k", "v")
	unfinished := func() error {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), "temp-") && strings.HasSuffix(e.Name(), ".rdb") {
				return nil
			}
		}
		return fmt.Errorf("there is no unfinished dump")
	}
	s.Interrupt()
	redistest.Until(t, 20*time.Second, "the dump is being written", unfinished)
	s.Interrupt()
	redistest.Until(t, 20*time.Second, "the process has ended", func() error {
		if s.Running() {
			return fmt.Errorf("it runs")
		}
		return nil
	})
	if unfinished() == nil {
		t.Error("the unfinished dump is still there")
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
