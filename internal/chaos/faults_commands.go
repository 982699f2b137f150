package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// What is done by commands that an operator could send.

// tell sends a node a command, and returns that and the answer in words. An error is one
// of the things that may happen.
func (n *nemesis) tell(i int, args ...any) string {
	if n.c.states[i] != up {
		return fmt.Sprintf("%d is not up for %v", i, args)
	}
	reply, err := n.c.ask(i, args...)
	if err != nil {
		return fmt.Sprintf("tell %d %v: %v", i, args, err)
	}
	return fmt.Sprintf("tell %d %v: %v", i, args, reply)
}

func (n *nemesis) handOver(rnd *rand.Rand) (string, func()) {
	s := rnd.IntN(n.c.shape.shards)
	nodes := slices.DeleteFunc(n.c.nodesOf(s), func(i int) bool { return i == n.leader(s) })
	return n.tell(nodes[rnd.IntN(len(nodes))], "CLUSTER", "FAILOVER"), nil
}

// sleep lets all of a node but its kernel and its other threads do nothing.
func (n *nemesis) sleep(rnd *rand.Rand) (string, func()) {
	i := n.leader(rnd.IntN(n.c.shape.shards))
	if n.c.states[i] != up {
		return "nobody sleeps", nil
	}
	length := randomTime(rnd, 100, 2000)
	if c, err := n.c.node(i).ConnectWithin(patience); err == nil {
		// The answer comes when it has slept; nobody waits for it.
		_ = c.Send([]any{"DEBUG", "SLEEP", fmt.Sprintf("%.3f", length.Seconds())})
		n.undone = append(n.undone, c.Close)
	}
	return fmt.Sprintf("%d sleeps for %v", i, length), nil
}

func (n *nemesis) save(rnd *rand.Rand) (string, func()) {
	return n.tell(rnd.IntN(len(n.c.states)), []any{"BGSAVE", "BGREWRITEAOF"}[rnd.IntN(2)]), nil
}

// set changes a setting that promises nothing to anybody.
func (n *nemesis) set(rnd *rand.Rand) (string, func()) {
	setting := [][2]string{
		{"appendfsync", "no"}, {"appendfsync", "everysec"}, {"appendfsync", "always"},
		{"min-replicas-ack-timeout", "300"}, {"min-replicas-ack-timeout", "5000"}, {"hz", "100"},
		{"repl-backlog-size", "16384"}, {"repl-ping-replica-period", "1"}, {"rewind-files", "0"},
	}[rnd.IntN(9)]
	return n.tell(rnd.IntN(len(n.c.states)), "CONFIG", "SET", setting[0], setting[1]), nil
}

// cutLinks ends connections of replicas or of clients at a primary.
func (n *nemesis) cutLinks(rnd *rand.Rand) (string, func()) {
	typ := []string{"replica", "normal", "master"}[rnd.IntN(3)]
	return n.tell(n.leader(rnd.IntN(n.c.shape.shards)), "CLIENT", "KILL", "TYPE", typ), nil
}

// replace takes a node that is no primary out of its cluster for ever, and puts an empty
// one in its place.
func (n *nemesis) replace(rnd *rand.Rand) (string, func()) {
	s := rnd.IntN(n.c.shape.shards)
	leader := n.c.leader(s)
	nodes := slices.DeleteFunc(n.c.nodesOf(s), func(i int) bool { return i == leader || n.c.states[i] != up })
	if len(nodes) != perShard-1 || n.c.shape.netted {
		return "nobody is replaced", nil
	}
	i := nodes[rnd.IntN(len(nodes))]
	if err := n.c.replace(i, leader); err != nil {
		return fmt.Sprintf("replace %d: %v", i, err), nil
	}
	return fmt.Sprintf("replace %d", i), nil
}

