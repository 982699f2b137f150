package cluster

import (
	"time"

	"redoubt/bus"
)

// A primary serves only while it holds a lease from a majority of the voters,
// so that it has stopped by the time that the others can replace it.
//
// A voter that answers a PING had data from this node after the PING was sent.
// It does not suspect this node before its node timeout has passed from then,
// and without a majority of suspicions there is no FAIL and no vote. So a voter
// vouches for a primary for a node timeout from the moment at which the last
// PING that it has answered was sent. Redis's primaries stop only when they
// suspect a majority themselves, up to half a node timeout later, and count a
// message of a voter that hears nothing from them as a sign that all is well.
//
// Gossip saves PINGs, and in large clusters most of them; a lease needs an
// answer of one's own. So a primary with slots pings each voter again when a
// third of the node timeout has passed since the last PING that was answered.
//
// The lease holds if all voters have the same node timeout or longer ones, and
// as long as they suspect by silence. A voter that suspects sooner, since
// nobody listens at this node's port any more (refused.go), can be wrong only
// if something else refuses its connections. FAIL is for that: a primary that
// hears it about itself is fenced.

// leaseMarginTicks is by how many ticks a primary stops earlier than it could
// be suspected: one for the tick that notices it, one for clocks that drift.
const leaseMarginTicks = 2

// leaseTime is how long a voter vouches for a primary. With node timeouts below
// two seconds the margin shrinks to a tenth of them.
func (s *Settings) leaseTime() time.Duration {
	return s.NodeTimeout - min(leaseMarginTicks*tickPeriod, s.NodeTimeout/10)
}

// vouches reports whether voter p vouches for this node, which is a primary.
func (n *Node) vouches(p *peer) bool {
	return p == n.myself || n.now.Sub(p.vouched) <= n.cfg.leaseTime()
}

// forgetOldAnswers begins a lease when this node has become a voter: it did not
// need one before, and that is not to look like a lease that has ended.
func (n *Node) forgetOldAnswers() {
	for _, p := range n.order {
		if !n.vouches(p) {
			p.vouched = time.Time{}
		}
	}
}

// needsAnswer reports whether this node needs an answer of p, beyond what
// failure detection needs: to renew its lease, or to end its fence.
func (n *Node) needsAnswer(p *peer) bool {
	if !n.myself.votes() || !p.votes() {
		return false
	}
	return n.now.Sub(p.vouched) > n.cfg.NodeTimeout/3 || n.fenced() && !p.acquitted.After(n.fencedAt)
}

// vouch notes that p has answered the PING that waited, with m. Only the time of
// the oldest PING without an answer is known, which errs on the safe side.
func (n *Node) vouch(p *peer, m *bus.Message) {
	if p.pingSent.IsZero() {
		return // it answers something else, a MEET
	}
	p.vouched = p.pingLeft
	if n.acquits(p, m) {
		p.acquitted = p.pingLeft
	}
	if n.fenced() {
		n.todo.state = true
	}
}

// acquits reports whether an answer of p tells that p does not hold this node
// for failed. A node of this product says so if it does (addGossip); any other
// takes FAIL back by itself when two node timeouts have passed.
func (n *Node) acquits(p *peer, m *bus.Message) bool {
	if !m.Redoubt {
		return n.now.Sub(n.fencedAt) > failUndoTimeouts*n.cfg.NodeTimeout
	}
	for i := range m.Gossip {
		if g := &m.Gossip[i]; g.ID == n.myself.id {
			return !g.Flags.Has(bus.FlagFail)
		}
	}
	return true
}

// fence stops a primary that hears that it is FAIL. A replica may be elected in
// its place from now on, however well this node hears the others. The fence
// ends when it has been replaced, or when a majority has answered PINGs that
// were sent since and does not hold it for failed. A primary without replicas
// goes on: nobody can take its place.
func (n *Node) fence(by *peer) {
	if !n.myself.votes() || len(n.myself.replicas) == 0 && !n.facts.Replicated {
		return
	}
	if !n.fenced() {
		n.warn("Node %s says that a majority cannot reach this node: it stops until a majority has said otherwise.", peerName(by))
	}
	n.fencedAt = n.now
	n.todo.state = true
}

// fenced reports whether this primary has stopped because of a FAIL about it.
func (n *Node) fenced() bool { return !n.fencedAt.IsZero() && n.myself.isPrimary() }

// liftFence ends the fence if enough voters have acquitted this node, or if it
// is no primary any more.
func (n *Node) liftFence() {
	if n.fencedAt.IsZero() {
		return
	}
	acquitted := 0
	for _, p := range n.order {
		if p.votes() && (p == n.myself || p.acquitted.After(n.fencedAt)) {
			acquitted++
		}
	}
	if !n.myself.votes() || acquitted >= n.quorum() {
		n.fencedAt = time.Time{}
	}
}
