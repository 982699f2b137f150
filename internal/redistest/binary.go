package redistest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// buildDirPrefix begins the name of the directory of a built binary; the id of
// the process that built it ends it.
const buildDirPrefix = "redoubt-test-"

var build = sync.OnceValues(func() (path string, err error) {
	sweepBuilds()
	dir := filepath.Join(os.TempDir(), buildDirPrefix+strconv.Itoa(os.Getpid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "redoubt")
	out, err := exec.Command("go", "build", "-o", path, "redoubt/cmd/redoubt").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// sweepBuilds removes the binaries of test processes that are no more. A test
// process has no moment of its own at which it could remove its binary: the
// harness knows when a test ends, not which is the last.
func sweepBuilds() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), buildDirPrefix+"*"))
	for _, dir := range dirs {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), buildDirPrefix))
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			os.RemoveAll(dir)
		}
	}
}

// Binary returns the path of our own binary: $REDOUBT_BIN if that is set, else
// one that is built when it is first asked for.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("REDOUBT_BIN"); path != "" {
		return path
	}
	path, err := build()
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	return path
}
