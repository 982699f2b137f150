package cluster

import (
	"testing"

	"redoubt/bus"
)

// saysFail reports whether what the node would answer to a PING of p calls p FAIL.
func (l *lab) saysFail(name string) bool {
	p := l.peer(name)
	for _, g := range l.n.gossipMessage(bus.TypePong, p).Gossip {
		if g.ID == p.id && g.Flags.Has(bus.FlagFail) {
			return true
		}
	}
	return false
}

// vote has a replica ask for the node's vote in the next epoch.
func (l *lab) vote(candidate string) {
	l.t.Helper()
	epoch := l.n.currentEpoch + 1
	l.send(bus.TypeAuthRequest, candidate, func(m *bus.Message) { m.CurrentEpoch = epoch })
	if l.n.lastVoteEpoch != epoch {
		l.t.Fatalf("no vote for %s: %v", candidate, l.last.Notes)
	}
}

// A vote may elect its candidate for two node timeouts. If FAIL were taken back
// before, the old primary would have its lease again.
func TestFailLastsAsLongAsTheVote(t *testing.T) {
	l := newWorkingLab(t, "c")
	l.redoubt = "abxyz"
	l.pass(tickPeriod)
	a := l.peer("a")
	l.n.now = l.now
	l.n.markFailed(a)
	l.pass(2*testTimeout - tickPeriod)
	l.vote("x")
	for end := l.now.Add(l.n.electionTimeout()); l.now.Before(end); l.pass(tickPeriod) {
		if !a.failed() || !l.saysFail("a") {
			t.Fatalf("FAIL is taken back %v before the vote expires", end.Sub(l.now))
		}
	}
	l.pass(2 * tickPeriod)
	if a.failed() || l.saysFail("a") {
		t.Error("FAIL lasts longer than the vote")
	}
}

func TestVoterThatSaysFailDoesNotVouch(t *testing.T) {
	for _, c := range []struct {
		name, me string
		others   []string
		stops    bool
	}{
		{"a primary with a replica stops", "a", []string{"b", "c"}, true},
		{"nobody could replace one without", "c", []string{"a", "b"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newWorkingLab(t, c.me)
			l.redoubt = "abc"
			for range testTimeout / tickPeriod {
				l.now = l.now.Add(tickPeriod)
				l.step(Tick{})
				for _, by := range c.others {
					p := l.peer(by)
					m := l.message(bus.TypePong, p.id)
					g := l.n.gossipAbout(l.n.myself)
					g.Flags |= bus.FlagFail
					m.Gossip = []bus.Gossip{g}
					l.step(Received{p.out.id, m})
				}
			}
			if ok := l.n.View().OK; ok == c.stops {
				t.Errorf("after a node timeout, it serves: %v", ok)
			}
		})
	}
}

// The votes are a lease until the voters may vote for another. After that it takes
// answers of those who know the claim, and a majority of others: the old primary may
// have one of three, and itself.
func TestWinnerServesByVotesAndThenByAnswersToItsClaim(t *testing.T) {
	l := newWorkingLab(t, "x")
	l.n.cfg.RequireFullCoverage = false
	l.persistent = false
	l.stand()
	l.step(Tick{})
	for _, voter := range []string{"b", "c"} {
		l.send(bus.TypeAuthAck, voter, func(m *bus.Message) { m.CurrentEpoch = l.n.election.epoch })
	}
	serves := func(want bool, when string) {
		t.Helper()
		l.n.evaluate()
		if got := l.n.health.ok; got != want {
			t.Errorf("%s it serves: %v", when, got)
		}
	}
	serves(true, "by its votes")
	l.pass(candidatePause)
	serves(false, "when the voters may have voted for another, and its claim is not on disk,")
	l.pass(testTimeout)
	serves(false, "after answers to the replica that it was")
	l.step(Persisted{l.n.disk.version})
	l.pass(3*tickPeriod, "b")
	serves(false, "after the answer of one voter")
	l.pass(3 * tickPeriod)
	serves(true, "after the answers of a majority")
	l.pass(3*tickPeriod, "b")
	serves(true, "one of three later")
}

// Of two replicas that a voter has voted for, both may win. It vouches for the second.
func TestVoterDoubtsAWinnerThatMayBeReplaced(t *testing.T) {
	l := newWorkingLab(t, "c")
	l.redoubt = "abxyz"
	l.pass(tickPeriod)
	l.n.now = l.now
	l.n.markFailed(l.peer("b"))
	l.vote("y")
	l.now = l.now.Add(candidatePause)
	l.vote("z")
	claimed := *l.peer("b").set()
	claim := func(name string, epoch bus.Epoch) {
		l.send(bus.TypePong, name, func(m *bus.Message) {
			m.Primary, m.ConfigEpoch, m.Flags, m.Slots = "", epoch, bus.FlagPrimary, claimed
		})
	}
	epoch := l.n.currentEpoch
	claim("y", epoch-1)
	if !l.peer("y").votes() || !l.saysFail("y") {
		t.Error("it vouches for y, though z may win")
	}
	claim("z", epoch)
	if !l.peer("z").votes() || l.saysFail("z") {
		t.Error("it does not vouch for z, which nobody can replace")
	}
}

// A primary that has been replaced may be behind a firewall that lets nobody in. It is
// told on the link that it has dialled itself.
func TestReplacedPrimaryIsToldOnItsOwnLink(t *testing.T) {
	l := newWorkingLab(t, "c")
	stale := l.message(bus.TypePing, id("a"))
	l.send(bus.TypePong, "x", func(m *bus.Message) {
		m.Primary, m.ConfigEpoch, m.Flags = "", 9, bus.FlagPrimary
	})
	l.n.closeLink(l.peer("a").out)
	fx := l.step(Received{l.in[id("a")], stale})
	if l.sent(fx.Send, bus.TypeUpdate)[id("a")] == nil {
		t.Error("it is not told")
	}
}
