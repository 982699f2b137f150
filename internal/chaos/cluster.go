package chaos

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"redoubt/internal/netlab"
	"redoubt/internal/redistest"
)

const (
	// patience is how long clients wait for an answer.
	patience = time.Second
	// shortly is how long those wait who watch a node. When it goes on, after it was
	// stopped, it has a question of theirs before it that was asked just before.
	shortly = 150 * time.Millisecond
	// settle is how long making a cluster may take, and what follows an episode but for
	// the service itself. It is generous: the machine may be busy with something else.
	settle = 90 * time.Second
	// likeness is the time after which nodes that are in step have the same data.
	likeness = 15 * time.Second
	// obeys is how long SHUTDOWN may take, before a signal is sent.
	obeys = 3 * time.Second
)

// state is that of a process.
type state int

const (
	up state = iota
	stopped
	down
)

// cluster is the nodes of an episode, three for each shard: those of shard s have the
// indexes from 3s on. But for node and nodes, its methods are for the goroutine of the test.
type cluster struct {
	t      testing.TB
	shape  shape
	args   []string
	net    *netlab.Network // nil: 127.0.0.1
	states []state

	mu    sync.Mutex
	nodes []*redistest.Server // guarded by mu; they are replaced
}

// settings are those of all nodes.
var settings = []string{
	"--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--appendonly", "yes", "--durability", "quorum",
	"--repl-diskless-sync-delay", "0", "--save", "", "--enable-debug-command", "yes",
}

// start makes a cluster.
func start(t testing.TB, s shape, seed uint64) *cluster {
	t.Helper()
	c := &cluster{t: t, shape: s, args: settings, states: make([]state, s.shards*perShard)}
	if s.netted {
		c.net = netlab.Start(t, len(c.states), seed)
	}
	for i := range c.states {
		if s.netted {
			c.nodes = append(c.nodes, redistest.StartOn(t, c.net.Hosts[i], redistest.Redoubt, c.args...))
		} else {
			c.nodes = append(c.nodes, redistest.Start(t, redistest.Redoubt, c.args...))
		}
	}
	for shard := range s.shards {
		first := c.nodes[shard*perShard]
		first.Do("CLUSTER", "SET-CONFIG-EPOCH", shard+1)
		first.Do("CLUSTER", "ADDSLOTSRANGE", 16384*shard/s.shards, 16384*(shard+1)/s.shards-1)
	}
	for i := range c.nodes {
		if i > 0 {
			c.meet(i)
		}
	}
	for i := range c.nodes {
		if i%perShard > 0 {
			c.join(i, i-i%perShard)
		}
	}
	redistest.Until(t, settle, "the cluster is made", c.whole)
	return c
}

// meet lets a node know the others.
func (c *cluster) meet(i int) {
	c.t.Helper()
	for j := range c.nodes {
		if j != i && c.states[j] == up {
			host, port, _ := strings.Cut(c.nodes[j].Addr(), ":")
			c.nodes[i].Do("CLUSTER", "MEET", host, port)
			return
		}
	}
}

// join makes a node a replica of another.
func (c *cluster) join(i, primary int) {
	c.t.Helper()
	id := c.nodes[primary].Do("CLUSTER", "MYID")
	redistest.Until(c.t, settle, "a node is a replica", func() error {
		_, err := c.ask(i, "CLUSTER", "REPLICATE", id)
		return err
	})
}

// node is the one that has an index.
func (c *cluster) node(i int) *redistest.Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[i]
}

// find is the index of the node with an address, -1 if there is none.
func (c *cluster) find(addr string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.nodes {
		if s.Addr() == addr {
			return i
		}
	}
	return -1
}

// nodesOf are the indexes of the nodes of a shard.
func (c *cluster) nodesOf(shard int) []int {
	first := shard * perShard
	return []int{first, first + 1, first + 2}
}

// ask runs a command on a connection of its own.
func (c *cluster) ask(i int, args ...any) (any, error) {
	conn, err := c.node(i).ConnectWithin(patience)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Do(args...)
}

// info is the fields of INFO replication and of CLUSTER INFO.
func (c *cluster) info(i int) (map[string]string, error) {
	fields := map[string]string{}
	for _, command := range [][]any{{"INFO", "replication"}, {"CLUSTER", "INFO"}} {
		text, err := c.ask(i, command...)
		if err != nil {
			return nil, err
		}
		for line := range strings.SplitSeq(text.(string), "\r\n") {
			name, value, _ := strings.Cut(line, ":")
			fields[name] = value
		}
	}
	return fields, nil
}

