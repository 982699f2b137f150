package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// logTitle is the first line of a log of changes; see ParseLog.
const logTitle = "redoubt changes of nodes.conf 1 %d %08x\n"

var logSums = crc32.MakeTable(crc32.Castagnoli)

// LogTitle is the first line of a log.
func LogTitle(id uint64) []byte { return fmt.Appendf(nil, logTitle, id, logSum(id, 0, nil)) }

// LogFrame is a change as it stands in the log.
func LogFrame(id, number uint64, change []byte) []byte {
	head := fmt.Appendf(nil, "change %d %d %08x\n", number, len(change), logSum(id, number, change))
	return append(head, change...)
}

func logSum(id, number uint64, change []byte) uint32 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], id)
	binary.LittleEndian.PutUint64(b[8:], number)
	return crc32.Update(crc32.Checksum(b[:], logSums), logSums, change)
}

// ParseLog gives the changes in the log that continues a nodes.conf with this log id, in
// order, each of which apply takes. The log is text:
//
//	redoubt changes of nodes.conf 1 <log id> <checksum>
//	change <number> <length> <checksum>
//	<length bytes, see State.AppendChanges>
//	change …
//
// and then zeros. Changes are numbered from 1. The checksum covers the log id, the
// number and the text.
//
// A change is written only after the one before is on disk. So a crash leaves at most
// the last one incomplete, and nobody was promised anything on it: torn reports that it
// was left out. An incomplete change with a whole one behind it is damage, and is not
// skipped. A log of another id is of an older nodes.conf, and what it says is in the
// newer one; it gives nothing.
func ParseLog(text []byte, id uint64, apply func(change []byte) error) (count int, torn bool, err error) {
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	var owner uint64
	var sum uint32
	// The file gets its name when it is whole, so a bad title is damage.
	fmt.Sscanf(string(first)+"\n", logTitle, &owner, &sum)
	if !bytes.HasPrefix(text, LogTitle(owner)) {
		return 0, false, errors.New("it does not begin as a log of changes does")
	}
	if id == 0 || owner != id {
		return 0, false, nil
	}
	for {
		change, size := parseLogFrame(rest, id, uint64(count)+1)
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
	if later := wholeLogFrameIn(rest, id, uint64(count)+1); later > 0 {
		return count, false, fmt.Errorf("change %d is damaged, and change %d behind it is whole", count+1, later)
	}
	return count, true, nil
}

// parseLogFrame reads one change with a given number. The size is 0 if b does not
// begin with one that is whole.
func parseLogFrame(b []byte, id, number uint64) (change []byte, size int) {
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
	if f := LogFrame(id, number, change); bytes.HasPrefix(b, f) {
		return change, len(f)
	}
	return nil, 0
}

// wholeLogFrameIn looks for a change with a number above number anywhere in b and
// returns its number, or 0.
func wholeLogFrameIn(b []byte, id, number uint64) uint64 {
	mark := []byte("change ")
	for {
		i := bytes.Index(b, mark)
		if i < 0 {
			return 0
		}
		b = b[i:]
		var n uint64
		if c, _ := fmt.Sscanf(string(b[:min(len(b), 40)]), "change %d", &n); c == 1 && n > number {
			if _, size := parseLogFrame(b, id, n); size > 0 {
				return n
			}
		}
		b = b[len(mark):]
	}
}
