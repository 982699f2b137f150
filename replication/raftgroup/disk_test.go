package raftgroup

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
	"go.uber.org/zap"
)

// fullFS is a file system whose writes fail while it is told so.
type fullFS struct {
	vfs.FS
	fault atomic.Pointer[error]
}

func (f *fullFS) fail(err error) { f.fault.Store(&err) }

func (f *fullFS) check() error {
	if err := f.fault.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *fullFS) wrap(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &fullFile{file, f}, nil
}

func (f *fullFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.wrap(f.FS.Create(name, c))
}

func (f *fullFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.wrap(f.FS.ReuseForWrite(old, name, c))
}

type fullFile struct {
	vfs.File
	fs *fullFS
}

func (f *fullFile) Write(p []byte) (int, error) {
	if err := f.fs.check(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

// A leader whose log finds no space gives up the lead, and votes for nobody; when there is
// space again it is a member as before.
func TestLogWithoutSpace(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	l.form("a")
	a := l.leader()
	a.files.fail(syscall.ENOSPC)
	lone := make(chan error, 1)
	go func() { lone <- a.write(set(1)) }()
	l.until(func() bool { return l.node("b").group.Leads() || l.node("c").group.Leads() })
	l.until(func() bool { return !a.group.Leads() })
	next := l.leader()
	if err := next.write(set(2)); err != nil {
		t.Fatal(err)
	}
	a.files.fail(nil)
	if err := <-lone; err == nil {
		t.Fatal("it has acknowledged a write that its log has no space for")
	}
	l.until(func() bool { return a.stream.Synced() >= next.stream.End() })
	l.kill(next.id)
	if err := l.leader().write(set(3)); err != nil { // by two, and it is one of them
		t.Fatal(err)
	}
}

// A leader that nobody could replace while its log had no space goes on when it has.
func TestLogWithoutSpaceOfALeaderThatStays(t *testing.T) {
	l := newLab(t, "a", "b")
	l.form("a")
	a := l.leader()
	l.kill("b")
	a.files.fail(syscall.ENOSPC)
	lone := make(chan error, 1)
	go func() { lone <- a.write(set(1)) }()
	if err := <-lone; err == nil {
		t.Fatal("a write was acknowledged")
	}
	l.start("b")
	a.files.fail(nil)
	if err := l.leader().write(set(2)); err != nil {
		t.Fatal(err)
	}
}

// A member ends on a full disk without a panic, whatever it has to save.
func TestEndWithoutSpace(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	l.form("a")
	l.until(func() bool { return l.node("b").group.Leader() != "" })
	b := l.node("b")
	b.files.fail(syscall.ENOSPC)
	l.kill("a")
	l.kill("c")
	l.until(func() bool { return b.group.disk.waiting.Load() > 0 || b.group.raft.State() == raft.Candidate })
	l.kill("b")
}

// Any other error is told with the place of the file, once.
func TestLogThatCannotBeWritten(t *testing.T) {
	fs := &fullFS{FS: vfs.Default}
	told := make(chan error, 16)
	dir := t.TempDir()
	d := newDisk(fs, zap.NewNop())
	s, err := openStore(dir, d, func([]*raft.Log) error { return nil }, func([]*raft.Log) bool { return true }, func(err error) { told <- err; select {} })
	if err != nil {
		t.Fatal(err)
	}
	fs.fail(syscall.EIO)
	go func() { _ = s.Set([]byte("key"), []byte("value")) }()
	select {
	case err := <-told:
		if !strings.Contains(err.Error(), dir) || !errors.Is(err, syscall.EIO) && !strings.Contains(err.Error(), syscall.EIO.Error()) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("nobody is told")
	}
}
