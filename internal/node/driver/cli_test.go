package driver

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
	"redoubt/slots"
)

// TestRedisCliManagesACluster has redis-cli make, reshard and mend a cluster of
// our servers.
func TestRedisCliManagesACluster(t *testing.T) {
	t.Parallel()
	cli := redistest.Tool(t, "redis-cli")
	c := redistest.StartCluster(t, redistest.ClusterConfig{Primaries: 3, Kinds: []redistest.Kind{redistest.Redoubt}})
	first, second := c.Nodes[0], c.Nodes[1]
	manage := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), cli, append([]string{"--cluster"}, args...)...)
		cmd.Stdin = strings.NewReader("yes\nyes\n")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	covered := func() {
		t.Helper()
		c.UntilStable(10 * time.Second)
		if out := manage("check", first.Addr()); !strings.Contains(out, "All 16384 slots covered") || strings.Contains(out, "[ERR]") {
			t.Fatal(out)
		}
	}
	owner := func(key string) *redistest.Server {
		t.Helper()
		for _, s := range c.Nodes {
			if _, err := s.Client().Do("GET", key); err == nil {
				return s
			}
		}
		t.Fatalf("nobody serves %s", key)
		return nil
	}
	// "{265b}" is in slot 0, which the first node has.
	const key = "{265b}"
	if slots.Of([]byte(key)) != 0 {
		t.Fatalf("%s is in slot %d", key, slots.Of([]byte(key)))
	}
	for i := range 25 {
		first.Do("SET", fmt.Sprint(key, i), i)
	}

	idSecond := fmt.Sprint(second.Do("CLUSTER", "MYID"))
	manage("reshard", first.Addr(), "--cluster-from", fmt.Sprint(first.Do("CLUSTER", "MYID")),
		"--cluster-to", idSecond, "--cluster-slots", "2", "--cluster-yes")
	covered()
	for i := range 25 {
		if got := second.Do("GET", fmt.Sprint(key, i)); got != fmt.Sprint(i) {
			t.Fatalf("key %d is %v at its new owner", i, got)
		}
	}
	if n := first.Do("CLUSTER", "COUNTKEYSINSLOT", 0); n != int64(0) {
		t.Fatalf("%v keys are left behind", n)
	}

	// A move that was broken off in the middle.
	first.Do("CLUSTER", "SETSLOT", 0, "IMPORTING", idSecond)
	second.Do("CLUSTER", "SETSLOT", 0, "MIGRATING", fmt.Sprint(first.Do("CLUSTER", "MYID")))
	second.Do("MIGRATE", "127.0.0.1", first.Port, "", 0, 1000, "KEYS", key+"3", key+"4")
	if _, err := second.Client().Do("GET", key+"3"); err == nil || err.Error() != fmt.Sprintf("ASK 0 127.0.0.1:%d", first.Port) {
		t.Fatalf("a key that has gone: %v", err)
	}
	manage("fix", first.Addr())
	covered()
	for i := range 25 {
		k := fmt.Sprint(key, i)
		if got := owner(k).Do("GET", k); got != fmt.Sprint(i) {
			t.Fatalf("key %d is %v", i, got)
		}
	}

	// A slot that everybody forgot; redis-cli mends it within MULTI.
	for _, s := range c.Nodes {
		s.Do("CLUSTER", "DELSLOTS", 0)
	}
	manage("fix", first.Addr())
	covered()
	if got := owner(key+"7").Do("GET", key+"7"); got != "7" {
		t.Fatalf("key 7 is %v", got)
	}
}
