package sentinel

import "time"

// A leader may die after it has made a master of a replica and before its first hello
// says so. The others then see two: the old master, or that it is down, and a replica
// that says it is a master. The original makes it a replica again as soon as the old
// master is back, though a proxy that asks for roles may have sent it writes for
// minutes; and while the old master stays away, it waits for twice the failover timeout.
//
// Here those that have voted for the leader carry its failover to its end: they hold an
// election for it as for any other, so no more is decided than a majority agrees to,
// and the replica that was promoted is chosen. An epoch in what the replica says would
// be better proof, but INFO of redis-server has none. The vote stands for it.

// unfinished reports whether a replica, which says since just now that it is a master,
// was made one by the leader that this Sentinel has voted for and that has not told of
// it yet.
func (n *Node) unfinished(r *replica) bool {
	m := r.master
	return !r.promoted && !n.astray(r) && m.leaderEpoch > m.configEpoch &&
		!m.votedAt.IsZero() && n.since(m.votedAt) < n.mayTake(m)
}

// awaitLeader gives the leader the time to tell of the promotion of r, as long as a
// master that comes back gets before it is made a replica.
func (n *Node) awaitLeader(m *master) {
	m.failover.finishAt = n.now.Add(n.newsTime() + n.electionDelay(m))
}

// newsTime is how long a newer configuration gets to arrive.
func (n *Node) newsTime() time.Duration { return 4 * n.cfg.Timing.PublishPeriod }

// isLeftover reports whether this Sentinel waits to hear of the promotion of a replica,
// or is to finish it. After the time that a failover may take it is given up, say
// because no majority elects anybody.
func (n *Node) isLeftover(r *replica) bool {
	return r.unfinished && n.since(r.info.roleSince) < n.mayTake(r.master)
}

// leftover is such a replica of a master, nil if there is none.
func (n *Node) leftover(m *master) *replica {
	for _, r := range m.replicas {
		if n.isLeftover(r) {
			return r
		}
	}
	return nil
}

// finishIfDue starts the failover that finishes another one, whether the old master is
// back or not.
func (n *Node) finishIfDue(m *master) bool {
	f := &m.failover
	if f.running() || f.finishAt.IsZero() || n.now.Before(f.finishAt) {
		return false
	}
	r := n.leftover(m)
	if r == nil {
		f.finishAt = time.Time{}
		return false
	}
	n.log(LevelNotice, "%s was promoted for %s in a failover whose leader has not told of it: I try to finish that", r.name, m.name)
	n.startFailover(m)
	f.finishing = true
	return true
}

// postponeFinish lets another Sentinel go first, which was voted for or has won.
func (n *Node) postponeFinish(m *master) {
	if !m.failover.finishAt.IsZero() {
		n.awaitLeader(m)
	}
}
