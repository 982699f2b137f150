package interop

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

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
