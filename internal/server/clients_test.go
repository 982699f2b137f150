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
