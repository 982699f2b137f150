package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

// A second process over one data directory is refused by name, and the first
// does not notice.
func TestTwoProcessesOverOneDirectory(t *testing.T) {
	t.Parallel()
	first := redistest.Start(t, redistest.Redoubt, "--appendonly", "yes")
	first.Do("SET", "k", "v")
	refusedBeside(t, first, "--appendonly", "yes")
	if got := first.Do("GET", "k"); got != "v" {
		t.Errorf("the first process has %v", got)
	}
	first.Kill()
	first.Restart() // a dead process has no lock
	if got := first.Do("GET", "k"); got != "v" {
		t.Errorf("after kill -9 there is %v", got)
	}
}

// refusedBeside starts another process over the directory of first, which must not start.
func refusedBeside(t *testing.T, first *redistest.Server, directives ...string) {
	t.Helper()
	args := []string{"server", "--port", fmt.Sprint(redistest.Port(t)), "--bind", "127.0.0.1", "--dir", first.Dir}
	second := exec.Command(redistest.Binary(t), append(args, directives...)...)
	out, err := second.CombinedOutput()
	if second.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v, want exit code 1", err)
	}
	pid := strings.TrimSpace(first.Info("process_id"))
	want := fmt.Sprintf("the data directory %s is in use by another process (pid %s)", first.Dir, pid)
	if !strings.Contains(string(out), want) {
		t.Errorf("it said\n%s\nwant %q", out, want)
	}
}

// Without a journal a node has its dump in the directory, which a second process would
// replace. One that saves nothing is only warned.
func TestTwoProcessesWithoutAJournalOverOneDirectory(t *testing.T) {
	t.Parallel()
	first := redistest.Start(t, redistest.Redoubt, "--appendonly", "no", "--save", "3600 1")
	refusedBeside(t, first, "--appendonly", "no", "--save", "3600 1")
	for _, args := range [][]string{
		{"--appendonly", "no", "--save", "", "--dir", first.Dir},
		{"--appendonly", "no", "--save", "3600 1", "--dir", first.Dir, "--dbfilename", "other.rdb"},
	} {
		redistest.Start(t, redistest.Redoubt, args...).Do("PING")
	}
	first.Kill()
	first.Restart() // a dead process has no lock
}

// Without a journal its lock is not taken until one is turned on.
func TestTheLockFollowsAppendonly(t *testing.T) {
	t.Parallel()
	first := redistest.Start(t, redistest.Redoubt, "--appendonly", "no", "--save", "")
	second := redistest.Start(t, redistest.Redoubt, "--appendonly", "no", "--save", "", "--dir", first.Dir)
	set := func(s *redistest.Server, value string) any {
		c := s.Client()
		reply, err := c.Do("CONFIG", "SET", "appendonly", value)
		if err != nil {
			return err.Error()
		}
		return reply
	}
	if got := set(first, "yes"); got != "OK" {
		t.Fatal(got)
	}
	if got := fmt.Sprint(set(second, "yes")); !strings.Contains(got, "in use by another process") {
		t.Errorf("the second process got %s", got)
	}
	if got := set(first, "no"); got != "OK" {
		t.Fatal(got)
	}
	if got := set(second, "yes"); got != "OK" {
		t.Errorf("the directory is free, and the second process got %v", got)
	}
}

func TestTheOwnerOfALock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	l, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	path := filepath.Join(dir, dirLockFile)
	for _, c := range []struct{ text, want string }{
		{fmt.Sprintf("%d\n", os.Getppid()), fmt.Sprintf("another process (pid %d),", os.Getppid())},
		{fmt.Sprintf("%d\n", os.Getpid()), "another process,"}, // as in two containers
		{"4194305\n", "another process,"},                      // more than there can be
		{"-1\n", "another process,"},
		{"", "another process,"},
		{strings.Repeat("9", 100), "another process,"},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := lockDir(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %q in the file: %v, want %q", c.text, err, c.want)
		}
	}
	if err := l.release(); err != nil {
		t.Fatal(err)
	}
	again, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	again.release()
}
