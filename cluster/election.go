package cluster

import (
	"slices"
	"time"

	"redoubt/bus"
)

// Redis's delays of an election, without cluster-fast-fail: a fixed one, so that
// the news of the failure is everywhere when votes are asked for; a random one, so
// that two candidates seldom ask at once; and one for each sibling with more data.
const (
	electionDelay  = 500 * time.Millisecond
	electionJitter = 500 * time.Millisecond
	rankDelay      = time.Second
)

// With cluster-fast-fail the delays are those of Valkey 9, which shrink with the
// node timeout, and there is none where none is needed.
//
// The fixed one is not: FAIL goes before the request on each link. The random one
// is not if no other replica of the shard stands, or if all that may have told
// their offsets since the failure: then the ranks decide, and all agree on them.
// Elections of different shards disturb each other, since a voter votes once in an
// epoch; so each waits a moment for those that come before it.
const (
	fastDelayMax      = 500 * time.Millisecond
	fastDelayFraction = 30                     // of the node timeout, in a delay
	fastRankDelayMin  = 400 * time.Millisecond // longer than a slow disk keeps a better replica's request
	shardDelayMax     = 200 * time.Millisecond
	shardDelaysMax    = 2 * time.Second // of all shards together
	// electionRetryPause is how long the first attempt may take before the next, and
	// electionRetryDoubled for how many more attempts that doubles.
	electionRetryPause   = 500 * time.Millisecond
	electionRetryDoubled = 6
)

// election is a replica's attempt to be elected in its primary's place.
type election struct {
	start  time.Time // when votes are, or were, to be asked for; zero if none is planned
	since  time.Time // when that was planned first
	chance float64   // from 0 to 1: the part of the random delay
	tries  int       // attempts before this one, since the failure of the primary
	rank   int       // how many siblings have more data
	sent   bool
	asked  time.Time // when, once sent
	epoch  bus.Epoch // once sent
	voters []bus.NodeID
	reason string // why this replica does not stand, as last noted
}

// electionTimeout is how long votes count after the start.
func (n *Node) electionTimeout() time.Duration { return max(2*n.cfg.NodeTimeout, 2*time.Second) }

// planned reports whether votes are to be asked for later.
func (e *election) planned() bool { return !e.start.IsZero() && !e.sent }

// electionRetry is how long after the start the next attempt may be planned. A
// voter of Redis votes about a primary once in two node timeouts, so an early
// attempt is worth something only where a majority is of this product.
//
// A voter that has voted for one replica refuses the others for a while (votePause),
// again after each of its votes. Two replicas that share the voters and go on asking
// would keep each other from winning for ever. So whoever has asked in vain waits
// longer each time, by a random part, until one of them asks alone.
func (n *Node) electionRetry() time.Duration {
	most, e := 2*n.electionTimeout(), &n.election
	if !n.cfg.FastFail || !e.sent || n.ownVoters() < n.quorum() {
		return most
	}
	if e.tries == 0 {
		return min(electionRetryPause, most)
	}
	pause := electionRetryPause << min(e.tries, electionRetryDoubled)
	return min(pause+time.Duration(e.chance*float64(pause)), most)
}

// ownVoters counts the voters of this product.
func (n *Node) ownVoters() (count int) {
	for _, p := range n.order {
		if p.votes() && p.redoubt {
			count++
		}
	}
	return count
}

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
	if n.cfg.ReplicaNoFailover || n.cfg.Quorum {
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
	tries := e.tries
	if e.sent {
		tries++
	}
	*e = election{start: n.now, since: n.now, chance: n.rand.Float64(), tries: tries}
	if !n.manual.active() {
		e.rank = n.rank()
		e.start = e.since.Add(n.electionDelay())
	}
	n.note("Start of election delayed for %d milliseconds (rank #%d, offset %d).",
		e.start.Sub(n.now).Milliseconds(), e.rank, n.offset())
	n.pongReplicas()
}

