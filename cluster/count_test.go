package cluster

import (
	"testing"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// Whoever monitors a node counts failovers of the whole cluster by any node, once each,
// whichever message brings the news first.
func TestTakeoversAreCounted(t *testing.T) {
	claim := func(l *lab) {
		l.send(bus.TypePing, "x", func(m *bus.Message) {
			m.Flags, m.Primary, m.ConfigEpoch, m.CurrentEpoch = bus.FlagPrimary, "", 4, 4
			m.Slots = slots.Set{}
			m.Slots.AddRange(slots.Range{First: 0, Last: 5460})
		})
	}
	demotion := func(l *lab) {
		l.send(bus.TypePing, "a", func(m *bus.Message) {
			m.Flags, m.Primary, m.ConfigEpoch = bus.FlagReplica, id("x"), 4
		})
	}
	for _, c := range []struct {
		name string
		news []func(*lab)
		want uint64
	}{
		{"by the claim of the new primary", []func(*lab){claim}, 1},
		{"by the word of the old one", []func(*lab){demotion}, 1},
		{"once, if both come", []func(*lab){claim, demotion}, 1},
		{"once, in the other order", []func(*lab){demotion, claim}, 1},
		{"a slot that moves is none", []func(*lab){func(l *lab) {
			l.send(bus.TypePing, "b", func(m *bus.Message) {
				m.ConfigEpoch = 5
				m.Slots.Add(0)
			})
		}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "c", threeShards())
			for _, tell := range c.news {
				tell(l)
			}
			v := l.n.View()
			if got := v.Takeovers(); got != c.want {
				t.Errorf("%d takeovers, want %d", got, c.want)
			}
			if n, took := v.Failovers(); n != 0 || took != 0 {
				t.Errorf("%d failovers of its own, in %v", n, took)
			}
		})
	}
}

// The time of a failover is that in which the shard had no primary, as far as the cluster
// knows: it begins with FAIL, or with the request.
func TestFailoversAreTimed(t *testing.T) {
	t.Run("an election", func(t *testing.T) {
		l := newLab(t, "x", threeShards())
		l.step(Facts{Replica: true, Primary: id("a"), PrimaryContact: l.now})
		l.send(bus.TypeFail, "b", func(m *bus.Message) { m.Fail = id("a") })
		failed := l.now
		for !l.n.election.sent && l.now.Before(failed.Add(time.Minute)) {
			l.now = l.now.Add(tickPeriod)
			l.step(Tick{})
		}
		l.now = l.now.Add(30 * time.Millisecond)
		for _, voter := range []string{"b", "c"} {
			l.send(bus.TypeAuthAck, voter, func(m *bus.Message) { m.CurrentEpoch = l.n.election.epoch })
		}
		n, took := l.n.View().Failovers()
		if n != 1 || took != l.now.Sub(failed) || took <= 0 || l.n.View().Takeovers() != 1 {
			t.Errorf("%d failovers in %v, want one in %v", n, took, l.now.Sub(failed))
		}
	})
	t.Run("by hand", func(t *testing.T) {
		l := newLab(t, "x", threeShards())
		l.step(Facts{Replica: true, Primary: id("a"), PrimaryContact: l.now})
		l.step(Failover{})
		l.now = l.now.Add(40 * time.Millisecond)
		l.send(bus.TypePing, "a", func(m *bus.Message) { m.Offset, m.MsgFlags = 80, m.MsgFlags|bus.MsgPaused })
		l.step(Facts{Replica: true, Primary: id("a"), Offset: 80, PrimaryContact: l.now})
		for _, voter := range []string{"b", "c"} {
			l.send(bus.TypeAuthAck, voter, func(m *bus.Message) { m.CurrentEpoch = l.n.election.epoch })
		}
		if n, took := l.n.View().Failovers(); n != 1 || took != 40*time.Millisecond {
			t.Errorf("%d failovers in %v, want one in 40ms", n, took)
		}
	})
}

// A round trip is that of the PING and the PONG that answers it. A PONG that nobody has
// asked for measures nothing.
func TestRoundTripsAreMeasured(t *testing.T) {
	l := newLab(t, "a", threeShards())
	b := func() time.Duration { return l.n.View().Node(id("b")).RTT }
	l.n.ping(l.peer("b"))
	l.now = l.now.Add(3 * time.Millisecond)
	l.answer(id("b"))
	if got := b(); got != 3*time.Millisecond {
		t.Fatalf("the round trip took %v, want 3ms", got)
	}
	l.now = l.now.Add(5 * time.Millisecond)
	l.answer(id("b"))
	if got := b(); got != 3*time.Millisecond {
		t.Errorf("a second PONG made it %v", got)
	}
}
