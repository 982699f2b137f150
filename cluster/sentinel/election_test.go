package sentinel

import (
	"strings"
	"testing"
	"time"
)

// electorate is a Node that stands for election in epoch 1, with peers a to d.
func electorate(t *testing.T, quorum int) (*Node, *master) {
	t.Helper()
	n := newNode(t, Settings{}, &State{MyID: strings.Repeat("0", 40)})
	m := n.addMaster(labMaster, Addr{"10.0.0.1", 6379}, quorum, DefaultOptions())
	for i, c := range []string{"a", "b", "c", "d"} {
		n.addPeer(m, strings.Repeat(c, 40), Addr{"10.0.1.1", uint16(1000 + i)})
	}
	n.startFailover(m)
	return n, m
}

func TestElection(t *testing.T) {
	// Each vote is that of a peer: for whom, and in which epoch.
	type vote struct {
		whom  string
		epoch uint64
	}
	for _, c := range []struct {
		name   string
		quorum int
		votes  []vote
		epoch  uint64 // the current one, if it is not 1
		want   bool
	}{
		{"own vote alone", 1, nil, 0, false},
		{"two of five", 1, []vote{{"0", 1}}, 0, false},
		{"three of five", 1, []vote{{"0", 1}, {"0", 1}}, 0, true},
		{"most of them, fewer than the quorum", 4, []vote{{"0", 1}, {"0", 1}}, 0, false},
		{"the quorum", 4, []vote{{"0", 1}, {"0", 1}, {"0", 1}}, 0, true},
		{"votes of another epoch", 1, []vote{{"0", 2}, {"0", 0}, {"0", 7}}, 0, false},
		{"votes for others", 1, []vote{{"a", 1}, {"b", 1}, {"0", 1}}, 0, false},
		{"ours goes to who has most", 1, []vote{{"a", 1}, {"a", 1}}, 0, false},
		{"a newer epoch, with votes in it", 1, []vote{{"0", 5}, {"0", 5}}, 5, true},
		{"a newer epoch, with votes in the older", 1, []vote{{"0", 1}, {"0", 1}}, 5, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, m := electorate(t, c.quorum)
			for i, v := range c.votes {
				m.peers[i].leader, m.peers[i].leaderEpoch = strings.Repeat(v.whom, 40), v.epoch
			}
			if n.adoptEpoch(m, c.epoch); c.epoch > 1 {
				n.standAgain(m) // it is to wait a little
				n.now = m.failover.standAt
				n.standAgain(m)
			}
			if got := n.elected(m); got != c.want {
				t.Errorf("elected: %v", got)
			}
			if m.leaderEpoch != n.currentEpoch || m.failover.epoch != n.currentEpoch {
				t.Errorf("own vote in epoch %d, a failover of epoch %d; the current is %d", m.leaderEpoch, m.failover.epoch, n.currentEpoch)
			}
		})
	}
}

// The vote that was given to another is not counted for ourselves.
func TestOwnVoteIsGivenOnce(t *testing.T) {
	n, m := electorate(t, 1)
	other := strings.Repeat("a", 40)
	if leader, epoch := n.vote(m, 1, other); leader != other || epoch != 1 {
		t.Fatalf("vote for %s in %d", leader, epoch)
	}
	me := n.myID
	m.peers[1].leader, m.peers[1].leaderEpoch = me, 1
	m.peers[2].leader, m.peers[2].leaderEpoch = me, 1
	if n.elected(m) {
		t.Error("elected by two of five and a vote that another one has")
	}
	if m.failover.started.Before(n.now) {
		t.Error("it may try a failover of its own at once")
	}
}

func TestSplitVotes(t *testing.T) {
	for _, c := range []struct {
		name  string
		votes string // of a to d, in order, - if it is not known; ours is for 0
		want  bool
	}{
		{"nothing is known", "----", false},
		{"each for itself", "abcd", true},
		{"one may still have three", "aa--", false},
		{"we may still have three", "0a--", false},
		{"two have two, and no vote is left", "0aab", true},
		{"an unknown vote would not be enough", "abc-", true},
		{"an unknown vote may be enough", "aab-", false},
		{"another one is elected", "aaab", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, m := electorate(t, 1)
			n.vote(m, 1, n.myID)
			for i, v := range c.votes {
				if v != '-' {
					m.peers[i].leader, m.peers[i].leaderEpoch = strings.Repeat(string(v), 40), 1
				}
			}
			if got := n.split(m); got != c.want {
				t.Errorf("split: %v", got)
			}
		})
	}
}

// Votes are split where a vote takes longer than the turns are apart. The next
// round is not as far away as two failover timeouts.
func TestSplitVotesAreHeldAgain(t *testing.T) {
	l := labWith(t, 3, 1, 2, nil)
	l.run(15 * time.Second)
	l.latency = 400 * time.Millisecond
	l.kill(l.nodes[0])
	l.until("all agree", 15*time.Second, func() bool { return l.agreed(l.nodes[0].addr) })
	tries := 0
	for _, m := range l.members {
		tries += m.count("+try-failover")
		if m.said("-failover-abort-not-elected") {
			t.Errorf("an election was given up: %v", m.notices)
		}
	}
	if tries < 2 {
		t.Error("nobody stood against another: this tests nothing")
	}
}

// Sentinels that see a master die at once take turns: one attempt is enough.
func TestSentinelsTakeTurns(t *testing.T) {
	l := labWith(t, 5, 1, 3, func(s *MasterState) { s.Options.FastDown = true })
	l.run(15 * time.Second)
	l.kill(l.nodes[0])
	l.until("all agree", 10*time.Second, func() bool { return l.agreed(l.nodes[0].addr) })
	tries := 0
	for _, m := range l.members {
		tries += m.count("+try-failover")
	}
	if tries != 1 {
		t.Errorf("%d attempts", tries)
	}
}

func TestMostVoted(t *testing.T) {
	got := strings.Join(mostVoted(map[string]int{"c": 2, "a": 1, "b": 2}), " ")
	if got != "b c" {
		t.Errorf("most voted: %s", got)
	}
}
