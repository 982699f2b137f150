package resp

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// requests is what Redis 7.0.15 makes of these bytes; unit/protocol of its
// suite and sdssplitargs are the source.
var requests = []struct {
	name   string
	limits Limits
	in     string
	want   []string // arguments of each request, words joined by '|'
	rest   int      // bytes left over, waiting for more
	err    Error
}{
	{name: "a command", in: "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", want: []string{"GET|k"}},
	{name: "two commands in one piece", in: "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n", want: []string{"PING", "PING"}},
	{name: "half a command waits", in: "*2\r\n$3\r\nGET\r\n$1\r\n", rest: 17},
	{name: "an argument may hold anything", in: "*1\r\n$6\r\n\x00\r\n*$ \r\n", want: []string{"\x00\r\n*$ "}},
	{name: "an empty argument", in: "*2\r\n$3\r\nGET\r\n$0\r\n\r\n", want: []string{"GET|"}},
	{name: "a count of zero is no request", in: "*0\r\nPING\r\n", want: []string{"", "PING"}},
	{name: "a negative count is no request", in: "*-10\r\nPING\r\n", want: []string{"", "PING"}},
	{name: "an empty line is no request", in: "\r\nPING\r\n", want: []string{"", "PING"}},
	{name: "a line feed alone ends an inline command", in: "PING\n", want: []string{"PING"}},
	{name: "inline words", in: "  SET  a\tb \r\n", want: []string{"SET|a|b"}},
	{name: "inline double quotes", in: `SET "a b" "\x41\n\t\"\q"` + "\r\n", want: []string{"SET|a b|A\n\t\"q"}},
	{name: "inline single quotes", in: `SET 'a b' 'it\'s \n'` + "\r\n", want: []string{`SET|a b|it's \n`}},
	{name: "a vertical tab does not end a word", in: "ECHO\va \v\fb\vc\f\r\n", want: []string{"ECHO\va|b\vc\f"}},
	{name: "an empty quoted word", in: `ECHO ""` + "\r\n", want: []string{"ECHO|"}},
	{name: "quotes within a word", in: `ECHO a"b c"` + "\r\n", want: []string{"ECHO|ab c"}},
	{name: "unbalanced quotes", in: "set \"\"\"test-key\"\"\" test-value\r\n", err: ErrProtoUnbalanced},
	{name: "an open quote", in: "ECHO 'a\r\n", err: ErrProtoUnbalanced},
	{name: "a count out of range", in: "*3000000000\r\n", err: ErrProtoMultibulkLength},
	{name: "a count that is no number", in: "*1x\r\n", err: ErrProtoMultibulkLength},
	{name: "a count with a leading zero", in: "*01\r\n", err: ErrProtoMultibulkLength},
	{name: "an argument without its length", in: "*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", err: "ERR Protocol error: expected '$', got 'f'"},
	{name: "a negative length", in: "*1\r\n$-10\r\n", err: ErrProtoBulkLength},
	{name: "a length that is no number", in: "*1\r\n$blabla\r\n", err: ErrProtoBulkLength},
	{name: "a length above the limit", limits: Limits{MaxBulk: 512 << 20}, in: "*1\r\n$2000000000\r\n", err: ErrProtoBulkLength},
	{name: "a line that does not end", in: strings.Repeat("a", maxLine+1), err: ErrProtoBigInline},
	{name: "a count that does not end", in: "*" + strings.Repeat("1", maxLine+1), err: ErrProtoBigCount},
	{name: "a length that does not end", in: "*1\r\n$" + strings.Repeat("1", maxLine+1), err: ErrProtoBigBulkCount},
	{name: "a zero byte hides line ends", in: "\x00" + strings.Repeat("payload\n", maxLine/8), err: ErrProtoBigInline},
	{name: "eleven arguments before authentication", limits: Limits{Unauthenticated: true}, in: "*11\r\n", err: ErrProtoUnauthMultibulk},
	{name: "a long argument before authentication", limits: Limits{Unauthenticated: true}, in: "*1\r\n$16385\r\n", err: ErrProtoUnauthBulk},
	{name: "ten arguments before authentication", limits: Limits{Unauthenticated: true}, in: "*10\r\n" + strings.Repeat("$1\r\nx\r\n", 10), want: []string{"x|x|x|x|x|x|x|x|x|x"}},
}

func TestParserReadsRequestsAsRedisDoes(t *testing.T) {
	for _, tc := range requests {
		t.Run(tc.name, func(t *testing.T) {
			p := &Parser{Limits: tc.limits}
			got, rest, err := parseAll(p, []byte(tc.in), len(tc.in))
			check(t, tc.want, got)
			checkError(t, tc.err, err)
			if tc.err == "" && len(rest) != tc.rest {
				t.Errorf("%d bytes left over, want %d", len(rest), tc.rest)
			}
		})
	}
}

func TestParserDoesNotCareHowTheBytesArrive(t *testing.T) {
	for _, tc := range requests {
		if len(tc.in) > 4096 {
			continue
		}
		for _, piece := range []int{1, 2, 3, 7} {
			t.Run(fmt.Sprintf("%s/%d at a time", tc.name, piece), func(t *testing.T) {
				got, _, err := parseAll(&Parser{Limits: tc.limits}, []byte(tc.in), piece)
				check(t, tc.want, got)
				checkError(t, tc.err, err)
			})
		}
	}
}

