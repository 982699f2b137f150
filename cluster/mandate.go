package cluster

import (
	"slices"
	"time"

	"redoubt/bus"
)

// A replica that has been elected takes office on the word of its voters. That
// word holds for a short time only: a voter may vote for a sibling when
// candidatePause has passed, and the votes may have lain on slow disks, or in the
// network, for longer than that. So votes are a lease until candidatePause after they
// were asked for. What renews it are answers to PINGs that showed the claim: who
// gives one knows the new owner of the slots, and neither votes against it, since
// a candidate's epoch is older than the claim, nor vouches for the old primary.
//
// Until a majority has given such answers, the winner does not count itself. The
// majority that elected it did not count it either: it was no voter. Otherwise one voter
// of three would be enough for the winner and its primary alike, since each counts itself.
//
// In return a voter doubts whoever its vote is to replace, until the vote has
// expired (doubts): its answers say FAIL, and renew no lease.

// mandate is what a winner has from its voters, until a majority has answered it as
// a primary.
type mandate struct {
	open bool // won by votes, and no majority has answered since
	// told is when the claim was on disk, and so on its way before any PING that
	// was sent later; zero: it is not.
	told time.Time
}

// ballot is a vote that may still elect its candidate.
type ballot struct {
	primary *peer // who is to be replaced
	epoch   bus.Epoch
	until   time.Time
}

// voteTime is how long a vote vouches for the winner, less a margin as in leaseTime.
func (s *Settings) voteTime() time.Duration {
	pause := min(candidatePause, 2*s.NodeTimeout)
	return pause - min(leaseMarginTicks*tickPeriod, pause/10)
}

// beginMandate has the votes count as a lease, and answers to PINGs of the replica
// that this node was not at all.
func (n *Node) beginMandate() {
	n.mandate = mandate{open: true}
	for _, p := range n.order {
		p.vouched = time.Time{}
	}
}

// claimTold notes that a claim has got to the disk.
func (n *Node) claimTold() {
	if n.mandate.open && n.mandate.told.IsZero() && !n.claimPending() {
		n.mandate.told = n.now
	}
}

// answersClaim reports whether p, which answers the PING that waited, had heard of
// the claim before, if there is one to be confirmed.
func (n *Node) answersClaim(p *peer) bool {
	return !n.mandate.open || !n.mandate.told.IsZero() && !p.pingLeft.Before(n.mandate.told)
}

// confirmMandate ends the mandate when a majority, this node not included, has
// answered it as a primary; or when it is none any more.
func (n *Node) confirmMandate() {
	if !n.mandate.open {
		return
	}
	confirmed := 0
	for _, p := range n.order {
		if p != n.myself && p.votes() && n.answeredInTime(p) {
			confirmed++
		}
	}
	if !n.myself.votes() || confirmed >= n.quorum() {
		n.mandate = mandate{}
	}
}

// votedAbout notes a vote that was given because primary has failed, and forgets those
// that elect nobody any more. A candidate counts a vote for as long as this node does,
// from before it was given.
func (n *Node) votedAbout(primary *peer) {
	n.ballots = slices.DeleteFunc(n.ballots, func(b ballot) bool { return n.now.After(b.until) })
	n.ballots = append(n.ballots, ballot{primary, n.lastVoteEpoch, n.now.Add(n.electionTimeout())})
}

// mayBeReplaced reports whether a vote of this node may still put another in the
// place of p. It may be the winner of an earlier election in the shard: of two that
// were elected one after the other, the second replaces the first.
func (n *Node) mayBeReplaced(p *peer) bool {
	for _, b := range n.ballots {
		if b.epoch > p.configEpoch && p.isPrimary() && !n.now.After(b.until) && n.sameShard(b.primary, p) {
			return true
		}
	}
	return false
}

// doubts reports whether this node must not vouch for p: it holds p for failed, or
// has voted for another in its place.
func (n *Node) doubts(p *peer) bool { return p.failed() || len(n.ballots) > 0 && n.mayBeReplaced(p) }
