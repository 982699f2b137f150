package server

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

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
		c := n.dialBy(network, addr)
		fits, tooLong := strings.Repeat("x", 1<<20-30), strings.Repeat("x", 1<<20)
		c.want("ECHO "+fits, fits)
		c.want("ECHO "+fits, fits)
		_, _ = io.WriteString(c.nc, fmt.Sprintf("*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", len(tooLong), tooLong))
		c.closed()
	}
	if got := n.Stats().InputLimit; got != 2 {
		t.Errorf("%d clients count as closed for their requests", got)
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

// CLIENT LIST tells what a client has sent and was sent, and what of its commands was
// run: a command that waits is not, and what scripts and transactions call is (Valkey's
// unit/introspection).
func TestClientListCountsBytesAndCommands(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	n := startNode(t, "--unixsocket", path)
	other := n.dial()
	for _, network := range []string{"tcp", "unix"} {
		addr := path
		if network == "tcp" {
			addr = n.Addr()
		}
		c := n.dialBy(network, addr)
		c.want("CLIENT SETNAME "+network, "OK")
		in := len("*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$\r\n\r\n") + 1 + len(network)
		out, ran := len("+OK\r\n"), 1
		want := func(when string) {
			t.Helper()
			for field, want := range map[string]int{"tot-net-in": in, "tot-net-out": out, "tot-cmds": ran} {
				eventually(t, func() bool { return other.field(network, field) >= want })
				if got := other.field(network, field); got != want {
					t.Errorf("%s, %s: %s=%d, want %d", network, when, field, got, want)
				}
			}
		}
		want("named")
		c.send("BLPOP list 0")
		in += len("*3\r\n$5\r\nBLPOP\r\n$4\r\nlist\r\n$1\r\n0\r\n")
		want("waiting")
		other.want("RPUSH list v", "1")
		c.wantNext("[list v]")
		out += len("*2\r\n$4\r\nlist\r\n$1\r\nv\r\n")
		ran++
		want("served")
		script := "return redis.call('PING') and redis.pcall('GET')"
		c.call("EVAL", script, "0")
		c.read()
		ran += 2 // GET has no key, and is refused
		if got := other.field(network, "tot-cmds"); got != ran {
			t.Errorf("%s, after a script: %d commands, want %d", network, got, ran)
		}
		c.want("MULTI", "OK")
		c.want("PING", "QUEUED")
		c.want("EXEC", "[PONG]")
		ran += 3
		if got := other.field(network, "tot-cmds"); got != ran {
			t.Errorf("%s, after a transaction: %d commands, want %d", network, got, ran)
		}
	}
}
