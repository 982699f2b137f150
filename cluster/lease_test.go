package cluster

import (
	"testing"
	"time"

	"redoubt/bus"
)

// newWorkingLab is a lab whose node serves.
func newWorkingLab(t *testing.T, me string) *lab {
	t.Helper()
	l := newLab(t, me, threeShards())
	l.pass(4 * time.Second)
	if !l.n.View().OK {
		t.Fatal("not ok from the beginning")
	}
	return l
}

// tickUntilDown lets time pass without answers until the node does not serve,
// and gives the time that takes; meanwhile is called after each tick.
func (l *lab) tickUntilDown(meanwhile func()) time.Duration {
	l.t.Helper()
	began := l.now
	for l.n.View().OK {
		if l.now.Sub(began) > 10*testTimeout {
			l.t.Fatal("it never stops")
		}
		l.now = l.now.Add(tickPeriod)
		l.step(Tick{})
		meanwhile()
	}
	return l.now.Sub(began)
}

// Whoever does not get answers is suspected a node timeout after the last
// message that got through, and has to have stopped by then.
func TestPrimaryWithoutAnswersStopsWithinTheNodeTimeout(t *testing.T) {
	for _, c := range []struct {
		name      string
		meanwhile func(*lab)
	}{
		{"cut off", func(*lab) {}},
		{"it hears the others, but they do not hear it", func(l *lab) {
			for _, p := range []string{"b", "c"} {
				l.send(bus.TypePing, p, nil)
			}
		}},
		{"the others gossip that all are well", func(l *lab) {
			for _, p := range []string{"b", "c"} {
				l.report("x", p, 0)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newWorkingLab(t, "a")
			if got := l.tickUntilDown(func() { c.meanwhile(l) }); got > testTimeout {
				t.Errorf("it stops after %v", got)
			}
			if v := l.n.View().Route(Query{Slot: 1, Write: true}); v != Down {
				t.Errorf("a write gets %v", v)
			}
		})
	}
}

func TestOneOfThreeVotersIsEnoughForALease(t *testing.T) {
	l := newWorkingLab(t, "a")
	l.n.cfg.RequireFullCoverage = false
	l.pass(3*testTimeout, "b")
	if !l.n.View().OK {
		t.Error("it has stopped, but c answers")
	}
}

// Routers between the two refuse the connections of either side. The others need two
// refusals for a suspicion, some time apart.
func TestOneRefusalEndsTheLeaseOfAVoter(t *testing.T) {
	l := newWorkingLab(t, "a")
	l.n.cfg.RequireFullCoverage = false
	l.redoubt = "bc"
	l.pass(tickPeriod)
	for _, p := range []string{"b", "c"} {
		l.hangUp(p)
	}
	l.now = l.now.Add(tickPeriod)
	for _, d := range l.step(Tick{}).Dial {
		if !l.n.View().OK {
			t.Error("it stops when one of two voters refuses")
		}
		l.step(LinkDown{Link: d.Link, Refused: true})
	}
	if l.n.View().OK {
		t.Fatal("it serves, though both have refused its connections")
	}
	l.pass(2 * tickPeriod)
	if !l.n.View().OK {
		t.Error("it does not go on when they have answered")
	}
}

func TestReplicaNeedsNoLease(t *testing.T) {
	l := newWorkingLab(t, "x")
	for _, p := range l.n.order {
		p.vouched = time.Time{}
	}
	l.n.todo.state = true
	l.step(Facts{})
	if !l.n.View().OK {
		t.Error("a replica acts as if others could replace it")
	}
}

// Until its election a replica needs no lease, and the voters may have answered
// long ago. Their votes are answers, too.
func TestWhoeverIsElectedHasALease(t *testing.T) {
	for _, c := range []struct {
		name string
		win  func(*lab)
		at   time.Duration // when it serves at the latest
	}{
		{"by votes", func(l *lab) {
			l.stand()
			l.step(Tick{})
			for _, voter := range []string{"b", "c"} {
				l.send(bus.TypeAuthAck, voter, func(m *bus.Message) { m.CurrentEpoch = l.n.election.epoch })
			}
		}, 0},
		{"by order", func(l *lab) { l.step(Failover{Mode: FailoverTakeover}) }, 3 * tickPeriod},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newWorkingLab(t, "x")
			l.n.cfg.RequireFullCoverage = false
			for _, p := range l.n.order {
				p.vouched = l.now.Add(-time.Hour)
			}
			c.win(l)
			if l.n.myself.isReplica() {
				t.Fatal("it has not won")
			}
			l.pass(c.at)
			if !l.n.View().OK {
				t.Errorf("it does not serve; notes %v", l.last.Notes)
			}
		})
	}
}

// An answer counts from when the PING left, since nobody knows how long it took
// to arrive.
func TestAnAnswerCountsFromItsPing(t *testing.T) {
	l := newWorkingLab(t, "a")
	b := l.peer("b")
	l.n.now = l.now
	l.n.ping(b)
	left := l.now
	l.now = l.now.Add(testTimeout / 2)
	l.answer(id("b"))
	if !b.vouched.Equal(left) {
		t.Errorf("it counts from %v before now, want %v", l.now.Sub(b.vouched), testTimeout/2)
	}
	l.now = l.now.Add(testTimeout / 4)
	l.answer(id("b")) // to nothing
	if !b.vouched.Equal(left) {
		t.Error("an answer to no PING counts")
	}
}