// electionDelay is how long after the plan votes are to be asked for.
func (n *Node) electionDelay() time.Duration {
	e := &n.election
	part := func(d time.Duration) time.Duration { return time.Duration(e.chance * float64(d)) }
	if !n.cfg.FastFail {
		return electionDelay + part(electionJitter) + time.Duration(e.rank)*rankDelay
	}
	unit := min(n.cfg.NodeTimeout/fastDelayFraction, fastDelayMax)
	delay := n.shardDelay()
	switch {
	case e.rank > 0: // those before it may not know that they are, and wait up to two units
		delay += time.Duration(e.rank)*max(2*unit, fastRankDelayMin) + 2*unit
	case !n.siblingsTold():
		delay += unit + part(unit)
	}
	return delay
}

// siblingsTold reports whether all siblings that may stand have told their offsets
// since the failure of the primary, so that this replica knows its rank. A sibling
// may have heard of the failure, and told, before this replica did; a primary whose
// port refused connections was dead by then.
func (n *Node) siblingsTold() bool {
	primary := n.myself.primary
	dead := primary.failTime
	if r := primary.refusals; r.count > 0 && r.since.Before(dead) && r.since.After(primary.dataReceived) {
		dead = r.since
	}
	for _, p := range primary.replicas {
		if p != n.myself && p.mayStand() && p.offsetTold.Before(dead) {
			return false
		}
	}
	return true
}

// shardDelay is how long to wait for the elections of other shards that have lost
// their primaries: they take their turns by the ids of the shards.
func (n *Node) shardDelay() time.Duration {
	before, all := 0, 0
	for _, p := range n.order {
		if !p.votes() || !p.failed() || p.working() == 0 {
			continue
		}
		all++
		if p.shardID < n.myself.shardID {
			before++
		}
	}
	if before == 0 {
		return 0
	}
	return time.Duration(before) * min(n.cfg.NodeTimeout/fastDelayFraction, shardDelayMax, shardDelaysMax/time.Duration(all))
}

// updateRank plans anew when the ranks turn out to be others: siblings have more
// data, or are down too. Without cluster-fast-fail it is only put off, as in Redis.
func (n *Node) updateRank() {
	e := &n.election
	before := e.rank
	if rank := n.rank(); rank > e.rank || n.cfg.FastFail {
		e.rank = rank
	}
	e.start = e.since.Add(n.electionDelay())
	if e.rank != before {
		n.note("Replica rank updated to #%d, the election starts %d milliseconds after the plan.",
			e.rank, e.start.Sub(e.since).Milliseconds())
	}
}

// mayStand reports whether replica p may stand in an election, as far as this node
// knows: one that is down does not.
func (p *peer) mayStand() bool { return !p.any(bus.FlagNoFailover | bus.FlagFail | bus.FlagPFail) }

// rank is how many siblings should stand before this replica: those with more
// data, and, as in Valkey 8, those with the same and a smaller id. Unlike there,
// siblings that are down do not count: a rack may take a primary and a replica.
func (n *Node) rank() (rank int) {
	me := n.myself
	for _, p := range me.primary.replicas {
		if p == me || !p.mayStand() {
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
	e.sent, e.asked, e.epoch, e.voters = true, n.now, n.currentEpoch, nil
	n.note("Starting a failover election for epoch %d.", n.currentEpoch)
	n.saveNow()
	m := n.newPromise(bus.TypeAuthRequest)
	if n.manual.canStart {
		m.MsgFlags |= bus.MsgForceAck
	}
	var fail *bus.Message
	if primary := n.myself.primary; n.failIsNews(primary) {
		fail = n.newPromise(bus.TypeFail)
		fail.Fail = primary.id
	}
	for _, p := range n.order {
		if p == n.myself || p.inHandshake() {
			continue
		}
		if fail != nil { // on the same link, so it is there first
			n.sendAfterPersist(p.out, fail)
		}
		n.sendAfterPersist(p.out, m)
	}
}

// countVote takes a FAILOVER_AUTH_ACK.
func (n *Node) countVote(voter *peer, m *bus.Message) {
	e := &n.election
	if !e.sent || !voter.votes() || m.CurrentEpoch < e.epoch || slices.Contains(e.voters, voter.id) {
		return
	}
	e.voters = append(e.voters, voter.id)
	voter.votedForMe = e.asked
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
	if !n.manual.active() { // otherwise the primary has agreed, or an administrator takes it on himself
		n.beginMandate()
	}
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
	if n.cfg.Quorum {
		n.rebindClaimed(old, me)
	} else {
		n.rebindAll(old, me)
	}
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
