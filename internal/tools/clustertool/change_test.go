package clustertool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"redoubt/internal/tools/check"
	"redoubt/internal/tools/client"
	"redoubt/internal/tools/clustertool"
	"redoubt/internal/tools/toolstest"
)

// bench is a cluster of real redis-server nodes with a password, and a tool for it.
type bench struct {
	t     *testing.T
	bin   string
	ports int // the next free one
	addrs []string
}

// clusterOf makes a cluster, and leaves room for more nodes.
func clusterOf(t *testing.T, nodes, replicas, spare int) *bench {
	b := &bench{t: t, bin: toolstest.Server(t)}
	b.ports = toolstest.Ports(t, nodes+spare)
	for range nodes {
		b.addrs = append(b.addrs, b.serve())
	}
	b.must("create", func(tool *clustertool.Tool) error { return tool.Create(b.addrs, replicas) })
	return b
}

// serve runs one more node. The node timeout is long: nothing here waits for it, and a
// machine that stands still makes nobody fail.
func (b *bench) serve() string {
	b.ports++
	return serve(b.t, b.bin, b.ports-1, "--cluster-enabled", "yes", "--cluster-node-timeout", "60000", "--requirepass", password,
		"--masterauth", password, "--cluster-allow-replica-migration", "no")
}

// run has a tool that is sure do something and returns what it printed.
func (b *bench) run(f func(*clustertool.Tool) error) (string, error) {
	var out bytes.Buffer
	err := f(&clustertool.Tool{Out: &out, Client: patient, Timeout: 2 * time.Minute, Sure: true})
	return out.String(), err
}

// must fails the test unless f succeeds, and prints each of the wants.
func (b *bench) must(name string, f func(*clustertool.Tool) error, wants ...string) {
	b.t.Helper()
	out, err := b.run(f)
	if err != nil {
		b.t.Fatalf("%s: %v, printed:\n%s", name, err, out)
	}
	b.printed(name, out, wants)
}

// refused fails the test unless f fails, and prints each of the wants.
func (b *bench) refused(name string, f func(*clustertool.Tool) error, wants ...string) {
	b.t.Helper()
	out, err := b.run(f)
	if !errors.Is(err, clustertool.ErrFailed) {
		b.t.Fatalf("%s: error %v, printed:\n%s", name, err, out)
	}
	b.printed(name, out, wants)
}

func (b *bench) printed(name, out string, wants []string) {
	b.t.Helper()
	for _, want := range wants {
		if !strings.Contains(out, want) {
			b.t.Fatalf("%s: %q is not in what was printed:\n%s", name, want, out)
		}
	}
}

func (b *bench) id(addr string) string { return do(b.t, addr, "CLUSTER", "MYID") }

// well fails the test unless a check finds nothing.
func (b *bench) well() {
	b.t.Helper()
	b.must("check", func(tool *clustertool.Tool) error { return tool.Check(b.addrs[0], true) }, "[OK] No multiple owners found.")
}

// load writes to all slots until the function that it returns is called, which fails
// the test if an acknowledged write is gone.
func (b *bench) load() (end func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	var report *check.Report
	var err error
	go func() {
		defer close(done)
		report, err = check.Run(ctx, check.Config{
			Client: patient, Seeds: b.addrs, Keys: 2048, Rate: 500, Verify: time.Minute, Progress: io.Discard,
		})
	}()
	return func() {
		b.t.Helper()
		cancel()
		<-done
		if err != nil || !report.Good() || report.Writes.Errors() > 0 {
			b.t.Errorf("the load: %v; %+v", err, report)
		}
	}
}

func (b *bench) slotsOf(addr string) string {
	b.t.Helper()
	for line := range strings.Lines(do(b.t, addr, "CLUSTER", "NODES")) {
		if f := strings.Fields(line); strings.Contains(f[2], "myself") {
			return strings.Join(f[8:], ",")
		}
	}
	return ""
}

