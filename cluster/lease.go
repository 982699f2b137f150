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
// if something else refuses its connections. That mostly refuses this node's as well,
// so one refusal ends what a voter's answers have been worth; it takes the voter two,
// some time apart, to suspect. Otherwise FAIL is for that: a primary that hears it
// about itself is fenced. And a voter that says FAIL in its answer does not vouch: it
// would vote for a replica, or has, and its vote may be on its way for as long as an
// election may take. FAIL is not taken back before that (clearFail).

// leaseMarginTicks is by how many ticks a primary stops earlier than it could
// be suspected: one for the tick that notices it, one for clocks that drift.
const leaseMarginTicks = 2

// leaseTime is how long a voter vouches for a primary. With node timeouts below
// two seconds the margin shrinks to a tenth of them.
func (s *Settings) leaseTime() time.Duration {
	return s.NodeTimeout - min(leaseMarginTicks*tickPeriod, s.NodeTimeout/10)
}

// vouches reports whether voter p vouches for this node, which is a primary. For a
// while after its election so does a vote, and the node itself does not (mandate.go).
func (n *Node) vouches(p *peer) bool {
	switch {
	case p == n.myself:
		return !n.mandate.open
	case n.mandate.open && n.now.Sub(p.votedForMe) <= n.cfg.voteTime():
		return true
	}
	return n.answeredInTime(p)
}

// answeredInTime reports whether the last answer of p still counts.
func (n *Node) answeredInTime(p *peer) bool { return n.now.Sub(p.vouched) <= n.cfg.leaseTime() }

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
	if n.mandate.open && p.vouched.IsZero() && n.mandate.told.IsZero() {
		return false // it could not confirm the claim yet
	}
	return n.now.Sub(p.vouched) > n.cfg.NodeTimeout/3 || n.fenced() && !p.acquitted.After(n.fencedAt)
}

// vouch notes that p has answered the PING that waited, with m. Only the time of
// the oldest PING without an answer is known, which errs on the safe side.
func (n *Node) vouch(p *peer, m *bus.Message) {
	if p.pingSent.IsZero() {
		return // it answers something else, a MEET
	}
	acquits := n.acquits(p, m)
	if acquits {
		p.acquitted = p.pingLeft
	}
	switch {
	case m.Redoubt && !acquits && len(n.myself.replicas) > 0:
		p.vouched = lapsed // it votes for a replica, or has
	case n.answersClaim(p):
		p.vouched = p.pingLeft
	}
	if n.fenced() || n.mandate.open || p.vouched.Equal(lapsed) {
		n.todo.state = true
	}
}

// lapsed is when a voter has vouched for this node that takes that back: so long ago
// that it does not count.
var lapsed = time.Unix(0, 0)

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
