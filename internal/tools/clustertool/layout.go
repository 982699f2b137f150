package clustertool

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"redoubt/slots"
)

// place is a node of a cluster to be made: where it is, and what it will be.
type place struct {
	host    string
	addr    string
	slots   slots.Set
	primary *place // nil for a primary
}

// layout is a plan for a new cluster. Nodes are in the order they were named.
type layout struct {
	nodes     []*place
	primaries []*place
	assigned  []assignment // in the order in which replicas found their primaries
}

// assignment is a replica that was given to a primary; extra ones are those
// left over when every primary had as many replicas as were asked for.
type assignment struct {
	replica, primary *place
	extra            bool
}

var errTooFew = errors.New("Redis Cluster requires at least 3 master nodes")

// plan decides who is what, as redis-cli does: primaries are taken host by
// host in turns, each gets an equal run of slots and then replicas on hosts
// other than its own, where there are such.
func plan(nodes []*place, replicas int) (*layout, error) {
	n := len(nodes) / (replicas + 1)
	if n < 3 {
		return nil, errTooFew
	}
	l := &layout{nodes: nodes}
	order := interleave(nodes)
	l.primaries = order[:n]
	divideSlots(l.primaries)
	rest := order[n:]
	if len(rest) > 1 {
		// Rotated by one, the rest seldom begins on the first primary's host.
		rest = append(append([]*place{}, rest[1:]...), rest[0])
	}
	for _, p := range l.primaries {
		for range replicas {
			rest = l.assign(rest, p, false)
		}
	}
	for len(rest) > 0 {
		for _, p := range l.primaries {
			rest = l.assign(rest, p, true)
		}
	}
	return l, nil
}

// interleave orders the nodes so that neighbours are on different hosts: one
// node of each host, then the second of each, and so on.
func interleave(nodes []*place) []*place {
	var hosts []string
	byHost := map[string][]*place{}
	for _, n := range nodes {
		if byHost[n.host] == nil {
			hosts = append(hosts, n.host)
		}
		byHost[n.host] = append(byHost[n.host], n)
	}
	out := make([]*place, 0, len(nodes))
	for len(out) < len(nodes) {
		for _, h := range hosts {
			if q := byHost[h]; len(q) > 0 {
				out, byHost[h] = append(out, q[0]), q[1:]
			}
		}
	}
	return out
}

// divideSlots gives each primary an equal run of slots. The arithmetic is
// redis-cli's, so that both draw the same borders.
func divideSlots(primaries []*place) {
	each := float64(slots.Count) / float64(len(primaries))
	first, cursor := 0, 0.0
	for i, p := range primaries {
		last := int(math.Round(cursor + each - 1))
		if last >= slots.Count || i == len(primaries)-1 {
			last = slots.Count - 1
		}
		p.slots.AddRange(slots.Range{First: slots.Slot(first), Last: slots.Slot(last)})
		first, cursor = last+1, cursor+each
	}
}

// assign gives p the first node of rest that is on another host, or else the
// first, and returns what is left.
func (l *layout) assign(rest []*place, p *place, extra bool) []*place {
	if len(rest) == 0 {
		return rest
	}
	pick := 0
	for i, r := range rest {
		if r.host != p.host {
			pick = i
			break
		}
	}
	r := rest[pick]
	r.primary = p
	l.assigned = append(l.assigned, assignment{r, p, extra})
	return append(rest[:pick:pick], rest[pick+1:]...)
}

// Scores of anti-affinity: a replica on its primary's host weighs more than
// any number of replicas of one primary that share a host.
const besidePrimary = 10000

// score rates how badly nodes of one shard share hosts; 0 is perfect. The
// offenders are replicas whose place adds to it, in the order of nodes.
func (l *layout) score() (total int, offenders []*place) {
	type group struct {
		host    string
		primary *place
	}
	members := map[group]int{}
	led := map[group]bool{}
	for _, n := range l.nodes {
		g := groupOf(n)
		k := group{n.host, g}
		members[k]++
		led[k] = led[k] || n == g
	}
	for k, count := range members {
		switch {
		case count < 2:
		case led[k]:
			total += besidePrimary * (count - 1)
		default:
			total += count
		}
	}
	for _, n := range l.nodes {
		if n.primary != nil && members[group{n.host, n.primary}] > 1 {
			offenders = append(offenders, n)
		}
	}
	return total, offenders
}

// groupOf names a node's shard by its primary.
func groupOf(n *place) *place {
	if n.primary != nil {
		return n.primary
	}
	return n
}

// spread exchanges the primaries of replicas until no two nodes of a shard
// share a host, or for as many tries as redis-cli makes, and returns the
// score reached. Swaps that do not help are kept unless they harm, since the
// way to the best layout may lead over equals.
func (l *layout) spread(rnd *rand.Rand) int {
	var replicas []*place
	for _, n := range l.nodes {
		if n.primary != nil {
			replicas = append(replicas, n)
		}
	}
	score, offenders := l.score()
	for range 500 * len(l.nodes) {
		if score == 0 || len(replicas) < 2 {
			break
		}
		a := offenders[rnd.IntN(len(offenders))]
		b := replicas[rnd.IntN(len(replicas))]
		if a == b {
			continue
		}
		a.primary, b.primary = b.primary, a.primary
		after, who := l.score()
		if after > score {
			a.primary, b.primary = b.primary, a.primary
			continue
		}
		score, offenders = after, who
	}
	return score
}

// describe is what create prints of a node before it is made.
func (p *place) describe(id func(*place) string) string {
	if p.primary != nil {
		return fmt.Sprintf("S: %s %s\n   replicates %s", id(p), p.addr, id(p.primary))
	}
	return fmt.Sprintf("M: %s %s\n   slots:%s (%d slots) master", id(p), p.addr, bracketed(p.slots), p.slots.Len())
}
