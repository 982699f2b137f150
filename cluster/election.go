package cluster

import (
	"slices"
	"time"

	"redoubt/bus"
)

// Delays of an election: a fixed one, so that the news of the failure is
// everywhere when votes are asked for; a random one, so that two candidates
// seldom ask at once; and one for each sibling with more data.
const (
	electionDelay  = 500 * time.Millisecond
	electionJitter = 500 * time.Millisecond
	rankDelay      = time.Second
)

// election is a replica's attempt to be elected in its primary's place.
type election struct {
	start  time.Time // when votes are, or were, to be asked for; zero if none is planned
	rank   int       // how many siblings have more data
	sent   bool
	epoch  bus.Epoch // once sent
	voters []bus.NodeID
	reason string // why this replica does not stand, as last noted
}

// electionTimeout is how long votes count after the start.
func (n *Node) electionTimeout() time.Duration { return max(2*n.cfg.NodeTimeout, 2*time.Second) }

// electionRetry is how long after the start the next attempt may be planned.
func (n *Node) electionRetry() time.Duration { return 2 * n.electionTimeout() }

// advanceFailover moves a manual failover and an election on as far as they
// go. It runs with every tick and when something has happened that they wait
// for.
func (n *Node) advanceFailover() {
	if !n.myself.isReplica() {
		return
	}
	n.advanceManual()
	n.advanceElection()
}

// advanceElection is Redis's clusterHandleSlaveFailover.
func (n *Node) advanceElection() {
	e := &n.election
	if !n.mayStand() {
		return
	}
	if e.start.IsZero() || n.now.Sub(e.start) > n.electionRetry() {
		n.planElection()
	}
	if !e.sent && !n.manual.active() {
		n.updateRank()
	}
	if n.now.Before(e.start) {
		return
	}
	if n.now.Sub(e.start) > n.electionTimeout() {
		return // expired; planned again after the retry time
	}
	if !e.sent {
		n.askForVotes()
		return
	}
	if len(e.voters) >= n.quorum() {
		n.winElection()
	}
}

// mayStand reports whether there is a reason for an election and this replica
// is fit for it.
func (n *Node) mayStand() bool {
	primary := n.myself.primary
	forced := n.manual.canStart
	if primary == nil || primary.slotCount == 0 || !primary.failed() && !forced {
		if !n.election.sent {
			n.election = election{}
		}
		return false
	}
	if forced {
		return true
	}
	if n.cfg.ReplicaNoFailover {
		return false
	}
	if n.dataTooOld() {
		n.cannotStand("Disconnected from master for longer than allowed. " +
			"Please check the 'cluster-replica-validity-factor' configuration option.")
		return false
	}
	return true
}

// cannotStand notes a reason once.
func (n *Node) cannotStand(reason string) {
	if n.election.reason != reason {
		n.election.reason = reason
		n.warn("Currently unable to failover: %s", reason)
	}
}

// dataTooOld reports whether the replication link has been down for so long
// that this replica's data are of no use. The time that the failure detection
// takes does not count. A replica that never had data is always unfit.
func (n *Node) dataTooOld() bool {
	if n.contact().IsZero() {
		return true
	}
	if n.cfg.ReplicaValidityFactor == 0 {
		return false
	}
	age := n.now.Sub(n.contact())
	if age > n.cfg.NodeTimeout {
		age -= n.cfg.NodeTimeout
	}
	return age > n.cfg.ReplPingPeriod+n.cfg.NodeTimeout*time.Duration(n.cfg.ReplicaValidityFactor)
}

// planElection sets the time of the next attempt and tells the siblings our
// offset, so that all know their ranks.
func (n *Node) planElection() {
	e := &n.election
	*e = election{start: n.now}
	if !n.manual.active() {
		e.rank = n.rank()
		e.start = n.now.Add(electionDelay +
			time.Duration(n.rand.Int64N(int64(electionJitter))) +
			time.Duration(e.rank)*rankDelay)
	}
	n.note("Start of election delayed for %d milliseconds (rank #%d, offset %d).",
		e.start.Sub(n.now).Milliseconds(), e.rank, n.offset())
	n.pongReplicas()
}

// updateRank puts the start off when siblings turn out to have more data.
func (n *Node) updateRank() {
	e := &n.election
	rank := n.rank()
	if rank <= e.rank {
		return
	}
	added := time.Duration(rank-e.rank) * rankDelay
	e.start = e.start.Add(added)
	e.rank = rank
	n.note("Replica rank updated to #%d, added %d milliseconds of delay.", rank, added.Milliseconds())
}

// rank is how many siblings should stand before this replica: those with more
// data, and, as in Valkey 8, those with the same and a smaller id.
func (n *Node) rank() (rank int) {
	me := n.myself
	for _, p := range me.primary.replicas {
		if p == me || p.has(bus.FlagNoFailover) {
			continue
		}
		if p.offset > n.offset() || p.offset == n.offset() && p.id < me.id {
			rank++
		}
	}
	return rank
}

// askForVotes opens an election in a new epoch. The requests leave when the
// epoch is on disk, so that a restarted candidate does not use it again.
func (n *Node) askForVotes() {
	e := &n.election
	n.currentEpoch++
	e.sent, e.epoch, e.voters = true, n.currentEpoch, nil
	n.note("Starting a failover election for epoch %d.", n.currentEpoch)
	n.saveNow()
	m := n.newPromise(bus.TypeAuthRequest)
	if n.manual.canStart {
		m.MsgFlags |= bus.MsgForceAck
	}
	for _, p := range n.order {
		if p != n.myself && !p.inHandshake() {
			n.sendAfterPersist(p.out, m)
		}
	}
}

// countVote takes a FAILOVER_AUTH_ACK.
func (n *Node) countVote(voter *peer, m *bus.Message) {
	e := &n.election
	if !e.sent || !voter.votes() || m.CurrentEpoch < e.epoch || slices.Contains(e.voters, voter.id) {
		return
	}
	e.voters = append(e.voters, voter.id)
	n.todo.failover = true
}

// outbidElection gives an attempt up when a primary shows an epoch that is not
// older: the voters' epoch has moved on, and a new attempt needs a new one.
func (n *Node) outbidElection(epoch bus.Epoch) {
	if n.election.sent && epoch >= n.election.epoch {
		n.election = election{}
	}
}

func (n *Node) winElection() {
	n.note("Failover election won: I'm the new master.")
	n.beginClaim()
	n.myself.configEpoch = max(n.myself.configEpoch, n.election.epoch)
	n.note("configEpoch set to %d after successful failover", n.myself.configEpoch)
	n.replacePrimary()
}

// replacePrimary makes this replica a primary with the slots of its primary,
// and says so to everybody as soon as that is on disk. The caller has set the
// epoch of the claim. (Redis's clusterFailoverReplaceYourMaster.)
func (n *Node) replacePrimary() {
	me := n.myself
	old := me.primary
	n.countFailover(old)
	n.makePrimary(me)
	n.rebindAll(old, me)
	n.resetManualFailover()
	n.election = election{}
	n.saveNow()
	n.todo.state = true
	n.broadcastPong()
}

// countFailover counts that this node replaces a primary.
func (n *Node) countFailover(old *peer) {
	since := n.now
	switch {
	case n.manual.active():
		since = n.manual.end.Add(-n.cfg.ManualFailoverTimeout)
	case old.failed():
		since = old.failTime
	}
	n.stats.takeovers++
	n.stats.failovers++
	n.stats.failing += max(n.now.Sub(since), 0)
}
