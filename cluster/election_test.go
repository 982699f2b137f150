package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

func TestWhoStandsForElection(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(*lab)
		contact time.Duration // how long ago; negative: never
		want    bool
	}{
		{name: "a replica of a failed primary", want: true},
		{name: "not while the primary works", prepare: func(l *lab) { l.peer("a").flags &^= bus.FlagFail }},
		{name: "not for a primary without slots", prepare: func(l *lab) { l.n.unbindAll(l.peer("a")) }},
		{name: "not with replica-no-failover", prepare: func(l *lab) { l.n.cfg.ReplicaNoFailover = true }},
		{name: "not without a first sync", contact: -1},
		// 10 s repl-ping-replica-period + 10 node timeouts, and one for the detection.
		{name: "with data that are old, but not too old", contact: 21 * time.Second, want: true},
		{name: "not with data that are too old", contact: 21*time.Second + time.Millisecond},
		{
			name: "with old data, if the validity factor is 0", contact: time.Hour, want: true,
			prepare: func(l *lab) { l.n.cfg.ReplicaValidityFactor = 0 },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "x", threeShards())
			l.peer("a").flags |= bus.FlagFail
			if c.prepare != nil {
				c.prepare(l)
			}
			if c.contact >= 0 {
				l.step(Facts{Replica: true, Primary: id("a"), PrimaryContact: l.now.Add(-c.contact)})
			}
			l.now = l.now.Add(tickPeriod)
			if c.contact > time.Second {
				l.n.facts.PrimaryContact = l.now.Add(-c.contact)
			}
			l.step(Tick{})
			if got := !l.n.election.start.IsZero(); got != c.want {
				t.Errorf("stands: %v; notes %v", got, l.last.Notes)
			}
		})
	}
}

// A replica that changes its primary tells of its old data until the server has
// carried that out.
func TestFactsAboutAnotherPrimaryDoNotCount(t *testing.T) {
	l := newLab(t, "y", threeShards())
	l.step(Facts{Replica: true, Primary: id("b"), Offset: 100, PrimaryContact: l.now})
	if got := l.n.View().Me().Offset; got != 100 {
		t.Fatalf("offset %d", got)
	}
	l.step(Replicate{ID: id("a")})
	l.step(Facts{Replica: true, Primary: id("b"), Offset: 101, PrimaryContact: l.now})
	if got := l.send(bus.TypePing, "a", nil).Send[0].Msg.Offset; got != 0 {
		t.Errorf("offset %d of another shard is told", got)
	}
	l.peer("a").flags |= bus.FlagFail
	l.now = l.now.Add(tickPeriod)
	l.step(Tick{})
	if !l.n.election.start.IsZero() {
		t.Error("it stands with the data of another shard")
	}
	l.step(Facts{Replica: true, Primary: id("a"), Offset: 7, PrimaryContact: l.now})
	l.now = l.now.Add(tickPeriod)
	l.step(Tick{})
	if l.n.election.start.IsZero() {
		t.Error("it does not stand with the data of its shard")
	}
}

func TestElectionIsDelayedByRank(t *testing.T) {
	for _, c := range []struct {
		name     string
		offset   int64 // mine; y's is 100
		nominees bus.Flags
		least    time.Duration
	}{
		{"the one with the most data first", 101, 0, 500 * time.Millisecond},
		{"of equals the smaller id first", 100, 0, 1500 * time.Millisecond},
		{"the one with less data later", 99, 0, 1500 * time.Millisecond},
		{"those that do not stand do not count", 99, bus.FlagNoFailover, 500 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "z", threeShards())
			l.n.cfg.FastFail = false
			l.peer("y").offset = 100
			l.peer("y").flags |= c.nominees
			l.peer("b").flags |= bus.FlagFail
			l.step(Facts{Replica: true, Primary: id("b"), Offset: c.offset, PrimaryContact: l.now})
			l.now = l.now.Add(tickPeriod)
			fx := l.step(Tick{})
			if got := l.n.election.start.Sub(l.now); got < c.least || got >= c.least+electionJitter {
				t.Errorf("delay %v, want %v and up to %v more", got, c.least, electionJitter)
			}
			if l.sent(fx.Send, bus.TypePong)[id("y")] == nil {
				t.Error("the sibling is not told the offset")
			}
		})
	}
}

