package interop

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

// healthy is what redis-cli --cluster check says of a cluster without faults.
var healthy = []string{"[OK] All nodes agree about slots configuration.", "[OK] All 16384 slots covered."}

// redis-cli made the cluster (see redistest.StartCluster); here it changes it,
// with clients at work.
func TestRedisCLIManagesTheCluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t, patience, nil)
	some := c.Nodes[0].Addr()
	wantText(t, manage(t, "check", some), healthy...)
	wantText(t, manage(t, "info", some), "[OK] 0 keys in 3 masters.", "5461 slots | 1 slaves.")
	wantText(t, manage(t, "call", some, "PING"), some+": PONG")
	manage(t, "set-timeout", some, "20001")
	if got := fmt.Sprint(c.Nodes[5].Do("CONFIG", "GET", "cluster-node-timeout")); got != "[cluster-node-timeout 20001]" {
		t.Errorf("after set-timeout: %s", got)
	}

	work := startLoad(t, c, 300)
	work.untilMore(300)
	added := join(t, c)
	id := myself(t, added).id

	// 150 slots to the new node, and back again by rebalance.
	manage(t, "reshard", some, "--cluster-from", "all", "--cluster-to", id, "--cluster-slots", "150", "--cluster-yes")
	c.UntilStable(settle)
	if got := ownedSlots(t, added); got < 149 || got > 153 {
		t.Errorf("the new node has %d slots after reshard, not about 150", got)
	}
	wantText(t, manage(t, "check", some), healthy...)
	manage(t, "rebalance", some, "--cluster-weight", id+"=0", "--cluster-threshold", "1")
	c.UntilStable(settle)
	wantText(t, manage(t, "check", some), healthy...)
	if myself(t, added).has("master") {
		if got := ownedSlots(t, added); got != 0 {
			t.Errorf("the new node has %d slots after rebalance", got)
		}
	}
	unharmed(t, work)
	// A client that has not noticed the moves yet would meet a node that serves
	// nothing, so there is no load at this moment.
	leave(t, c, added)

	work = startLoad(t, c, 300)
	added = join(t, c, "--cluster-slave", "--cluster-master-id", myself(t, c.Nodes[1]).id)
	untilLinkUp(t, added)
	leave(t, c, added)

	agree(t, c)
	unharmed(t, work)
}

// unharmed ends a load and fails the test if one of its commands failed or a
// write was lost.
func unharmed(t *testing.T, work *load) {
	t.Helper()
	r := work.end()
	nothingLost(t, r)
	if n := r.Reads.Errors() + r.Writes.Errors(); n > 0 {
		t.Errorf("%d commands failed: %v", n, r.ErrorCodes)
	}
}

// join starts a node and has redis-cli add it.
func join(t *testing.T, c *redistest.Cluster, how ...string) *redistest.Server {
	t.Helper()
	s := start(t, ours(), "--cluster-enabled", "yes", "--cluster-node-timeout", strconv.FormatInt(patience.Milliseconds(), 10))
	out := manage(t, append([]string{"add-node", s.Addr(), c.Nodes[0].Addr()}, how...)...)
	wantText(t, out, "[OK] New node added correctly.")
	c.Nodes = append(c.Nodes, s)
	c.UntilStable(settle)
	return s
}

// leave has redis-cli remove the node that was added last.
func leave(t *testing.T, c *redistest.Cluster, s *redistest.Server) {
	t.Helper()
	manage(t, "del-node", c.Nodes[0].Addr(), myself(t, s).id)
	c.Nodes = c.Nodes[:len(c.Nodes)-1]
	c.UntilStable(settle)
	if got := s.Info("cluster_known_nodes"); got != "1" {
		t.Errorf("the removed node knows %s nodes", got)
	}
}

func untilLinkUp(t *testing.T, s *redistest.Server) {
	t.Helper()
	redistest.Until(t, settle, "the new replica is in step", func() error {
		if role, link := s.Info("role"), s.Info("master_link_status"); role != "slave" || link != "up" {
			return fmt.Errorf("role %s, link %s", role, link)
		}
		return nil
	})
}

// ownedSlots counts the slots of a node.
func ownedSlots(t *testing.T, s *redistest.Server) int {
	t.Helper()
	return counted(myself(t, s).slots)
}

