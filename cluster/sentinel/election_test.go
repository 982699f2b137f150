package sentinel

import (
	"strings"
	"testing"
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
			n.adoptEpoch(m, c.epoch)
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

func TestMostVoted(t *testing.T) {
	got := strings.Join(mostVoted(map[string]int{"c": 2, "a": 1, "b": 2}), " ")
	if got != "b c" {
		t.Errorf("most voted: %s", got)
	}
}