// parseAll feeds in by pieces, moving the bytes to a new buffer every time as
// the owner of a buffer may.
func parseAll(p *Parser, in []byte, piece int) (got []string, rest []byte, err error) {
	for len(in) > 0 {
		n := min(piece, len(in))
		rest = append(bytes.Clone(rest), in[:n]...)
		in = in[n:]
		for {
			n, err := p.Parse(rest)
			if err != nil {
				return got, rest, err
			}
			if n == 0 {
				break
			}
			if p.Raw != nil && !bytes.Equal(p.Raw, AppendArray(nil, p.Args...)) {
				return got, rest, fmt.Errorf("raw %q is not the encoding of %q", p.Raw, p.Args)
			}
			got = append(got, string(bytes.Join(p.Args, []byte("|"))))
			rest = rest[n:]
		}
	}
	return got, rest, nil
}

func check(t *testing.T, want, got []string) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		t.Errorf("requests %q, want %q", got, want)
	}
}

func checkError(t *testing.T, want Error, got error) {
	t.Helper()
	if want == "" && got != nil || want != "" && got != want {
		t.Errorf("error %v, want %q", got, want)
	}
}

func TestMissingCountsWhatTheArgumentLacks(t *testing.T) {
	p := &Parser{}
	in := []byte("*2\r\n$3\r\nSET\r\n$1000\r\nab")
	if n, err := p.Parse(in); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if got := p.Missing(len(in)); got != 1000+2-2 {
		t.Errorf("missing %d, want %d", got, 1000)
	}
	if !p.Partial() {
		t.Error("a begun request is not called partial")
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	p := &Parser{}
	in := []byte("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n")
	if n := testing.AllocsPerRun(100, func() {
		if n, err := p.Parse(in); n != len(in) || err != nil {
			t.Fatal(n, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func TestParseIntIsExact(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "7": 7, "-1": -1, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63,
	} {
		if got, ok := ParseInt([]byte(in)); !ok || got != want {
			t.Errorf("%q: %d %v, want %d", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "-", "+1", "01", "-0", " 1", "1 ", "1x", "9223372036854775808", "-9223372036854775809", "99999999999999999999", "123456789012345678901"} {
		if got, ok := ParseInt([]byte(in)); ok {
			t.Errorf("%q was read as %d", in, got)
		}
	}
}

// FuzzParser checks that any bytes in any pieces give the same requests, that a
// multibulk request is the encoding of its arguments up to what the protocol
// leaves open, and that nothing panics.
func FuzzParser(f *testing.F) {
	for _, tc := range requests {
		if len(tc.in) < 256 {
			f.Add([]byte(tc.in), byte(3))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, piece byte) {
		if arg, n := SecondArg(in); n > len(in) || len(arg) > n {
			t.Fatalf("a hint of %d bytes in a request of %d in %d", len(arg), n, len(in))
		}
		parse := func(piece int) (got [][]string, failed bool) {
			p := &Parser{Limits: Limits{MaxBulk: 1 << 20}}
			var rest []byte
			for in := in; len(in) > 0; {
				n := min(piece, len(in))
				rest = append(rest, in[:n]...)
				in = in[n:]
				for {
					n, err := p.Parse(rest)
					if err != nil {
						return got, true
					}
					if n == 0 {
						break
					}
					if n > len(rest) {
						t.Fatalf("a request of %d bytes in %d", n, len(rest))
					}
					var args []string
					for _, a := range p.Args {
						args = append(args, string(a))
					}
					got = append(got, args)
					rest = rest[n:]
				}
			}
			return got, false
		}
		whole, failed := parse(len(in) + 1)
		pieces, failedToo := parse(int(piece)%16 + 1)
		if !reflect.DeepEqual(whole, pieces) || failed != failedToo {
			t.Errorf("in one piece %q (failed %v), in pieces %q (failed %v)", whole, failed, pieces, failedToo)
		}
	})
}

// TestSecondArgSkimsWhatTheParserReads: the hint is the parser's own second
// argument or none at all.
func TestSecondArgSkimsWhatTheParserReads(t *testing.T) {
	for _, c := range []struct{ in, arg string }{
		{"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "k"},
		{"*3\r\n$3\r\nSET\r\n$2\r\n\r\n\r\n$1\r\nv\r\nmore", "\r\n"},
		{"*1\r\n$4\r\nPING\r\n", ""},
	} {
		arg, n := SecondArg([]byte(c.in))
		var p Parser
		want, err := p.Parse([]byte(c.in))
		if n != want || err != nil || string(arg) != c.arg {
			t.Errorf("%q: %q and %d of %d", c.in, arg, n, want)
		}
		for cut := range want {
			if arg, n := SecondArg([]byte(c.in[:cut])); n != 0 || arg != nil {
				t.Errorf("%q: %q and %d", c.in[:cut], arg, n)
			}
		}
	}
	for _, in := range []string{"", "PING\r\n", "*0\r\n", "*-1\r\n", "*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "*2\r\n$3\r\nGET\r\n$-1\r\n", "*2\r\n$3\r\nGET\r\n$9999999\r\nk", "*02\r\n", "*2\r\n:3\r\n"} {
		if arg, n := SecondArg([]byte(in)); n != 0 || arg != nil {
			t.Errorf("%q: %q and %d", in, arg, n)
		}
	}
}

func TestShrinkKeepsWhatIsUnderWay(t *testing.T) {
	var p Parser
	whole := AppendArray(nil, bytes.Fields([]byte(strings.Repeat("a ", 20)))...)
	half := whole[:len(whole)/2]
	if n, err := p.Parse(half); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	p.Shrink()
	if n, err := p.Parse(whole); n != len(whole) || err != nil || len(p.Args) != 20 {
		t.Errorf("%d bytes, %d arguments, %v", n, len(p.Args), err)
	}
	p.Shrink()
	if p.Args != nil {
		t.Errorf("room for %d arguments is kept", cap(p.Args))
	}
	if n, err := p.Parse([]byte("ECHO \"a\"\r\n")); n != 10 || err != nil || len(p.Args) != 2 {
		t.Errorf("%d bytes, %d arguments, %v", n, len(p.Args), err)
	}
}
