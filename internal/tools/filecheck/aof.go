package filecheck

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"redoubt/internal/aof"
	"redoubt/internal/reason"
)

// AOF is redis-check-aof. name is that of the program, args what follows it; in
// answers the question before a file is made shorter. It returns the exit code.
func AOF(in io.Reader, out io.Writer, name string, args []string) (code int) {
	c := &checker{in: bufio.NewReader(in), out: out, line: 1}
	// What ends a check in the middle has been printed.
	defer func() {
		if r := recover(); r == aborted {
			code = 1
		} else if r != nil {
			panic(r)
		}
	}()
	var path string
	switch {
	case len(args) == 1:
		path = args[0]
	case len(args) == 2 && args[0] == "--fix":
		c.fix, path = true, args[1]
	case len(args) == 3 && args[0] == "--truncate-to-timestamp":
		var err error
		if c.until, err = strconv.ParseInt(args[1], 10, 64); err != nil {
			c.abort("Invalid timestamp, aborting...\n")
		}
		path = args[2]
	default:
		c.abort("Usage: %s [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>\n", name)
	}
	c.check(path)
	return 0
}

// checker is one run of redis-check-aof.
type checker struct {
	in    *bufio.Reader
	out   io.Writer
	fix   bool
	until int64 // 0: none
	line  int64 // of the files so far, as Redis counts: an annotation is none
}

type abortion struct{}

// aborted is what abort panics with.
var aborted any = abortion{}

// abort prints a line and ends the run.
func (c *checker) abort(format string, args ...any) {
	c.say(format, args...)
	panic(aborted)
}

func (c *checker) say(format string, args ...any) { fmt.Fprintf(c.out, format, args...) }

// journalMagic is what the file "current" of a journal begins with.
const journalMagic = "redoubt-journal "

// check finds out what a file is, and checks that.
func (c *checker) check(path string) {
	text := c.read(path)
	switch {
	case bytes.HasPrefix(text, []byte(journalMagic)):
		c.abort("%s belongs to a journal of Redoubt, which is no append-only file. A start of the server checks all of it; "+
			"with aof-load-truncated no it changes nothing, and refuses a torn end.\n", path)
	case isManifest(text):
		c.manifest(path, text)
	default:
		c.say("Start checking Old-Style AOF\n")
		c.report("AOF", path, c.single(path, path, true, aof.IsRDB(text)))
	}
}

// headBytes is how much of a file is read to see what it is. A manifest that is
// longer is not one that Redis has written.
const headBytes = 64 << 20

// read reads the beginning of a file: all of a manifest, a little of others.
func (c *checker) read(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		c.abort("Cannot open file %s: %s\n", path, reason.System(err))
	}
	defer f.Close()
	r := bufio.NewReader(f)
	if head, _ := r.Peek(8); len(head) > 0 && (head[0] == '*' || aof.IsRDB(head)) {
		return append([]byte(nil), head...) // commands and RDB files may be large
	}
	text, err := io.ReadAll(io.LimitReader(r, headBytes))
	if err != nil {
		c.abort("Cannot read file: %s\n", path)
	}
	return text
}

// isManifest reports whether a line begins with the word of a manifest.
func isManifest(text []byte) bool {
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("file")) {
			return true
		}
	}
	return false
}

// manifest checks all files that a manifest names.
func (c *checker) manifest(path string, text []byte) {
	c.say("Start checking Multi Part AOF\n")
	m, err := aof.ParseManifest(text)
	var bad *aof.ManifestError
	if errors.As(err, &bad) {
		c.say("\n*** FATAL AOF MANIFEST FILE ERROR ***\n")
		if bad.Line > 0 {
			c.say("Reading the manifest file, at line %d\n>>> '%s'\n", bad.Line, bad.Text)
		}
		c.abort("%s\n", bad.Reason)
	}
	dir, left := filepath.Dir(path)+"/", len(m.Incr)
	if m.Base != nil {
		base := dir + m.Base.Name
		preamble, format := aof.IsRDB(c.head(base)), "RESP"
		if preamble {
			format = "RDB"
		}
		c.say("Start to check BASE AOF (%s format).\n", format)
		c.report("BASE AOF", m.Base.Name, c.single(m.Base.Name, base, left == 0, preamble))
	}
	if left > 0 {
		c.say("Start to check INCR files.\n")
	}
	for _, e := range m.Incr {
		left--
		c.report("INCR AOF", e.Name, c.single(e.Name, dir+e.Name, left == 0, false))
	}
	c.say("All AOF files and manifest are valid\n")
}

