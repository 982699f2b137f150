package sentinel

import (
	"slices"
	"time"
)

// vote gives this Sentinel's vote for the leader of the failover of a master in
// an epoch, once: who asks later is told whom it was given to. It leaves the
// Node with what waits for the disk. Leader is empty if there is no vote.
// (sentinelVoteLeader)
func (n *Node) vote(m *master, epoch uint64, candidate string) (leader string, leaderEpoch uint64) {
	if epoch > maxEpoch {
		return m.leader, m.leaderEpoch
	}
	n.adoptEpoch(m, epoch)
	if m.leaderEpoch < epoch && n.currentEpoch <= epoch {
		m.leader, m.leaderEpoch = candidate, epoch
		n.save(m)
		n.notifyVote(m)
		if m.leader != n.myID {
			// Leave it the time that a failover may take before trying one.
			m.failover.started = n.now.Add(n.random(maxDesync))
		}
	}
	return m.leader, m.leaderEpoch
}

func (n *Node) notifyVote(m *master) {
	n.say(LevelWarning, "+vote-for-leader", m, m.leader+" "+formatEpoch(m.leaderEpoch))
}

// maxDesync is the bound of the random part of when a failover starts.
const maxDesync = time.Second

// random is a random duration below limit.
func (n *Node) random(limit time.Duration) time.Duration {
	return time.Duration(n.rand.Int64N(int64(limit)))
}

// elected reports whether this Sentinel leads the failover of m: it has the
// votes of most of the known Sentinels, and of at least quorum, in the epoch of
// the failover. (sentinelGetLeader)
//
// The original counts the votes of the current epoch, asks for votes in it,
// and claims the epoch of the failover, which may be an older one. Here all
// three are one: a failover whose epoch is overtaken, by that of another master
// for example, stands again in the current one.
func (n *Node) elected(m *master) bool {
	f := &m.failover
	if f.epoch < n.currentEpoch && !f.forced {
		f.epoch = n.currentEpoch
		n.askOpinions(m, true)
	}
	votes := make(map[string]int)
	for _, p := range m.peers {
		if p.leader != "" && p.leaderEpoch == f.epoch {
			votes[p.leader]++
		}
	}
	favourite := n.myID
	if ids := mostVoted(votes); len(ids) > 0 && !slices.Contains(ids, n.myID) {
		favourite = ids[0]
	}
	if leader, epoch := n.vote(m, f.epoch, favourite); leader != "" && epoch == f.epoch {
		votes[leader]++
	}
	needed := max((len(m.peers)+1)/2+1, m.quorum)
	return votes[n.myID] >= needed
}

// mostVoted are the ids with the most votes, sorted.
func mostVoted(votes map[string]int) []string {
	var ids []string
	most := 0
	for id, v := range votes {
		switch {
		case v > most:
			most, ids = v, []string{id}
		case v == most:
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
