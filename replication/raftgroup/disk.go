package raftgroup

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"

	"redoubt/storage/diskfull"
)

// disk is the file system as the log's Pebble sees it. A write that finds no space waits
// until there is some: Pebble would end the process, and Raft panics if it cannot save its
// term. While it waits the member does nothing that it would have to remember: a leader
// falls silent as with a disk that hangs (Group.guard), and whoever asks for a vote gets no
// answer. Other errors, and those of fsync, are final; see store.failed.
type disk struct {
	diskfull.Disk
	log     *zap.Logger
	stop    chan struct{} // closed when nobody is to wait any more
	once    sync.Once
	waiting atomic.Int32
}

// fullPoll is how often a waiting write tries again.
const fullPoll = 100 * time.Millisecond

func newDisk(fs vfs.FS, log *zap.Logger) *disk {
	d := &disk{log: log, stop: make(chan struct{})}
	d.Disk = diskfull.Disk{FS: fs, Retry: d.retry}
	return d
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
	if !diskfull.Is(err) {
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
	for t := time.NewTicker(fullPoll); diskfull.Is(err); err = op() {
		select {
		case <-t.C:
		case <-d.stop:
			return err
		}
	}
	return err
}
