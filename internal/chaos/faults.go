package chaos

import (
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
	{"kill two primaries in a row", 2, false, (*nemesis).killInARow},
	{"kill at start", 2, false, (*nemesis).killAtStart},
	{"kill the replicas", 1, false, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return n.kill(n.replicas(rnd.IntN(n.c.shape.shards))...)
	}},
	{"stop the replicas", 2, false, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return n.stop(n.replicas(rnd.IntN(n.c.shape.shards))...)
	}},
	{"freeze primaries", 4, false, (*nemesis).freeze},
	{"restart behind a stopped primary", 3, false, (*nemesis).behind},
	{"blink", 2, false, (*nemesis).blink},
	{"terminate a primary", 2, false, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return n.terminate(rnd, n.leader(rnd.IntN(n.c.shape.shards)))
	}},
	{"terminate a shard", 1, false, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return n.terminate(rnd, some(n, rnd, perShard)...)
	}},
	{"rolling restart", 1, false, (*nemesis).roll},
	{"hand over again and again", 2, false, (*nemesis).handOverAgain},
	{"save and kill", 1, false, (*nemesis).saveAndKill},
	{"pause clients", 1, false, (*nemesis).pause},
	{"cut all clients", 1, false, (*nemesis).cutClients},
	{"reload", 1, false, (*nemesis).reload},
	{"reset a replica", 1, false, (*nemesis).reset},
	{"fill", 1, false, (*nemesis).fill},
	{"move a slot", 4, false, (*nemesis).moveSlot},

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
	{"cut off a node", 2, true, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return n.between(netlab.Cut, []int{rnd.IntN(len(n.c.states))}, rnd.IntN(3))
	}},
	{"cut off a majority", 2, true, func(n *nemesis, rnd *rand.Rand) (string, func()) {
		return n.between(netlab.Cut, some(n, rnd, 2), rnd.IntN(3))
	}},
	{"cut off primaries in a row", 2, true, (*nemesis).again},
	{"cut everything", 1, true, (*nemesis).apart},
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
