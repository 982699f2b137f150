package resp

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestWriterSpeaksBothProtocols(t *testing.T) {
	for _, tc := range []struct {
		name         string
		write        func(w *Writer)
		resp2, resp3 string
	}{
		{"ok", func(w *Writer) { w.OK() }, "+OK\r\n", "+OK\r\n"},
		{"a simple string", func(w *Writer) { w.Simple("PONG") }, "+PONG\r\n", "+PONG\r\n"},
		{"an error is one line", func(w *Writer) { w.Error("ERR a\r\nb") }, "-ERR a  b\r\n", "-ERR a  b\r\n"},
		{"integers", func(w *Writer) { w.Int(7); w.Int(-12); w.Int(math.MinInt64) }, ":7\r\n:-12\r\n:-9223372036854775808\r\n", ":7\r\n:-12\r\n:-9223372036854775808\r\n"},
		{"a bulk string", func(w *Writer) { w.Bulk([]byte("a\x00")) }, "$2\r\na\x00\r\n", "$2\r\na\x00\r\n"},
		{"a number as a bulk string", func(w *Writer) { w.BulkInt(-12) }, "$3\r\n-12\r\n", "$3\r\n-12\r\n"},
		{"no value", func(w *Writer) { w.Null() }, "$-1\r\n", "_\r\n"},
		{"no array", func(w *Writer) { w.NullArray() }, "*-1\r\n", "_\r\n"},
		{"an array", func(w *Writer) { w.Array(12) }, "*12\r\n", "*12\r\n"},
		{"a map", func(w *Writer) { w.Map(2) }, "*4\r\n", "%2\r\n"},
		{"a set", func(w *Writer) { w.Set(2) }, "*2\r\n", "~2\r\n"},
		{"a push", func(w *Writer) { w.Push(3) }, "*3\r\n", ">3\r\n"},
		{"a double", func(w *Writer) { w.Double(1.5); w.Double(math.Inf(-1)) }, "$3\r\n1.5\r\n$4\r\n-inf\r\n", ",1.5\r\n,-inf\r\n"},
		{"truth", func(w *Writer) { w.Bool(true); w.Bool(false) }, ":1\r\n:0\r\n", "#t\r\n#f\r\n"},
		{"text", func(w *Writer) { w.Verbatim("txt", "hi") }, "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"},
		{"a big number", func(w *Writer) { w.BigNumber("123") }, "$3\r\n123\r\n", "(123\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w2, w3 := NewWriter(nil, Proto2), NewWriter(nil, Proto3)
			tc.write(w2)
			tc.write(w3)
			if string(w2.Bytes()) != tc.resp2 {
				t.Errorf("RESP2 %q, want %q", w2.Bytes(), tc.resp2)
			}
			if string(w3.Bytes()) != tc.resp3 {
				t.Errorf("RESP3 %q, want %q", w3.Bytes(), tc.resp3)
			}
		})
	}
}

// The texts were taken from redis-server 7.0.15.
func TestErrorsThatRepeatTheRequest(t *testing.T) {
	words := func(s string) (args [][]byte) {
		for _, w := range strings.Fields(s) {
			args = append(args, []byte(w))
		}
		return args
	}
	for want, got := range map[string]Error{
		"ERR unknown command 'foo', with args beginning with: 'a' 'b' ":                                     ErrUnknownCommand(words("foo a b")),
		"ERR unknown command 'foo', with args beginning with: ":                                             ErrUnknownCommand(words("foo")),
		"ERR unknown command 'x', with args beginning with: '" + strings.Repeat("y", 128) + "' ":            ErrUnknownCommand(words("x " + strings.Repeat("y", 200) + " z")),
		"ERR unknown subcommand 'bar'. Try CONFIG HELP.":                                                    ErrUnknownSubcommand("config", []byte("bar")),
		"EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.": ErrExecAbortedBy(ErrReadOnly),
		"EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command":          ErrExecAbortedBy(ErrArity("exec")),
	} {
		if string(got) != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestErrorCodeIsTheFirstWord(t *testing.T) {
	for e, want := range map[Error]string{ErrReadOnly: "READONLY", ErrSyntax: "ERR", "LONELY": "ERR"} {
		if got := e.Code(); got != want {
			t.Errorf("%q: %q, want %q", e, got, want)
		}
	}
}

// TestBulkOfAnyLength also meets the buffer with any room left: short strings are
// written in another way if there is enough.
func TestBulkOfAnyLength(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789"), 20)
	for n := range len(text) {
		want := fmt.Sprintf("+OK\r\n$%d\r\n%s\r\n:7\r\n", n, text[:n])
		for room := range len(want) + 8 {
			w := NewWriter(make([]byte, 0, room), Proto2)
			w.OK()
			w.Bulk(text[:n])
			w.Int(7)
			if got := string(w.Bytes()); got != want {
				t.Fatalf("%d bytes, room for %d: %q, want %q", n, room, got, want)
			}
		}
	}
}
