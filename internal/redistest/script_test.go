package redistest

import (
	"fmt"
	"testing"
)

// scripts is where the corpus lies.
const scripts = "testdata/scripts"

// The corpus is run over sockets here, and in process by the package of the
// handlers. A real server is the judge of what the scripts expect.
func TestScripts(t *testing.T) {
	for _, kind := range []Kind{Redoubt, Redis} {
		t.Run(kind.String(), func(t *testing.T) {
			server := Start(t, kind, "--save", "", "--appendonly", "no")
			for _, proto := range []int{2, 3} {
				t.Run(fmt.Sprintf("RESP%d", proto), func(t *testing.T) {
					RunScripts(t, scripts, Target{Kind: kind, Proto: proto, Open: openEmpty(server, proto)})
				})
			}
		})
	}
}

// openEmpty returns a Target's Open: the first connection of each test flushes
// the server.
func openEmpty(s *Server, proto int) func(t *testing.T) Session {
	var last *testing.T
	return func(t *testing.T) Session {
		c, err := Dial(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		if _, err := c.DoRaw("HELLO", proto); err != nil {
			t.Fatal(err)
		}
		if last != t {
			last = t
			if _, err := c.DoRaw("FLUSHALL"); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
}

func TestRepliesAreShownAsRESP2UnlessExact(t *testing.T) {
	for _, c := range []struct{ raw, plain, exact string }{
		{"+OK\r\n", "+OK", "+OK"},
		{"$3\r\na\x00\n\r\n", `"a\x00\n"`, `"a\x00\n"`},
		{"$-1\r\n", "nil", "nil"},
		{"*-1\r\n", "nil-array", "nil-array"},
		{"_\r\n", "nil", "nil"},
		{"*2\r\n:1\r\n*0\r\n", "[:1 []]", "[:1 []]"},
		{"%1\r\n+k\r\n,1.5\r\n", `[+k "1.5"]`, "{+k: ,1.5}"},
		{"~1\r\n#t\r\n", "[:1]", "~[#t]"},
		{"=7\r\ntxt:abc\r\n", `"abc"`, `="txt:abc"`},
		{"|1\r\n+ttl\r\n:1\r\n:5\r\n", ":5", ":5"},
	} {
		r, rest, err := parseReply([]byte(c.raw))
		if err != nil || len(rest) > 0 {
			t.Errorf("%q: rest %q, %v", c.raw, rest, err)
			continue
		}
		if plain, exact := r.render(false), r.render(true); plain != c.plain || exact != c.exact {
			t.Errorf("%q: %s, exactly %s; want %s and %s", c.raw, plain, exact, c.plain, c.exact)
		}
	}
}