// reset has a replica forget its cluster and its data, and come back.
func (n *nemesis) reset(rnd *rand.Rand) (string, func()) {
	i, leader := n.replica(rnd)
	if i < 0 {
		return "nobody is reset", nil
	}
	what := n.tell(i, "CLUSTER", "RESET")
	for j := range n.c.states {
		if j != i && n.c.states[j] == up {
			host, port, _ := strings.Cut(n.c.node(j).Addr(), ":")
			n.tell(i, "CLUSTER", "MEET", host, port)
			break
		}
	}
	n.c.join(i, leader)
	return what + ", and join again", nil
}

// replica is one of a shard whose nodes are all up, and its primary; -1 if there is none.
func (n *nemesis) replica(rnd *rand.Rand) (i, leader int) {
	s := rnd.IntN(n.c.shape.shards)
	leader = n.c.leader(s)
	nodes := slices.DeleteFunc(n.c.nodesOf(s), func(i int) bool { return i == leader || n.c.states[i] != up })
	if len(nodes) != perShard-1 {
		return -1, -1
	}
	return nodes[rnd.IntN(len(nodes))], leader
}

// handOverAgain hands a shard over several times, before it has come to rest.
func (n *nemesis) handOverAgain(rnd *rand.Rand) (string, func()) {
	shard := rnd.IntN(n.c.shape.shards)
	for i := range 5 {
		n.after(time.Duration(i)*randomTime(rnd, 50, 500), "hand over", func() {
			leader := n.leader(shard)
			nodes := slices.DeleteFunc(n.c.nodesOf(shard), func(i int) bool { return i == leader })
			n.note("%s", n.tell(nodes[rnd.IntN(len(nodes))], "CLUSTER", "FAILOVER"))
		})
	}
	return fmt.Sprintf("shard %d", shard), nil
}

// pause lets a primary's clients wait.
func (n *nemesis) pause(rnd *rand.Rand) (string, func()) {
	mode := []string{"WRITE", "ALL"}[rnd.IntN(2)]
	return n.tell(n.leader(rnd.IntN(n.c.shape.shards)), "CLIENT", "PAUSE", 100+rnd.IntN(1500), mode), nil
}

// cutClients ends all connections of clients.
func (n *nemesis) cutClients(*rand.Rand) (string, func()) {
	for i := range n.c.states {
		n.tell(i, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	}
	return "at all nodes", nil
}

// reload has a node make its data anew of what it saves.
func (n *nemesis) reload(rnd *rand.Rand) (string, func()) {
	return n.tell(rnd.IntN(len(n.c.states)), "DEBUG", []any{"RELOAD", "LOADAOF"}[rnd.IntN(2)]), nil
}

// saveAndKill kills a node while it saves.
func (n *nemesis) saveAndKill(rnd *rand.Rand) (string, func()) {
	i := rnd.IntN(len(n.c.states))
	what := n.tell(i, []any{"BGSAVE", "BGREWRITEAOF"}[rnd.IntN(2)])
	time.Sleep(randomTime(rnd, 1, 100))
	killed, undo := n.kill(i)
	return what + ", " + killed, undo
}

// fill puts many keys, or large ones, into a shard, which nobody reads.
func (n *nemesis) fill(rnd *rand.Rand) (string, func()) {
	shard := rnd.IntN(n.c.shape.shards)
	i := n.leader(shard)
	if n.c.states[i] != up {
		return "nobody is filled", nil
	}
	count, size := 4000, 20+rnd.IntN(200)
	if rnd.IntN(2) == 0 {
		count, size = 1+rnd.IntN(6), 1<<20+rnd.IntN(2<<20)
	}
	conn, err := n.c.node(i).ConnectWithin(patience)
	if err != nil {
		return err.Error(), nil
	}
	n.undone = append(n.undone, conn.Close)
	tag, value := tagsFor(shard, n.c.shape.shards, 1)[0], strings.Repeat("v", size)
	for k := range count {
		if err := conn.Send([]any{"SET", fmt.Sprintf("%sfill:%d", tag, k), value}); err != nil {
			return err.Error(), nil
		}
	}
	return fmt.Sprintf("%d values of %d bytes at %d", count, size, i), nil
}
