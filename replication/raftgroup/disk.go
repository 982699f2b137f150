package raftgroup

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// disk is the file system as the log's Pebble sees it. A write that finds no space waits
// until there is some: Pebble would end the process, and Raft panics if it cannot save its
// term. While it waits the member does nothing that it would have to remember: a leader
// falls silent as with a disk that hangs (Group.guard), and whoever asks for a vote gets no
// answer. Other errors, and those of fsync, are final; see store.failed.
type disk struct {
	vfs.FS
	log     *zap.Logger
	stop    chan struct{} // closed when nobody is to wait any more
	once    sync.Once
	waiting atomic.Int32
}

// fullPoll is how often a waiting write tries again.
const fullPoll = 100 * time.Millisecond

func newDisk(fs vfs.FS, log *zap.Logger) *disk {
	return &disk{FS: fs, log: log, stop: make(chan struct{})}
}

// close ends the waiting: a write that waits now fails.
func (d *disk) close() { d.once.Do(func() { close(d.stop) }) }

func (d *disk) closing() bool {
	select {
	case <-d.stop:
		return true
	default:
		return false
	}
}

// retry runs op until it does not fail for want of space.
func (d *disk) retry(name string, op func() error) error {
	err := op()
	if !noSpace(err) {
		return err
	}
	if d.waiting.Add(1) == 1 {
		d.log.Warn("The log of the shard's group has no space on the disk: this node neither leads nor votes until there is some. Make space on the disk of " + name)
	}
	defer func() {
		if d.waiting.Add(-1) == 0 && err == nil {
			d.log.Info("The log of the shard's group has space on the disk again")
		}
	}()
	for t := time.NewTicker(fullPoll); noSpace(err); err = op() {
		select {
		case <-t.C:
		case <-d.stop:
			return err
		}
	}
	return err
}

// noSpace says whether err means that the disk, or a quota, is full.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Unwrap gives Pebble the file system below.
func (d *disk) Unwrap() vfs.FS { return d.FS }

func (d *disk) file(name string, open func() (vfs.File, error)) (f vfs.File, err error) {
	err = d.retry(name, func() (err error) { f, err = open(); return err })
	if err != nil {
		return nil, err
	}
	return &diskFile{File: f, d: d, name: name}, nil
}

// Create implements vfs.FS.
func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(name, func() (vfs.File, error) { return d.FS.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.file(name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (d *disk) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(newname, func() (vfs.File, error) { return d.FS.ReuseForWrite(oldname, newname, c) })
}

// Link implements vfs.FS.
func (d *disk) Link(oldname, newname string) error {
	return d.retry(newname, func() error { return d.FS.Link(oldname, newname) })
}

// Rename implements vfs.FS.
func (d *disk) Rename(oldname, newname string) error {
	return d.retry(newname, func() error { return d.FS.Rename(oldname, newname) })
}

// diskFile is a file whose writes wait for space. Its fsyncs do not: what a failed fsync
// leaves behind is unknown.
type diskFile struct {
	vfs.File
	d    *disk
	name string
}

// Write writes all of p, however often the disk fills up on the way.
func (f *diskFile) Write(p []byte) (n int, err error) {
	err = f.d.retry(f.name, func() error {
		k, err := f.File.Write(p[n:])
		n += k
		return err
	})
	return n, err
}

// WriteAt is as Write.
func (f *diskFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.d.retry(f.name, func() error {
		k, err := f.File.WriteAt(p[n:], off+int64(n))
		n += k
		return err
	})
	return n, err
}

// Preallocate is a hint, so a full disk is no error here.
func (f *diskFile) Preallocate(off, length int64) error {
	if err := f.File.Preallocate(off, length); !noSpace(err) {
		return err
	}
	return nil
}
