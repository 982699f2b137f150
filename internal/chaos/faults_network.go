package chaos

import (
	"fmt"
	"math/rand/v2"
	"time"

	"redoubt/internal/netlab"
)

// What is done to the network.

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

// apart cuts each node off from all others.
func (n *nemesis) apart(*rand.Rand) (string, func()) {
	for i := range n.c.states {
		n.between(netlab.Cut, []int{i}, 0)
	}
	return "cut all links", n.c.net.Heal
}

// again cuts a primary off for a moment, and another one when the first is back.
func (n *nemesis) again(rnd *rand.Rand) (string, func()) {
	shard := rnd.IntN(n.c.shape.shards)
	for i := range 3 {
		begin := time.Duration(i) * randomTime(rnd, 1000, 1400)
		n.after(begin, "cut off the primary", func() {
			_, heal := n.between(netlab.Cut, []int{n.leader(shard)}, rnd.IntN(3))
			n.after(randomTime(rnd, 300, 900), "it is back", heal)
		})
	}
	return fmt.Sprintf("of shard %d", shard), nil
}