func (c *checker) head(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		c.abort("Cannot open file %s: %s\n", path, reason.System(err))
	}
	defer f.Close()
	head, _ := bufio.NewReader(f).Peek(8)
	return head
}

// outcome is what came of a file.
type outcome int

const (
	sound outcome = iota
	empty
	shortened
	shortenedToTime
)

func (c *checker) report(what, name string, o outcome) {
	switch o {
	case sound:
		c.say("%s %s is valid\n", what, name)
	case empty:
		c.say("%s %s is empty\n", what, name)
	case shortened:
		c.say("Successfully truncated AOF %s\n", name)
	case shortenedToTime:
		c.say("Successfully truncated AOF %s to timestamp %d\n", name, c.until)
	}
}

// single checks one file. Only the last one may be shortened, because what follows
// in others goes on from its end.
func (c *checker) single(name, path string, last, preamble bool) outcome {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		c.abort("Cannot open file %s: %s, aborting...\n", path, reason.System(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		c.abort("Cannot stat file: %s, aborting...\n", name)
	}
	size := info.Size()
	if size == 0 {
		return empty
	}
	start := int64(0)
	if preamble {
		var ok bool
		if start, ok = inspect(c.out, f, name); !ok {
			c.abort("RDB preamble of AOF file is not sane, aborting.\n")
		}
		c.say("RDB preamble is OK, proceeding with AOF tail...\n")
	}
	if _, err := f.Seek(start, io.SeekStart); err != nil {
		c.abort("Failed to fseek in AOF %s: %s", name, reason.System(err))
	}
	s := &scan{c: c, in: bufio.NewReaderSize(f, 1<<20), at: start, whole: start, path: path}
	cut := s.run(name)
	if cut && c.until != 0 && s.late {
		c.cutAt(f, name, path, s.at, last)
		return shortenedToTime
	}
	if s.wrong != "" {
		c.say("%s\n", s.wrong)
	}
	rest := size - s.whole
	if rest == 0 && c.until != 0 {
		c.say("Truncate nothing in AOF %s to timestamp %d\n", name, c.until)
		return sound
	}
	c.say("AOF analyzed: filename=%s, size=%d, ok_up_to=%d, ok_up_to_line=%d, diff=%d\n", name, size, s.whole, c.line, rest)
	if rest == 0 {
		return sound
	}
	c.repair(f, name, size, s.whole, last)
	return shortened
}

// cutAt shortens a file to what lies before a time.
func (c *checker) cutAt(f *os.File, name, path string, at int64, last bool) {
	switch {
	case at == 0:
		c.abort("AOF %s has nothing before timestamp %d, aborting...\n", path, c.until)
	case !last:
		c.abort("Failed to truncate AOF %s to timestamp %d to offset %d because it is not the last file.\n"+
			"If you insist, please delete all files after this file according to the manifest "+
			"file and delete the corresponding records in manifest file manually. Then re-run redis-check-aof.\n", path, c.until, at)
	}
	if err := shorten(f, at); err != nil {
		c.abort("Failed to truncate AOF %s to timestamp %d\n", name, c.until)
	}
}

// repair shortens a file to what is whole, if that was asked for and is agreed to.
func (c *checker) repair(f *os.File, name string, size, whole int64, last bool) {
	switch {
	case !c.fix:
		c.abort("AOF %s is not valid. Use the --fix option to try fixing it.\n", name)
	case !last:
		c.abort("Failed to truncate AOF %s because it is not the last file\n", name)
	}
	c.say("This will shrink the AOF %s from %d bytes, with %d bytes, to %d bytes\nContinue? [y/N]: ", name, size, size-whole, whole)
	answer, _ := c.in.ReadString('\n')
	if !strings.HasPrefix(strings.ToLower(answer), "y") {
		c.abort("Aborting...\n")
	}
	if err := shorten(f, whole); err != nil {
		c.abort("Failed to truncate AOF %s\n", name)
	}
}

// shorten cuts a file off, durably.
func shorten(f *os.File, at int64) error {
	return errors.Join(f.Truncate(at), f.Sync())
}
