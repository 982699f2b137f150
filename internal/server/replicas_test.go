package server

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redoubt/internal/resp"
)

// TestAsyncLoading: a full resync during which the old data are served.
func TestAsyncLoading(t *testing.T) {
	f := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication = f })
	c := n.dial()
	want := func(loading, async int) {
		t.Helper()
		if got := c.do("INFO persistence"); !strings.Contains(got, fmt.Sprintf("\r\nloading:%d\r\nasync_loading:%d\r\n", loading, async)) {
			t.Errorf("want %d and %d: %s", loading, async, got)
		}
	}
	c.want("REPLICAOF 127.0.0.1 6379", "OK")
	c.want("CONFIG SET repl-diskless-load swapdb", "OK")
	want(0, 0)
	f.locked(func() { f.state = "sync" })
	want(0, 1)
	n.SetLoading(true)
	want(1, 0)
	n.SetLoading(false)
	want(0, 1)
	c.want("CONFIG SET repl-diskless-load on-empty-db", "OK")
	want(0, 0)
	c.want("CONFIG SET repl-diskless-load swapdb", "OK")
	f.locked(func() { f.state = "connected" })
	want(0, 0)
}

// TestACommandOfAReplicaEndsItsConnection: what is told apart, and what the log says, as
// in Redis.
func TestACommandOfAReplicaEndsItsConnection(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	f := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication, c.Log = f, zap.New(core) })
	replica := n.dial()
	replica.want("PSYNC ? -1", "FULLRESYNC")
	hello := <-f.served

	const critical = "== CRITICAL == This master is sending an error to its replica: '"
	errs := 0
	for _, c := range []struct{ line, name, failure string }{
		{"PING", "ping", ""},
		{"select 1", "select", ""},
		{"MULTI", "multi", ""},
		{"xinfo help", "xinfo|help", ""},
		{"slowlog get", "slowlog|get", ""},
		{"GET foo", "get", string(resp.ErrReplicaKeyspace)},
		{"FLUSHALL", "flushall", string(resp.ErrReplicaKeyspace)},
		{"PUBLISH c m", "publish", string(resp.ErrReplicaKeyspace)},
		{"ECHO", "echo", "ERR wrong number of arguments for 'echo' command"},
		{"NOSUCH a", "<unknown>", "ERR unknown command 'NOSUCH', with args beginning with: 'a' "},
		{"CONFIG NOSUCH", "<unknown>", "ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP."},
		{"REPLCONF capa eof", "replconf", ""},
		{"REPLCONF ACK", "replconf", ""}, // a syntax error, told as any reply
	} {
		logged.TakeAll()
		if err := hello.Stray(words(c.line)); err == nil {
			t.Errorf("%s: the connection goes on", c.line)
		}
		lines := logged.TakeAll()
		last := lines[len(lines)-1].Message
		if want := "Replica generated a reply to command '" + c.name + "', disconnecting it: id="; !strings.HasPrefix(last, want) {
			t.Errorf("%s: the log says %q", c.line, last)
		}
		if c.failure == "" {
			if len(lines) != 1 {
				t.Errorf("%s: the log says %v", c.line, lines)
			}
			continue
		}
		errs++
		if want := critical + c.failure + "' after processing the command '" + c.name + "'"; len(lines) != 2 || lines[0].Message != want {
			t.Errorf("%s: the log says %v", c.line, lines)
		}
	}
	for _, line := range []string{"REPLCONF ACK junk", "replconf GetAck *"} {
		if err := hello.Stray(words(line)); err != nil || logged.Len() != 0 {
			t.Errorf("%s has no reply: %v, %v", line, err, logged.All())
		}
	}
	want := fmt.Sprintf("unexpected_error_replies:%d\r\n", errs)
	c := n.dial()
	if got := c.do("INFO stats"); !strings.Contains(got, want) {
		t.Errorf("INFO does not say %s", want)
	}
	c.want("CONFIG RESETSTAT", "OK")
	if got := c.do("INFO stats"); !strings.Contains(got, "unexpected_error_replies:0\r\n") {
		t.Error("CONFIG RESETSTAT leaves unexpected_error_replies")
	}
}

// words are the arguments of a line without quotes.
func words(line string) (args [][]byte) {
	for _, w := range strings.Fields(line) {
		args = append(args, []byte(w))
	}
	return args
}

func TestReplicasAreClientsToo(t *testing.T) {
	f := newFakeReplication()
	f.stays = true
	n := startParts(t, func(c *Config) { c.Replication = f })
	c, replica := n.dial(), n.dial()
	id := replica.do("CLIENT ID")
	replica.want("CLIENT SETNAME follows", "OK")
	replica.want("PSYNC ? -1", "FULLRESYNC")
	local := replica.nc.LocalAddr().String()
	want := fmt.Sprintf("id=%s addr=%s laddr=%s fd=-1 name=follows ", id, local, n.Addr())
	for _, line := range []string{"CLIENT LIST", "CLIENT LIST TYPE replica", "CLIENT LIST TYPE slave", "CLIENT LIST ID " + id} {
		if got := c.do(line); !strings.Contains(got, want) || !strings.Contains(got, " flags=S ") {
			t.Errorf("%s: %s", line, got)
		}
	}
	if got := c.do("CLIENT LIST TYPE normal"); strings.Contains(got, "follows") {
		t.Errorf("a replica is a normal client: %s", got)
	}
	c.want("CLIENT KILL TYPE normal LADDR "+n.Addr(), "0")
	c.want("CLIENT KILL TYPE replica ADDR "+local, "1")
	replica.closed()
	<-f.served
	c.want("CLIENT LIST TYPE replica", "")
	c.want("CLIENT KILL ID "+id, "0")
}
