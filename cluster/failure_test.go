package cluster

import (
	"testing"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// report lets a peer gossip that another one is failing, or is not.
func (l *lab) report(by, about string, flags bus.Flags) Effects {
	return l.send(bus.TypePing, by, func(m *bus.Message) {
		g := l.n.gossipAbout(l.peer(about))
		g.Flags = g.Flags&^(bus.FlagPFail|bus.FlagFail) | flags
		g.PongReceivedSec = 0
		m.Gossip = []bus.Gossip{g}
	})
}

func TestSilentNodeIsSuspectedAfterTheNodeTimeout(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.pass(testTimeout, "b")
	if l.peer("b").has(bus.FlagPFail) {
		t.Fatal("suspected before a PING has waited for the node timeout")
	}
	l.pass(testTimeout, "b")
	if !l.peer("b").has(bus.FlagPFail) {
		t.Error("not suspected")
	}
	if l.peer("c").any(bus.FlagPFail | bus.FlagFail) {
		t.Error("a node that answers is suspected")
	}
	l.pass(3 * tickPeriod)
	if l.peer("b").has(bus.FlagPFail) {
		t.Error("still suspected although it answers again")
	}
}

func TestFailNeedsAMajority(t *testing.T) {
	five := []shard{
		{primary: "a", slots: slots.Range{First: 0, Last: 99}, replicas: "x"},
		{primary: "b", slots: slots.Range{First: 100, Last: 199}},
		{primary: "c", slots: slots.Range{First: 200, Last: 299}},
		{primary: "d", slots: slots.Range{First: 300, Last: 399}},
		{primary: "e", slots: slots.Range{First: 400, Last: 16383}},
		{primary: "f", none: true},
	}
	for _, c := range []struct {
		name      string
		me        string
		suspected bool // by me
		by        string
		wait      time.Duration // between the first report and the others
		want      bool
	}{
		{"two of five and I are enough", "a", true, "bc", 0, true},
		{"one of five and I are not", "a", true, "b", 0, false},
		{"my own suspicion is needed", "a", false, "bcd", 0, false},
		{"a replica counts three others", "x", true, "abc", 0, true},
		{"a replica does not count itself", "x", true, "ab", 0, false},
		{"replicas and primaries without slots do not count", "a", true, "bxf", 0, false},
		{"reports are forgotten after two node timeouts", "a", true, "bc", 2*testTimeout + time.Millisecond, false},
		{"reports live two node timeouts", "a", true, "bc", 2 * testTimeout, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.me, five)
			e := l.peer("e")
			if c.suspected {
				e.flags |= bus.FlagPFail
			}
			var fx Effects
			for i, by := range c.by {
				if i == 1 {
					l.now = l.now.Add(c.wait)
				}
				fx = l.report(string(by), "e", bus.FlagPFail)
			}
			if e.failed() != c.want {
				t.Fatalf("FAIL is %v", e.failed())
			}
			if got := len(l.sent(fx.Send, bus.TypeFail)); c.want && got < 5 {
				t.Errorf("%d are told", got)
			}
		})
	}
}

// The others count a suspicion for two node timeouts: they are told at once that it is
// over, as they were told of it.
func TestTheEndOfASuspicionIsTold(t *testing.T) {
	l := newLab(t, "a", threeShards())
	b := l.peer("b")
	l.n.now = l.now
	l.n.ping(b)
	b.flags |= bus.FlagPFail
	fx := l.step(Received{b.out.id, l.message(bus.TypePong, b.id)})
	if b.has(bus.FlagPFail) {
		t.Fatal("it is still suspected")
	}
	if l.sent(fx.Send, bus.TypePong)[id("c")] == nil {
		t.Error("c is not told")
	}
}

