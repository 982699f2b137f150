package cluster

import (
	"fmt"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// Delays that keep a primary from serving writes too early.
const (
	// writableDelay: after a restart, the others may have replaced it.
	writableDelay = 2 * time.Second
	// A primary that was in a minority waits for the node timeout, within
	// these bounds, to hear what has changed.
	minRejoinDelay = 500 * time.Millisecond
	maxRejoinDelay = 5 * time.Second
)

// health is whether the cluster can serve clients, as this node sees it.
type health struct {
	ok       bool
	size     int       // primaries with slots
	first    time.Time // of the first evaluation
	minority time.Time // when this node last was in a minority
	voter    bool      // this node is a voter, as of the last evaluation
}

// resume doubts everything after a stop, as after a restart and a time in a
// minority: the state is fail until a majority has answered a PING that was
// sent since. An answer that lay in a socket does not count, so the links are
// made anew; and that nobody was heard meanwhile is no reason to suspect him.
func (n *Node) resume() {
	for _, p := range n.order {
		if p == n.myself {
			continue
		}
		p.unheard = true
		p.vouched = time.Time{}
		p.failHeard = false
		if !p.pingSent.IsZero() {
			p.pingSent = n.now
		}
		if p.out != nil {
			n.closeLink(p.out)
		}
	}
	n.health.first, n.health.minority = n.now, n.now
	n.todo.state = true
}

// evaluate decides between ok and fail (Redis's clusterUpdateState). A slot
// without a working owner makes the cluster fail, if full coverage is
// required; so does being in a minority. PFAIL does not count for the first:
// it is one node's opinion. A primary that waits for a replica with more data
// does not serve, nor one that is fenced. Unlike in Redis, a majority must have
// been heard of since the start, for that nobody is suspected yet says little
// then, and a primary needs a lease (lease.go). As in Redis, a
// primary that has just started does not count as in a minority: a node without
// slots always is, and one that gets them at once need not wait twice.
func (n *Node) evaluate() {
	h := &n.health
	n.confirmMandate()
	reachable, heard := n.countVoters()
	n.liftFence()
	if n.leadsShard() {
		n.evaluateLeader()
		return
	}
	if h.first.IsZero() {
		h.first = n.now
	}
	starting := n.myself.isPrimary() && !h.ok && n.now.Sub(h.first) < writableDelay
	if (reachable < n.quorum() || n.fenced()) && !starting {
		h.minority = n.now
	}
	ok := heard >= n.quorum() && !n.fenced() && n.settledIn() && (!n.cfg.RequireFullCoverage || n.covered())
	if ok == h.ok {
		return
	}
	if ok && n.myself.isPrimary() {
		rejoinDelay := min(max(n.cfg.NodeTimeout, minRejoinDelay), maxRejoinDelay)
		if starting || n.now.Sub(h.minority) < rejoinDelay {
			return
		}
	}
	h.ok = ok
	if ok {
		n.note("Cluster state changed: ok")
	} else {
		n.warn("Cluster state changed: fail. %s", n.failure(heard))
	}
}

// evaluateLeader is evaluate for a primary that its shard has elected outside of the bus:
// whether it may serve is between it and its shard, whatever the voters of the bus hear of
// it, so only the slots of the others count.
func (n *Node) evaluateLeader() {
	h := &n.health
	ok := !n.cfg.RequireFullCoverage || n.covered()
	switch {
	case ok == h.ok:
	case ok:
		n.note("Cluster state changed: ok")
	default:
		n.warn("Cluster state changed: fail. %s", n.failure(n.quorum()))
	}
	h.ok = ok
}

// countVoters counts those that do not look failed, without those that vouch for
// this primary no more, and those of them that were heard of since the start.
func (n *Node) countVoters() (reachable, heard int) {
	if voter := n.myself.votes(); voter != n.health.voter {
		n.health.voter = voter
		n.forgetOldAnswers()
	}
	n.health.size = 0
	for _, p := range n.order {
		if !p.votes() {
			continue
		}
		n.health.size++
		if p.any(bus.FlagFail | bus.FlagPFail) {
			continue
		}
		vouches := !n.myself.votes() || n.vouches(p)
		if vouches || n.mandate.open || p.vouched.IsZero() {
			reachable++
		}
		if vouches && !p.unheard {
			heard++
		}
	}
	return reachable, heard
}

// failure says why the node refuses requests, given how many voters it hears.
func (n *Node) failure(heard int) string {
	switch uncovered := n.uncovered(); {
	case heard < n.quorum():
		return fmt.Sprintf("It hears %d of %d masters with slots, and needs %d of them.", heard, n.health.size, n.quorum())
	case n.fenced():
		return "Another node says that a majority cannot reach this one, which may have been replaced."
	case !n.settledIn():
		return "It has just started, and waits until the cluster has settled whether it remains a master."
	default:
		return fmt.Sprintf("%d hash slots are not served by any node that can be reached, and cluster-require-full-coverage is on.", uncovered)
	}
}

// replacementGrace is how long the slots of a primary that is FAIL count as covered
// with cluster-fast-fail, if it has a replica: long enough for an election and
// another attempt.
const replacementGrace = 2 * time.Second

// beingReplaced reports whether p has failed a moment ago and its successor is to be
// expected. Before a FAIL the other shards serve for the whole node timeout, so
// there is no sense in it that they refuse for the moment after. Redis's do.
func (n *Node) beingReplaced(p *peer) bool {
	return n.cfg.FastFail && p.failed() && p.working() > 0 && n.now.Sub(p.failTime) < replacementGrace
}

// uncovered is how many slots have no owner, or one that is FAIL and is not about to
// be replaced.
func (n *Node) uncovered() int {
	count := slots.Count
	for _, p := range n.order {
		if !p.failed() || n.beingReplaced(p) {
			count -= p.slotCount
		}
	}
	return count
}

// covered reports whether every slot has an owner that is not FAIL.
func (n *Node) covered() bool { return n.uncovered() == 0 }
