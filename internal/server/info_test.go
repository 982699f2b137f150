package server

import (
	"strings"
	"testing"
)

// INFO is asked for every few seconds by whoever watches a node. A loop that is
// in the middle of a long command must not hold it up.
func TestInfoWaitsForNoLoop(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	c := n.dial()
	c.want("SET k v", "OK")
	busy := n.loops[0]
	if n.loopFor(n.nextID.Load()) == busy {
		busy = n.loops[1]
	}
	busy.turn.Lock()
	defer busy.turn.Unlock()
	info := c.do("INFO everything")
	for _, want := range []string{"cmdstat_set:calls=1", "keyspace_hits:0", "connected_clients:1", "db0:keys=1", "mem_allocator:"} {
		if !strings.Contains(info, want) {
			t.Errorf("%s is missing in\n%s", want, info)
		}
	}
	c.want("MULTI", "OK")
	c.want("INFO server", "QUEUED")
	c.do("EXEC")
}

func TestInfoCountsWhoWaits(t *testing.T) {
	f := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication = f })
	n.blocks("BLPOP a b 0")
	n.blocks("BLPOP b 100")
	n.blocks("WAIT 1 100000")
	info := n.dial().do("INFO clients")
	for _, want := range []string{"blocked_clients:3\r\n", "clients_in_timeout_table:2\r\n", "total_blocking_keys:2\r\n"} {
		if !strings.Contains(info, want) {
			t.Errorf("%s is missing in\n%s", want, info)
		}
	}
}

// The time of a wait is up when it is up, not at the next housekeeping.
func TestAWaitEndsWithoutAHousekeeping(t *testing.T) {
	f := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication = f })
	n.keepNoHouse()
	c := n.dial()
	c.want("WAIT 1 10", "0")
	c.want("WAITAOF 0 1 10", "[1 0]")
	c.want("BLPOP nokey 0.01", "(nil array)")
}