// A node joins, gets slots, is emptied and leaves, under writes.
func TestAClusterGrowsAndShrinks(t *testing.T) {
	b := clusterOf(t, 3, 0, 2)
	first := b.addrs[0]
	do(t, first, "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")
	end := b.load()

	added := b.serve()
	b.must("a plan of add-node", func(tool *clustertool.Tool) error {
		tool.Plan = true
		return tool.AddNode(added, first, clustertool.AddNodeOptions{})
	}, "nothing has been changed")
	if known := do(t, added, "CLUSTER", "INFO"); !strings.Contains(known, "cluster_known_nodes:1\r") {
		t.Fatalf("a plan has added the node:\n%s", known)
	}
	b.must("add-node", func(tool *clustertool.Tool) error { return tool.AddNode(added, first, clustertool.AddNodeOptions{}) },
		">>> Send FUNCTION RESTORE to "+added, "[OK] New node added correctly.")
	if got := do(t, added, "FCALL", "f", "0"); got != "1" {
		t.Errorf("the function says %q", got)
	}
	b.must("add-node once more", func(tool *clustertool.Tool) error { return tool.AddNode(added, first, clustertool.AddNodeOptions{}) },
		"knows the cluster already", "[OK] New node added correctly.")
	replica := b.serve()
	b.must("add-node of a replica", func(tool *clustertool.Tool) error {
		return tool.AddNode(replica, first, clustertool.AddNodeOptions{Replica: true, Primary: added})
	}, ">>> Configure node as replica of "+added, "[OK] New node added correctly.")

	reshard := clustertool.ReshardOptions{From: "all", To: b.id(added), Slots: 50}
	b.must("a plan of reshard", func(tool *clustertool.Tool) error {
		tool.Plan = true
		return tool.Reshard(first, reshard)
	}, "Ready to move 50 slots.", "from "+first+" to "+added+": 0-16", "nothing has been changed")
	b.must("reshard", func(tool *clustertool.Tool) error { return tool.Reshard(first, reshard) }, "Moved 50 of 50 slots with ", "[OK] 50 slots have been moved to "+added)
	if got := b.slotsOf(added); got != "0-16,5461-5477,10923-10938" {
		t.Errorf("the new node has the slots %s", got)
	}
	b.well()
	b.refused("a node with slots cannot leave", func(tool *clustertool.Tool) error { return tool.DelNode(first, b.id(added)) }, "is not empty! Reshard data away and try again.")

	weight := clustertool.RebalanceOptions{Weights: []string{b.id(added)[:12] + "=0"}, Threshold: 0.1}
	b.must("rebalance", func(tool *clustertool.Tool) error { return tool.Rebalance(first, weight) }, ">>> Rebalancing across 4 nodes. Total weight = 3.00", "[OK] 50 slots have been moved.")
	b.must("rebalance once more", func(tool *clustertool.Tool) error { return tool.Rebalance(first, weight) }, "*** No rebalancing needed! All nodes are within the 0.10% threshold.")
	b.well()

	b.must("a plan of del-node", func(tool *clustertool.Tool) error {
		tool.Plan = true
		return tool.DelNode(first, added)
	}, replica+" as replica of ", "nothing has been changed")
	end()
	b.must("del-node", func(tool *clustertool.Tool) error { return tool.DelNode(first, added) }, replica+" as replica of ", "has left the cluster.")
	if known := do(t, added, "CLUSTER", "INFO"); !strings.Contains(known, "cluster_known_nodes:1\r") {
		t.Errorf("the node that left says:\n%s", known)
	}
	b.must("del-node of a replica", func(tool *clustertool.Tool) error { return tool.DelNode(first, b.id(replica)[:10]) }, "has left the cluster.")
	b.well()

	// All others have been told to forget it a moment ago.
	b.must("add-node of a node that left", func(tool *clustertool.Tool) error {
		return tool.AddNode(added, first, clustertool.AddNodeOptions{Replica: true})
	}, "Automatically selected master ", "[OK] New node added correctly.")
	shutdown(t, added)
	b.must("del-node of a node that is down", func(tool *clustertool.Tool) error { return tool.DelNode(first, added) }, "which does not answer", "has left the cluster.")
	if nodes := do(t, b.addrs[2], "CLUSTER", "NODES"); strings.Contains(nodes, added) {
		t.Errorf("it is known still:\n%s", nodes)
	}
	b.refused("del-node of a stranger", func(tool *clustertool.Tool) error { return tool.DelNode(first, added) }, "No such node ID "+added)
}

