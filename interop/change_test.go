package interop

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"redoubt/internal/redistest"
	"redoubt/internal/tools/toolstest"
)

// change runs redoubt cluster.
func change(t *testing.T, args ...string) string {
	t.Helper()
	return mustRun(t, "", redistest.Binary(t), append([]string{"cluster"}, args...)...)
}

// What redis-cli does in TestRedisCLIManagesTheCluster, our tool does too, and hands a
// primary's role over besides.
func TestOurToolChangesTheCluster(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		kinds []redistest.Kind
	}{
		{"of our nodes", nil},
		{"of nodes of both kinds", []redistest.Kind{redistest.Redis, ours()}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := startCluster(t, patience, tc.kinds)
			some := c.Nodes[0].Addr()
			c.Nodes[0].Do("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 7 end)")
			work := startLoad(t, c, 300)
			work.untilMore(300)

			added := start(t, ours(), "--cluster-enabled", "yes", "--cluster-node-timeout", strconv.FormatInt(patience.Milliseconds(), 10),
				"--cluster-allow-replica-migration", "no")
			wantText(t, change(t, "add-node", added.Addr(), some), "[OK] New node added correctly.")
			c.Nodes = append(c.Nodes, added)
			if got := added.Do("FCALL", "f", 0); got != int64(7) {
				t.Errorf("the function says %v", got)
			}
			wantText(t, change(t, "reshard", some, "--cluster-from", "all", "--cluster-to", added.Addr(), "--cluster-slots", "60", "--cluster-yes"),
				"[OK] 60 slots have been moved to "+added.Addr())
			if got := ownedSlots(t, added); got != 60 {
				t.Errorf("the new node has %d slots", got)
			}
			wantText(t, manage(t, "check", some), healthy...)
			wantText(t, change(t, "rebalance", some, "--cluster-weight", added.Addr()+"=0", "--cluster-threshold", "0.1"), "[OK] 60 slots have been moved.")
			wantText(t, manage(t, "check", some), healthy...)
			unharmed(t, work)

			work = startLoad(t, c, 300)
			work.untilMore(100)
			replica := replicaOf(t, c, primaries(t, c)[0])
			wantText(t, change(t, "failover", replica.Addr()), "[OK] "+replica.Addr()+" is the primary; that took ")
			if !myself(t, replica).has("master") {
				t.Error("the replica is no primary")
			}
			nothingLost(t, work.end())
			wantText(t, change(t, "del-node", some, added.Addr()), "has left the cluster.")
			c.Nodes = c.Nodes[:len(c.Nodes)-1]
			agree(t, c)
			if got := added.Info("cluster_known_nodes"); got != "1" {
				t.Errorf("the removed node knows %s nodes", got)
			}
		})
	}
}

var goOn = regexp.MustCompile(`To go on: redoubt (cluster reshard .*)`)

// Ctrl-C ends a reshard with nothing half done, and the line that is printed goes on.
func TestOurToolIsInterrupted(t *testing.T) {
	t.Parallel()
	c := startCluster(t, patience, nil)
	work := startLoad(t, c, 300)
	work.untilMore(100)
	from, to := primaries(t, c)[0], primaries(t, c)[1]
	before := ownedSlots(t, to)
	const slots = 400
	cmd := exec.CommandContext(t.Context(), redistest.Binary(t), "cluster", "reshard", from.Addr(), "--cluster-from", from.Addr(), "--cluster-to", to.Addr(),
		"--cluster-slots", fmt.Sprint(slots), "--cluster-yes")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	redistest.Until(t, settle, "the first slot has moved", func() error {
		if n := ownedSlots(t, to); n == before {
			return fmt.Errorf("%d slots", n)
		}
		return nil
	})
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 130 {
		t.Fatalf("exit status %d, printed:\n%s", got, out.String())
	}
	wantText(t, manage(t, "check", from.Addr()), healthy...)
	line := goOn.FindStringSubmatch(out.String())
	if line == nil {
		t.Fatalf("it does not say how to go on:\n%s", out.String())
	}
	mustRun(t, "", redistest.Binary(t), strings.Fields(line[1])...)
	if got := ownedSlots(t, to); got != before+slots {
		t.Errorf("in the end %d slots have moved", got-before)
	}
	unharmed(t, work)
}

// All nodes of a lab are restarted under writes, and none is lost.
func TestOurToolUpgradesACluster(t *testing.T) {
	t.Parallel()
	oursOnly(t)
	bin, dir, port := redistest.Binary(t), t.TempDir(), toolstest.Ports(t, 6)
	long := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, bin, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	long("lab", "--dir", dir, "--port", fmt.Sprint(port), "--timeout", "2m", "--node-timeout", patience.String())
	defer func() { long("lab", "remove", "--dir", dir, "--timeout", "2m") }()
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	c := &redistest.Cluster{}
	for i := range 6 {
		c.Nodes = append(c.Nodes, &redistest.Server{Kind: redistest.Redoubt, Port: port + i})
	}
	work := startLoad(t, c, 200)
	work.untilMore(100)
	wantText(t, long("cluster", "upgrade", addr, "--lab", dir, "--cluster-yes", "--timeout", "2m"), "Step 9 of 9: ", "[OK] All 6 nodes are restarted, in ")
	nothingLost(t, work.end())
	wantText(t, change(t, "status", addr), "[OK] 6 nodes, all 16384 slots are served, every primary has a replica.")
}

// The source of a slot that is half moved dies, and its replica takes over. fix brings
// the keys of the slot together, wherever that is.
func TestOurToolMendsASlotAfterAFailover(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nodeTimeout, nil)
	from, to := primaries(t, c)[0], primaries(t, c)[1]
	heir := replicaOf(t, c, from)
	open := myself(t, from).first(t)
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
	untilLinked(t, heir, from)
	from.Kill()
	redistest.Until(t, settle, "the replica has taken over and serves", func() error {
		if role, state := heir.Info("role"), heir.Info("cluster_state"); role != "master" || state != "ok" {
			return fmt.Errorf("role %s, state %s", role, state)
		}
		return nil
	})
	wantText(t, change(t, "fix", heir.Addr(), "--cluster-yes"), "[OK] 1 slot has been fixed.")
	wantText(t, manage(t, "check", heir.Addr()), healthy...)
	for i, key := range keys {
		got := mustRun(t, "", redistest.Tool(t, "redis-cli"), "-c", "-p", strconv.Itoa(heir.Port), "GET", key)
		if got != strconv.Itoa(i)+"\n" {
			t.Errorf("GET %s after fix: %q", key, got)
		}
	}
}
