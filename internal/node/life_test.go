package node

import (
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

// Status and Advancing follow a node from its start to its end.
func TestTheLifeOfANode(t *testing.T) {
	n, c := startServing(t, t.TempDir())
	n.Advancing() // what the start was
	status := func(want string) {
		t.Helper()
		if got := n.Status(); got != want {
			t.Errorf("the status is %q, want %q", got, want)
		}
	}
	status("Redis is loading...")
	n.persistence.effort.due.Store(4 << 20)
	n.persistence.effort.done.Store(1 << 20)
	status("Redis is loading... 25% of 4 MB")
	if !n.Advancing() || n.Advancing() {
		t.Error("a load that got on once is not seen once")
	}
	n.life.phase.Store(int32(serving))
	status("Ready to accept connections")
	answers(t, c, "OK", "REPLICAOF", "127.0.0.1", redistest.Port(t))
	status("Ready to accept connections in read-only mode. Waiting for MASTER <-> REPLICA sync")
	answers(t, c, "OK", "REPLICAOF", "NO", "ONE")
	status("Ready to accept connections")
	n.life.phase.Store(int32(ending))
	status("Shutting down")
}

// What holds everything up is seen to get on: loads, replays, saves.
func TestLongWorkIsSeenToGetOn(t *testing.T) {
	dir := t.TempDir()
	writeDump(t, dir, "k", strings.Repeat("v", 1000), 0)
	n, c := startServing(t, dir, "--appendonly", "yes")
	moved := func(what string, before, least int64) {
		t.Helper()
		if got := n.persistence.effort.done.Load() - before; got < least {
			t.Errorf("%s moves %d bytes", what, got)
		}
		if !n.Advancing() {
			t.Errorf("%s does not get on", what)
		}
	}
	moved("the load of a dump", 0, 100)
	if due := n.persistence.effort.due.Load(); due < 100 {
		t.Errorf("%d bytes were due", due)
	}
	if p := n.persistence.Load(); p.Total < 100 || p.Bytes != p.Total || p.Began.IsZero() {
		t.Errorf("INFO says of the load %+v", p)
	}
	for _, command := range [][]any{{"SAVE"}, {"DEBUG", "RELOAD"}} {
		before := n.persistence.effort.done.Load()
		answers(t, c, "OK", command...)
		moved(command[0].(string), before, 100)
	}
}

// A restart counts the base and the journal behind it.
func TestAReplayIsSeenToGetOn(t *testing.T) {
	dir := t.TempDir()
	n, stop := startNode(t, dir, "--appendonly", "yes")
	set(n, n.keys.NewExecutor(), "k", strings.Repeat("w", 1000))
	stop()
	n, _ = startNode(t, dir, "--appendonly", "yes")
	done, due := n.persistence.effort.done.Load(), n.persistence.effort.due.Load()
	if done < 1000 || due < 1000 {
		t.Errorf("%d bytes of %d", done, due)
	}
}
