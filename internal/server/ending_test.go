package server

import (
	"io"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redoubt/internal/resp"
)

func TestShutdownSavesFirst(t *testing.T) {
	f := &fakePersistence{failure: io.ErrShortWrite}
	core, logged := observer.New(zap.WarnLevel)
	n := startParts(t, func(c *Config) { c.Persistence, c.Log = f, zap.New(core) }, "--save", "900 1")
	c := n.dial()
	c.want("SHUTDOWN", "error: "+string(resp.ErrShutdown))
	if logged.FilterMessageSnippet("Errors trying to shut down the server").Len() != 1 {
		t.Errorf("the log: %v", logged.All())
	}
	c.want("SHUTDOWN ABORT", "error: "+string(resp.ErrNoShutdown))
	c.want("SHUTDOWN SAVE NOSAVE", "error: "+string(resp.ErrSyntax))
	c.want("PING", "PONG")
	if err := n.Shutdown(false); err == nil {
		t.Error("a signal stopped the server although the snapshot failed")
	}
	if n.Asked() {
		t.Error("the next signal counts as one that insists, though the shutdown has failed")
	}
	if !n.Asked() {
		t.Error("the one after that does not")
	}
	f.mu.Lock()
	f.failure = nil
	f.mu.Unlock()
	if err := n.Shutdown(true); err != nil {
		t.Error(err)
	}
	c.closed()
	if f.saves != 3 {
		t.Errorf("%d snapshots, want 3", f.saves)
	}
}

func TestShutdownWaitsForReplicas(t *testing.T) {
	f := newFakeReplication()
	f.behind = []string{"one"}
	n := startParts(t, func(c *Config) { c.Replication = f }, "--event-loops", "2")
	asks, writes, other := n.dial(), n.dial(), n.dial()
	id := asks.do("CLIENT ID")
	asks.send("SHUTDOWN")
	for !strings.Contains(other.do("INFO server"), "shutdown_in_milliseconds:") {
	}
	writes.send("SET k v")
	other.want("GET k", "(nil)") // reads go on
	if line := other.do("CLIENT LIST ID " + id); !strings.Contains(line, " flags=b ") {
		t.Errorf("the client does not wait: %s", line)
	}
	other.want("SHUTDOWN ABORT", "OK")
	other.want("SHUTDOWN ABORT", "error: "+string(resp.ErrNoShutdown))
	asks.wantNext("error: " + string(resp.ErrShutdown))
	writes.wantNext("OK")
	asks.want("GET k", "v")

	asks.send("SHUTDOWN")
	for !strings.Contains(other.do("INFO server"), "shutdown_in_milliseconds:") {
	}
	f.onAck() // but not of everything
	other.want("GET k", "v")
	f.locked(func() { f.behind = nil })
	f.onAck()
	asks.closed()
	other.closed()
}

// TestASignalWaitsForTheCron: while DEBUG PAUSE-CRON is on it can be taken back.
func TestASignalWaitsForTheCron(t *testing.T) {
	n := startParts(t, func(c *Config) { c.Replication = newFakeReplication() })
	c := n.dial()
	signal := func() {
		t.Helper()
		if err := n.Shutdown(false); err != nil {
			t.Fatal(err)
		}
	}
	c.want("DEBUG PAUSE-CRON 1", "OK")
	c.want("SHUTDOWN ABORT", "error: "+string(resp.ErrNoShutdown))
	signal()
	c.want("SHUTDOWN ABORT", "OK")
	if n.Asked() {
		t.Error("the next signal counts as one that insists, though the shutdown was aborted")
	}
	c.want("SHUTDOWN ABORT", "error: "+string(resp.ErrNoShutdown))
	c.want("DEBUG PAUSE-CRON 0", "OK")
	c.want("PING", "PONG")

	c.want("DEBUG PAUSE-CRON 1", "OK")
	signal()
	c.want("DEBUG PAUSE-CRON 1", "OK")
	c.want("PING", "PONG")
	c.send("DEBUG PAUSE-CRON 0")
	<-n.ended
}

func TestShutdownThatDoesNotWait(t *testing.T) {
	for _, c := range []struct {
		name, line string
		directives []string
	}{
		{"now", "SHUTDOWN NOW", nil},
		{"no time to wait", "SHUTDOWN", []string{"--shutdown-timeout", "0"}},
		{"the time is over", "SHUTDOWN", []string{"--shutdown-timeout", "1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeReplication()
			f.behind = []string{"one"}
			n := startParts(t, func(c *Config) { c.Replication = f }, c.directives...)
			asks := n.dial()
			asks.send(c.line)
			asks.closed()
		})
	}
}

// A shutdown that cannot save goes on as if nobody had asked, also after it
// has waited.
func TestAShutdownThatWaitedCanFail(t *testing.T) {
	f, disk := newFakeReplication(), &fakePersistence{failure: io.ErrShortWrite}
	f.behind = []string{"one"}
	n := startParts(t, func(c *Config) { c.Replication, c.Persistence = f, disk }, "--save", "900 1")
	asks, other := n.dial(), n.dial()
	asks.send("SHUTDOWN")
	for !strings.Contains(other.do("INFO server"), "shutdown_in_milliseconds:") {
	}
	f.locked(func() { f.behind = nil })
	f.onAck()
	asks.wantNext("error: " + string(resp.ErrShutdown))
	asks.want("SET k v", "OK")
	asks.send("SHUTDOWN FORCE")
	asks.closed()
}
