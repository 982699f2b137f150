package psync

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// cut returns the units of a stream, a line each, and the error that ended it.
func cut(in io.Reader, db, limit int) (lines []string, raw string, err error) {
	r := NewReader(in, db, limit)
	for {
		u, err := r.Next()
		if err != nil {
			return lines, raw, err
		}
		line := fmt.Sprintf("%d bytes", len(u.Raw))
		for _, c := range u.Commands {
			line += fmt.Sprintf("; db%d %q", c.DB, c.Args)
		}
		if u.GetAck {
			line += "; getack"
		}
		lines = append(lines, fmt.Sprintf("%s -> db%d", line, u.DB))
		raw += string(u.Raw)
	}
}

func TestReaderCutsUnits(t *testing.T) {
	big := strings.Repeat("x", 300<<10)
	cases := []struct {
		name   string
		stream string
		want   []string
	}{
		{"an empty stream has none", "", nil},
		{"a command is a unit", cmd("SET", "k", "v"), []string{`27 bytes; db5 ["SET" "k" "v"] -> db5`}},
		{"SELECT is tracked and not executed", cmd("select", "3") + cmd("SET", "k", "v"),
			[]string{`23 bytes -> db3`, `27 bytes; db3 ["SET" "k" "v"] -> db3`}},
		{"PING has only bytes", cmd("ping"), []string{`14 bytes -> db5`}},
		{"GETACK has only bytes and is told", cmd("REPLCONF", "GETACK", "*"), []string{`37 bytes; getack -> db5`}},
		{"another REPLCONF is a command", cmd("REPLCONF", "x", "y"), []string{`32 bytes; db5 ["REPLCONF" "x" "y"] -> db5`}},
		{"from MULTI to EXEC is one unit", cmd("MULTI") + cmd("DEL", "a") + cmd("SELECT", "2") + cmd("DEL", "b") + cmd("exec"),
			[]string{`92 bytes; db5 ["DEL" "a"]; db2 ["DEL" "b"] -> db2`}},
		{"an empty transaction has only bytes", cmd("MULTI") + cmd("EXEC"), []string{`29 bytes -> db5`}},
		{"line ends are units without commands", "\n" + cmd("PING") + "\r\n\n", []string{
			`1 bytes -> db5`, `14 bytes -> db5`, `2 bytes -> db5`, `1 bytes -> db5`}},
		{"an empty array has only bytes", "*0\r\n", []string{`4 bytes -> db5`}},
		{"an empty argument", cmd("SET", "", ""), []string{`25 bytes; db5 ["SET" "" ""] -> db5`}},
		{"arguments are binary", cmd("SET", "\r\n*1\r\n", "\x00\n"), []string{`33 bytes; db5 ["SET" "\r\n*1\r\n" "\x00\n"] -> db5`}},
		{"a value larger than the buffer", cmd("SET", "k", big) + cmd("PING"),
			[]string{fmt.Sprintf(`%d bytes; db5 ["SET" "k" %q] -> db5`, len(cmd("SET", "k", big)), big), `14 bytes -> db5`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, in := range []io.Reader{
				strings.NewReader(c.stream),
				iotest.OneByteReader(strings.NewReader(c.stream)),
				iotest.DataErrReader(strings.NewReader(c.stream)),
			} {
				got, raw, err := cut(in, 5, 1<<20)
				if strings.Join(got, "\n") != strings.Join(c.want, "\n") || !errors.Is(err, io.EOF) {
					t.Errorf("got %q, %v", got, err)
				}
				if raw != c.stream {
					t.Error("the bytes of the units are not those of the stream")
				}
			}
		})
	}
}

