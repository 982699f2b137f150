package server

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"redoubt/internal/resp"
)

func TestClientInfoWithinATransaction(t *testing.T) {
	c := startNode(t).dial()
	c.want("MULTI", "OK")
	c.want("CLIENT INFO", "QUEUED")
	c.want("PING", "QUEUED")
	if got := c.do("EXEC"); !strings.Contains(got, " flags=x ") || !strings.Contains(got, " multi=2 ") {
		t.Errorf("EXEC: %s", got)
	}
	if got := c.do("CLIENT INFO"); !strings.Contains(got, " flags=N ") || !strings.Contains(got, " multi=-1 ") {
		t.Errorf("after EXEC: %s", got)
	}
}

func TestDocsTellWhatIsOld(t *testing.T) {
	c := startNode(t).dial()
	for name, want := range map[string]string{
		"quit":    "doc_flags [deprecated] deprecated_since 7.2.0 replaced_by just closing the connection",
		"slaveof": "doc_flags [deprecated] deprecated_since 5.0.0 replaced_by `REPLICAOF`",
		"setnx":   "doc_flags [deprecated] deprecated_since 2.6.12 replaced_by `SET` with the `NX` argument",
		"debug":   "doc_flags [syscmd]",
		"info":    "history [[7.0.0 Takes several sections.]]",
	} {
		if got := c.do("COMMAND DOCS " + name); !strings.Contains(got, want) {
			t.Errorf("COMMAND DOCS %s: %s", name, got)
		}
	}
}

func TestHelloChangesAllOrNothing(t *testing.T) {
	n := startNode(t, "--requirepass", "secret")
	c := n.dial()
	c.want("HELLO 3 AUTH default secret SETNAME", "error: ERR Syntax error in HELLO option 'SETNAME'")
	c.want("HELLO 3 SETNAME a AUTH default wrong", "error: "+string(resp.ErrWrongPass))
	c.want("HELLO 3 AUTH default wrong FOO", "error: ERR Syntax error in HELLO option 'FOO'")
	c.raw("HELLO 3 AUTH default secret SETNAME \"a b\"\r\n")
	c.wantNext("error: " + string(resp.ErrClientName))
	c.want("PING", "error: "+string(resp.ErrNoAuth))
	c.want("HELLO 3 AUTH default wrong AUTH default secret SETNAME a", c.do("HELLO 3 AUTH default secret"))
	c.want("CLIENT GETNAME", "a")
}

func TestClientListKeepsTheOrderOfNumbers(t *testing.T) {
	n := startNode(t)
	a, b := n.dial(), n.dial()
	idA, idB := a.do("CLIENT ID"), b.do("CLIENT ID")
	var got []string
	for line := range strings.Lines(a.do("CLIENT LIST ID " + idB + " 999 " + idA + " " + idB)) {
		id, _, _ := strings.Cut(line, " ")
		got = append(got, id)
	}
	if want := []string{"id=" + idB, "id=" + idA, "id=" + idB}; !slices.Equal(got, want) {
		t.Errorf("CLIENT LIST: %q, want %q", got, want)
	}
}

func TestNoTouchKeepsKeysIdle(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	idle := func() bool {
		t.Helper()
		seconds, err := strconv.Atoi(c.do("OBJECT IDLETIME k"))
		if err != nil {
			t.Fatal(err)
		}
		return seconds >= 1000
	}
	c.want("SET k v", "OK")
	payload := c.do("DUMP k")
	c.raw(string(resp.AppendArray(nil, []byte("RESTORE"), []byte("k"), []byte("0"), []byte(payload), []byte("REPLACE"), []byte("IDLETIME"), []byte("1000"))))
	c.wantNext("OK")
	c.want("CLIENT NO-TOUCH ON", "OK")
	c.want("GET k", "v")
	c.want("MULTI", "OK")
	c.want("GET k", "QUEUED")
	c.want("EXEC", "[v]")
	if !idle() {
		t.Error("GET was an access in spite of CLIENT NO-TOUCH")
	}
	c.want("MULTI", "OK")
	c.want("TOUCH k", "QUEUED")
	c.want("EXEC", "[1]")
	if idle() {
		t.Error("TOUCH was no access")
	}
	clock, object := c.do("INFO server"), c.do("DEBUG OBJECT k")
	_, clock, _ = strings.Cut(clock, "lru_clock:")
	clock, _, _ = strings.Cut(clock, "\r\n")
	_, object, _ = strings.Cut(object, " lru:")
	object, _, _ = strings.Cut(object, " ")
	at, _ := strconv.Atoi(object)
	if now, _ := strconv.Atoi(clock); at == 0 || now-at < 0 || now-at > 60 {
		t.Errorf("DEBUG OBJECT tells lru:%s when the clock is %s", object, clock)
	}
}

