package server

import (
	"errors"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
	"redoubt/internal/resp"
)

func TestMonitorSeesWhatOthersRun(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	m, c := n.dial(), n.dial()
	m.want("MONITOR", "OK")
	c.want("SET k a\xff", "OK")
	line := m.read()
	if !strings.HasSuffix(line, `"SET" "k" "a\xff"`) {
		t.Errorf("MONITOR printed %q", line)
	}
	m.want("GET k", "error: ERR Replica can't interact with the keyspace")
}

func TestAMonitorHearsOfATransactionWhenItIsCommitted(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	m, c := n.dial(), n.dial()
	m.want("MONITOR", "OK")
	n.stream.hold()
	c.want("MULTI", "OK")
	c.want("SET k v", "QUEUED")
	c.send("EXEC")
	if line := m.read(); !strings.HasSuffix(line, `"MULTI"`) {
		t.Errorf("MONITOR printed %q", line)
	}
	var unsent string
	redistest.Until(t, 10*time.Second, "the monitor has been told", func() error {
		n.stopLoops(nil)
		defer n.resumeLoops(nil)
		n.eachConn(func(c *conn) {
			if c.is(stateMonitor) {
				unsent = string(c.out.Bytes()[c.sent:])
			}
		})
		if !strings.Contains(unsent, `"EXEC"`) {
			return errors.New("nothing waits for the commit")
		}
		return nil
	})
	if !strings.Contains(unsent, `"SET" "k" "v"`) {
		t.Errorf("only this waits for the commit: %q", unsent)
	}
	n.stream.commit(-1)
	for _, want := range []string{`"SET" "k" "v"`, `"EXEC"`} {
		if line := m.read(); !strings.HasSuffix(line, want) {
			t.Errorf("MONITOR printed %q, want %s", line, want)
		}
	}
	c.wantNext("[OK]")
}

func TestAMonitorSeesAnExecThatIsRefused(t *testing.T) {
	n := startNode(t)
	m, c := n.dial(), n.dial()
	m.want("MONITOR", "OK")
	c.want("MULTI", "OK")
	c.want("EXEC x", "error: EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command")
	for _, want := range []string{`"MULTI"`, `"EXEC" "x"`} {
		if line := m.read(); !strings.HasSuffix(line, want) {
			t.Errorf("MONITOR printed %q, want %s", line, want)
		}
	}
}

func TestAMonitorWithoutRepliesHearsNothing(t *testing.T) {
	n := startNode(t)
	m, c := n.dial(), n.dial()
	m.want("MONITOR", "OK")
	m.send("MONITOR") // once more is not answered
	m.send("CLIENT REPLY OFF")
	eventually(t, func() bool { return strings.Contains(c.do("CLIENT LIST"), "cmd=client|reply") })
	c.want("ECHO x", "x")
	m.want("CLIENT REPLY ON", "OK")
	c.want("ECHO y", "y")
	for {
		line := m.read()
		if strings.HasSuffix(line, `"ECHO" "x"`) {
			t.Errorf("MONITOR printed %q", line)
		}
		if strings.HasSuffix(line, `"ECHO" "y"`) {
			break
		}
	}
}

func TestMonitorSeesNoPasswords(t *testing.T) {
	n := startNode(t, "--requirepass", "secret")
	m, c := n.dial(), n.dial()
	m.want("AUTH secret", "OK")
	m.want("MONITOR", "OK")
	for _, line := range []string{"AUTH wrong", "AUTH wrong secret", "HELLO 2 AUTH default wrong", "HELLO 2 AUTH default secret"} {
		c.do(line)
		if got := m.read(); strings.Contains(got, "wrong") || strings.Contains(got, "secret") || !strings.Contains(got, `"(redacted)"`) {
			t.Errorf("%s: %s", line, got)
		}
	}
}

func TestAMonitorIsNoReplica(t *testing.T) {
	n := startParts(t, func(c *Config) { c.Replication = newFakeReplication() })
	m := n.dial()
	m.want("MONITOR", "OK")
	m.send("PSYNC ? -1")
	m.want("REPLICAOF a 1", "error: "+string(resp.ErrFeedReplicaOf))
}

// A connection that is closed while its MONITOR stops the loops is no monitor.
func TestAMonitorThatIsClosedMeanwhile(t *testing.T) {
	n := startNode(t, "--event-loops", "1")
	n.keepNoHouse()
	l := n.loops[0]
	c := n.dial()
	c.want("PING", "PONG")
	n.stopMu.Lock()
	c.send("MONITOR")
	eventually(t, func() bool { // it waits for the other turns, and has given up its own
		l.turn.Lock()
		defer l.turn.Unlock()
		if l.stats.commands != 2 {
			return false
		}
		n.eachConn(l.drop)
		return true
	})
	n.stopMu.Unlock()
	c.closed()
	n.keepHouse()
	if n.monitors.any.Load() {
		t.Error("it is shown what others call")
	}
}
