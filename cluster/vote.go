package cluster

import (
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// considerVote answers a FAILOVER_AUTH_REQUEST. There is no negative answer;
// each refusal is noted with its numbers. (Redis's
// clusterSendFailoverAuthIfNeeded.)
func (n *Node) considerVote(candidate *peer, m *bus.Message) {
	me := n.myself
	if candidate == n.manual.replica {
		n.manual.asked = true
	}
	// Only primaries with slots vote: the majority is counted among them.
	if !me.votes() {
		return
	}
	deny := func(format string, args ...any) {
		n.warn("Failover auth denied to %s: "+format, append([]any{peerName(candidate)}, args...)...)
	}
	// Ours was raised to the request's when its header was read.
	if m.CurrentEpoch < n.currentEpoch {
		deny("reqEpoch (%d) < curEpoch(%d)", m.CurrentEpoch, n.currentEpoch)
		return
	}
	if n.lastVoteEpoch >= n.currentEpoch {
		deny("already voted for epoch %d", n.currentEpoch)
		return
	}
	if candidate.isPrimary() {
		deny("it is a master node")
		return
	}
	primary := candidate.primary
	if primary == nil {
		deny("I don't know its master")
		return
	}
	if !primary.failed() && !m.MsgFlags.Has(bus.MsgForceAck) {
		deny("its master is up")
		return
	}
	if wait := n.votePause(primary, candidate) - n.now.Sub(primary.votedTime); wait > 0 {
		deny("can't vote about this master before %d milliseconds", wait.Milliseconds())
		return
	}
	// A candidate with an old idea of its primary's slots would take slots
	// back that have moved on.
	if s, found := n.outdatedClaim(m); found {
		deny("slot %d epoch (%d) > reqEpoch (%d)", s, n.table.owner[s].configEpoch, m.ConfigEpoch)
		return
	}
	// A vote that cannot be delivered is better kept. It may go back on the link
	// that the request came on: a candidate that has just started, say, has dialled
	// us before we have dialled it.
	back := linkTo(candidate)
	if back == nil {
		deny("I have no link to it")
		return
	}
	n.lastVoteEpoch = n.currentEpoch
	primary.votedTime, primary.votedFor = n.now, candidate.id
	if primary.failed() {
		n.votedAbout(primary)
	}
	n.saveNow()
	n.sendAfterPersist(back, n.newPromise(bus.TypeAuthAck))
	n.note("Failover auth granted to %s for epoch %d", peerName(candidate), n.currentEpoch)
}

// candidatePause is how long a voter that has voted for one replica of a primary
// refuses to vote for another: until the first has won and begun its role, or has
// failed to.
const candidatePause = 2 * electionRetryPause

// votePause is how long after a vote this node votes about the same primary
// again. The pause is not needed for safety; it gives the first candidate time to
// win. One of Redis does not try again for longer than two node timeouts, and
// counts on the pause. One of this product tries again soon, since an attempt that
// has failed is a lost message or an epoch that another shard has taken (Valkey
// 8.1 has dropped the pause, too).
func (n *Node) votePause(primary, candidate *peer) time.Duration {
	switch {
	case !candidate.redoubt || !n.cfg.FastFail:
		return 2 * n.cfg.NodeTimeout
	case candidate.id == primary.votedFor:
		return 0
	}
	return min(candidatePause, 2*n.cfg.NodeTimeout)
}

// outdatedClaim finds a slot in a request that has an owner with a greater
// config epoch than the request knows.
func (n *Node) outdatedClaim(m *bus.Message) (found slots.Slot, ok bool) {
	m.Slots.Each(func(s slots.Slot) bool {
		if !n.table.free(s) && n.table.owner[s].configEpoch > m.ConfigEpoch {
			found, ok = s, true
			return false
		}
		return true
	})
	return found, ok
}
