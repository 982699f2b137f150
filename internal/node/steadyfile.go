package node

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// steadyBytes is how much of a file is given to the disk at a time (Redis's
// REDIS_AUTOSYNC_BYTES).
const steadyBytes = 4 << 20

// A steadyFile goes to the disk while it is written, as far as
// rdb-save-incremental-fsync and aof-rewrite-incremental-fsync ask for it. Otherwise
// the kernel gathers it in memory, and its fsync at the end keeps the disk busy for so
// long that those of the journal, and with them the replies to writes, wait for
// seconds. The file must be synced at its end nevertheless.
type steadyFile struct {
	*os.File
	written  int64
	started  int64 // up to where write-back was started
	finished int64 // up to where it was waited for
}

// Write implements io.Writer.
func (f *steadyFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if f.written += int64(n); err == nil && f.written-f.started >= steadyBytes {
		err = f.advance()
	}
	return n, err
}

// advance starts write-back of what was written since it was started last, and waits
// for the stretch before that. So the disk always has something to do, and never more
// than two stretches.
func (f *steadyFile) advance() error {
	const whole = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	fd := int(f.Fd())
	err := unix.SyncFileRange(fd, f.started, f.written-f.started, unix.SYNC_FILE_RANGE_WRITE)
	if err == nil && f.started > f.finished {
		err = unix.SyncFileRange(fd, f.finished, f.started-f.finished, whole)
	}
	f.finished, f.started = f.started, f.written
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return nil // the file system cannot; the fsync at the end can
	}
	if err != nil {
		// Not to be swallowed: the kernel tells of a failed write once only.
		return &os.PathError{Op: "sync_file_range", Path: f.Name(), Err: err}
	}
	return nil
}
