package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"redoubt/internal/config"
)

// dirLock is the lock on a journal's directory: one process at a time works in
// it. It is taken before anything in the directory is looked at. Pebble has a
// lock of its own, but whoever meets that learns neither which directory is
// meant nor who has it.
//
// The lock goes with the process, so a crash leaves none behind. The file stays,
// and says the process id of its last owner.
type dirLock struct{ f *os.File }

const dirLockFile = "lock"

// lockDir takes the lock, making the directory if it does not exist.
func lockDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return lockFile(filepath.Join(dir, dirLockFile), filepath.Dir(dir))
}

// errInUse says that another process has a lock.
var errInUse = errors.New("in use by another process")

// lockFile takes the lock at path, which stands for the data directory.
func lockFile(path, dir string) (*dirLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		owner := ownerOf(f)
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("the data directory %s is %w%s, which has locked %s. Each node needs a directory of its own: stop the other process, or give this node another dir", dir, errInUse, owner, path)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// The number only serves the message above, so a full disk does not matter.
	if f.Truncate(0) == nil {
		f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	return &dirLock{f}, nil
}

// lockDump takes the lock on what a node without a journal keeps in its directory: the
// dump. The second process would replace the first one's. Two that save nothing may share
// a directory, as with Redis; then the lock is nil and the error only something to log.
// Processes that keep different dumps never meet.
func lockDump(cfg *config.Settings) (l *dirLock, warning, err error) {
	l, err = lockFile(filepath.Join(cfg.Dir, "."+cfg.DBFilename+".lock"), cfg.Dir)
	switch {
	case err == nil:
		return l, nil, nil
	case errors.Is(err, errInUse) && len(cfg.Save) > 0:
		return nil, nil, err
	}
	return nil, err, nil
}

// ownerOf says which process has a lock, as far as that is known: a container
// numbers its processes by itself.
func ownerOf(f *os.File) string {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil || pid <= 0 || pid == os.Getpid() || unix.Kill(pid, 0) == unix.ESRCH {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}

// release gives the directory up. It may be called on nil.
func (l *dirLock) release() error {
	if l == nil {
		return nil
	}
	return l.f.Close()
}