func TestReportIsTakenBack(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.peer("c").humanName = "nodename-c"
	for _, c := range []struct {
		what  string
		flags bus.Flags
		said  string // by loglevel verbose, as in clusterProcessGossipSection
	}{
		{"all is well", 0, ""},
		{"a report", bus.FlagPFail, "Node " + string(id("b")) + " reported node " + string(id("c")) + " (nodename-c) as not reachable."},
		{"the same again", bus.FlagPFail, ""},
		{"it is taken back", 0, "Node " + string(id("b")) + " reported node " + string(id("c")) + " (nodename-c) is back online."},
		{"the same again", 0, ""},
	} {
		var said string
		for _, note := range l.report("b", "c", c.flags).Notes {
			said += note.Text
			if !note.Verbose {
				t.Errorf("%s: %q is for everybody", c.what, note.Text)
			}
		}
		if said != c.said {
			t.Errorf("%s: said %q, want %q", c.what, said, c.said)
		}
	}
	l.report("b", "c", bus.FlagPFail)
	if got := l.step(CountFailureReports{id("c")}).Result.Count; got != 1 {
		t.Fatalf("%d reports", got)
	}
	l.report("b", "c", 0)
	if got := l.step(CountFailureReports{id("c")}).Result.Count; got != 0 {
		t.Errorf("%d reports are left", got)
	}
}

func TestFailMessageIsBelieved(t *testing.T) {
	for _, c := range []struct {
		name, about string
		want        bool
	}{
		{"about another node", "b", true},
		{"not about me", "a", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "a", threeShards())
			l.send(bus.TypeFail, "c", func(m *bus.Message) { m.Fail = id(c.about) })
			if got := l.peer(c.about).failed(); got != c.want {
				t.Errorf("FAIL is %v", got)
			}
		})
	}
}

func TestFailIsTakenBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		node  string
		after time.Duration
		want  bool // still FAIL
	}{
		{"of a replica at once", "y", 0, false},
		{"of a primary with slots not while it may be replaced", "b", 2 * testTimeout, true},
		{"of a primary with slots when nobody replaced it", "b", 2*testTimeout + time.Millisecond, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "a", threeShards())
			l.n.now = l.now
			l.n.markFailed(l.peer(c.node))
			l.now = l.now.Add(c.after)
			l.answer(id(c.node))
			if got := l.peer(c.node).failed(); got != c.want {
				t.Errorf("FAIL is %v", got)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	for _, c := range []struct {
		name    string
		me      string
		prepare func(*lab)
		want    bool
	}{
		{"whole", "a", func(*lab) {}, true},
		{"a slot without owner", "a", func(l *lab) { l.n.unbind(9) }, false},
		{"a slot without owner, if that is allowed", "a", func(l *lab) { l.n.unbind(9); l.n.cfg.RequireFullCoverage = false }, true},
		{"an owner that is FAIL", "a", func(l *lab) { l.peer("b").flags |= bus.FlagFail }, false},
		{"an owner that is FAIL, if that is allowed", "a", func(l *lab) { l.peer("b").flags |= bus.FlagFail; l.n.cfg.RequireFullCoverage = false }, true},
		{"an owner that only I suspect", "a", func(l *lab) { l.peer("b").flags |= bus.FlagPFail }, true},
		{"a minority", "a", func(l *lab) {
			l.n.cfg.RequireFullCoverage = false
			l.peer("b").flags |= bus.FlagPFail
			l.peer("c").flags |= bus.FlagPFail
		}, false},
		{"a replica sees it, too", "x", func(l *lab) { l.peer("b").flags |= bus.FlagFail }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.me, threeShards())
			l.pass(4 * time.Second)
			if !l.n.View().OK {
				t.Fatal("not ok from the beginning")
			}
			c.prepare(l)
			l.n.todo.state = true
			l.step(Facts{})
			if got := l.n.View().OK; got != c.want {
				t.Errorf("ok is %v", got)
			}
		})
	}
}

func TestPrimaryWaitsBeforeItIsWritable(t *testing.T) {
	for _, c := range []struct {
		name string
		me   string
		wait time.Duration
	}{
		{"a primary after a start", "a", writableDelay},
		{"a replica does not wait", "x", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.me, threeShards())
			began := l.now
			for !l.n.View().OK && l.now.Sub(began) < time.Minute {
				l.pass(tickPeriod)
			}
			if got := l.now.Sub(began); got < c.wait || got > c.wait+2*tickPeriod {
				t.Errorf("ok after %v, want %v", got, c.wait)
			}
		})
	}
}