// leader is the node of a shard that is up and says that it is the primary, -1 if none does.
func (c *cluster) leader(shard int) int {
	for _, i := range c.nodesOf(shard) {
		if c.states[i] != up {
			continue
		}
		if f, err := c.info(i); err == nil && f["quorum_leading"] == "1" {
			return i
		}
	}
	return -1
}

// whole is nil if all nodes are what they should be: each shard has a primary, with the
// votes of all its nodes, which are in step with it, and nobody misses a slot.
func (c *cluster) whole() error {
	for shard := range c.shape.shards {
		leader := c.leader(shard)
		if leader < 0 {
			return fmt.Errorf("shard %d has no primary", shard)
		}
		f, err := c.info(leader)
		if err != nil {
			return err
		}
		if f["quorum_voters"] != strconv.Itoa(perShard) || f["quorum_members"] != strconv.Itoa(perShard) {
			return fmt.Errorf("shard %d has %s voters of %s members", shard, f["quorum_voters"], f["quorum_members"])
		}
		if err := c.inStep(shard, leader, f); err != nil {
			return err
		}
	}
	return nil
}

// inStep is whole for a shard's replicas.
func (c *cluster) inStep(shard, leader int, f map[string]string) error {
	for _, i := range c.nodesOf(shard) {
		g, err := c.info(i)
		switch {
		case err != nil:
			return fmt.Errorf("node %d: %w", i, err)
		case g["cluster_state"] != "ok" || g["cluster_slots_ok"] != "16384":
			return fmt.Errorf("node %d sees the state %s and %s slots that are served", i, g["cluster_state"], g["cluster_slots_ok"])
		case i != leader && (g["role"] != "slave" || g["master_link_status"] != "up"):
			return fmt.Errorf("node %d is a %s, and its link is %q", i, g["role"], g["master_link_status"])
		case g["master_repl_offset"] != f["master_repl_offset"]:
			return fmt.Errorf("node %d is at %s, its primary %d at %s", i, g["master_repl_offset"], leader, f["master_repl_offset"])
		}
	}
	return nil
}

// alike is nil if all nodes of each shard have the same data.
func (c *cluster) alike() error {
	for shard := range c.shape.shards {
		var first any
		for _, i := range c.nodesOf(shard) {
			digest, err := c.ask(i, "DEBUG", "DIGEST")
			if err != nil {
				return err
			}
			if first == nil {
				first = digest
			}
			if digest != first {
				return fmt.Errorf("node %d has other data than node %d", i, shard*perShard)
			}
		}
	}
	return nil
}

func (c *cluster) kill(i int)   { c.node(i).Kill(); c.states[i] = down }
func (c *cluster) launch(i int) { c.node(i).Launch(); c.states[i] = up }
func (c *cluster) stop(i int)   { c.node(i).Pause(); c.states[i] = stopped }
func (c *cluster) resume(i int) { c.node(i).Resume(); c.states[i] = up }

// terminate asks a node to end, by a command or a signal, and returns when it has.
func (c *cluster) terminate(i int, command bool) {
	if command {
		// The answer is the end of the connection, or that it has to load first.
		_, _ = c.ask(i, "SHUTDOWN")
		for end := time.Now().Add(obeys); c.node(i).Running() && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
	}
	if c.node(i).Running() {
		c.node(i).Terminate()
	}
	c.states[i] = down
}

// replace kills a node, lets the others forget it, and puts a new one in its place, which
// replicates another.
func (c *cluster) replace(i, primary int) error {
	for _, s := range c.states {
		if s != up {
			return errors.New("not all nodes are up")
		}
	}
	id, err := c.ask(i, "CLUSTER", "MYID")
	if err != nil {
		return err
	}
	c.kill(i)
	for j := range c.states {
		if j != i {
			if _, err := c.ask(j, "CLUSTER", "FORGET", id); err != nil {
				c.launch(i)
				return err
			}
		}
	}
	s := redistest.Start(c.t, redistest.Redoubt, c.args...)
	c.mu.Lock()
	c.nodes[i] = s
	c.mu.Unlock()
	c.states[i] = up
	c.meet(i)
	c.join(i, primary)
	return nil
}