func TestRankThatGrowsPutsTheStartOff(t *testing.T) {
	l := newLab(t, "z", threeShards())
	l.n.cfg.FastFail = false
	l.peer("b").flags |= bus.FlagFail
	l.step(Facts{Replica: true, Primary: id("b"), Offset: 100, PrimaryContact: l.now})
	l.now = l.now.Add(tickPeriod)
	l.step(Tick{})
	start := l.n.election.start
	l.send(bus.TypePong, "y", func(m *bus.Message) { m.Offset = 200 })
	l.now = l.now.Add(tickPeriod)
	l.step(Tick{})
	if got := l.n.election.start.Sub(start); got != rankDelay {
		t.Errorf("put off by %v, want %v", got, rankDelay)
	}
}

func TestTickIsDueWhenAnElectionStarts(t *testing.T) {
	l := newLab(t, "x", threeShards())
	l.n.cfg.FastFail = false
	l.peer("a").flags |= bus.FlagFail
	l.step(Facts{Replica: true, Primary: id("a"), PrimaryContact: l.now})
	for l.n.election.start.IsZero() || l.n.Deadline() != l.n.election.start {
		if l.n.election.sent {
			t.Fatal("votes are asked for later than planned")
		}
		l.now = l.n.Deadline()
		l.step(Tick{})
	}
	l.now = l.n.Deadline()
	l.step(Tick{})
	if !l.n.election.sent {
		t.Error("votes are not asked for when the time has come")
	}
}

func TestWinning(t *testing.T) {
	for _, c := range []struct {
		name   string
		voters string
		epoch  bus.Epoch // of the votes
		want   bool
	}{
		{"a majority of the primaries with slots", "bc", 4, true},
		{"one vote is none", "b", 4, false},
		{"a vote counts once", "bb", 4, false},
		{"votes of replicas do not count", "byz", 4, false},
		{"votes for an older epoch do not count", "bc", 3, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "x", threeShards())
			l.stand()
			l.step(Tick{})
			var fx Effects
			for _, voter := range c.voters {
				fx = l.send(bus.TypeAuthAck, string(voter), func(m *bus.Message) { m.CurrentEpoch = c.epoch })
			}
			if won := fx.Role != nil && !fx.Role.Replica; won != c.want {
				t.Fatalf("won: %v", won)
			}
			if !c.want {
				return
			}
			v := l.n.View()
			if v.IsReplica() || v.MyEpoch != 4 || v.Me().Slots.Len() != 5461 || !v.Mine(0) {
				t.Errorf("I am %+v, my epoch is %d", v.Me().Flags, v.MyEpoch)
			}
			if len(l.sent(fx.SendAfterPersist, bus.TypePong)) != 5 {
				t.Error("not everybody is told")
			}
		})
	}
}

func TestFailedElectionIsRepeatedInANewEpoch(t *testing.T) {
	l := newLab(t, "x", threeShards())
	l.stand()
	l.step(Tick{})
	first := l.n.election.epoch
	l.n.facts.PrimaryContact = l.now
	for l.n.election.epoch <= first && l.now.Before(l.n.election.start.Add(time.Minute)) {
		l.now = l.now.Add(tickPeriod)
		l.step(Tick{})
	}
	if got := l.n.election.epoch; got <= first {
		t.Fatalf("the second election is in epoch %d, the first was in %d", got, first)
	}
}

func TestElectionIsGivenUpForAGreaterEpoch(t *testing.T) {
	l := newLab(t, "x", threeShards())
	l.stand()
	l.step(Tick{})
	l.send(bus.TypePing, "b", func(m *bus.Message) { m.CurrentEpoch, m.ConfigEpoch = 9, 9 })
	if l.n.election.sent {
		t.Error("the election goes on")
	}
}

func TestPauseIsAskedForOnceAndEnded(t *testing.T) {
	l := newLab(t, "a", threeShards())
	fx := l.send(bus.TypeMFStart, "x", nil)
	if fx.Pause == nil || fx.Pause.Until != l.now.Add(10*time.Second) {
		t.Fatalf("Pause %+v, want 10 s", fx.Pause)
	}
	if shown(l).MsgFlags.Has(bus.MsgPaused) {
		t.Error("PAUSED is shown although writes still go on")
	}
	fx = l.step(Paused{Offset: 77})
	ping := l.sent(fx.Send, bus.TypePing)[id("x")]
	if ping == nil || !ping.MsgFlags.Has(bus.MsgPaused) || ping.Offset != 77 {
		t.Fatalf("sent %+v, want a PING with PAUSED and the offset", ping)
	}
	l.now = l.now.Add(5*time.Second + tickPeriod)
	if fx = l.step(Tick{}); fx.Pause == nil || !fx.Pause.Until.IsZero() {
		t.Errorf("Pause %+v, want its end", fx.Pause)
	}
}

