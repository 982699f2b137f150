package journal

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"

	"redoubt/storage/diskfull"
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
	diskfull.Disk
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
	d := &disk{ballast: ballast, ballastBytes: ballastBytes, log: log, count: count, stop: make(chan struct{})}
	d.Disk = diskfull.Disk{FS: fs, Retry: func(_ string, op func() error) error { return d.retry(op) }}
	return d
}

// open makes the ballast and lets writes wait from now on. Where there is no
// room for it a new journal is refused; one that has data is opened, and the
// disk counts as full: the ballast was given up before, and a restart must not
// be what makes the data unreadable.
func (d *disk) open(hasData bool) error {
	err := d.makeBallast()
	if err != nil && !(hasData && diskfull.Is(err)) {
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
		if !diskfull.Is(err) {
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

// counted is the file as one whose writes and fsyncs count.
func (d *disk) counted(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &diskFile{File: f, count: d.count}, nil
}

// Create implements vfs.FS.
func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.counted(d.Disk.Create(name, c))
	return asLog(name, f, err)
}

// OpenReadWrite implements vfs.FS.
func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.counted(d.Disk.OpenReadWrite(name, c, opts...))
}

// ReuseForWrite implements vfs.FS.
func (d *disk) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.counted(d.Disk.ReuseForWrite(oldname, newname, c))
	return asLog(newname, f, err)
}

// diskFile is a file whose writes and fsyncs are counted.
type diskFile struct {
	vfs.File
	count *counters
}

// Write implements io.Writer.
func (f *diskFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.count.written.Add(int64(n))
	return n, err
}

// WriteAt implements io.WriterAt.
func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	f.count.written.Add(int64(n))
	return n, err
}

// Sync, SyncData and SyncTo are counted.
func (f *diskFile) Sync() error {
	f.count.syncs.Add(1)
	return f.File.Sync()
}

// SyncData is as Sync.
func (f *diskFile) SyncData() error {
	f.count.syncs.Add(1)
	return f.File.SyncData()
}

// SyncTo is as Sync if it was one.
func (f *diskFile) SyncTo(length int64) (full bool, err error) {
	if full, err = f.File.SyncTo(length); full {
		f.count.syncs.Add(1)
	}
	return full, err
}