func TestReaderRefusesJunk(t *testing.T) {
	cases := []struct {
		name   string
		stream string
		want   error
	}{
		{"an inline command", "PING\r\n", ErrStream},
		{"binary junk", "\x00\x01\x02\xff", ErrStream},
		{"an error line", "-LOADING\r\n", ErrStream},
		{"a count that is no number", "*x\r\n", ErrStream},
		{"a negative count", "*-1\r\n", ErrStream},
		{"a count above all limits", "*99999999999999999999\r\n", ErrStream},
		{"a count without digits", "*\r\n", ErrStream},
		{"a line that never ends", "*" + strings.Repeat("0", 1000), ErrStream},
		{"a line without a carriage return", "*1\n$4\nPING\n", ErrStream},
		{"no bulk where one belongs", "*1\r\n:4\r\n", ErrStream},
		{"a bulk above the limit", "*1\r\n$2000000\r\n", ErrStream},
		{"a negative bulk", "*1\r\n$-1\r\n", ErrStream},
		{"a bulk longer than told", "*1\r\n$4\r\nPINGS\r\n", ErrStream},
		{"a carriage return alone", "\rx", ErrStream},
		{"MULTI within MULTI", cmd("MULTI") + cmd("MULTI"), ErrStream},
		{"EXEC without MULTI", cmd("EXEC"), ErrStream},
		{"SELECT of a word", cmd("SELECT", "x"), ErrStream},
		{"SELECT of a negative number", cmd("SELECT", "-1"), ErrStream},
		{"SELECT of nothing", cmd("SELECT"), ErrStream},
		{"a unit above the limit", cmd("MULTI") + strings.Repeat(cmd("SET", "k", strings.Repeat("v", 1000)), 2000), ErrStream},
		{"a command cut off", cmd("SET", "k", "v")[:20], io.ErrUnexpectedEOF},
		{"a transaction cut off", cmd("MULTI") + cmd("DEL", "k"), io.ErrUnexpectedEOF},
		{"a huge bulk that is not there", "*1\r\n$1000000\r\nx", io.ErrUnexpectedEOF},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			units, _, err := cut(strings.NewReader(c.stream), 0, 1<<20)
			if !errors.Is(err, c.want) || len(units) > 0 {
				t.Errorf("got %v, %v, want %v", units, err, c.want)
			}
		})
	}
}

func TestReaderGivesBackALargeBuffer(t *testing.T) {
	stream := cmd("SET", "k", strings.Repeat("x", 4<<20)) + cmd("PING") + cmd("PING")
	r := NewReader(strings.NewReader(stream), 0, 1<<30)
	for range 3 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.buf) > keepBytes {
		t.Errorf("%d bytes are kept for a unit of 14", len(r.buf))
	}
}

func TestReaderAllocatesNothingPerUnit(t *testing.T) {
	stream := strings.Repeat(cmd("SET", "key", "value")+cmd("MULTI")+cmd("DEL", "a", "b")+cmd("EXEC"), 1000)
	allocs := testing.AllocsPerRun(5, func() {
		if _, err := count(strings.NewReader(stream)); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 20 {
		t.Errorf("%v allocations for 2000 units", allocs)
	}
}

// count reads a stream to its end and counts the units.
func count(in io.Reader) (n int, err error) {
	r := NewReader(in, 0, 1<<20)
	for {
		if _, err := r.Next(); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return n, err
		}
		n++
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(cmd("SELECT", "0") + cmd("SET", "k", "v") + "\n" + cmd("ping")))
	f.Add([]byte(cmd("MULTI") + cmd("DEL", "a") + cmd("EXEC") + cmd("REPLCONF", "GETACK", "*")))
	f.Add([]byte("*1\r\n$99999\r\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		units, raw, err := cut(bytes.NewReader(stream), 0, 1<<20)
		if !bytes.HasPrefix(stream, []byte(raw)) {
			t.Fatal("the bytes of the units are not those of the stream")
		}
		if errors.Is(err, io.EOF) && len(raw) != len(stream) {
			t.Fatalf("%d of %d bytes, and no error", len(raw), len(stream))
		}
		again, _, err2 := cut(iotest.OneByteReader(bytes.NewReader(stream)), 0, 1<<20)
		if strings.Join(units, "\n") != strings.Join(again, "\n") || (err == nil) != (err2 == nil) {
			t.Fatalf("byte by byte: %q, %v; at once: %q, %v", again, err2, units, err)
		}
	})
}
