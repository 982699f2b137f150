package interop

import (
	"fmt"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

// Three real nodes and three of ours are one cluster: they vote together, and
// each kind takes over from the other, after a kill and when asked to.
func TestMixedCluster(t *testing.T) {
	t.Parallel()
	real, mine := redistest.Redis, ours()
	c := startCluster(t, nodeTimeout, []redistest.Kind{real, mine, real, mine, mine, real})
	pair(t, c, 2, 3) // a real primary with a replica of ours
	pair(t, c, 1, 5) // the reverse
	pair(t, c, 0, 4)
	agree(t, c)
	wantText(t, manage(t, "check", c.Nodes[3].Addr()), healthy...)
	wantText(t, manage(t, "check", c.Nodes[5].Addr()), healthy...)
	work := startLoad(t, c, 200)
	work.untilMore(200)

	for _, kill := range []struct {
		name          string
		primary, heir *redistest.Server
	}{
		{"a replica of ours takes over from a real primary", c.Nodes[2], c.Nodes[3]},
		{"a real replica takes over from a primary of ours", c.Nodes[1], c.Nodes[5]},
	} {
		untilInStep(t, kill.heir, kill.primary)
		key := keyIn(myself(t, kill.primary).first(t), "mixed:")
		kill.primary.Kill()
		took := untilWritten(t, kill.heir, key, settle)
		t.Logf("%s: after %v", kill.name, took)
		kill.primary.Restart()
		c.UntilStable(settle)
		agree(t, c)
		if got := kill.primary.Info("role"); got != "slave" {
			t.Errorf("%s: the killed primary came back as %s", kill.name, got)
		}
		sameData(t, kill.primary, kill.heir, key)
	}

	// Now each of the two shards has a primary of the other kind. They go back
	// when asked to, without the loss of a write.
	r := work.end()
	if r.Unverified > 0 || r.Foreign > 0 {
		t.Errorf("%d keys unread, %d foreign values", r.Unverified, r.Foreign)
	}
	work = startLoad(t, c, 200)
	work.untilMore(200)
	for _, back := range []struct {
		name string
		heir *redistest.Server
	}{
		{"from ours to a real one", c.Nodes[2]},
		{"from a real one to ours", c.Nodes[1]},
	} {
		if got := back.heir.Do("CLUSTER", "FAILOVER"); got != "OK" {
			t.Fatalf("CLUSTER FAILOVER %s: %v", back.name, got)
		}
		redistest.Until(t, settle, "manual failover "+back.name, func() error {
			if role := back.heir.Info("role"); role != "master" {
				return fmt.Errorf("role is %s", role)
			}
			return nil
		})
		c.UntilStable(settle)
		agree(t, c)
		work.untilMore(100)
	}
	nothingLost(t, work.end())
	wantText(t, manage(t, "check", c.Nodes[4].Addr()), healthy...)

	// A host name reaches real nodes that have none themselves.
	c.Nodes[1].Do("CONFIG", "SET", "cluster-announce-hostname", "one.example")
	for _, s := range c.Nodes {
		redistest.Until(t, settle, "the host name is known", func() error {
			if nodes := fmt.Sprint(s.Do("CLUSTER", "NODES")); !strings.Contains(nodes, ",one.example ") {
				return fmt.Errorf("port %d says\n%s", s.Port, nodes)
			}
			return nil
		})
	}

	// Messages cross the bus between the kinds.
	for _, way := range [][2]*redistest.Server{{c.Nodes[0], c.Nodes[1]}, {c.Nodes[1], c.Nodes[0]}} {
		listener := way[1].Client()
		if _, err := listener.Do("SUBSCRIBE", "mixed"); err != nil {
			t.Fatal(err)
		}
		way[0].Do("PUBLISH", "mixed", "hello")
		if raw, err := listener.ReadRaw(); string(raw) != "*3\r\n$7\r\nmessage\r\n$5\r\nmixed\r\n$5\r\nhello\r\n" {
			t.Errorf("from port %d to port %d: %q, %v", way[0].Port, way[1].Port, raw, err)
		}
	}
}

// pair makes node b of a cluster the replica of node a.
func pair(t *testing.T, c *redistest.Cluster, a, b int) {
	t.Helper()
	primary, replica := c.Nodes[a], c.Nodes[b]
	if got := replica.Do("CLUSTER", "REPLICATE", myself(t, primary).id); got != "OK" {
		t.Fatalf("CLUSTER REPLICATE: %v", got)
	}
	untilLinked(t, replica, primary)
}

// sameData waits until a replica has what its primary has in a key.
func sameData(t *testing.T, replica, primary *redistest.Server, key string) {
	t.Helper()
	reader := replica.Client()
	if _, err := reader.Do("READONLY"); err != nil {
		t.Fatal(err)
	}
	redistest.Until(t, settle, "the replica has the key", func() error {
		got, err := reader.Do("GET", key)
		if want := primary.Do("GET", key); err != nil || got != want {
			return fmt.Errorf("%v, %v; the primary has %v", got, err, want)
		}
		return nil
	})
}