func TestRedisCLIMendsOpenAndUncoveredSlots(t *testing.T) {
	t.Parallel()
	c := startCluster(t, patience, nil)
	some := c.Nodes[0].Addr()
	from, to := primaries(t, c)[0], primaries(t, c)[1]
	open := myself(t, from).first(t)

	// A migration that was interrupted half way.
	keys := make([]string, 20)
	for i := range keys {
		keys[i] = keyIn(open, fmt.Sprintf("open:%d:", i))
		from.Do("SET", keys[i], i)
	}
	to.Do("CLUSTER", "SETSLOT", int(open), "IMPORTING", myself(t, from).id)
	from.Do("CLUSTER", "SETSLOT", int(open), "MIGRATING", myself(t, to).id)
	for _, key := range keys[:10] {
		if got := from.Do("MIGRATE", "127.0.0.1", to.Port, key, 0, 5000); got != "OK" {
			t.Fatalf("MIGRATE: %v", got)
		}
	}
	broken(t, some, "[WARNING] The following slots are open")
	manage(t, "fix", some)
	wantText(t, manage(t, "check", some), healthy...)

	// A slot that nobody has. redis-cli asks before it gives one away.
	for _, s := range c.Nodes {
		s.Do("CLUSTER", "DELSLOTS", int(open)+1)
	}
	broken(t, some, "[ERR] Not all 16384 slots are covered by nodes.")
	cli := redistest.Tool(t, "redis-cli")
	mustRun(t, "yes\n", cli, "--cluster", "fix", some)
	c.UntilStable(settle)
	agree(t, c)
	wantText(t, manage(t, "check", some), healthy...)
	for i, key := range keys {
		got := mustRun(t, "", cli, "-c", "-p", strconv.Itoa(c.Nodes[2].Port), "GET", key)
		if got != strconv.Itoa(i)+"\n" {
			t.Errorf("GET %s after fix: %q", key, got)
		}
	}
}

// broken fails the test unless redis-cli --cluster check finds the fault.
func broken(t *testing.T, addr, fault string) {
	t.Helper()
	out, err := run(t, "", redistest.Tool(t, "redis-cli"), "--cluster", "check", addr)
	if err == nil {
		t.Errorf("check passes:\n%s", out)
	}
	wantText(t, out, fault)
}

func TestRedisCLIImportsAndBacksUp(t *testing.T) {
	t.Parallel()
	c := startCluster(t, patience, nil)
	source := start(t, redistest.Redis)
	for i := range 200 {
		source.Do("SET", fmt.Sprintf("imported:%d", i), i)
	}
	manage(t, "import", c.Nodes[0].Addr(), "--cluster-from", source.Addr(), "--cluster-copy")
	sum := 0
	for _, s := range primaries(t, c) {
		sum += int(s.Do("DBSIZE").(int64))
	}
	if sum != 200 {
		t.Errorf("%d keys were imported, want 200", sum)
	}
	dir := t.TempDir()
	wantText(t, manage(t, "backup", c.Nodes[0].Addr(), dir), "[OK] Backup created into: "+dir)
}

// The tool of ours makes the same clusters, of nodes of either kind.
func TestOurToolMakesClusters(t *testing.T) {
	t.Parallel()
	for _, kind := range []redistest.Kind{redistest.Redis, redistest.Redoubt} {
		t.Run("of six "+kind.String()+" nodes", func(t *testing.T) {
			c := &redistest.Cluster{}
			var addrs []string
			for range 6 {
				s := start(t, kind, "--cluster-enabled", "yes", "--cluster-node-timeout", strconv.FormatInt(patience.Milliseconds(), 10))
				c.Nodes = append(c.Nodes, s)
				addrs = append(addrs, s.Addr())
			}
			tool := redistest.Binary(t)
			args := append([]string{"cluster", "create", "--cluster-replicas", "1", "--cluster-yes"}, addrs...)
			mustRun(t, "", tool, args...)
			agree(t, c)
			if n := len(primaries(t, c)); n != 3 {
				t.Errorf("there are %d primaries", n)
			}
			wantText(t, manage(t, "check", addrs[4]), healthy...)
			mustRun(t, "", tool, "cluster", "check", addrs[2])
			wantText(t, mustRun(t, "", tool, "cluster", "info", addrs[2]), "3 masters")
			for _, s := range c.Nodes {
				if m := myself(t, s); m.primary != "-" {
					untilLinkUp(t, s)
				}
			}
		})
	}
}

// counted is how many slots the end of a line of CLUSTER NODES has.
func counted(ranges string) (n int) {
	for _, field := range strings.Fields(ranges) {
		var from, to int
		if k, _ := fmt.Sscanf(field, "%d-%d", &from, &to); k == 1 {
			to = from
		}
		n += to - from + 1
	}
	return n
}