func TestMFStartOfAStrangerIsIgnored(t *testing.T) {
	for _, c := range []struct{ name, me, sender string }{
		{"of another's replica", "a", "y"},
		{"of a primary", "a", "b"},
		{"at a replica", "x", "y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.me, threeShards())
			if fx := l.send(bus.TypeMFStart, c.sender, nil); fx.Pause != nil {
				t.Errorf("Pause %+v", fx.Pause)
			}
		})
	}
}

func TestManualFailoverWaitsForTheOffset(t *testing.T) {
	l := newLab(t, "x", threeShards())
	fx := l.step(Failover{})
	var order []bus.Type
	for _, e := range fx.Send {
		order = append(order, e.Msg.Type)
	}
	if want := []bus.Type{bus.TypePing, bus.TypeMFStart}; !slices.Equal(order, want) {
		t.Errorf("sent %v, want %v: the primary may not know its new replica", order, want)
	}
	if l.sent(fx.Send, bus.TypeMFStart)[id("a")] == nil {
		t.Fatal("no MFSTART")
	}
	l.send(bus.TypePing, "a", func(m *bus.Message) { m.Offset = 50 })
	l.step(Facts{Replica: true, Primary: id("a"), Offset: 50, PrimaryContact: l.now})
	if l.n.election.sent {
		t.Fatal("it does not wait for PAUSED")
	}
	l.send(bus.TypePing, "a", func(m *bus.Message) { m.Offset, m.MsgFlags = 80, m.MsgFlags|bus.MsgPaused })
	l.step(Facts{Replica: true, Primary: id("a"), Offset: 79, PrimaryContact: l.now})
	if l.n.election.sent {
		t.Fatal("it does not wait for the last byte")
	}
	fx = l.step(Facts{Replica: true, Primary: id("a"), Offset: 80, PrimaryContact: l.now})
	requests := l.sent(fx.SendAfterPersist, bus.TypeAuthRequest)
	if m := requests[id("a")]; m == nil || !m.MsgFlags.Has(bus.MsgForceAck) {
		t.Errorf("request to the primary: %+v", m)
	}
}

func TestReplicaMigration(t *testing.T) {
	// b is an orphan: it had a replica, which is FAIL.
	shards := []shard{
		{primary: "a", slots: slots.Range{First: 0, Last: 8000}, replicas: "mno", epoch: 1},
		{primary: "b", slots: slots.Range{First: 8001, Last: 16383}, replicas: "p", epoch: 2},
	}
	for _, c := range []struct {
		name    string
		me      string
		prepare func(*lab)
		wait    time.Duration
		want    bool
	}{
		{name: "the smallest id goes", me: "m", wait: 7 * time.Second, want: true},
		{name: "others stay", me: "n", wait: 7 * time.Second},
		{name: "not at once", me: "m", wait: 4 * time.Second},
		{
			name: "not if the barrier is too high", me: "m", wait: 7 * time.Second,
			prepare: func(l *lab) { l.n.cfg.MigrationBarrier = 3 },
		},
		{
			name: "not if it is forbidden", me: "m", wait: 7 * time.Second,
			prepare: func(l *lab) { l.n.cfg.AllowReplicaMigration = false },
		},
		{
			name: "not to a primary that never had replicas", me: "m", wait: 7 * time.Second,
			prepare: func(l *lab) { l.n.deletePeer(l.peer("p")) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.me, shards)
			l.n.now = l.now
			if c.prepare != nil {
				c.prepare(l)
			}
			if p := l.peer("p"); p != nil {
				l.n.markFailed(p)
			}
			l.pass(c.wait, "p")
			if got := l.n.myself.primary == l.peer("b"); got != c.want {
				t.Errorf("migrated: %v", got)
			}
		})
	}
}

