package interop

import (
	"errors"
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

// supervise runs a program as a service of systemd that the test plays: it returns what
// waits for a line that the program notifies of and has what came before, and the program.
func supervise(t *testing.T, args ...string) (until func(line string) (before []string), cmd *exec.Cmd) {
	t.Helper()
	name := fmt.Sprintf("@redoubt-interop-%d-%d", os.Getpid(), redistest.Port(t))
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	cmd = exec.Command(redistest.Binary(t), args...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+name, "WATCHDOG_USEC=400000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var said []string // and not looked at yet
	return func(line string) []string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(settle)); err != nil {
			t.Fatal(err)
		}
		var heard []string
		for {
			for i, got := range said {
				if got == line {
					heard, said = append(heard, said[:i]...), said[i+1:]
					return heard
				}
			}
			heard = append(heard, said...)
			buf := make([]byte, 4096)
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatalf("systemd hears no %q, but %q: %v", line, heard, err)
			}
			said = strings.Split(strings.TrimSuffix(string(buf[:n]), "\n"), "\n")
		}
	}, cmd
}

// A node and a Sentinel tell systemd how they are. Daemonize is ignored then, as by Redis.
func TestServicesOfSystemd(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"server", "sentinel"} {
		t.Run(kind, func(t *testing.T) {
			dir, port := t.TempDir(), redistest.Port(t)
			file := filepath.Join(dir, "service.conf")
			text := fmt.Sprintf("bind 127.0.0.1\nport %d\ndir %s\ndaemonize yes\nlogfile %s/log\n", port, dir, dir)
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			until, cmd := supervise(t, kind, file, "--supervised", "auto")
			pid := strconv.Itoa(cmd.Process.Pid)
			until("STATUS=Redis is loading...")
			until("MAINPID=" + pid)
			until("READY=1")
			c, err := redistest.Dial(fmt.Sprint("127.0.0.1:", port))
			if err != nil {
				t.Fatal("it is ready, and does not listen: ", err)
			}
			defer c.Close()
			info, err := c.Do("INFO", "server")
			if text := fmt.Sprint(info); err != nil || !strings.Contains(text, "process_supervised:systemd\r\n") || !strings.Contains(text, "process_id:"+pid+"\r\n") {
				t.Errorf("INFO has %s (%v)", text, err)
			}
			until("WATCHDOG=1")
			if kind == "server" {
				if _, err := c.Do("REPLICAOF", "127.0.0.1", redistest.Port(t)); err != nil {
					t.Fatal(err)
				}
				until("STATUS=Ready to accept connections in read-only mode. Waiting for MASTER <-> REPLICA sync")
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			until("STOPPING=1")
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A SHUTDOWN that fails, or is aborted, does not have systemd believe that the node ends:
// it would be killed when TimeoutStopSec is over.
func TestAShutdownThatIsAbortedIsNotToldToSystemd(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), redistest.Port(t)
	until, cmd := supervise(t, "server", "--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--dir", dir,
		"--logfile", "log", "--supervised", "systemd", "--save", "3600 1000", "--dbfilename", "no.rdb")
	until("READY=1")
	c, err := redistest.Dial(fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := os.Mkdir(filepath.Join(dir, "no.rdb"), 0o755); err != nil { // the save fails
		t.Fatal(err)
	}
	if _, err := c.Do("SHUTDOWN", "SAVE"); err == nil {
		t.Fatal("SHUTDOWN has worked")
	}
	// Whatever was said of that shutdown was said before the next messages, which are of a
	// node that goes on.
	if _, err := c.Do("REPLICAOF", "127.0.0.1", redistest.Port(t)); err != nil {
		t.Fatal(err)
	}
	for _, line := range until("STATUS=Ready to accept connections in read-only mode. Waiting for MASTER <-> REPLICA sync") {
		if line == "STOPPING=1" {
			t.Error("systemd was told that the node ends")
		}
	}
	if _, err := c.Do("SHUTDOWN", "NOSAVE"); err == nil {
		t.Error("SHUTDOWN is answered")
	}
	until("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// daemonize runs a command line with daemonize yes and returns what the caller sees of it.
func daemonize(t *testing.T, stdin string, args ...string) (out string, err error) {
	t.Helper()
	cmd := exec.Command(redistest.Binary(t), append([]string{"server"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	told, err := cmd.CombinedOutput()
	return string(told), err
}

// A daemon serves when its starter returns, and its pid file has its number. A second one
// on the port, or with the data directory, is refused in the sight of who started it, and
// hurts neither the first nor its pid file.
func TestADaemonServesOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), redistest.Port(t)
	pidFile := filepath.Join(dir, "daemon.pid")
	args := func(port int, dir string, more ...string) []string {
		return append([]string{"--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--dir", dir, "--daemonize", "yes", "--pidfile", pidFile}, more...)
	}
	if out, err := daemonize(t, "", args(port, dir, "--appendonly", "yes")...); err != nil || out != "" {
		t.Fatalf("it is not started: %v\n%s", err, out)
	}
	c, err := redistest.Dial(fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		t.Fatal("the daemon does not listen yet: ", err)
	}
	defer c.Close()
	pid := processID(t, c)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	first := func() {
		t.Helper()
		if text, err := os.ReadFile(pidFile); err != nil || string(text) != fmt.Sprintf("%d\n", pid) {
			t.Errorf("the pid file has %q (%v), want %d", text, err, pid)
		}
		if reply, err := c.Do("PING"); err != nil {
			t.Errorf("the first daemon answers %v, %v", reply, err)
		}
	}
	first()
	garbage := t.TempDir()
	if err := os.WriteFile(filepath.Join(garbage, "dump.rdb"), []byte("this is not a dump"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []struct {
		name string
		args []string
		want string
	}{
		{"the port is taken", args(port, t.TempDir()), "ddress already in use"},
		{"the data directory is locked", args(redistest.Port(t), dir, "--appendonly", "yes"), "is in use by another process (pid " + fmt.Sprint(pid) + ")"},
		{"the data cannot be loaded", args(redistest.Port(t), garbage, "--pidfile", "own.pid"), "Terminating server after rdb file reading failure"},
		{"the directory is not there", args(redistest.Port(t), "/nonexistent"), "No such file or directory"},
		{"the log cannot be written", args(redistest.Port(t), t.TempDir(), "--logfile", "/nonexistent/log"), "can't open the log file"},
	} {
		out, err := daemonize(t, "", wrong.args...)
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out, wrong.want) {
			t.Errorf("%s: %v\n%s", wrong.name, err, out)
		}
		first()
	}
	if _, err := c.Do("SHUTDOWN", "NOSAVE"); err == nil {
		t.Error("SHUTDOWN is answered")
	}
	redistest.Until(t, settle, "the pid file is gone", func() error {
		if _, err := os.Stat(pidFile); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("it is there: %v", err)
		}
		return nil
	})
}

// A daemon whose configuration comes by standard input has read it all.
func TestADaemonFromStandardInput(t *testing.T) {
	t.Parallel()
	port := redistest.Port(t)
	file := fmt.Sprintf("bind 127.0.0.1\nport %d\ndir %s\ndaemonize yes\nmaxclients 77\npidfile daemon.pid\n", port, t.TempDir())
	if out, err := daemonize(t, file, "-"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c, err := redistest.Dial(fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pid := processID(t, c)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	if reply, err := c.Do("CONFIG", "GET", "maxclients"); err != nil || fmt.Sprint(reply) != "[maxclients 77]" {
		t.Errorf("%v, %v", reply, err)
	}
	// Its own standard error leads nowhere by now, and not to a pipe that nobody reads.
	if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", pid)); err != nil || to != os.DevNull {
		t.Errorf("standard error is %s, %v", to, err)
	}
}
