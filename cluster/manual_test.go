package cluster

import (
	"testing"
	"time"

	"redoubt/bus"
)

// The replica of a manual failover may have won it when the time is over, and not
// have begun its role: a primary that wrote again would lose that.
func TestAPauseLastsUntilTheReplicaCannotHaveWon(t *testing.T) {
	const limit = 5 * time.Second
	for _, c := range []struct {
		name    string
		redoubt string
		asked   bool          // the replica has asked for votes
		flags   bus.MsgFlags  // of its answers after the end
		silent  string        // from the end on
		least   time.Duration // of the pause
		most    time.Duration
	}{
		{name: "it says that it has given up", redoubt: "x", least: limit, most: limit + 5*tickPeriod},
		{name: "it is still taking over", redoubt: "x", flags: bus.MsgTakingOver, least: 2 * limit, most: 2*limit + 5*tickPeriod},
		{name: "it cannot be reached", redoubt: "x", silent: "x", least: 2 * limit, most: 2*limit + 5*tickPeriod},
		{name: "one of Redis never asked for votes", least: limit, most: limit + 5*tickPeriod},
		{name: "one of Redis has asked for votes", asked: true, least: 2 * limit, most: 2*limit + 5*tickPeriod},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newWorkingLab(t, "a")
			l.redoubt = c.redoubt
			l.n.cfg.NodeTimeout = time.Minute
			l.pass(tickPeriod)
			fx := l.send(bus.TypeMFStart, "x", nil)
			if fx.Pause == nil || fx.Pause.Until.IsZero() {
				t.Fatal("it does not pause")
			}
			began := l.now
			l.step(Paused{Offset: 7})
			if c.asked {
				l.send(bus.TypeAuthRequest, "x", func(m *bus.Message) { m.CurrentEpoch, m.MsgFlags = 1, m.MsgFlags|bus.MsgForceAck })
			}
			told := false
			step := func(ev Event) {
				fx := l.step(ev)
				told = told || fx.Pause != nil && fx.Pause.Until.IsZero()
			}
			for l.n.manual.active() {
				if l.now.Sub(began) > time.Minute {
					t.Fatal("the pause never ends")
				}
				l.now = l.now.Add(tickPeriod)
				step(Tick{})
				if p := l.peer("x"); c.silent != "x" || l.now.Sub(began) < limit {
					m := l.message(bus.TypePong, p.id)
					if l.now.Sub(began) > limit {
						m.MsgFlags |= c.flags
					}
					step(Received{p.out.id, m})
				}
			}
			if got := l.now.Sub(began); got < c.least || got > c.most {
				t.Errorf("it lasts %v, want %v to %v", got, c.least, c.most)
			}
			if !told {
				t.Error("the server is not told")
			}
		})
	}
}

func TestAReplicaTellsThatItIsTakingOver(t *testing.T) {
	for _, redoubt := range []string{"a", ""} {
		l := newWorkingLab(t, "x")
		l.redoubt = redoubt
		l.send(bus.TypePing, "a", nil)
		told := func() bool { return l.send(bus.TypePing, "a", nil).Send[0].Msg.MsgFlags.Has(bus.MsgTakingOver) }
		if told() {
			t.Error("it says so without reason")
		}
		l.step(Failover{Mode: FailoverForce})
		if got := told(); got != (redoubt == "a") {
			t.Errorf("during the attempt: %v; the other is of this product: %v", got, redoubt == "a")
		}
		l.pass(6 * time.Second)
		if told() || l.n.election.sent {
			t.Error("it says so when the attempt is over, or could still win")
		}
	}
}

// A primary that ends asks the best replica that is fit, once its writes stand still.
func TestAPrimaryThatEndsAsksAnHeir(t *testing.T) {
	l := newWorkingLab(t, "b")
	l.redoubt = "yz"
	l.pass(tickPeriod)
	heir := func(name string) Heir { return Heir{ID: id(name)} }
	refused := func(heirs ...Heir) {
		t.Helper()
		if fx := l.step(HandOver{Heirs: heirs}); fx.Result.Err == nil || fx.Pause != nil || l.n.manual.active() {
			t.Errorf("%v is an heir: %+v", heirs, fx.Result)
		}
	}
	refused()
	refused(heir("x")) // of another shard
	refused(Heir{IP: "10.0.0.121", Port: 7001})
	refused(Heir{IP: "10.0.0.121"})
	l.peer("z").flags |= bus.FlagNoFailover
	refused(heir("z"))

	fx := l.step(HandOver{Heirs: []Heir{heir("x"), heir("z"), {IP: "10.0.0.121", Port: 7000}}})
	if fx.Result.Err != nil || fx.Result.Heir != id("y") || fx.Result.AskHost != "" {
		t.Fatalf("got %+v", fx.Result)
	}
	if fx.Pause == nil || !fx.Pause.Until.After(l.now) || len(l.sent(fx.Send, bus.TypeMFStart)) > 0 {
		t.Fatal("it does not pause first")
	}
	if fx = l.step(HandOver{Heirs: []Heir{heir("z")}}); fx.Result.Heir != id("y") {
		t.Errorf("a second time: %+v", fx.Result)
	}
	fx = l.step(Paused{Offset: 77})
	m := l.sent(fx.Send, bus.TypeMFStart)[id("y")]
	if m == nil || m.Offset != 77 || !m.MsgFlags.Has(bus.MsgPaused) {
		t.Fatalf("the heir is told %+v", m)
	}
	l.now = l.now.Add(tickPeriod)
	if fx = l.step(Tick{}); len(l.sent(fx.Send, bus.TypeMFStart)) != 1 {
		t.Error("it is not told again")
	}
	l.send(bus.TypeAuthRequest, "y", func(m *bus.Message) { m.CurrentEpoch, m.MsgFlags = 9, m.MsgFlags|bus.MsgForceAck })
	l.now = l.now.Add(tickPeriod)
	if fx = l.step(Tick{}); len(l.sent(fx.Send, bus.TypeMFStart)) != 0 {
		t.Error("it is told although it asks for votes")
	}
}

