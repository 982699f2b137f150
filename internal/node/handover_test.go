package node

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"redoubt/bus"
	"redoubt/replication"
	"redoubt/replication/psync"
)

// A primary of Valkey 9 that ends says so in its stream, to all of its replicas: those that
// are not meant go on.
func TestTheEndOfAPrimaryOfValkey(t *testing.T) {
	for _, c := range []struct {
		line, id string
		ok       bool
	}{
		{"cluster failover FORCE replicaid abc", "abc", true},
		{"CLUSTER FAILOVER force REPLICAID abc", "abc", true},
		{"CLUSTER FAILOVER FORCE", "", false},
		{"CLUSTER FAILOVER TAKEOVER REPLICAID abc", "", false},
		{"CLUSTER FAILOVER FORCE REPLICAID abc def", "", false},
	} {
		if id, ok := heirOf(bytes.Fields([]byte(c.line))); id != c.id || ok != c.ok {
			t.Errorf("%s: %q, %v", c.line, id, ok)
		}
	}
	id := strings.Repeat("a", bus.IDLen)
	n, _ := startNode(t, t.TempDir(), replicaOfNobody...)
	f := linked(t, n)
	said := fmt.Sprintf("*5\r\n$7\r\nCLUSTER\r\n$8\r\nFAILOVER\r\n$5\r\nFORCE\r\n$9\r\nREPLICAID\r\n$40\r\n%s\r\n", id)
	if err := f.Apply(unit(t, said)); err != nil {
		t.Fatal(err)
	}
	if err := f.Apply(unit(t, setA)); err != nil || len(keysOf(n)) != 1 {
		t.Errorf("the replica does not go on: %v, it has %q", err, keysOf(n))
	}
}

// The best heir is the one that has acknowledged most, and then the one that was sent most.
func TestHeirsAreInOrder(t *testing.T) {
	replica := func(id string, state psync.State, acked, sent replication.Offset) psync.Replica {
		return psync.Replica{Node: id, State: state, Ack: replication.Ack{Offset: acked}, Sent: sent}
	}
	got := heirsAmong([]psync.Replica{
		replica("behind", psync.Online, 10, 30),
		replica("loads", psync.SendBulk, 0, 0),
		replica("waits", psync.Online, 20, 20),
		replica("best", psync.Online, 20, 30),
	})
	var order []string
	for _, h := range got {
		order = append(order, string(h.ID))
	}
	if !slices.Equal(order, []string{"best", "waits", "behind"}) {
		t.Errorf("the order is %v", order)
	}
}
