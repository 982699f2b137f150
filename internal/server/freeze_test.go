package server

import (
	"testing"
	"time"

	"redoubt/slots"
)

// After a stop of the process nothing leaves that was written before it. What
// comes later is routed by what the cluster knows by then.
func TestRepliesFromBeforeAStopNeverLeave(t *testing.T) {
	f := &fakeCluster{elsewhere: slots.Of([]byte("far"))}
	n := startParts(t, func(c *Config) { c.Cluster = f }, "--cluster-enabled", "yes")
	writer, idle := n.dial(), n.dial()
	idle.want("PING", "PONG")
	n.stream.hold()
	writer.send("SET near 1")
	for len(n.stream.recorded()) == 0 {
		idle.want("PING", "PONG") // until the write has been run
	}
	f.mu.Lock()
	f.elsewhere = slots.Of([]byte("near"))
	f.mu.Unlock()
	f.freezes.Add(1)
	n.stream.commit(-1)
	writer.closed()
	idle.want("PING", "PONG")
	idle.want("GET near", "error: "+string(errMoved(int(slots.Of([]byte("near"))), "127.0.0.1:7001")))
}

// DropMessages, CloseOnDrop and KillLinks are nothing to a cluster without a bus.
func (f *fakeCluster) DropMessages(int64)                {}
func (f *fakeCluster) CloseOnDrop(bool)                  {}
func (f *fakeCluster) KillLinks(string, bool, bool) bool { return false }

// Sleep implements admin.BusDebugger: every sleep is a freeze.
func (f *fakeCluster) Sleep(time.Duration) { f.freezes.Add(1) }

// A cluster takes DEBUG SLEEP for a freeze. Who asked for it gets its answer all the same,
// unless there are replies to it that are older. Nobody else gets one from before.
func TestTheReplyToASleepLeaves(t *testing.T) {
	f := &fakeCluster{}
	n := startParts(t, func(c *Config) { c.Cluster = f }, "--cluster-enabled", "yes", "--enable-debug-command", "yes")
	sleeper, waiting, idle := n.dial(), n.dial(), n.dial()
	idle.want("PING", "PONG")
	sleeper.want("DEBUG SLEEP 0", "OK")
	n.stream.hold()
	waiting.send("SET near 1")
	for len(n.stream.recorded()) == 0 {
		idle.want("PING", "PONG") // until the write has been run
	}
	sleeper.send("DEBUG SLEEP 0")
	waiting.closed()
	n.stream.commit(-1)
	sleeper.wantNext("OK")
	idle.want("PING", "PONG")
	sleeper.raw("PING\r\nDEBUG SLEEP 0\r\n")
	sleeper.closed()
}
