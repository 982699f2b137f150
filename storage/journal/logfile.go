package journal

import (
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// logFile is a write-ahead log of Pebble. Zeros are written ahead of its end, so
// that an fsync finds blocks that have been written before, within the length of
// the file: then it writes data only. A log that grows, or whose blocks are merely
// allocated, has the file system commit its own journal with each fsync, which
// takes half as long again. Pebble
// uses its logs again, so this costs three of them once.
//
// Pebble's reader takes zeros for the end of the log, as it does with blocks that
// were allocated ahead.
//
// Only Pebble's flusher writes to a log.
type logFile struct {
	*diskFile
	at     int64 // where the next Write goes
	zeroed int64 // the file's length
}

// aheadBytes is how much is zeroed at once: the fsync behind it pays for that.
const aheadBytes = 256 << 10

var zeros [aheadBytes]byte

// writeZeros writes zeros from one place of a file up to another.
func writeZeros(f io.WriterAt, from, to int64) error {
	for from < to {
		n, err := f.WriteAt(zeros[:min(to-from, int64(len(zeros)))], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

func isLog(name string) bool { return strings.HasSuffix(name, ".log") }

// Write writes all of p behind what was written before.
func (f *logFile) Write(p []byte) (int, error) {
	for f.at+int64(len(p)) > f.zeroed {
		n, err := f.WriteAt(zeros[:], f.zeroed)
		f.zeroed += int64(n)
		if err != nil {
			return 0, err
		}
	}
	n, err := f.diskFile.Write(p)
	f.at += int64(n)
	return n, err
}

// Preallocate does nothing: Write does more.
func (f *logFile) Preallocate(off, length int64) error { return nil }

// asLog makes a file that is written from its beginning a log if its name says
// so.
func asLog(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil || !isLog(name) {
		return f, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &logFile{diskFile: f.(*diskFile), zeroed: info.Size()}, nil
}