// shutdown ends a node.
func shutdown(t *testing.T, addr string) {
	t.Helper()
	conn, err := client.Dial(addr, patient)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = conn.Do("SHUTDOWN", "NOSAVE", "FORCE") // which is not answered
	err = client.Wait(time.Minute, func() error {
		if c, err := client.Dial(addr, patient); err == nil {
			c.Close()
			return fmt.Errorf("%s still answers", addr)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An interrupt ends a reshard after the slot that is on its way, a second one within
// it. What is printed as the way to go on is true.
func TestAnInterruptedReshard(t *testing.T) {
	b := clusterOf(t, 3, 0, 0)
	first, to := b.addrs[0], b.addrs[1]
	conn, err := client.Dial(first, patient)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// All keys are in one slot: 0.
	var cmds [][]string
	for i := range 500 {
		cmds = append(cmds, []string{"SET", fmt.Sprintf("{%s}%d", tagOfSlot0, i), "v"})
	}
	if _, err := conn.Pipeline(cmds...); err != nil {
		t.Fatal(err)
	}
	if got := do(t, first, "CLUSTER", "COUNTKEYSINSLOT", "0"); got != "500" {
		t.Fatalf("slot 0 has %s keys", got)
	}
	o := clustertool.ReshardOptions{From: first, To: to, Slots: 3, Move: clustertool.MoveOptions{Pipeline: 1}}

	// Twice, while the keys of slot 0 move: it stays open.
	out := interrupted(t, b, o, 2)
	b.printed("an interrupt within a slot", out, []string{"Slot 0 is left half moved from " + first + " to " + to, "--cluster-slots 3 --cluster-yes"})
	b.refused("check finds the slot", func(tool *clustertool.Tool) error { return tool.Check(first, false) }, "The following slots are open: 0.")

	// Once: the slot is finished.
	out = interrupted(t, b, o, 1)
	b.printed("an interrupt", out, []string{"Slot 0 is half moved from " + first + " to " + to + ": that will be finished first.",
		"Interrupted: slot 0 is finished first.", "Moved 1 of 3 slots", "--cluster-slots 2 --cluster-yes"})
	b.well()

	o.Slots = 2
	b.must("the rest", func(tool *clustertool.Tool) error { return tool.Reshard(first, o) }, "Moved 2 of 2 slots")
	if got := b.slotsOf(to); got != "0-2,5461-10922" {
		t.Errorf("the target has %s", got)
	}
	if got := do(t, to, "CLUSTER", "COUNTKEYSINSLOT", "0"); got != "500" {
		t.Errorf("slot 0 has %s keys", got)
	}
	b.well()
}

// tagOfSlot0 is a hash tag of slot 0.
const tagOfSlot0 = "3560"

// interrupted runs a reshard that is interrupted as often as times once the first key
// of slot 0 is at the target.
func interrupted(t *testing.T, b *bench, o clustertool.ReshardOptions, times int) string {
	t.Helper()
	stop := &clustertool.Interrupt{}
	over := make(chan struct{})
	watched := make(chan struct{})
	before := do(t, o.To, "CLUSTER", "COUNTKEYSINSLOT", "0")
	go func() {
		defer close(watched)
		conn, err := client.Dial(o.To, patient)
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			select {
			case <-over:
				return
			default:
			}
			if v, err := conn.Do("CLUSTER", "COUNTKEYSINSLOT", "0"); err != nil || v.String() != before {
				for range times {
					stop.Ask()
				}
				return
			}
		}
	}()
	out, err := b.run(func(tool *clustertool.Tool) error {
		tool.Interrupt = stop
		return tool.Reshard(b.addrs[0], o)
	})
	close(over)
	<-watched
	if !errors.Is(err, clustertool.ErrInterrupted) {
		t.Fatalf("error %v, printed:\n%s", err, out)
	}
	return out
}

func TestFixOnRealRedis(t *testing.T) {
	b := clusterOf(t, 3, 0, 0)
	a, c := b.addrs[0], b.addrs[1]
	for i := range 20 {
		do(t, a, "SET", fmt.Sprintf("{%s}%d", tagOfSlot0, i), "v")
	}
	b.must("a cluster that is well", func(tool *clustertool.Tool) error { return tool.Fix(a, clustertool.FixOptions{}) }, "[OK] There is nothing to fix.")
	// Slot 0 is half moved, slot 1 is marked on one side only, slot 2 has no owner, of
	// slot 3 the target has keys that the owner knows nothing of.
	do(t, c, "CLUSTER", "SETSLOT", "0", "IMPORTING", b.id(a))
	do(t, a, "CLUSTER", "SETSLOT", "0", "MIGRATING", b.id(c))
	host, port, _ := net.SplitHostPort(c)
	for i := range 10 {
		do(t, a, "MIGRATE", host, port, fmt.Sprintf("{%s}%d", tagOfSlot0, i), "0", "5000", "AUTH", password)
	}
	do(t, a, "CLUSTER", "SETSLOT", "1", "MIGRATING", b.id(c))
	for _, addr := range b.addrs {
		do(t, addr, "CLUSTER", "DELSLOTS", "2")
	}
	b.refused("check", func(tool *clustertool.Tool) error { return tool.Check(a, false) })
	b.must("a plan of fix", func(tool *clustertool.Tool) error {
		tool.Plan = true
		return tool.Fix(a, clustertool.FixOptions{})
	}, "slots 0: finish the move from "+a+" to "+c, "slots 1: close on "+a, "slots 2: "+a+" becomes the owner", "nothing has been changed")
	b.must("fix", func(tool *clustertool.Tool) error { return tool.Fix(a, clustertool.FixOptions{}) }, "[OK] 3 slots have been fixed.")
	b.well()
	if got := do(t, c, "CLUSTER", "COUNTKEYSINSLOT", "0"); got != "20" {
		t.Errorf("slot 0 has %s keys at its new owner", got)
	}
	// A node that imports a slot from one that does not own it, as after a failover, and
	// has keys.
	do(t, a, "CLUSTER", "SETSLOT", "0", "IMPORTING", b.id(b.addrs[2]))
	askingSet(t, a, fmt.Sprintf("{%s}new", tagOfSlot0))
	b.must("fix of keys elsewhere", func(tool *clustertool.Tool) error { return tool.Fix(a, clustertool.FixOptions{}) },
		"slots 0: move keys from "+a+" to the owner, "+c)
	if got := do(t, c, "GET", fmt.Sprintf("{%s}new", tagOfSlot0)); got != "v" {
		t.Errorf("the key is %q", got)
	}
	b.well()
}

// The slots of a primary that is down and has no replica are given away only if the user
// says so.
func TestFixWithoutAPrimary(t *testing.T) {
	b := clusterOf(t, 3, 0, 1)
	first, lost := b.addrs[0], b.serve()
	b.must("add-node", func(tool *clustertool.Tool) error { return tool.AddNode(lost, first, clustertool.AddNodeOptions{}) })
	b.must("reshard", func(tool *clustertool.Tool) error {
		return tool.Reshard(first, clustertool.ReshardOptions{From: first, To: lost, Slots: 9})
	})
	shutdown(t, lost)
	b.refused("fix", func(tool *clustertool.Tool) error { return tool.Fix(first, clustertool.FixOptions{}) },
		lost+", a primary with the slots 0-8, does not answer.", "would give 9 of its slots to other nodes")
	b.must("fix with unreachable primaries", func(tool *clustertool.Tool) error {
		return tool.Fix(first, clustertool.FixOptions{WithUnreachable: true})
	}, "slots 0-8: "+first+" becomes the owner", "[OK] 9 slots have been fixed.")
	b.well()
}

// askingSet writes a key to a node that imports its slot.
func askingSet(t *testing.T, addr, key string) {
	t.Helper()
	conn, err := client.Dial(addr, patient)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	vs, err := conn.Pipeline([]string{"ASKING"}, []string{"SET", key, "v"})
	if err != nil || vs[1].String() != "OK" {
		t.Fatalf("%v %v", vs, err)
	}
}

func TestFailoverOnRealRedis(t *testing.T) {
	b := clusterOf(t, 6, 1, 0)
	b.refused("of a primary", func(tool *clustertool.Tool) error { return tool.Failover(b.addrs[0], clustertool.HandOver) },
		b.addrs[0]+" is a primary already. Its replicas are ")
	replica := b.addrs[3]
	b.must("a plan of failover", func(tool *clustertool.Tool) error {
		tool.Plan = true
		return tool.Failover(replica, clustertool.HandOver)
	}, ">>> "+replica+" is to take over from ", "nothing has been changed")
	for _, mode := range []clustertool.FailoverMode{clustertool.HandOver, clustertool.Force, clustertool.TakeOver} {
		var old string
		for line := range strings.Lines(do(t, replica, "INFO", "replication")) {
			if v, ok := strings.CutPrefix(line, "master_port:"); ok {
				old = net.JoinHostPort("127.0.0.1", strings.TrimSpace(v))
			}
		}
		b.must("failover "+string(mode), func(tool *clustertool.Tool) error { return tool.Failover(replica, mode) }, "[OK] "+replica+" is the primary; that took ")
		replica = old
	}
	b.well()
}
