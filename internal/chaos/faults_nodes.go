package chaos

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// What is done to processes.

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

// freeze stops the primary of a shard, whoever that is, for about as long as an election takes,
// several times.
func (n *nemesis) freeze(rnd *rand.Rand) (string, func()) {
	shard := rnd.IntN(n.c.shape.shards)
	for i := range 3 {
		n.after(time.Duration(i)*randomTime(rnd, 1200, 1600), "stop the primary", func() {
			_, resume := n.stop(n.leader(shard))
			n.after(randomTime(rnd, 500, 1200), "it goes on", resume)
		})
	}
	return fmt.Sprintf("the primary of shard %d", shard), nil
}

// behind restarts the others of a shard while their primary is stopped: what they do then it
// hears of only when it goes on, in the term that it was in.
func (n *nemesis) behind(rnd *rand.Rand) (string, func()) {
	shard := rnd.IntN(n.c.shape.shards)
	leader := n.leader(shard)
	others := n.replicas(shard)
	what, resume := n.stop(leader)
	n.after(randomTime(rnd, 1, 600), "kill and start the others", func() {
		_, start := n.kill(others...)
		start()
	})
	n.after(randomTime(rnd, 1500, 3500), "it goes on", resume)
	return what, nil
}

// blink stops all nodes for a moment.
func (n *nemesis) blink(rnd *rand.Rand) (string, func()) {
	_, resume := n.stop(n.all()...)
	length := randomTime(rnd, 10, 500)
	time.Sleep(length)
	resume()
	return fmt.Sprintf("all, for %v", length), nil
}

// killInARow kills the primary of a shard, and soon its successor.
func (n *nemesis) killInARow(rnd *rand.Rand) (string, func()) {
	shard := rnd.IntN(n.c.shape.shards)
	what, first := n.kill(n.leader(shard))
	var second func()
	n.after(randomTime(rnd, 200, 1200), "kill the next primary", func() { _, second = n.kill(n.leader(shard)) })
	return what, func() {
		first()
		if second != nil {
			second()
		}
	}
}

// killAtStart kills a node, and again when it begins to load.
func (n *nemesis) killAtStart(rnd *rand.Rand) (string, func()) {
	nodes := some(n, rnd, 1+rnd.IntN(perShard))
	what, undo := n.kill(nodes...)
	undo()
	n.after(randomTime(rnd, 10, 400), "kill again", func() {
		_, undo := n.kill(nodes...)
		undo()
	})
	return what + ", and start", nil
}

// terminate asks nodes to end, by a signal or a command, and waits until they have.
func (n *nemesis) terminate(rnd *rand.Rand, nodes ...int) (string, func()) {
	return n.take("terminate", down, nodes, func(i int) { n.c.terminate(i, rnd.IntN(2) == 0) }, n.c.launch)
}

// roll restarts the nodes of a shard, one after the other.
func (n *nemesis) roll(rnd *rand.Rand) (string, func()) {
	nodes := some(n, rnd, perShard)
	for k, i := range nodes {
		n.after(time.Duration(k)*randomTime(rnd, 300, 1500), "restart", func() {
			_, start := n.terminate(rnd, i)
			start()
		})
	}
	return fmt.Sprint(nodes), nil
}

// replicas are the nodes of a shard that do not lead it.
func (n *nemesis) replicas(shard int) (nodes []int) {
	leader := n.leader(shard)
	for _, i := range n.c.nodesOf(shard) {
		if i != leader {
			nodes = append(nodes, i)
		}
	}
	return nodes
}