func TestPrimaryWaitsAfterAMinority(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.pass(4 * time.Second)
	l.peer("b").flags |= bus.FlagPFail
	l.peer("c").flags |= bus.FlagPFail
	l.n.todo.state = true
	l.step(Facts{})
	if l.n.View().OK {
		t.Fatal("ok in a minority")
	}
	began := l.now
	for !l.n.View().OK && l.now.Sub(began) < time.Minute {
		l.pass(tickPeriod)
	}
	if got := l.now.Sub(began); got < testTimeout {
		t.Errorf("ok again after %v, want at least the node timeout", got)
	}
}

// A primary that was stopped may have been replaced: it serves nobody before a
// majority has answered what it asked since.
func TestAfterAStopAMajorityMustAnswer(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.pass(writableDelay + time.Second)
	if !l.n.View().OK {
		t.Fatal("the cluster is not ok")
	}
	old := l.peer("b").out.id
	l.now = l.now.Add(10 * testTimeout)
	l.step(Resumed{})
	verdict := func() Verdict { return l.n.View().Route(Query{Slot: 1, Write: true}) }
	if got := verdict(); got != Down {
		t.Fatalf("right after the stop the verdict is %v", got)
	}
	l.step(Received{old, l.message(bus.TypePong, id("b"))}) // it lay in the socket
	for range 4 * writableDelay / tickPeriod {
		l.now = l.now.Add(tickPeriod)
		for _, d := range l.step(Tick{}).Dial {
			l.step(LinkUp{d.Link})
		}
		if got := verdict(); got != Down {
			t.Fatalf("nobody has answered, and the verdict is %v", got)
		}
	}
	l.pass(tickPeriod, "c")
	if got := verdict(); got != Down {
		t.Fatalf("at the first answer the verdict is %v", got)
	}
	l.pass(writableDelay+testTimeout+time.Second, "c")
	if got := verdict(); got != Run {
		t.Fatalf("when b has answered the verdict is %v", got)
	}
}

func TestAfterAStopNobodyIsSuspectedForThat(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.pass(writableDelay, "bc") // some PINGs wait
	l.now = l.now.Add(10 * testTimeout)
	l.step(Resumed{})
	l.pass(testTimeout / 2)
	for _, name := range []string{"b", "c"} {
		if p := l.peer(name); p.any(bus.FlagPFail | bus.FlagFail) {
			t.Errorf("%s is %v", name, p.flags)
		}
	}
}

// Whoever decides alone has not been replaced.
func TestAStopOfTheOnlyVoterChangesNothing(t *testing.T) {
	l := newLab(t, "a", []shard{{primary: "a", slots: slots.Range{First: 0, Last: slots.Count - 1}, replicas: "x"}})
	l.pass(writableDelay + time.Second)
	l.now = l.now.Add(10 * testTimeout)
	l.step(Resumed{})
	if !l.n.View().OK {
		t.Error("it waits for votes that nobody can give")
	}
}

// A primary that starts has to hear of a majority, too: that it suspects nobody
// yet does not tell that it has not been replaced.
func TestAfterAStartAMajorityMustAnswer(t *testing.T) {
	l := newLab(t, "a", threeShards())
	state := l.n.state()
	l = newLabOf(t, state)
	l.n.cfg.NodeTimeout = 15 * time.Second
	l.pass(3*writableDelay, "abcxyz")
	if l.n.View().OK {
		t.Fatal("it has heard of nobody and is ok")
	}
	l.pass(3 * tickPeriod)
	if !l.n.View().OK {
		t.Error("all have answered, and it is not ok")
	}
}

// Until the successor is there, the other shards need not refuse: they did not
// before the FAIL either.
func TestOtherShardsServeWhileAPrimaryIsReplaced(t *testing.T) {
	for _, c := range []struct {
		name   string
		failed string
		fast   bool
		want   bool
	}{
		{"its replica is about to take over", "b", true, true},
		{"nobody can take over", "c", true, false},
		{"with Redis's timing", "b", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newWorkingLab(t, "a")
			l.n.cfg.FastFail = c.fast
			l.n.now = l.now
			l.n.markFailed(l.peer(c.failed))
			l.step(Facts{})
			if got := l.n.View().OK; got != c.want {
				t.Errorf("it serves: %v", got)
			}
			l.pass(replacementGrace+tickPeriod, c.failed)
			if l.n.View().OK {
				t.Error("nobody has taken over, and it serves")
			}
		})
	}
}
