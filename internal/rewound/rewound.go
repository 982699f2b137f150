// Package rewound knows the files in which a node keeps what it has given up: the end of
// its stream, which the primary that it follows now does not have (see docs/operations.md).
// A node writes them, `redoubt journal show` reads them.
//
// A file is named rewound-<time>-<history>-<first>-<last>.aof: the time in UTC, the first
// eight digits of the replication id, and the numbers of the first and the last byte of
// the stream that are in it. It is an append-only file of Redis:
//
//	#REWOUND:1                  annotations, which Redis skips
//	#HISTORY:<replication id>
//	#FIRST:<number of the first byte>
//	#LAST:<number of the last byte>
//	#TIME:<Unix milliseconds>
//	#DB:<database that is selected before the first byte, -1 if that is not known>
//	#CRC:<CRC-32C of the bytes, eight digits>
//	SELECT <database>           a command, if the database is known
//	the bytes of the stream, as they were
//
// Lines end with a carriage return and a line feed. A file is complete or not there.
package rewound

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"redoubt/internal/durable"
	"redoubt/replication"
)

// Header is what a file tells of itself.
type Header struct {
	ID    string             // of the history
	First replication.Offset // number of the first byte
	Last  replication.Offset // and of the last one
	At    time.Time          // when it was given up; whole milliseconds
	DB    int                // selected before the first byte, -1 if not known
}

const (
	prefix = "rewound-"
	suffix = ".aof"
	part   = ".part" // of a file that is being written

	timeFormat = "20060102T150405Z"
	magic      = "REWOUND:1"
	crcDigits  = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Name is the name of a file with that header.
func (h *Header) Name() string {
	return fmt.Sprintf("%s%s-%.8s-%d-%d%s", prefix, h.At.UTC().Format(timeFormat), h.ID, h.First, h.Last, suffix)
}

// Bytes is how many bytes of the stream there are.
func (h *Header) Bytes() int64 { return int64(h.Last-h.First) + 1 }

// encode renders what stands before the bytes of the stream.
func (h *Header) encode(crc uint32) []byte {
	b := fmt.Appendf(nil, "#%s\r\n#HISTORY:%s\r\n#FIRST:%d\r\n#LAST:%d\r\n#TIME:%d\r\n#DB:%d\r\n#CRC:%0*x\r\n",
		magic, h.ID, h.First, h.Last, h.At.UnixMilli(), h.DB, crcDigits, crc)
	if h.DB >= 0 {
		db := strconv.Itoa(h.DB)
		b = fmt.Appendf(b, "*2\r\n$6\r\nSELECT\r\n$%d\r\n%s\r\n", len(db), db)
	}
	return b
}

// Writer writes a file, which is not there before Commit.
type Writer struct {
	dir    string
	header Header
	file   *os.File
	out    *bufio.Writer
	crc    uint32
	bytes  int64
}

// Create begins a file in dir.
func Create(dir string, h Header) (*Writer, error) {
	path := filepath.Join(dir, h.Name()+part)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, header: h, file: f, out: bufio.NewWriterSize(f, 1<<20)}
	if _, err := w.out.Write(h.encode(0)); err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

// Write adds bytes of the stream.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.out.Write(p)
	w.crc = crc32.Update(w.crc, castagnoli, p[:n])
	w.bytes += int64(n)
	return n, err
}

// Commit makes the file a complete one, durably, and returns its path.
func (w *Writer) Commit() (string, error) {
	defer w.Abort()
	if w.bytes != w.header.Bytes() {
		return "", fmt.Errorf("rewound: %d bytes were written to %s", w.bytes, w.header.Name())
	}
	err := w.out.Flush()
	if err == nil {
		_, err = w.file.WriteAt(w.header.encode(w.crc), 0)
	}
	if err == nil {
		err = w.file.Sync()
	}
	path := filepath.Join(w.dir, w.header.Name())
	if err == nil {
		err = os.Rename(w.file.Name(), path)
	}
	if err == nil {
		err = durable.SyncDir(w.dir)
	}
	return path, err
}

// Abort gives up a file that is not complete. It does nothing to one that is.
func (w *Writer) Abort() {
	w.file.Close()
	os.Remove(w.file.Name()) // a complete one has another name
}

// File is a file that is being read: the bytes of the stream that are in it.
type File struct {
	Header
	file *os.File
	in   io.Reader
}

