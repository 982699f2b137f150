package filecheck

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// scan reads one file of commands as redis-check-aof does: more loosely than
// aof.Reader in what it takes for a number, and with Redis's words for what is
// wrong.
type scan struct {
	c     *checker
	in    *bufio.Reader
	path  string
	at    int64 // of what is read next
	from  int64 // of what was read last
	whole int64 // where what is whole ends: not within a transaction
	multi int
	wrong string // what is wrong; "" if the file just ends
	late  bool   // an annotation with a time after checker.until was found, at at
}

// run reads to the end, or to what is wrong. cut says that it was the latter.
func (s *scan) run(name string) (cut bool) {
	for {
		if s.multi == 0 {
			s.whole = s.at
		}
		first, err := s.in.Peek(1)
		if errors.Is(err, io.EOF) {
			return s.ended()
		}
		if err != nil {
			s.c.abort("Failed to read from AOF %s, aborting...\n", name)
		}
		switch first[0] {
		case '#':
			if !s.annotation() {
				return true
			}
		case '*':
			if !s.command() {
				s.ended()
				return true
			}
		default:
			s.c.say("AOF %s format error\n", name)
			return true
		}
	}
}

// ended reports whether the file ends within a transaction, and notes that.
func (s *scan) ended() bool {
	if s.multi != 0 {
		s.fail("Reached EOF before reading EXEC for MULTI")
	}
	return s.multi != 0
}

// fail notes what is wrong with what was read last. Only the first says it.
func (s *scan) fail(format string, args ...any) bool {
	if s.wrong == "" {
		s.wrong = fmt.Sprintf("0x%16x: %s", s.from, fmt.Sprintf(format, args...))
	}
	return false
}

// lineBytes is how long a line is that Redis reads at once.
const lineBytes = 1024

// annotation reads a line that begins with #, or finds that it is too late.
func (s *scan) annotation() (more bool) {
	s.from = s.at
	head, _ := s.in.Peek(lineBytes)
	if i := bytes.IndexByte(head, '\n'); i >= 0 {
		head = head[:i+1]
	}
	if text, ok := bytes.CutPrefix(head, []byte("#TS:")); ok && s.c.until != 0 {
		digits, ok := bytes.CutSuffix(text, []byte("\r\n"))
		at, err := strconv.ParseInt(string(digits), 10, 64)
		if !ok || err != nil {
			s.c.abort("Invalid timestamp annotation\n")
		}
		if at > s.c.until {
			s.late = true
			return false
		}
	}
	n, _ := s.in.Discard(len(head))
	s.at += int64(n)
	return true
}

// command reads one command.
func (s *scan) command() (ok bool) {
	count, ok := s.number('*')
	for i := int64(0); ok && i < count; i++ {
		var arg []byte
		if arg, ok = s.text(); ok && i == 0 {
			ok = s.transaction(arg)
		}
	}
	return ok
}

// transaction notes that a command begins or ends one.
func (s *scan) transaction(name []byte) bool {
	switch {
	case bytes.EqualFold(name, []byte("multi")):
		if s.multi++; s.multi > 1 {
			return s.fail("Unexpected MULTI in AOF %s", s.path)
		}
	case bytes.EqualFold(name, []byte("exec")):
		if s.multi--; s.multi != 0 {
			return s.fail("Unexpected EXEC in AOF %s", s.path)
		}
	}
	return true
}

// number reads a line of mark and a number.
func (s *scan) number(mark byte) (int64, bool) {
	s.from = s.at
	head, _ := s.in.Peek(127)
	if len(head) == 0 {
		return 0, false
	}
	if i := bytes.IndexByte(head, '\n'); i >= 0 {
		head = head[:i+1]
	}
	if head[0] != mark {
		return 0, s.fail("Expected prefix '%c', got: '%c'", mark, head[0])
	}
	digits := 1
	for digits < len(head) && (head[digits] >= '0' && head[digits] <= '9' || digits == 1 && head[digits] == '-') {
		digits++
	}
	n, err := strconv.ParseInt(string(head[1:digits]), 10, 64)
	if err != nil && digits > 2 {
		n = math.MaxInt64
	}
	if !s.lineEnd(head[digits:]) {
		return 0, false
	}
	s.in.Discard(len(head))
	s.at += int64(len(head))
	return n, true
}

// lineEnd checks that a line ends where b begins.
func (s *scan) lineEnd(b []byte) bool {
	if !bytes.HasPrefix(b, []byte("\r\n")) {
		two := [2]byte{}
		copy(two[:], b)
		return s.fail("Expected \\r\\n, got: %02x%02x", two[0], two[1])
	}
	s.c.line++
	return true
}

// shortBytes is the length up to which the text of an argument is kept.
const shortBytes = 64

// text reads an argument, and returns it if it is short.
func (s *scan) text() (arg []byte, ok bool) {
	size, ok := s.number('$')
	if !ok {
		return nil, false
	}
	if size < 0 || size > math.MaxInt64-2 {
		return nil, s.fail("Expected to read string of %d bytes, which is not in the suitable range", size)
	}
	s.from = s.at
	if size <= shortBytes {
		head, _ := s.in.Peek(int(size))
		arg = append(arg, head...)
	}
	got, err := io.CopyN(io.Discard, s.in, size)
	s.at += got
	var end [2]byte
	if err == nil {
		var n int
		n, err = io.ReadFull(s.in, end[:])
		got += int64(n)
		s.at += int64(n)
	}
	if err != nil {
		return nil, s.fail("Expected to read %d bytes, got %d bytes", size+2, got)
	}
	return arg, s.lineEnd(end[:])
}