// With cluster-fast-fail nobody waits for what it knows already.
func TestFastElection(t *testing.T) {
	const (
		unit   = testTimeout / fastDelayFraction
		second = fastRankDelayMin + 2*unit // the first may not know that it is, and waits two units
	)
	tell := func(l *lab, offset int64) {
		l.send(bus.TypePong, "y", func(m *bus.Message) { m.Offset = offset })
	}
	for _, c := range []struct {
		name    string
		me, of  string
		prepare func(*lab)
		least   time.Duration
		most    time.Duration
	}{
		{"a sole replica at once", "x", "a", nil, 0, 0},
		{"one whose sibling is down at once", "z", "b", func(l *lab) { l.peer("y").flags |= bus.FlagPFail; l.peer("y").offset = 900 }, 0, 0},
		{"one whose sibling does not stand at once", "z", "b", func(l *lab) { l.peer("y").flags |= bus.FlagNoFailover; l.peer("y").offset = 900 }, 0, 0},
		{"one that does not know its rank waits", "z", "b", nil, unit, 2 * unit},
		{"what was told since the port refused counts", "z", "b", func(l *lab) {
			l.peer("b").refusals = refusals{1, l.now.Add(-800 * time.Millisecond)}
			l.peer("b").dataReceived, l.peer("y").offsetTold = l.now.Add(-900*time.Millisecond), l.now.Add(-500*time.Millisecond)
		}, 0, 0},
		{"not if the primary has sent something after that", "z", "b", func(l *lab) {
			l.peer("b").refusals = refusals{1, l.now.Add(-800 * time.Millisecond)}
			l.peer("b").dataReceived, l.peer("y").offsetTold = l.now.Add(-400*time.Millisecond), l.now.Add(-500*time.Millisecond)
		}, unit, 2 * unit},
		{"one that knows to be the first does not", "z", "b", func(l *lab) { tell(l, 50) }, 0, 0},
		{"one that knows to be the second waits for the first", "z", "b", func(l *lab) { tell(l, 200) }, second, second},
		{"of equals the smaller id goes first", "z", "b", func(l *lab) { tell(l, 100) }, second, second},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.me, threeShards())
			l.step(Facts{Replica: true, Primary: id(c.of), Offset: 100, PrimaryContact: l.now})
			l.now = l.now.Add(time.Second)
			l.n.now = l.now
			l.n.markFailed(l.peer(c.of))
			l.n.todo.failover = false
			if c.prepare != nil {
				c.prepare(l)
			}
			l.step(Tick{})
			if got := l.n.election.start.Sub(l.now); got < c.least || got > c.most {
				t.Errorf("delay %v, want %v to %v", got, c.least, c.most)
			}
			if l.n.election.sent != (c.most == 0) {
				t.Errorf("votes are asked for: %v", l.n.election.sent)
			}
		})
	}
}

// A replica that waits for its siblings' offsets goes on as soon as it has them.
func TestElectionBeginsWhenTheLastSiblingHasTold(t *testing.T) {
	l := newLab(t, "z", threeShards())
	l.n.cfg.NodeTimeout = 15 * time.Second
	l.step(Facts{Replica: true, Primary: id("b"), Offset: 100, PrimaryContact: l.now})
	l.now = l.now.Add(tickPeriod)
	l.n.now = l.now
	l.n.markFailed(l.peer("b"))
	l.step(Tick{})
	if l.n.election.sent {
		t.Fatal("it does not wait")
	}
	l.now = l.now.Add(time.Millisecond)
	l.send(bus.TypePong, "y", func(m *bus.Message) { m.Offset = 99 })
	if !l.n.election.sent {
		t.Error("it does not begin")
	}
}

// Elections of two shards in one epoch would take each other's votes.
func TestShardsTakeTheirTurns(t *testing.T) {
	l := newLab(t, "y", threeShards())
	l.n.cfg.NodeTimeout = 15 * time.Second
	l.n.deletePeer(l.peer("z"))
	l.step(Facts{Replica: true, Primary: id("b"), Offset: 100, PrimaryContact: l.now})
	l.n.now = l.now
	l.n.markFailed(l.peer("a"))
	l.n.markFailed(l.peer("b"))
	l.step(Tick{})
	if got := l.n.election.start.Sub(l.now); got != shardDelayMax {
		t.Errorf("the second shard waits %v, want %v", got, shardDelayMax)
	}
}