// ErrDamaged marks errors about files that are not what was written.
var ErrDamaged = errors.New("rewound: damaged")

// Open opens a file. It has been read once by then, so that its bytes are what was written.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	file, err := read(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

// Recognise reports whether there is one of these files at path, maybe a damaged one.
func Recognise(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	b := make([]byte, len("#"+magic))
	_, err = io.ReadFull(f, b)
	return err == nil && string(b) == "#"+magic
}

func read(f *os.File) (*File, error) {
	h, crc, err := decode(bufio.NewReader(f))
	if err != nil {
		return nil, err
	}
	begin := int64(len(h.encode(crc)))
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if have := info.Size() - begin; have != h.Bytes() {
		return nil, fmt.Errorf("%w: it has %d bytes of the stream, not %d", ErrDamaged, have, h.Bytes())
	}
	if _, err := f.Seek(begin, io.SeekStart); err != nil {
		return nil, err
	}
	sum := crc32.New(castagnoli)
	if _, err := io.Copy(sum, f); err != nil {
		return nil, err
	}
	if sum.Sum32() != crc {
		return nil, fmt.Errorf("%w: bad checksum", ErrDamaged)
	}
	if _, err := f.Seek(begin, io.SeekStart); err != nil {
		return nil, err
	}
	return &File{Header: h, file: f, in: bufio.NewReaderSize(f, 1<<20)}, nil
}

func (f *File) Read(p []byte) (int, error) { return f.in.Read(p) }

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }

// longestLine bounds a line of the header.
const longestLine = 128

// decode reads the annotations of a file.
func decode(in *bufio.Reader) (h Header, crc uint32, err error) {
	bad := func(what string) (Header, uint32, error) {
		return Header{}, 0, fmt.Errorf("%w: %s", ErrDamaged, what)
	}
	values := make(map[string]string)
	names := []string{"REWOUND", "HISTORY", "FIRST", "LAST", "TIME", "DB", "CRC"}
	for _, want := range names {
		line, err := in.ReadSlice('\n')
		if err != nil || len(line) > longestLine {
			return bad("the header is cut off")
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(string(line), "\r\n"), ":")
		if name != "#"+want {
			return bad("the header has no line " + want)
		}
		values[want] = value
	}
	number := func(name string) int64 {
		n, failed := strconv.ParseInt(values[name], 10, 64)
		err = errors.Join(err, failed)
		return n
	}
	h = Header{
		ID: values["HISTORY"], First: replication.Offset(number("FIRST")), Last: replication.Offset(number("LAST")),
		At: time.UnixMilli(number("TIME")), DB: int(number("DB")),
	}
	sum, failed := strconv.ParseUint(values["CRC"], 16, 32)
	if err = errors.Join(err, failed); err != nil {
		return bad(err.Error())
	}
	if values["REWOUND"] != "1" || !replication.ValidID(h.ID) || h.First < 1 || h.Last < h.First || h.DB < -1 || len(values["CRC"]) != crcDigits {
		return bad("a value of the header is out of range")
	}
	return h, uint32(sum), nil
}

// List returns the complete files in dir, the oldest first.
func List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && strings.HasSuffix(e.Name(), suffix) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(paths) // the name begins with the time
	return paths, nil
}

// Find returns the file in dir that has just these bytes, "" if there is none: a node that
// crashed after it had written one comes to the same point again.
func Find(dir string, want Header) string {
	paths, err := List(dir)
	if err != nil {
		return ""
	}
	for _, path := range slices.Backward(paths) {
		f, err := Open(path)
		if err != nil {
			continue
		}
		f.Close()
		if f.ID == want.ID && f.First == want.First && f.Last == want.Last {
			return path
		}
	}
	return ""
}

// Prune removes all but the newest files in dir, and what a crash has left of one. The
// file last stays, whatever the clock said when the others were written.
func Prune(dir string, keep int, last string) (removed []string, err error) {
	paths, err := List(dir)
	if err != nil {
		return nil, err
	}
	parts, _ := filepath.Glob(filepath.Join(dir, prefix+"*"+suffix+part)) // the pattern is a good one
	for _, path := range parts {
		os.Remove(path) // it only takes space
	}
	if i := slices.Index(paths, last); i >= 0 {
		paths = append(slices.Delete(paths, i, i+1), last)
	}
	for len(paths) > keep {
		if err := os.Remove(paths[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
		removed = append(removed, paths[0])
		paths = paths[1:]
	}
	return removed, nil
}
