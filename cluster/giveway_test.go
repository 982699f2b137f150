package cluster

import (
	"testing"
	"time"

	"redoubt/bus"
)

// returned is the primary b, as it comes back with a journal that ends at 50, and
// what its replicas y and z tell.
func returned(t *testing.T, y, z int64) *lab {
	l := newLab(t, "b", threeShards())
	l.n.giving = giveWay{}
	l.peer("y").offset, l.peer("z").offset = y, z
	l.redoubt = "yz"
	l.step(Facts{Offset: 50})
	return l
}

// asked counts who is asked to take over in a time.
func (l *lab) asked(d time.Duration) map[bus.NodeID]int {
	asked := make(map[bus.NodeID]int)
	for end := l.now.Add(d); l.now.Before(end); {
		l.pass(tickPeriod)
		// pass ends with answers; the tick was the step before.
		if at := l.n.giving.asked; at.Equal(l.now) {
			asked[l.n.replicaAhead().id]++
		}
	}
	return asked
}

func TestPrimaryWithoutItsLastWritesGivesWay(t *testing.T) {
	l := returned(t, 70, 80)
	asked := l.asked(3 * time.Second)
	if len(asked) != 1 || asked[id("z")] != 3 {
		t.Errorf("asked are %v, want z, which has the most, three times", asked)
	}
	if v := l.n.View(); v.OK || v.Settled {
		t.Errorf("it serves (%v), replicas may throw their data away (%v)", v.OK, v.Settled)
	}
	l.send(bus.TypePing, "z", func(m *bus.Message) {
		m.Primary, m.Flags, m.ConfigEpoch = "", bus.FlagPrimary, 9
	})
	l.pass(tickPeriod)
	if v := l.n.View(); !v.IsReplica() || v.Me().Primary != id("z") || !v.Settled {
		t.Errorf("z has taken over, and this node is %v of %s", v.Me().Flags, v.Me().Primary)
	}
}

func TestPrimaryThatHasAllServes(t *testing.T) {
	for _, c := range []struct {
		name    string
		y, z    int64
		prepare func(l *lab)
	}{
		{name: "its replicas have less", y: 50, z: 49},
		{name: "none is in step", y: 0, z: 0},
		{name: "another's has more of another stream, perhaps", y: 50, z: 99, prepare: func(l *lab) { l.redoubt = "y" }},
		{name: "those with more may not be elected", y: 50, z: 99, prepare: func(l *lab) { l.peer("z").flags |= bus.FlagNoFailover }},
		{name: "those with more are dead", y: 50, z: 99, prepare: func(l *lab) { l.peer("z").flags |= bus.FlagFail }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := returned(t, c.y, c.z)
			if c.prepare != nil {
				c.prepare(l)
			}
			if l.pass(writableDelay+2*tickPeriod, "z"); !l.n.View().OK || !l.n.View().Settled {
				t.Error("it does not serve")
			}
		})
	}
}

// A replica that does not take over, or is lost, does not keep a shard down.
func TestGivingWayEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		silent string // who does not answer any more
		limit  time.Duration
	}{
		{"when the replica does nothing", "", 4*testTimeout + 5*time.Second},
		{"when the replica is lost", "z", 2 * testTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := returned(t, 50, 80)
			l.pass(tickPeriod)
			began := l.now
			for !l.n.View().OK && l.now.Sub(began) < time.Minute {
				l.pass(tickPeriod, c.silent)
			}
			if got := l.now.Sub(began); got < writableDelay-2*tickPeriod || got > c.limit+writableDelay {
				t.Errorf("ok after %v, want up to %v", got, c.limit+writableDelay)
			}
		})
	}
}

// Redis's replicas do not know that they are asked. They see a primary fall
// silent.
func TestPrimaryThatGivesWayFallsSilent(t *testing.T) {
	l := returned(t, 50, 80)
	l.redoubt = ""
	l.step(Facts{Offset: 50, Outrun: 80}) // it has asked for what comes behind 80
	sent := func() bool {
		l.pass(tickPeriod)
		return len(l.send(bus.TypePing, "c", nil).Send) > 0
	}
	for end := l.now.Add(2 * testTimeout); l.now.Before(end); {
		if !sent() {
			t.Fatal("it is silent at once")
		}
	}
	l.pass(tickPeriod)
	if sent() {
		t.Error("it still answers after two node timeouts")
	}
}

func TestReplicaRelievesItsPrimary(t *testing.T) {
	for _, c := range []struct {
		name    string
		facts   Facts
		sender  string
		prepare func(l *lab)
		want    bool
	}{
		{name: "with more data", facts: Facts{Offset: 80}, sender: "a", want: true},
		{name: "not with as much", facts: Facts{Offset: 70}, sender: "a"},
		{name: "not for another primary", facts: Facts{Offset: 80}, sender: "b"},
		{name: "not if it is not to stand", facts: Facts{Offset: 80}, sender: "a", prepare: func(l *lab) { l.n.cfg.ReplicaNoFailover = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "x", threeShards())
			if c.prepare != nil {
				c.prepare(l)
			}
			c.facts.Replica, c.facts.Primary, c.facts.PrimaryContact = true, id("a"), l.now
			l.step(c.facts)
			fx := l.send(bus.TypeMFStart, c.sender, func(m *bus.Message) { m.Offset = 70 })
			requests := l.sent(fx.SendAfterPersist, bus.TypeAuthRequest)
			if got := len(requests) > 0; got != c.want {
				t.Errorf("it stands: %v", got)
			}
			if m := requests[id("a")]; c.want && (m == nil || !m.MsgFlags.Has(bus.MsgForceAck)) {
				t.Error("the voters are not told that the primary agrees")
			}
		})
	}
}