// The news of the failure may come later than the request, and cost the vote; on
// the same link it cannot.
func TestFailGoesBeforeTheRequest(t *testing.T) {
	l := newLab(t, "x", threeShards())
	l.stand()
	fx := l.step(Tick{})
	var order []bus.Type
	for _, e := range fx.SendAfterPersist {
		if l.n.links[e.Link].peer == l.peer("c") {
			order = append(order, e.Msg.Type)
		}
	}
	if !slices.Equal(order, []bus.Type{bus.TypeFail, bus.TypeAuthRequest}) {
		t.Errorf("c is sent %v", order)
	}
}

// An old opinion is not news: those who have taken FAIL back would take it over again, and
// vote against a primary that works.
func TestAnOldFailIsNotTold(t *testing.T) {
	for _, c := range []struct {
		name string
		age  func(*lab, *peer)
		told int
	}{
		{"it is new", func(*lab, *peer) {}, 5},
		{"it is of before the start", func(_ *lab, p *peer) { p.failHeard = false }, 0},
		{"the others have taken it back since", func(l *lab, p *peer) { p.failTime = l.now.Add(-2*testTimeout - time.Millisecond) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "x", threeShards())
			l.n.now = l.now
			a := l.peer("a")
			l.n.markFailed(a)
			c.age(l, a)
			l.n.facts.Replica, l.n.facts.Primary, l.n.facts.PrimaryContact = true, a.id, l.now
			l.n.planElection()
			l.n.election.start = l.now
			l.n.askForVotes()
			fx := l.step(Tick{})
			if asked, told := l.sent(fx.SendAfterPersist, bus.TypeAuthRequest), l.sent(fx.SendAfterPersist, bus.TypeFail); len(asked) != 5 || len(told) != c.told {
				t.Errorf("%d are asked for votes, %d are told FAIL, want %d", len(asked), len(told), c.told)
			}
		})
	}
	l := newLab(t, "x", threeShards())
	l.n.now = l.now
	l.n.markFailed(l.peer("a"))
	l.step(Resumed{})
	if l.n.failIsNews(l.peer("a")) {
		t.Error("it is of before a stop, and still news")
	}
}

func TestALostElectionIsRepeatedSoonAmongOurOwn(t *testing.T) {
	for _, c := range []struct {
		redoubt string
		want    time.Duration
	}{{"abc", electionRetryPause}, {"bc", electionRetryPause}, {"c", 4 * testTimeout}, {"", 4 * testTimeout}} {
		l := newLab(t, "x", threeShards())
		for _, p := range []string{"a", "b", "c"} {
			l.peer(p).redoubt = strings.Contains(c.redoubt, p)
		}
		l.stand()
		l.step(Tick{})
		began, epoch := l.n.election.start, l.n.election.epoch
		for l.n.election.epoch == epoch && l.now.Sub(began) < time.Minute {
			l.now = l.now.Add(tickPeriod)
			l.step(Facts{Replica: true, Primary: id("a"), Offset: 1, PrimaryContact: l.now})
			l.step(Tick{})
		}
		if got := l.now.Sub(began); got < c.want || got > c.want+3*tickPeriod {
			t.Errorf("own voters %q: after %v, want %v", c.redoubt, got, c.want)
		}
	}
}

// Two replicas that share the voters between them would otherwise ask in step with
// each other for ever.
func TestWhoAsksInVainWaitsLongerEachTime(t *testing.T) {
	l := newLab(t, "z", threeShards())
	for _, voter := range []string{"a", "c"} {
		l.peer(voter).redoubt = true
	}
	l.step(Facts{Replica: true, Primary: id("b"), Offset: 100, PrimaryContact: l.now})
	l.n.now = l.now
	l.n.markFailed(l.peer("b"))
	l.n.askForVotes()
	least := electionRetryPause
	for try := range 4 {
		e := &l.n.election
		if got := l.n.electionRetry(); e.tries != try || got < least || got > 2*least {
			t.Errorf("try %d (%d): the next is after %v, want %v to %v", try, e.tries, got, least, 2*least)
		}
		least *= 2
		l.n.planElection()
		l.n.askForVotes()
	}
	l.n.election.tries = 100
	if got := l.n.electionRetry(); got != 2*l.n.electionTimeout() {
		t.Errorf("at last it is after %v, want %v as in Redis", got, 2*l.n.electionTimeout())
	}
}
