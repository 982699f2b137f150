package clustertool_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"redoubt/internal/tools/client"
	"redoubt/internal/tools/clustertool"
	"redoubt/internal/tools/toolstest"
)

const password = "secret"

// patient waits for nodes of a machine that has much else to do.
var patient = client.Options{Pass: password, Timeout: 30 * time.Second}

// serve runs redis-server with the given options until the test ends and
// returns its address.
func serve(t *testing.T, bin string, port int, options ...string) string {
	t.Helper()
	args := append([]string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", t.TempDir()}, options...)
	cmd := exec.Command(bin, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	addr := net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
	err := client.Wait(time.Minute, func() error {
		c, err := client.Dial(addr, client.Options{})
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// do sends one command to a node.
func do(t *testing.T, addr string, args ...string) string {
	t.Helper()
	c, err := client.Dial(addr, patient)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	v, err := c.Do(args...)
	if err != nil {
		t.Fatalf("%s: %v: %v", addr, args, err)
	}
	return v.String()
}

// TestOnRealRedis makes a cluster of real nodes with a password, and lets
// every command look at it.
func TestOnRealRedis(t *testing.T) {
	bin := toolstest.Server(t)
	first := toolstest.Ports(t, 8)
	var addrs []string
	for i := range 6 {
		addrs = append(addrs, serve(t, bin, first+i, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--requirepass", password, "--masterauth", password))
	}
	plain := serve(t, bin, first+6, "--requirepass", password)
	nobody := net.JoinHostPort("127.0.0.1", fmt.Sprint(first+7))

	// run calls f with a fresh tool; what it prints must hold every want.
	run := func(name string, fails bool, f func(*clustertool.Tool) error, wants ...string) {
		t.Helper()
		var out bytes.Buffer
		err := f(&clustertool.Tool{Out: &out, Client: client.Options{Pass: password}, Timeout: 20 * time.Second})
		if err != nil && !errors.Is(err, clustertool.ErrFailed) || fails != (err != nil) {
			t.Fatalf("%s: error %v, printed:\n%s", name, err, out.String())
		}
		for _, want := range wants {
			if !strings.Contains(out.String(), want) {
				t.Fatalf("%s: %q is not in what was printed:\n%s", name, want, out.String())
			}
		}
	}
	create := func(sure bool, addrs ...string) func(*clustertool.Tool) error {
		return func(tool *clustertool.Tool) error {
			tool.Sure = sure
			return tool.Create(addrs, 1)
		}
	}
	check := func(addr string, owners bool) func(*clustertool.Tool) error {
		return func(tool *clustertool.Tool) error { return tool.Check(addr, owners) }
	}

	run("too few nodes are refused", true, create(true, addrs[:5]...), "*** At least 6 nodes are required.")
	run("a node that is no cluster node is refused", true, create(true, addrs[0], plain, addrs[1], addrs[2], addrs[3], addrs[4]), "[ERR] Node "+plain+" is not configured as a cluster node.")
	run("a node named twice is refused", true, create(true, addrs[0], addrs[0], addrs[1], addrs[2], addrs[3], addrs[4]), "is the same node as")
	run("a node that cannot be reached is refused", true, create(true, addrs[0], nobody, addrs[1], addrs[2], addrs[3], addrs[4]), "Could not connect to Redis at "+nobody)
	run("an address without a port is refused", true, create(true, "127.0.0.1", addrs[0], addrs[1], addrs[2], addrs[3], addrs[4]), "Invalid address format: 127.0.0.1")
	do(t, addrs[1], "CLUSTER", "ADDSLOTS", fmt.Sprint(12182)) // the slot of foo
	do(t, addrs[1], "CONFIG", "SET", "cluster-require-full-coverage", "no")
	run("a wrong password is refused", true, func(tool *clustertool.Tool) error {
		tool.Client.Pass = "wrong"
		return tool.Check(addrs[0], false)
	}, "WRONGPASS")
	run("a lone node does not cover the slots", true, check(addrs[1], false), "[ERR] Not all 16384 slots are covered by nodes.")
	do(t, addrs[1], "CLUSTER", "DELSLOTS", fmt.Sprint(12182))
	do(t, addrs[1], "CLUSTER", "RESET")

	run("one address is too few", true, create(true, nobody), "*** This is not possible with 1 nodes and 1 replicas per node.\n")
	run("without an answer nothing is changed", true, create(false, addrs...), "Can I set the above configuration? (type 'yes' to accept): Nothing has been changed: the answer was not yes.\n")
	run("whoever wants no replicas is told what that means", true, func(tool *clustertool.Tool) error {
		tool.In = strings.NewReader("no\n")
		return tool.Create(addrs[:3], 0)
	}, "[WARNING] No primary gets a replica: ", "Nothing has been changed")
	run("a cluster is made", false, create(true, addrs...),
		">>> Performing hash slots allocation on 6 nodes...",
		"Master[0] -> Slots 0 - 5460\n",
		"[WARNING] Some slaves are in the same host as their master",
		"M: "+do(t, addrs[0], "CLUSTER", "MYID")+" "+addrs[0]+"\n   slots:[0-5460] (5461 slots) master\n",
		"   1 additional replica(s)\n",
		"   slots: (0 slots) slave\n   replicates ",
		"[OK] All nodes agree about slots configuration.\n",
		"[OK] All 16384 slots covered.\n",
	)
	status := func(want clustertool.Health) func(*clustertool.Tool) error {
		return func(tool *clustertool.Tool) error {
			got, err := tool.Status(addrs[4])
			if got != want {
				t.Errorf("the health is %d, want %d", got, want)
			}
			return err
		}
	}
	run("a cluster that was just made is healthy", false, status(clustertool.Healthy),
		"ADDRESS ", addrs[0]+"  primary  0-5460 ", addrs[5]+"  replica  -  ",
		"[OK] 6 nodes, all 16384 slots are served, every primary has a replica.\n")
	for _, addr := range addrs {
		if info := do(t, addr, "CLUSTER", "INFO"); !strings.Contains(info, "cluster_state:ok") {
			t.Fatalf("%s is not ready when create returns:\n%s", addr, info)
		}
	}
	run("a node of a cluster is refused", true, create(true, addrs...), "[ERR] Node "+addrs[0]+" is not empty. Either the node already knows other nodes (check with CLUSTER NODES) or contains some key in database 0.")
	run("check may ask a replica", false, check(addrs[5], true), ">>> Performing Cluster Check (using node "+addrs[5]+")\n", "[OK] No multiple owners found.\n")

	do(t, addrs[2], "SET", "foo", "bar") // slot 12182
	run("info counts keys", false, func(tool *clustertool.Tool) error { return tool.Info(addrs[0]) },
		"-> 1 keys | 5461 slots | 1 slaves.\n", "[OK] 1 keys in 3 masters.\n", "0.00 keys per slot on average.\n")
	run("call reaches every node", false, func(tool *clustertool.Tool) error {
		return tool.Call(addrs[0], clustertool.AllNodes, []string{"cluster", "countkeysinslot", "12182"})
	}, ">>> Calling cluster countkeysinslot 12182\n", addrs[2]+": 1\n", addrs[0]+": 0\n", addrs[5]+": ")
	run("call prints error replies", false, func(tool *clustertool.Tool) error {
		return tool.Call(addrs[0], clustertool.OnlyReplicas, []string{"nonsense"})
	}, addrs[3]+": ERR unknown command")

	do(t, addrs[0], "CLUSTER", "SETSLOT", "5", "MIGRATING", do(t, addrs[1], "CLUSTER", "MYID"))
	run("an open slot is found", true, check(addrs[0], false), "[WARNING] Node "+addrs[0]+" has slots in migrating state 5.\n", "[WARNING] The following slots are open: 5.\n")
	run("the status names it", false, status(clustertool.Degraded), "[WARNING] slot 5 is open: "+addrs[0]+" is migrating it to "+addrs[1]+"\n")
	do(t, addrs[0], "CLUSTER", "SETSLOT", "5", "STABLE")
	// An owner of its own opinion: the slot is given away without a word to
	// the others, and at an epoch that does not prevail.
	do(t, addrs[0], "CLUSTER", "DELSLOTS", "5")
	run("a node of another opinion is named", true, check(addrs[1], false), "[ERR] Nodes don't agree about configuration!\n", addrs[0]+" disagrees with "+addrs[1]+": it sees "+addrs[0]+" with slots [0-4],[6-5460] where slots [0-5460] are expected\n", "[ERR] Not all 16384 slots are covered by nodes.\n",
		"    slots [5] belong to "+addrs[0]+", which is not there\n")
	run("the status says what is served", false, status(clustertool.Down), "[ERR] slots 5 have no owner\n", addrs[1]+" disagrees about the slots: ")
	run("a status of nobody", true, func(tool *clustertool.Tool) error {
		health, err := tool.Status(nobody)
		if health != clustertool.Down {
			t.Errorf("the health is %d", health)
		}
		return err
	}, "[ERR] "+nobody+" cannot be asked: connection refused\n")
}

func TestAWaitInVainSaysWhatItWaitedFor(t *testing.T) {
	bin := toolstest.Server(t)
	first := toolstest.Ports(t, 3)
	var addrs []string
	for i := range 3 {
		// The first node tells the others a bus port that is not its own, so
		// the second and third cannot join.
		var options []string
		if i == 0 {
			options = []string{"--cluster-announce-bus-port", "1"}
		}
		addrs = append(addrs, serve(t, bin, first+i, append(options, "--cluster-enabled", "yes", "--requirepass", password)...))
	}
	var out bytes.Buffer
	tool := &clustertool.Tool{Out: &out, Client: client.Options{Pass: password}, Timeout: 300 * time.Millisecond, Sure: true}
	if err := tool.Create(addrs, 0); !errors.Is(err, clustertool.ErrFailed) {
		t.Fatalf("error %v", err)
	}
	want := "gave up after 300ms: node " + addrs[0] + " does not know " + addrs[1] + " yet"
	if !strings.Contains(out.String(), want) {
		t.Fatalf("%q is not in what was printed:\n%s", want, out.String())
	}
}

// hooked calls then once, when what was printed holds mark.
type hooked struct {
	bytes.Buffer
	mark string
	then func()
}

func (h *hooked) Write(b []byte) (int, error) {
	n, err := h.Buffer.Write(b)
	if f := h.then; f != nil && strings.Contains(h.String(), h.mark) {
		h.then = nil
		f()
	}
	return n, err
}

// A node that stands still for longer than the node timeout gives its handshakes up while
// the others complete theirs: they know it, and it takes nothing from them.
func TestNodesWhoseHandshakeIsLostAreIntroducedAgain(t *testing.T) {
	bin := toolstest.Server(t)
	first := toolstest.Ports(t, 3)
	var addrs []string
	for i := range 3 {
		addrs = append(addrs, serve(t, bin, first+i, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--requirepass", password))
	}
	out := &hooked{mark: "Waiting for the cluster to join"}
	out.then = func() {
		for _, other := range addrs[1:] {
			id := do(t, other, "CLUSTER", "MYID")
			err := client.Wait(time.Minute, func() error {
				nodes := do(t, addrs[0], "CLUSTER", "NODES")
				if !strings.Contains(nodes, id) || !strings.Contains(do(t, other, "CLUSTER", "NODES"), do(t, addrs[0], "CLUSTER", "MYID")) {
					return fmt.Errorf("the handshake with %s is not complete:\n%s", other, nodes)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
		for _, other := range addrs[1:] {
			do(t, addrs[0], "CLUSTER", "FORGET", do(t, other, "CLUSTER", "MYID"))
		}
	}
	tool := &clustertool.Tool{Out: out, Client: client.Options{Pass: password}, Timeout: time.Minute, Sure: true}
	if err := tool.Create(addrs, 0); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if out.then != nil {
		t.Error("no handshake was lost in this test")
	}
}
