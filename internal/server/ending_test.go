package server

import (
	"io"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redoubt/internal/resp"
	"redoubt/slots"
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
	if n.Ending() {
		t.Error("the shutdown has failed, and is under way")
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

// Redis's housekeeping sees signals. While it is paused they wait, and can be taken back.
func TestASignalWaitsWhileTheHousekeepingIsPaused(t *testing.T) {
	n := startParts(t, func(*Config) {})
	c := n.dial()
	c.want("DEBUG PAUSE-CRON 1", "OK")
	for range 2 { // the second changes nothing
		if err := n.Shutdown(false); err != nil || !n.Ending() {
			t.Fatalf("the signal is not noted: %v", err)
		}
	}
	c.want("SHUTDOWN ABORT", "OK")
	c.want("SHUTDOWN ABORT", "error: "+string(resp.ErrNoShutdown))
	c.want("DEBUG PAUSE-CRON 0", "OK")
	c.want("PING", "PONG")
	if n.Ending() {
		t.Error("the shutdown was aborted, and is under way")
	}
	c.want("DEBUG PAUSE-CRON 1", "OK")
	if err := n.Shutdown(false); err != nil {
		t.Fatal(err)
	}
	c.want("PING", "PONG")
	c.send("DEBUG PAUSE-CRON 0")
	c.read()
	c.closed()
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

// handover is a primary of a cluster that has begun to hand over because of a command.
func handover(t *testing.T, command string, behind []string, directives ...string) (f *fakeReplication, c *fakeCluster, n *node, asks *client, call handoverCall) {
	t.Helper()
	f, c = newFakeReplication(), &fakeCluster{elsewhere: slots.Count, moving: slots.Count}
	f.behind = behind
	c.voter.Store(true)
	n = startParts(t, func(cfg *Config) { cfg.Replication, cfg.Cluster = f, c }, append([]string{"--cluster-enabled", "yes"}, directives...)...)
	asks = n.dial()
	asks.send(command)
	return f, c, n, asks, <-f.handovers
}

// Writes wait from the moment at which an heir is asked, and are sent to it.
func TestAPrimaryThatEndsHandsOver(t *testing.T) {
	f, c, n, asks, call := handover(t, "SHUTDOWN FAILOVER", []string{"one"})
	writes, other := n.dial(), n.dial()
	writes.send("SET k v")
	other.want("GET k", "(nil)")
	f.locked(func() { f.behind = nil })
	f.onAck() // what counts is the heir
	if other.want("GET k", "(nil)"); call.ctx.Err() != nil {
		t.Error("it does not wait for the heir")
	}
	c.mu.Lock()
	c.elsewhere = slots.Of([]byte("k"))
	c.mu.Unlock()
	c.voter.Store(false)
	call.done(true)
	writes.wantNext("error: " + string(errMoved(int(slots.Of([]byte("k"))), "127.0.0.1:7001")))
	asks.closed()
	if call.ctx.Err() == nil {
		t.Error("it still hands over")
	}
}

func TestAHandoverThatDoesNotCome(t *testing.T) {
	t.Run("nobody is fit, and nobody lacks anything", func(t *testing.T) {
		_, _, _, asks, call := handover(t, "SHUTDOWN FAILOVER", nil)
		call.done(false)
		asks.closed()
	})
	t.Run("nobody is fit, and one lacks something", func(t *testing.T) {
		f, _, n, asks, call := handover(t, "SHUTDOWN FAILOVER", []string{"one"})
		call.done(false)
		n.dial().want("GET k", "(nil)")
		f.locked(func() { f.behind = nil })
		f.onAck()
		asks.closed()
	})
	t.Run("nobody is fit, and there is no time", func(t *testing.T) {
		_, _, _, asks, call := handover(t, "SHUTDOWN NOW FAILOVER", []string{"one"})
		call.done(false)
		asks.closed()
	})
	t.Run("the time is over", func(t *testing.T) {
		_, _, _, asks, call := handover(t, "SHUTDOWN FAILOVER", nil, "--shutdown-timeout", "0")
		asks.closed()
		<-call.ctx.Done()
	})
	t.Run("it is aborted", func(t *testing.T) {
		_, _, n, asks, call := handover(t, "SHUTDOWN FAILOVER", nil)
		writes := n.dial()
		writes.send("SET k v")
		n.dial().want("SHUTDOWN ABORT", "OK")
		asks.wantNext("error: " + string(resp.ErrShutdown))
		writes.wantNext("OK")
		<-call.ctx.Done()
		call.done(true) // too late
		writes.want("SET k w", "OK")
	})
}

// What has nothing to hand over ends as without.
func TestAnEndWithoutAHandover(t *testing.T) {
	n := startParts(t, func(c *Config) { c.Replication = newFakeReplication() }, "--shutdown-on-sigterm", "failover")
	c := n.dial()
	c.want("SHUTDOWN FAILOVER", "error: "+string(resp.ErrShutdownFailover))
	if err := n.Shutdown(false); err != nil {
		t.Fatal(err)
	}
	c.closed()
	replica := startParts(t, func(c *Config) { c.Replication, c.Cluster = newFakeReplication(), &fakeCluster{} },
		"--cluster-enabled", "yes", "--shutdown-on-sigterm", "nosave failover")
	c = replica.dial()
	if err := replica.Shutdown(false); err != nil {
		t.Fatal(err)
	}
	c.closed()
}

func TestASafeEnd(t *testing.T) {
	cluster := &fakeCluster{elsewhere: slots.Count, moving: slots.Count}
	cluster.voter.Store(true)
	n := startParts(t, func(c *Config) { c.Cluster = cluster }, "--cluster-enabled", "yes")
	c := n.dial()
	c.want("SHUTDOWN SAFE", "error: "+string(resp.ErrShutdown))
	c.want("SHUTDOWN NOW SAFE", "error: "+string(resp.ErrShutdown))
	c.want("SHUTDOWN SAFE ABORT", "error: "+string(resp.ErrSyntax))
	c.send("SHUTDOWN SAFE FORCE")
	c.closed()
}