func TestMaxClientsFitsTheLimitOnOpenFiles(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	n.fitMaxClients(300)
	c.want("CONFIG GET maxclients", "[maxclients 300]")
	n.fitMaxClients(400)
	c.want("CONFIG GET maxclients", "[maxclients 300]")
	want := fmt.Sprintf("error: ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able to handle the specified number of clients, try with %d", clientRoom())
	c.want("CONFIG SET maxclients 4000000000", want)
	c.want("CONFIG GET maxclients", "[maxclients 300]")
}

func TestAQuietConnectionKeepsNoScratchSpace(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("MSET"+strings.Repeat(" k v", 400), "OK")
	n.stopLoops(nil)
	n.eachConn(func(c *conn) {
		l := c.home.Load()
		if cap(c.parser.Args) < 800 {
			t.Errorf("room for %d arguments", cap(c.parser.Args))
		}
		c.active = l.mono - restAfter - 1
		l.cronConn(c)
		if cap(c.parser.Args) != 0 {
			t.Errorf("a quiet connection has room for %d arguments", cap(c.parser.Args))
		}
	})
	n.resumeLoops(nil)
	c.want("MGET k k", "[v v]")
}

func TestTheQueryBufferIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	n := startNode(t, "--client-query-buffer-limit", "1mb", "--unixsocket", path)
	for _, network := range []string{"tcp", "unix"} {
		addr := path
		if network == "tcp" {
			addr = n.Addr()
		}
		c := dialTo(t, network, addr)
		fits, tooLong := strings.Repeat("x", 1<<20-30), strings.Repeat("x", 1<<20)
		c.want("ECHO "+fits, fits)
		c.want("ECHO "+fits, fits)
		_, _ = io.WriteString(c.nc, fmt.Sprintf("*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", len(tooLong), tooLong))
		c.closed()
	}
}

// What a transaction answers is dropped as a whole, and the header of its array
// with it; confirmations of subscriptions are no answers.
func TestATransactionWithoutRepliesLeavesOnlyPushes(t *testing.T) {
	n := startNode(t)
	confirmed := func(name, count string) string {
		return "*3\r\n$9\r\nsubscribe\r\n$1\r\n" + name + "\r\n:" + count + "\r\n"
	}
	for _, tc := range []struct {
		name, before, within string
	}{
		{"off before", "CLIENT REPLY OFF", ""},
		{"off within", "PING", "CLIENT REPLY OFF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := n.dial()
			for _, line := range []string{tc.before, "MULTI", "SET k v", "SUBSCRIBE x", "PUBLISH nobody m", "GET k", "SUBSCRIBE y", tc.within} {
				if line == "" {
					continue
				}
				c.send(line)
				if tc.before == "PING" {
					c.read()
				}
			}
			c.send("EXEC")
			c.send("SUBSCRIBE z") // what else comes, comes before this
			want := confirmed("x", "1") + confirmed("y", "2") + confirmed("z", "3")
			c.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
				t.Errorf("EXEC left %q, %v; want %q", got, err, want)
			}
		})
	}
}

func TestAProtocolErrorHeedsClientReply(t *testing.T) {
	n := startNode(t)
	for _, mode := range []string{"OFF", "SKIP"} {
		c := n.dial()
		c.send("CLIENT REPLY " + mode)
		c.raw("*x\r\n")
		c.closed()
	}
	c := n.dial()
	c.send("CLIENT REPLY SKIP")
	c.raw("*0\r\nPING\r\n")
	c.wantNext("PONG")
	c.send("CLIENT REPLY SKIP")
	c.send("PING")
	c.raw("*x\r\n")
	c.wantNext("error: ERR Protocol error: invalid multibulk length")
	c.closed()
}
