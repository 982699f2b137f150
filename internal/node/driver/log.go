package driver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"redoubt/cluster"
	"redoubt/internal/durable"
)

// changeLog is the file beside nodes.conf that takes what changed since
// nodes.conf was last written whole. A change costs one write to blocks that the
// file has already; a new nodes.conf costs a new file, a rename, and an fsync of
// both. Moving a thousand slots changes the configuration three thousand times.
//
// What it holds is described at cluster.ParseLog; behind that are zeros up to its
// fixed size.
type changeLog struct {
	f     *os.File
	id    uint64
	end   int64  // of the last change
	count uint64 // of changes
}

const (
	// changeLogBytes is the size of the file. When it is full nodes.conf is
	// written whole, after some two thousand changes.
	changeLogBytes = 256 << 10
	// maxChangeLogBytes bounds what is read at a start.
	maxChangeLogBytes = 16 << 20
)

// changeLogPath is where the log of a nodes.conf is.
func changeLogPath(nodesConf string) string { return nodesConf + ".changes" }

// beginChangeLog makes the log of a nodes.conf with its first change, in the
// place of an older one. When it returns nil both survive a crash of the machine.
func beginChangeLog(nodesConf string, id uint64, change []byte) (*changeLog, error) {
	path := changeLogPath(nodesConf)
	content := make([]byte, changeLogBytes)
	head := append(cluster.LogTitle(id), cluster.LogFrame(id, 1, change)...)
	if len(head) > len(content) {
		return nil, errLogFull
	}
	copy(content, head)
	temp := path + tempSuffix()
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC|unix.O_DSYNC, 0o644)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(content); err == nil {
		if err = os.Rename(temp, path); err == nil {
			err = durable.SyncDir(filepath.Dir(path))
		}
	}
	if err != nil {
		os.Remove(temp)
		return nil, errors.Join(err, f.Close())
	}
	return &changeLog{f: f, id: id, end: int64(len(head)), count: 1}, nil
}

// errLogFull says that a change does not fit.
var errLogFull = errors.New("node: the log of changes is full")

// append writes a change. When it returns nil the change survives a crash of the
// machine. After errLogFull the log is as before; after another error nobody
// knows what is on disk.
func (l *changeLog) append(change []byte) error {
	b := cluster.LogFrame(l.id, l.count+1, change)
	if l.end+int64(len(b)) > changeLogBytes {
		return errLogFull
	}
	if _, err := l.f.WriteAt(b, l.end); err != nil {
		return err
	}
	l.end += int64(len(b))
	l.count++
	return nil
}

func (l *changeLog) close() error { return l.f.Close() }

// readChangeLog gives the changes in the log that belongs to a nodes.conf with
// this log id, in order, each of which apply takes. torn reports that an
// incomplete change at the end was left out. A log of another id is of an older
// nodes.conf, and what it says is in the newer one; it is left out, and so is one
// that is not there: it is made with the first change.
func readChangeLog(nodesConf string, id uint64, apply func(change []byte) error) (count int, torn bool, err error) {
	text, err := readBounded(changeLogPath(nodesConf))
	if errors.Is(err, os.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	return cluster.ParseLog(text, id, apply)
}

// readBounded reads a file that is not larger than a log can be.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxChangeLogBytes+1))
	if err == nil && len(text) > maxChangeLogBytes {
		err = fmt.Errorf("it is larger than %d bytes", maxChangeLogBytes)
	}
	return text, err
}
