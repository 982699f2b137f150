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
		m.leader, m.leaderEpoch, m.votedAt = candidate, epoch, n.now
		n.save(m)
		n.notifyVote(m)
		if m.leader != n.myID {
			// Leave it the time that a failover may take before trying one.
			m.failover.started = n.now.Add(n.random(maxDesync))
			n.postponeFinish(m)
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
// the failover. Its own vote goes to who has most of them, else to itself.
// (sentinelGetLeader)
//
// The original counts the votes of the current epoch, asks for votes in it,
// and claims the epoch of the failover, which may be an older one. Here all
// three are one.
func (n *Node) elected(m *master) bool {
	f := &m.failover
	votes, _ := m.tally()
	favourite := n.myID
	if ids := mostVoted(votes); len(ids) > 0 && !slices.Contains(ids, n.myID) {
		favourite = ids[0]
	}
	if leader, epoch := n.vote(m, f.epoch, favourite); leader != "" && epoch == f.epoch {
		votes[leader]++
	}
	return votes[n.myID] >= m.votesNeeded()
}

// tally counts the votes of the other Sentinels in the epoch of the failover, and
// those that are not known.
func (m *master) tally() (votes map[string]int, unknown int) {
	votes = make(map[string]int)
	for _, p := range m.peers {
		if p.leader != "" && p.leaderEpoch == m.failover.epoch {
			votes[p.leader]++
		} else {
			unknown++
		}
	}
	return votes, unknown
}

func (m *master) votesNeeded() int { return max((len(m.peers)+1)/2+1, m.quorum) }

// stands reports whether this Sentinel is to be voted for: its failover is of the
// current epoch, in which it has not voted for another.
func (n *Node) stands(m *master) bool {
	f := &m.failover
	votedForOther := m.leaderEpoch >= f.epoch && m.leader != n.myID
	return f.state == stateWaitStart && f.epoch == n.currentEpoch && !votedForOther
}

// standAgain goes on with an election that cannot be won any more: its epoch was
// overtaken, say by the failover of another master, or the votes were split. The
// original waits for twice the failover timeout then.
func (n *Node) standAgain(m *master) {
	f := &m.failover
	switch {
	case f.standAt.IsZero():
		if f.epoch < n.currentEpoch || n.split(m) {
			// Longer each time: the way may be long.
			f.standAt = n.now.Add(time.Duration(f.rounds) * n.electionDelay(m))
			f.rounds++
		}
	case !n.now.Before(f.standAt):
		f.standAt = time.Time{}
		if f.epoch == n.currentEpoch {
			n.adoptEpoch(m, n.currentEpoch+1)
		}
		f.epoch = n.currentEpoch
		n.askOpinions(m, true)
		n.touch(m)
	}
}

// split reports whether nobody can have been elected in the epoch of the
// failover, whatever the votes are that are not known.
func (n *Node) split(m *master) bool {
	votes, unknown := m.tally()
	if m.leaderEpoch == m.failover.epoch {
		votes[m.leader]++
	}
	most := 0
	for _, v := range votes {
		most = max(most, v)
	}
	return most+unknown < m.votesNeeded()
}

// electionStep is by how much a Sentinel lets another one go first. Two that
// stand for election closer together than a vote takes, with its way to a disk,
// may split the votes.
const electionStep = 150 * time.Millisecond

// electionDelay is how long to wait with an election. Sentinels that see a master
// die at the same moment take their turn by their ids, as far as they see each
// other. (The original's timers tick at random moments.)
func (n *Node) electionDelay(m *master) time.Duration {
	rank := time.Duration(0)
	for _, p := range m.peers {
		if p.name < n.myID && p.link.connected() && rank < maxRank {
			rank++
		}
	}
	return rank*electionStep + n.random(electionStep/3)
}

// maxRank bounds the wait where many Sentinels watch one master.
const maxRank = 6

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
