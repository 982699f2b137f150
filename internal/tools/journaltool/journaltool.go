// Package journaltool shows what is in journals, and in the files of what a node has given
// up (package rewound): the commands of the stream, with their offsets. It changes nothing.
package journaltool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"redoubt/internal/rewound"
	"redoubt/replication"
	"redoubt/replication/psync"
	"redoubt/storage/journal"
)

// Options are those of Show.
type Options struct {
	// From and To are the numbers of the first and the last byte of the stream that are
	// wanted; commands that lie wholly between them are shown. 0: from the beginning, to
	// the end.
	From, To int64
	// Raw: the bytes as they are, with a SELECT before them.
	Raw bool
	// Width is how many bytes of an argument are shown; 0: all.
	Width int
}

// source is a part of a stream: the bytes behind after.
type source struct {
	after replication.Offset
	db    int // selected there, -1 if not known
	in    io.ReadCloser
	about string
}

// maxUnit bounds what belongs together in a stream, in bytes.
const maxUnit = 1 << 32

// open opens the file of what was given up, or the journal, at path: a node's data
// directory, or the directory of the journal in it.
func open(path string) (*source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return openJournal(path)
	}
	if !rewound.Recognise(path) {
		return nil, fmt.Errorf("%s is no file of what a node has given up; redoubt check-aof and check-rdb read files of Redis", path)
	}
	f, err := rewound.Open(path)
	if err != nil {
		return nil, err
	}
	about := fmt.Sprintf("given up at    %s\nhistory        %s\nfirst byte     %d\nlast byte      %d\nbytes          %d\n",
		f.At.UTC().Format(time.RFC3339Nano), f.ID, f.First, f.Last, f.Bytes())
	return &source{after: f.First - 1, db: f.DB, in: f, about: about}, nil
}

// journalDirs are where a journal lies in a data directory, by default.
var journalDirs = []string{".", "appendonlydir"}

func openJournal(dir string) (*source, error) {
	var missing error
	for _, sub := range journalDirs {
		a, err := journal.OpenArchive(filepath.Join(dir, sub))
		if errors.Is(err, os.ErrNotExist) {
			missing = err
			continue
		}
		if err != nil {
			return nil, err
		}
		return ofArchive(a), nil
	}
	return nil, fmt.Errorf("%w (with another appenddirname, name that directory)", missing)
}

func ofArchive(a *journal.Archive) *source {
	role := "primary"
	if a.Replica {
		role = "replica"
	}
	or := func(text string) string {
		if text == "" {
			return "no data"
		}
		return text
	}
	var about strings.Builder
	fmt.Fprintf(&about, "role           %s\nhistory        %s\n", role, a.History.ID)
	if a.History.ID2 != replication.NoID {
		fmt.Fprintf(&about, "history before %s, up to byte %d\n", a.History.ID2, a.History.Second-1)
	}
	fmt.Fprintf(&about, "base           %s, as of offset %d\n", or(a.Base), a.BaseAt)
	if a.Oldest() != a.BaseAt {
		fmt.Fprintf(&about, "older base     %s, as of offset %d\n", or(a.Older), a.Oldest())
	}
	fmt.Fprintf(&about, "first byte     %d\nlast byte      %d\nbytes          %d\n", a.Oldest()+1, a.End, a.End-a.Oldest())
	if a.Torn != "" {
		fmt.Fprintf(&about, "torn           %s\n", a.Torn)
	}
	from, to := io.Pipe()
	go func() {
		_, err := a.WriteTo(to)
		to.CloseWithError(errors.Join(err, a.Close()))
	}()
	db := -1
	if a.Oldest() == 0 {
		db = 0
	}
	return &source{after: a.Oldest(), db: db, in: from, about: about.String()}
}

// Info prints what there is at path, and how many commands of which kind.
func Info(out io.Writer, path string) error {
	s, err := open(path)
	if err != nil {
		return err
	}
	defer s.in.Close()
	if _, err := io.WriteString(out, s.about); err != nil {
		return err
	}
	commands := 0
	err = s.each(func(u *psync.Unit, _, _ replication.Offset) error {
		commands += len(u.Commands)
		return nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "commands       %d\n", commands)
	return err
}

// Show prints the commands of the stream at path, one per line: the number of the first
// byte of what belongs together, the database, the command.
func Show(out io.Writer, path string, o Options) error {
	s, err := open(path)
	if err != nil {
		return err
	}
	defer s.in.Close()
	to := o.To
	if to == 0 {
		to = math.MaxInt64
	}
	w := bufio.NewWriterSize(out, 1<<16)
	db := s.db
	began := false
	err = s.each(func(u *psync.Unit, first, last replication.Offset) error {
		before := db
		db = u.DB
		if int64(first) < o.From || int64(last) > to {
			return nil
		}
		if !o.Raw {
			return show(w, u, first, o.Width)
		}
		if !began && before >= 0 {
			text := strconv.Itoa(before)
			fmt.Fprintf(w, "*2\r\n$6\r\nSELECT\r\n$%d\r\n%s\r\n", len(text), text) // w keeps the error
		}
		began = true
		_, err := w.Write(u.Raw)
		return err
	})
	return errors.Join(err, w.Flush())
}

// each calls f for what belongs together in the stream, one after the other, with the
// numbers of its first and last byte.
func (s *source) each(f func(u *psync.Unit, first, last replication.Offset) error) error {
	at := s.after
	reader := psync.NewReader(s.in, s.db, maxUnit)
	for {
		u, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after byte %d: %w", at, err)
		}
		first := at + 1
		at += replication.Offset(len(u.Raw))
		if err := f(u, first, at); err != nil {
			return err
		}
	}
}

func show(w *bufio.Writer, u *psync.Unit, first replication.Offset, width int) error {
	for _, c := range u.Commands {
		db := "?"
		if c.DB >= 0 {
			db = strconv.Itoa(c.DB)
		}
		fmt.Fprintf(w, "%d [%s]", first, db) // w keeps the error
		for i, arg := range c.Args {
			w.WriteByte(' ')
			w.WriteString(argument(arg, i == 0, width))
		}
		if err := w.WriteByte('\n'); err != nil {
			return err
		}
	}
	return nil
}

// argument is an argument as redis-cli would print it.
func argument(arg []byte, name bool, width int) string {
	if name {
		return strings.ToUpper(strings.Trim(strconv.QuoteToASCII(string(arg)), `"`))
	}
	if width > 0 && len(arg) > width {
		return fmt.Sprintf("%s... (%d bytes)", strconv.QuoteToASCII(string(arg[:width])), len(arg))
	}
	return strconv.QuoteToASCII(string(arg))
}
