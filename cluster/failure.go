package cluster

import (
	"time"

	"redoubt/bus"
)

// failureReport is the word of a voter that it cannot reach a node.
type failureReport struct {
	by *peer
	at time.Time
}

// reportLifetime is how long a report counts unless it is repeated.
func (n *Node) reportLifetime() time.Duration { return 2 * n.cfg.NodeTimeout }

// addReport notes, or refreshes, that by cannot reach p.
func (n *Node) addReport(p, by *peer) {
	for i := range p.reports {
		if p.reports[i].by == by {
			p.reports[i].at = n.now
			return
		}
	}
	p.reports = append(p.reports, failureReport{by, n.now})
	n.verbose("Node %s reported node %s as not reachable.", peerName(by), peerName(p))
}

// dropReport forgets what by said about p, and reports whether that was anything.
func (p *peer) dropReport(by *peer) (said bool) {
	for i := range p.reports {
		if p.reports[i].by == by {
			p.reports = append(p.reports[:i], p.reports[i+1:]...)
			return true
		}
	}
	return false
}

// reports is the number of reports about p that still count.
func (n *Node) reports(p *peer) int {
	oldest := n.now.Add(-n.reportLifetime())
	kept := p.reports[:0]
	for _, r := range p.reports {
		if !r.at.Before(oldest) {
			kept = append(kept, r)
		}
	}
	p.reports = kept
	return len(kept)
}

// quorum is the majority of the voters.
func (n *Node) quorum() int { return n.health.size/2 + 1 }

// suspect marks p as PFAIL: we cannot reach it. That is not saved: it is one
// node's opinion of a moment, and a restart forms its own.
func (n *Node) suspect(p *peer) {
	p.flags |= bus.FlagPFail
	n.pfailCount++
	n.todo.state = true
	n.todo.suspects = n.cfg.FastFail && n.myself.votes()
	// As Valkey 8: our own suspicion may be the one that was missing.
	n.failIfAgreed(p)
}

// tellSuspects tells the other voters of the nodes that this one suspects, so that
// they can agree at once and not with their next PINGs. It is told as PONG, which
// asks for no answer. Only a voter's word counts.
func (n *Node) tellSuspects() {
	for _, v := range n.order {
		if v != n.myself && v.votes() && v.connected() && !v.inHandshake() && !v.any(bus.FlagPFail|bus.FlagFail) {
			n.send(v.out, n.gossipMessage(bus.TypePong, v))
		}
	}
}

// failIfAgreed marks p as FAIL if we cannot reach it and a majority says the
// same. The agreement is weak: the reports are of different moments, and
// nothing makes the others notice. Two things make up for that. Either the
// majority side forces its view on all by the FAIL message, or p is reachable
// after all, and FAIL is taken back when it is. (Redis's
// markNodeAsFailingIfNeeded.)
func (n *Node) failIfAgreed(p *peer) {
	if !p.has(bus.FlagPFail) || p.failed() {
		return
	}
	count := n.reports(p)
	if n.myself.votes() {
		count++
	}
	if count < n.quorum() {
		return
	}
	n.note("Marking node %s as failing (quorum reached).", peerName(p))
	n.markFailed(p)
	n.sendFail(p)
}

func (n *Node) markFailed(p *peer) {
	p.flags = p.flags&^bus.FlagPFail | bus.FlagFail
	p.failTime, p.failHeard = n.now, true
	n.todo.state = true
	if p == n.myself.primary {
		n.todo.failover = true
	}
	n.save()
}

// failIsNews reports whether the others may be told that p is FAIL: a majority agreed on
// that so shortly ago that none of them has taken it back by itself, and this node has
// run since. Whoever comes back with an old opinion must not have all others take it
// over, who know better, and vote against a primary that works.
func (n *Node) failIsNews(p *peer) bool {
	return p.failed() && p.failHeard && n.now.Sub(p.failTime) <= failUndoTimeouts*n.cfg.NodeTimeout
}

// receiveFail believes the sender that a majority agreed.
func (n *Node) receiveFail(sender *peer, m *bus.Message) {
	p := n.peers[m.Fail]
	if p == n.myself {
		n.fence(sender)
		return
	}
	if p == nil || p.failed() {
		return
	}
	n.note("FAIL message received from %s about %s", peerName(sender), peerName(p))
	n.markFailed(p)
}

// ponged notes that p has answered our PING with m.
func (n *Node) ponged(p *peer, m *bus.Message) {
	n.vouch(p, m)
	n.replicaGaveUp(p, m)
	p.pongReceived = n.now
	if !p.pingSent.IsZero() {
		p.rtt = max(n.now.Sub(p.pingSent), 0)
	}
	p.pingSent = time.Time{}
	p.refusal = ""
	if p.unheard {
		p.unheard = false
		n.todo.state = true
	}
	switch {
	case p.has(bus.FlagPFail):
		p.flags &^= bus.FlagPFail
		n.isNews(p)
		n.todo.suspects = n.cfg.FastFail && n.myself.votes() // the others count this node's suspicion
		n.todo.state = true
	case p.failed():
		n.clearFail(p)
	}
}

// failUndoTimeouts is for how many node timeouts a primary with slots stays FAIL
// although it answers (CLUSTER_FAIL_UNDO_TIME_MULT).
const failUndoTimeouts = 2

// clearFail takes FAIL back for a node that answers again. For a primary with
// slots that is delayed: its replicas get their chance to replace it first. While
// this node's vote may still elect one of them, it must not vouch for p, not even
// after a restart, so p is FAIL for it as long as that.
func (n *Node) clearFail(p *peer) {
	if p.votes() && (n.now.Sub(p.failTime) <= failUndoTimeouts*n.cfg.NodeTimeout || n.mayBeReplaced(p)) {
		return
	}
	why := "is reachable again"
	if p.votes() {
		why = "is reachable again and nobody is serving its slots after some time"
	}
	n.note("Clear FAIL state for node %s: %s.", peerName(p), why)
	p.flags &^= bus.FlagFail
	n.isNews(p)
	n.todo.state = true
	n.save()
}
