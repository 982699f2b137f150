package journal

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// ErrDiskFull answers the rare operations (SaveHistory, SetBase, …) while a
// write waits for space.
var ErrDiskFull = errors.New("journal: no space left on the disk")

// fullPoll is how often a waiting write tries again.
const fullPoll = 100 * time.Millisecond

// disk is the file system as Pebble and the manifest see it. A write that
// finds no space does not fail but waits until there is some: Pebble would end
// the process. The first such write gives the ballast file up, so that what was
// already accepted can usually be written at once; the disk then counts as full
// until the ballast could be put back.
type disk struct {
	vfs.FS
	ballast      string
	ballastBytes int64
	log          *zap.Logger
	count        *counters

	full    atomic.Bool
	ready   atomic.Bool  // false while opening: errors are returned then
	waiting atomic.Int32 // writes that wait right now
	stop    chan struct{}
	wg      sync.WaitGroup
}

func newDisk(fs vfs.FS, ballast string, ballastBytes int64, log *zap.Logger, count *counters) *disk {
	return &disk{FS: fs, ballast: ballast, ballastBytes: ballastBytes, log: log, count: count, stop: make(chan struct{})}
}

// noSpace says whether err means that the disk, or a quota, is full.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// open makes the ballast and lets writes wait from now on. Where there is no
// room for it a new journal is refused; one that has data is opened, and the
// disk counts as full: the ballast was given up before, and a restart must not
// be what makes the data unreadable.
func (d *disk) open(hasData bool) error {
	err := d.makeBallast()
	if err != nil && !(hasData && noSpace(err)) {
		return fmt.Errorf("journal: allocate the ballast: %w", err)
	}
	d.ready.Store(true)
	if err != nil {
		d.full.Store(true)
		d.beginWatch()
	}
	return nil
}

// giveUp removes the ballast and reports whether there was one.
func (d *disk) giveUp() bool {
	return d.ballastBytes > 0 && d.FS.Remove(d.ballast) == nil
}

// beginWatch says that the disk is full and begins to wait for its space.
func (d *disk) beginWatch() {
	d.log.Warn("The journal: no space left on the disk; writes are refused (MISCONF) until there is some, reads go on")
	d.wg.Add(1)
	go d.watch()
}

// close ends the waiting: a write that waits now fails.
func (d *disk) close() {
	close(d.stop)
	d.wg.Wait()
}

func (d *disk) makeBallast() error {
	if d.ballastBytes <= 0 {
		return nil
	}
	if st, err := d.FS.Stat(d.ballast); err == nil && st.Size() == d.ballastBytes {
		return nil
	}
	f, err := d.FS.Create(d.ballast, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	// Zeros are written, not only reserved, so that every file system holds the
	// space, and so that its size says that it is whole.
	zeros := make([]byte, 1<<20)
	for left := d.ballastBytes; left > 0 && err == nil; left -= int64(len(zeros)) {
		_, err = f.Write(zeros[:min(left, int64(len(zeros)))])
	}
	err = errors.Join(err, f.Close())
	if err != nil {
		d.FS.Remove(d.ballast)
	}
	return err
}

// retry runs op until it does not fail for want of space. While the journal is
// being opened the ballast is given up as well, but nothing waits for more: the
// error is for who starts the node. It comes late, since Pebble tries some
// operations again at once and for ever.
func (d *disk) retry(op func() error) error {
	for tries := 0; ; tries++ {
		err := op()
		if !noSpace(err) {
			return err
		}
		switch {
		case d.ready.Load():
			if !d.await() {
				return err
			}
		case d.giveUp():
		case tries == 0: // somebody else may just have given it up
			time.Sleep(fullPoll)
		default:
			return err
		}
	}
}

// await gives the ballast up if it is still there, or waits a moment. False:
// the stream is closing.
func (d *disk) await() bool {
	d.waiting.Add(1)
	defer d.waiting.Add(-1)
	if d.full.CompareAndSwap(false, true) {
		d.giveUp() // first: who reads the line may count on its space
		d.beginWatch()
		return true
	}
	t := time.NewTimer(fullPoll)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-d.stop:
		return false
	}
}

// watch waits for the space to return. The ballast is put back only when no
// write waits and as much again stays free, or it would take from the writes it
// is there for.
func (d *disk) watch() {
	defer d.wg.Done()
	t := time.NewTicker(fullPoll)
	defer t.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-t.C:
		}
		if d.waiting.Load() > 0 {
			continue
		}
		if u, err := d.FS.GetDiskUsage(d.FS.PathDir(d.ballast)); err == nil && u.AvailBytes < 2*uint64(max(d.ballastBytes, 1<<20)) {
			continue
		}
		if err := d.makeBallast(); err != nil {
			continue
		}
		d.full.Store(false)
		d.log.Info("The journal: there is space on the disk again; writes are taken")
		return
	}
}

// Unwrap gives Pebble the file system below.
func (d *disk) Unwrap() vfs.FS { return d.FS }

func (d *disk) file(open func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := d.retry(func() (err error) { f, err = open(); return err })
	if err != nil {
		return nil, err
	}
	return &diskFile{File: f, d: d}, nil
}

// Create implements vfs.FS.
func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.file(func() (vfs.File, error) { return d.FS.Create(name, c) })
	return asLog(name, f, err)
}

// OpenReadWrite implements vfs.FS.
func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.file(func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (d *disk) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.file(func() (vfs.File, error) { return d.FS.ReuseForWrite(oldname, newname, c) })
	return asLog(newname, f, err)
}

// Link implements vfs.FS.
func (d *disk) Link(oldname, newname string) error {
	return d.retry(func() error { return d.FS.Link(oldname, newname) })
}

// Rename implements vfs.FS.
func (d *disk) Rename(oldname, newname string) error {
	return d.retry(func() error { return d.FS.Rename(oldname, newname) })
}

// diskFile is a file whose writes wait for space. Its fsyncs do not: what a
// failed fsync leaves behind is unknown.
type diskFile struct {
	vfs.File
	d *disk
}

// Write writes all of p, however often the disk fills up on the way.
func (f *diskFile) Write(p []byte) (n int, err error) {
	err = f.d.retry(func() error {
		k, err := f.File.Write(p[n:])
		n += k
		f.d.count.written.Add(int64(k))
		return err
	})
	return n, err
}

// WriteAt is as Write.
func (f *diskFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.d.retry(func() error {
		k, err := f.File.WriteAt(p[n:], off+int64(n))
		n += k
		f.d.count.written.Add(int64(k))
		return err
	})
	return n, err
}

// Sync, SyncData and SyncTo are counted.
func (f *diskFile) Sync() error {
	f.d.count.syncs.Add(1)
	return f.File.Sync()
}

// SyncData is as Sync.
func (f *diskFile) SyncData() error {
	f.d.count.syncs.Add(1)
	return f.File.SyncData()
}

// SyncTo is as Sync if it was one.
func (f *diskFile) SyncTo(length int64) (full bool, err error) {
	if full, err = f.File.SyncTo(length); full {
		f.d.count.syncs.Add(1)
	}
	return full, err
}

// Preallocate is a hint, so a full disk is no error here.
func (f *diskFile) Preallocate(off, length int64) error {
	if err := f.File.Preallocate(off, length); !noSpace(err) {
		return err
	}
	return nil
}