// One that is not of this product waits for a client's command, and begins by itself.
func TestAnHeirOfRedisIsToBeAsked(t *testing.T) {
	l := newWorkingLab(t, "a")
	fx := l.step(HandOver{Heirs: []Heir{{IP: "10.0.0.120", Port: 7000}}})
	if r := fx.Result; r.Err != nil || r.Heir != id("x") || r.AskHost != "10.0.0.120" || r.AskPort != 7000 || fx.Pause != nil {
		t.Errorf("got %+v", r)
	}
	if fx = l.send(bus.TypeMFStart, "x", nil); fx.Pause == nil {
		t.Error("the heir does not get its way")
	}
	l.step(Paused{Offset: 7})
	if fx = l.step(HandOver{Heirs: []Heir{{ID: id("x")}}}); fx.Result.Heir != id("x") || fx.Result.AskHost != "" {
		t.Errorf("then %+v", fx.Result)
	}
	if len(l.sent(fx.Send, bus.TypeMFStart)) > 0 {
		t.Error("it is sent MFSTART, which means another thing to it")
	}
	replica := newWorkingLab(t, "x")
	if fx := replica.step(HandOver{}); fx.Result.Err == nil {
		t.Error("a replica hands over")
	}
}

// The heir asks for votes as soon as it has what the primary had in the end.
func TestAnHeirTakesOver(t *testing.T) {
	l := newWorkingLab(t, "x")
	l.redoubt = "a"
	facts := Facts{Replica: true, Primary: id("a"), Offset: 70, PrimaryContact: l.now}
	l.step(facts)
	ask := func(flags bus.MsgFlags) Effects {
		return l.send(bus.TypeMFStart, "a", func(m *bus.Message) { m.Offset, m.MsgFlags = 77, m.MsgFlags|flags })
	}
	if ask(0); l.n.manual.active() {
		t.Fatal("a primary that has started with more is relieved")
	}
	if fx := ask(bus.MsgPaused); len(l.sent(fx.SendAfterPersist, bus.TypeAuthRequest)) > 0 || !l.n.manual.active() {
		t.Fatal("it does not wait for the end of the stream")
	}
	facts.Offset = 77
	fx := l.step(facts)
	for _, m := range l.sent(fx.SendAfterPersist, bus.TypeAuthRequest) {
		if !m.MsgFlags.Has(bus.MsgForceAck) {
			t.Error("those that see the primary alive would refuse")
		}
		return
	}
	t.Error("it does not ask for votes")
}

func TestWhoeverIsNoHeir(t *testing.T) {
	l := newWorkingLab(t, "x")
	l.n.cfg.ReplicaNoFailover = true
	l.step(Facts{Replica: true, Primary: id("a"), Offset: 77, PrimaryContact: l.now})
	paused := func(m *bus.Message) { m.Offset, m.MsgFlags = 77, m.MsgFlags|bus.MsgPaused }
	if l.send(bus.TypeMFStart, "a", paused); l.n.manual.active() {
		t.Error("cluster-replica-no-failover")
	}
	l.n.cfg.ReplicaNoFailover = false
	l.step(Facts{Replica: true, Primary: id("a")})
	if l.send(bus.TypeMFStart, "a", paused); l.n.manual.active() {
		t.Error("a replica without data")
	}
}

// A shard with a quorum elects another primary by itself when this one is gone.
func TestAPrimaryOfAQuorumDoesNotHandOver(t *testing.T) {
	l := newWorkingLab(t, "a")
	l.redoubt = "x"
	l.pass(tickPeriod)
	l.n.cfg.Quorum = true
	if fx := l.step(HandOver{Heirs: []Heir{{ID: id("x")}}}); fx.Result.Err == nil || fx.Pause != nil {
		t.Errorf("got %+v", fx.Result)
	}
}
