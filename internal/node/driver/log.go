package driver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// changeLog is the file beside nodes.conf that takes what changed since
// nodes.conf was last written whole. A change costs one write to blocks that the
// file has already; a new nodes.conf costs a new file, a rename, and an fsync of
// both. Moving a thousand slots changes the configuration three thousand times.
//
// The file is text:
//
//	redoubt changes of nodes.conf 1 <log id> <checksum>
//	change <number> <length> <checksum>
//	<length bytes, see cluster.State.AppendChanges>
//	change …
//
// and then zeros up to its fixed size. Changes are numbered from 1. The checksum
// covers the log id, the number and the text.
//
// A change is written only after the one before is on disk. So a crash leaves at
// most the last one incomplete, and nobody was promised anything on it. An
// incomplete change with a whole one behind it is damage, and is not skipped.
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
	changeLogTitle    = "redoubt changes of nodes.conf 1 %d %08x\n"
)

// changeLogPath is where the log of a nodes.conf is.
func changeLogPath(nodesConf string) string { return nodesConf + ".changes" }

var checksums = crc32.MakeTable(crc32.Castagnoli)

// title is the first line of a log.
func title(id uint64) []byte { return fmt.Appendf(nil, changeLogTitle, id, changeSum(id, 0, nil)) }

// frame is a change as it stands in the log.
func frame(id, number uint64, change []byte) []byte {
	head := fmt.Appendf(nil, "change %d %d %08x\n", number, len(change), changeSum(id, number, change))
	return append(head, change...)
}

func changeSum(id, number uint64, change []byte) uint32 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], id)
	binary.LittleEndian.PutUint64(b[8:], number)
	return crc32.Update(crc32.Checksum(b[:], checksums), checksums, change)
}

// beginChangeLog makes the log of a nodes.conf with its first change, in the
// place of an older one. When it returns nil both survive a crash of the machine.
func beginChangeLog(nodesConf string, id uint64, change []byte) (*changeLog, error) {
	path := changeLogPath(nodesConf)
	content := make([]byte, changeLogBytes)
	head := append(title(id), frame(id, 1, change)...)
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
			err = syncDir(filepath.Dir(path))
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
	b := frame(l.id, l.count+1, change)
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
	return parseChangeLog(text, id, apply)
}

// parseChangeLog is readChangeLog of a log that is there.
func parseChangeLog(text []byte, id uint64, apply func(change []byte) error) (count int, torn bool, err error) {
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	var owner uint64
	var sum uint32
	// The file gets its name when it is whole, so a bad title is damage.
	fmt.Sscanf(string(first)+"\n", changeLogTitle, &owner, &sum)
	if !bytes.HasPrefix(text, title(owner)) {
		return 0, false, errors.New("it does not begin as a log of changes does")
	}
	if id == 0 || owner != id {
		return 0, false, nil
	}
	for {
		change, size := parseFrame(rest, id, uint64(count)+1)
		if size == 0 {
			break
		}
		if err := apply(change); err != nil {
			return count, false, err
		}
		count++
		rest = rest[size:]
	}
	if len(bytes.TrimLeft(rest, "\x00")) == 0 {
		return count, false, nil
	}
	if later := wholeFrameIn(rest, id, uint64(count)+1); later > 0 {
		return count, false, fmt.Errorf("change %d is damaged, and change %d behind it is whole", count+1, later)
	}
	return count, true, nil
}

// parseFrame reads one change with a given number. The size is 0 if b does not
// begin with one that is whole.
func parseFrame(b []byte, id, number uint64) (change []byte, size int) {
	head, _, found := bytes.Cut(b[:min(len(b), 80)], []byte("\n"))
	if !found {
		return nil, 0
	}
	var n uint64
	var length int
	if c, _ := fmt.Sscanf(string(head), "change %d %d", &n, &length); c != 2 {
		return nil, 0
	}
	rest := b[len(head)+1:]
	if n != number || length < 0 || length > len(rest) {
		return nil, 0
	}
	change = rest[:length]
	if f := frame(id, number, change); bytes.HasPrefix(b, f) {
		return change, len(f)
	}
	return nil, 0
}

// wholeFrameIn looks for a change with a number above number anywhere in b and
// returns its number, or 0.
func wholeFrameIn(b []byte, id, number uint64) uint64 {
	mark := []byte("change ")
	for {
		i := bytes.Index(b, mark)
		if i < 0 {
			return 0
		}
		b = b[i:]
		var n uint64
		if c, _ := fmt.Sscanf(string(b[:min(len(b), 40)]), "change %d", &n); c == 1 && n > number {
			if _, size := parseFrame(b, id, n); size > 0 {
				return n
			}
		}
		b = b[len(mark):]
	}
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