// In large clusters gossip saves nearly all PINGs.
func TestPrimaryPingsVotersThoughGossipTellsOfThem(t *testing.T) {
	for _, c := range []struct {
		name, me, other string
		want            bool
	}{
		{"a primary pings voters", "a", "c", true},
		{"not replicas", "a", "z", false},
		{"a replica need not", "x", "c", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newWorkingLab(t, c.me)
			p := l.peer(c.other)
			var longest time.Duration
			for range 30 {
				p.pongReceived = l.now.Add(tickPeriod) // as gossip would have it
				l.pass(tickPeriod)
				longest = max(longest, l.now.Sub(p.vouched))
			}
			if got := longest < testTimeout/2+tickPeriod; got != c.want {
				t.Errorf("the longest time without an answer of its own is %v", longest)
			}
		})
	}
}

func TestPrimaryThatHearsOfItsFailureIsFenced(t *testing.T) {
	fail := func(l *lab) { l.send(bus.TypeFail, "c", func(m *bus.Message) { m.Fail = l.n.myself.id }) }
	accuse := func(l *lab, by string) {
		p := l.peer(by)
		m := l.message(bus.TypePong, p.id)
		g := l.n.gossipAbout(l.n.myself)
		g.Flags |= bus.FlagFail
		m.Gossip = []bus.Gossip{g}
		l.step(Received{p.out.id, m})
	}
	t.Run("until a majority has answered", func(t *testing.T) {
		l := newWorkingLab(t, "a")
		l.redoubt = "bc"
		l.pass(tickPeriod)
		fail(l)
		if l.n.View().OK {
			t.Fatal("it goes on")
		}
		l.pass(2 * tickPeriod)
		if l.n.fenced() {
			t.Error("all have answered, and it is still fenced")
		}
		l.pass(testTimeout + 2*tickPeriod)
		if !l.n.View().OK {
			t.Error("it does not serve again")
		}
	})
	t.Run("for as long as they say it is FAIL", func(t *testing.T) {
		l := newWorkingLab(t, "a")
		l.redoubt = "bc"
		fail(l)
		for range 5 * testTimeout / tickPeriod {
			l.now = l.now.Add(tickPeriod)
			l.step(Tick{})
			accuse(l, "b")
			accuse(l, "c")
			if l.n.View().OK {
				t.Fatal("it serves")
			}
		}
		l.pass(3*tickPeriod, "c")
		if l.n.fenced() {
			t.Error("one of the others takes it back, and it is still fenced")
		}
	})
	t.Run("an answer to an older PING does not count", func(t *testing.T) {
		l := newWorkingLab(t, "a")
		l.redoubt = "bc"
		for _, p := range []string{"b", "c"} {
			l.n.ping(l.peer(p))
		}
		l.now = l.now.Add(time.Millisecond)
		fail(l)
		for _, p := range []string{"b", "c"} {
			l.answer(id(p))
		}
		if !l.n.fenced() {
			t.Error("the fence is lifted")
		}
	})
	t.Run("Redis does not say what it thinks, but forgives after two node timeouts", func(t *testing.T) {
		l := newWorkingLab(t, "a")
		fail(l)
		l.pass(2 * testTimeout)
		if !l.n.fenced() {
			t.Fatal("the fence is lifted while they hold it for FAIL")
		}
		l.pass(testTimeout)
		if l.n.fenced() {
			t.Error("it is still fenced")
		}
	})
	t.Run("not without replicas", func(t *testing.T) {
		l := newWorkingLab(t, "c")
		l.send(bus.TypeFail, "a", func(m *bus.Message) { m.Fail = id("c") })
		if !l.n.View().OK {
			t.Error("nobody can replace it, and it stops")
		}
	})
	t.Run("with a replica that it does not know yet", func(t *testing.T) {
		l := newWorkingLab(t, "c")
		l.step(Facts{Replicated: true})
		l.send(bus.TypeFail, "a", func(m *bus.Message) { m.Fail = id("c") })
		if l.n.View().OK {
			t.Error("that one can replace it, and it serves")
		}
	})
	t.Run("not after it has become a replica", func(t *testing.T) {
		l := newWorkingLab(t, "a")
		fail(l)
		l.send(bus.TypePong, "x", func(m *bus.Message) {
			m.Primary, m.ConfigEpoch, m.Flags = "", 9, bus.FlagPrimary
		})
		l.pass(tickPeriod)
		if !l.n.myself.isReplica() || !l.n.fencedAt.IsZero() || !l.n.View().OK {
			t.Errorf("replica: %v, fenced at %v, ok: %v", l.n.myself.isReplica(), l.n.fencedAt, l.n.View().OK)
		}
	})
}

// A node that is held for FAIL learns so from the answers to its PINGs, if it
// can read that.
func TestAnswersTellAFailedNodeSo(t *testing.T) {
	for _, redoubt := range []bool{true, false} {
		l := newWorkingLab(t, "a")
		b := l.peer("b")
		if redoubt {
			l.redoubt = "b"
		}
		l.send(bus.TypePing, "b", nil)
		b.flags |= bus.FlagFail
		b.failTime = l.now
		fx := l.send(bus.TypePing, "b", nil)
		told := false
		for _, g := range fx.Send[0].Msg.Gossip {
			told = told || g.ID == id("b") && g.Flags.Has(bus.FlagFail)
		}
		if told != redoubt {
			t.Errorf("of this product: %v; told: %v", redoubt, told)
		}
	}
}
