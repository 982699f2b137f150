package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"redoubt/internal/netlab"
)

// kind is a kind of faults.
type kind struct {
	name    string
	weight  int
	network bool // needs a network that fails
	// begin does it, and returns what it has done in words, and how it is undone; nil if
	// it ends by itself.
	begin func(n *nemesis, rnd *rand.Rand) (what string, undo func())
}

// kinds are what may happen to a cluster.
var kinds = []kind{
	{"kill a primary", 4, false, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return n.kill(n.leader(rnd.IntN(n.c.shape.shards)))
	}},
	{"kill a node", 2, false, func(n *nemesis, rnd *rand.Rand) (string, func()) { return n.kill(rnd.IntN(len(n.c.states))) }},
	{"kill and start a primary", 2, false, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return atOnce(n.kill(n.leader(rnd.IntN(n.c.shape.shards))))
	}},
	{"kill a majority", 2, false, func(n *nemesis, rnd *rand.Rand) (string, func()) { return n.kill(some(n, rnd, 2)...) }},
	{"kill a shard", 1, false, func(n *nemesis, rnd *rand.Rand) (string, func()) { return n.kill(some(n, rnd, perShard)...) }},
	{"kill and start all", 1, false, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return atOnce(n.kill(n.all()...))
	}},
	{"stop a primary", 4, false, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return n.stop(n.leader(rnd.IntN(n.c.shape.shards)))
	}},
	{"stop a node", 1, false, func(n *nemesis, rnd *rand.Rand) (string, func()) { return n.stop(rnd.IntN(len(n.c.states))) }},
	{"stop a majority", 2, false, func(n *nemesis, rnd *rand.Rand) (string, func()) { return n.stop(some(n, rnd, 2)...) }},
	{"stop and kill a primary", 2, false, (*nemesis).stopAndKill},
	{"hand over", 4, false, (*nemesis).handOver},
	{"sleep", 1, false, (*nemesis).sleep},
	{"save", 1, false, (*nemesis).save},
	{"set", 2, false, (*nemesis).set},
	{"cut links", 2, false, (*nemesis).cutLinks},
	{"replace a replica", 1, false, (*nemesis).replace},

	{"cut off a primary", 5, true, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return n.between(netlab.Cut, []int{n.leader(rnd.IntN(n.c.shape.shards))}, rnd.IntN(3))
	}},
	{"cut", 3, true, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return n.between(netlab.Cut, anySet(n, rnd), rnd.IntN(3))
	}},
	{"reject", 2, true, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return n.between(netlab.Rule{Reject: true}, anySet(n, rnd), rnd.IntN(3))
	}},
	{"flap", 2, true, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return n.between(netlab.Rule{Flap: randomTime(rnd, 50, 800)}, anySet(n, rnd), rnd.IntN(3))
	}},
	{"lose", 2, true, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return n.between(netlab.Rule{Loss: 0.05 + 0.5*rnd.Float64()}, anySet(n, rnd), rnd.IntN(3))
	}},
	{"delay", 2, true, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return n.between(netlab.Rule{Delay: randomTime(rnd, 5, 400), Jitter: randomTime(rnd, 1, 200)}, anySet(n, rnd), rnd.IntN(3))
	}},
	{"bridge", 2, true, (*nemesis).bridge},
}

// randomTime is one between two, in milliseconds.
func randomTime(rnd *rand.Rand, least, most int) time.Duration {
	return time.Duration(least+rnd.IntN(most-least)) * time.Millisecond
}

// some are so many nodes of one shard.
func some(n *nemesis, rnd *rand.Rand, count int) []int {
	s := rnd.IntN(n.c.shape.shards)
	nodes := n.c.nodesOf(s)
	rnd.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	return nodes[:count]
}

// anySet is some of all nodes.
func anySet(n *nemesis, rnd *rand.Rand) (nodes []int) {
	for i := range n.c.states {
		if rnd.IntN(2) == 0 {
			nodes = append(nodes, i)
		}
	}
	return nodes
}

// atOnce undoes what has been done.
func atOnce(what string, undo func()) (string, func()) {
	if undo != nil {
		undo()
	}
	return what + ", and start", nil
}

func (n *nemesis) all() (nodes []int) {
	for i := range n.c.states {
		nodes = append(nodes, i)
	}
	return nodes
}

// leader is the primary of a shard as far as anybody says; the first node if nobody does.
func (n *nemesis) leader(shard int) int {
	if i := n.c.leader(shard); i >= 0 {
		return i
	}
	return n.c.nodesOf(shard)[0]
}

// only are those of some nodes that are in a state.
func (n *nemesis) only(in state, nodes []int) []int {
	return slices.DeleteFunc(slices.Clone(nodes), func(i int) bool { return n.c.states[i] != in })
}

func (n *nemesis) kill(nodes ...int) (string, func()) {
	return n.take("kill", down, nodes, n.c.kill, n.c.launch)
}

func (n *nemesis) stop(nodes ...int) (string, func()) {
	return n.take("stop", stopped, nodes, n.stopNode, n.resumeNode)
}

// take brings those of some nodes that are up into a state, and back those that are in it
// still.
func (n *nemesis) take(how string, to state, nodes []int, away, back func(int)) (string, func()) {
	nodes = n.only(up, nodes)
	for _, i := range nodes {
		away(i)
	}
	return fmt.Sprintf("%s %v", how, nodes), func() {
		for _, i := range n.only(to, nodes) {
			back(i)
		}
	}
}

// stopAndKill kills a primary that has slept for a while, so that its sockets are full of
// what it has not read.
func (n *nemesis) stopAndKill(rnd *rand.Rand) (string, func()) {
	what, _ := n.stop(n.leader(rnd.IntN(n.c.shape.shards)))
	return what + ", and kill", func() {
		for _, i := range n.only(stopped, n.all()) {
			n.c.kill(i)
			n.c.launch(i)
		}
	}
}

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
	}[rnd.IntN(6)]
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

// hosts are those of some nodes.
func (n *nemesis) hosts(nodes []int) (hosts []*netlab.Host) {
	for _, i := range nodes {
		hosts = append(hosts, n.c.net.Hosts[i])
	}
	return hosts
}

// between sets a rule between some nodes and the others: in both directions, or in one.
func (n *nemesis) between(rule netlab.Rule, nodes []int, direction int) (string, func()) {
	a := n.hosts(nodes)
	b := n.c.net.Except(a)
	set := func(r netlab.Rule) {
		if direction != 1 {
			n.c.net.Set(a, b, r)
		}
		if direction != 2 {
			n.c.net.Set(b, a, r)
		}
	}
	set(rule)
	way := []string{"between %v and the others", "to %v", "from %v"}[direction]
	return fmt.Sprintf("%v "+way, rule, nodes), func() { set(netlab.Rule{}) }
}

// bridge cuts a shard so that two nodes reach only the third.
func (n *nemesis) bridge(rnd *rand.Rand) (string, func()) {
	nodes := some(n, rnd, perShard)
	a, b := n.hosts(nodes[:1]), n.hosts(nodes[1:2])
	n.c.net.SetBoth(a, b, netlab.Cut)
	return fmt.Sprintf("cut between %d and %d", nodes[0], nodes[1]), func() { n.c.net.SetBoth(a, b, netlab.Rule{}) }
}
