package redistest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// A script is a conversation with a server and what it must answer, kept in a
// file that ends in ".resp" (cockroachdb/datadriven):
//
//	# APPEND makes a key that is missing.
//	run
//	APPEND k "a\x00b"
//	GET k
//	----
//	:3
//	"a\x00b"
//
// A block has a command on each line, with words quoted as in Go, and a reply
// on each line below: +status, -error, :integer, "bulk", [array], nil and
// nil-array. One corpus is run against everything that speaks the protocol, in
// RESP2 and in RESP3. A reply of RESP3 is first turned into what RESP2 has for
// it; a block that cares for the difference says proto=3 and sees {maps},
// ~[sets], ,doubles, #booleans and =verbatim text.
//
// The words after "run" are:
//
//	proto=2, proto=3   only in this version of the protocol
//	on=redis           only against a real redis-server, or
//	on=redoubt         only against ours; the block's first line is then the
//	                   reason for the difference, as a # comment
//	conn=NAME          on another connection of the script; not in process
//	sort               elements of the replies in order, whatever theirs is
//
// A line "name = COMMAND …" keeps the reply, a bulk string, and shows only its
// type; $name stands for it in later commands. With -rewrite the replies of the
// target at hand become the expected ones, after which the diff must be read.

// Session is one connection to what a script talks to: Client is one.
type Session interface {
	// DoRaw runs a command and returns the bytes of its reply.
	DoRaw(args ...any) ([]byte, error)
}

// Target is what scripts are run against.
type Target struct {
	Kind  Kind
	Proto int // 2 or 3
	// Open makes a connection in that protocol. Its data are empty when a
	// script opens its first.
	Open func(t *testing.T) Session
}

// RunScripts runs the scripts of a directory, except the named ones.
func RunScripts(t *testing.T, dir string, target Target, except ...string) {
	datadriven.Walk(t, dir, func(t *testing.T, path string) {
		if slices.Contains(except, filepath.Base(path)) {
			t.Skip("not for this target")
		}
		s := &script{target: target, conns: map[string]Session{}, kept: map[string]string{}}
		s.connection(t, "")
		datadriven.RunTest(t, path, s.block)
	})
}

// script is a script at work.
type script struct {
	target Target
	conns  map[string]Session
	kept   map[string]string
}

func (s *script) connection(t *testing.T, name string) Session {
	if s.conns[name] == nil {
		s.conns[name] = s.target.Open(t)
	}
	return s.conns[name]
}

// block runs one block and returns what stands below its line, which is what
// is expected if the replies are.
func (s *script) block(t *testing.T, d *datadriven.TestData) string {
	if d.Cmd != "run" {
		d.Fatalf(t, "a block begins with run, not with %s", d.Cmd)
	}
	opts := s.options(t, d)
	if opts.skip {
		return d.Expected
	}
	var out strings.Builder
	conn := s.connection(t, opts.conn)
	for line := range strings.SplitSeq(d.Input, "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, args, err := s.parse(line)
		if err != nil {
			d.Fatalf(t, "%s: %v", line, err)
		}
		raw, err := conn.DoRaw(args...)
		if err != nil {
			d.Fatalf(t, "%s: %v", line, err)
		}
		r, _, err := parseReply(raw)
		if err != nil {
			d.Fatalf(t, "%s: %q: %v", line, raw, err)
		}
		if name != "" && r.kind == '$' {
			s.kept[name] = r.text
			r = reply{kind: '+', text: "(" + name + ")"}
		}
		if opts.sort {
			r.sort()
		}
		out.WriteString(r.render(opts.exact) + "\n")
	}
	// RESP3 has one null for the two of RESP2.
	if s.target.Proto == 3 && strings.ReplaceAll(d.Expected, "nil-array", "nil") == out.String() {
		return d.Expected
	}
	return out.String()
}

type blockOptions struct {
	skip, sort, exact bool
	conn              string
}

func (s *script) options(t *testing.T, d *datadriven.TestData) (o blockOptions) {
	for _, arg := range d.CmdArgs {
		value := strings.Join(arg.Vals, " ")
		switch arg.Key {
		case "proto":
			o.exact = true
			o.skip = o.skip || value != strconv.Itoa(s.target.Proto)
		case "on":
			if !strings.HasPrefix(d.Input, "# ") {
				d.Fatalf(t, "the block is not for everybody and does not say why")
			}
			o.skip = o.skip || (value == "redis") != (s.target.Kind == Redis)
		case "conn":
			o.conn = value
		case "sort":
			o.sort = true
		default:
			d.Fatalf(t, "a block has no option %s", arg.Key)
		}
	}
	return o
}

// parse splits a line into the words of a command. name is set for a reply that
// is to be kept.
func (s *script) parse(line string) (name string, args []any, err error) {
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimSpace(rest) {
		var word string
		if rest[0] == '"' {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return "", nil, err
			}
			rest = rest[len(quoted):]
			if word, err = strconv.Unquote(quoted); err != nil {
				return "", nil, err
			}
			args = append(args, word)
			continue
		}
		word, rest, _ = strings.Cut(rest, " ")
		switch {
		case word == "=" && len(args) == 1:
			name, args = args[0].(string), nil
			continue
		case strings.HasPrefix(word, "$"):
			kept, ok := s.kept[word[1:]]
			if !ok {
				return "", nil, fmt.Errorf("no reply was kept as %s", word[1:])
			}
			word = kept
		}
		args = append(args, word)
	}
	if len(args) == 0 {
		return "", nil, fmt.Errorf("no command")
	}
	return name, args, nil
}
