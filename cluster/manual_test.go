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
