package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A node may be started with /dev/null as its file. The rewrite must not put a file
// in the place of the device.
func TestReplaceFileLeavesWhatIsNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceFile(path, "port 7000\n"); !errors.Is(err, ErrNotRegular) {
		t.Errorf("error %v", err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("it is %v now: %v", info.Mode(), err)
	}
}
