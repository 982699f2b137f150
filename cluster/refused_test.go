package cluster

import (
	"testing"
	"time"

	"redoubt/bus"
)

// refuse lets time pass in ticks in which each dial of a peer is refused.
func (l *lab) refuse(d time.Duration, of string) {
	l.t.Helper()
	for end := l.now.Add(d); l.now.Before(end); {
		l.now = l.now.Add(tickPeriod)
		for _, dial := range l.step(Tick{}).Dial {
			p := l.n.links[dial.Link].peer
			if p == l.peer(of) {
				l.step(LinkDown{Link: dial.Link, Refused: true})
			}
		}
		for _, p := range l.n.order {
			if p != l.n.myself && p != l.peer(of) {
				l.answer(p.id)
			}
		}
	}
}

func TestANodeWhosePortRefusesIsSuspectedAtOnce(t *testing.T) {
	for _, c := range []struct {
		name    string
		reset   bool // its link is not ended, but reset
		prepare func(*lab)
		span    time.Duration
		want    bool
	}{
		{name: "twice, some time apart", span: 3 * tickPeriod, want: true},
		{name: "not at the first refusal", span: tickPeriod},
		{name: "not at two that follow each other at once", span: 2 * tickPeriod},
		{name: "not if its link was reset, as by a firewall", span: time.Second, reset: true},
		{name: "not with Redis's timing", span: time.Second, prepare: func(l *lab) { l.n.cfg.FastFail = false }},
		{name: "not while it has a connection to us", span: time.Second, prepare: func(l *lab) {
			l.step(LinkAccepted{Link: InboundLink(99), PeerIP: l.peer("b").ip, LocalIP: "10.0.0.200"})
			l.in[id("b")] = InboundLink(99)
			l.send(bus.TypePing, "b", nil)
			l.now = l.now.Add(tickPeriod)
		}},
		{name: "not if nothing has been heard of it since the start", span: time.Second, prepare: func(l *lab) {
			l.peer("b").unheard = true
		}},
		{name: "not if it has never been heard of", span: time.Second, prepare: func(l *lab) {
			l.peer("b").dataReceived = time.Time{}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newWorkingLab(t, "a")
			l.n.cfg.NodeTimeout = time.Minute
			l.breakLinks("b", !c.reset)
			if c.prepare != nil {
				c.prepare(l)
			}
			l.refuse(c.span, "b")
			if got := l.peer("b").has(bus.FlagPFail); got != c.want {
				t.Errorf("suspected: %v", got)
			}
		})
	}
}

// What it sends after a refusal shows that it lives: the count begins anew.
func TestALinkThatOpensEndsTheRefusals(t *testing.T) {
	l := newWorkingLab(t, "a")
	l.n.cfg.NodeTimeout = time.Minute
	l.hangUp("b")
	l.refuse(2*tickPeriod, "b")
	l.pass(tickPeriod)
	l.hangUp("b")
	l.refuse(2*tickPeriod, "b")
	if l.peer("b").has(bus.FlagPFail) {
		t.Error("it is suspected")
	}
}

func TestANewSuspicionIsToldToAllVoters(t *testing.T) {
	for _, c := range []struct {
		name, me string
		fast     bool
		want     bool
	}{
		{"by a voter", "a", true, true},
		{"not by a replica, whose word does not count", "x", true, false},
		{"not with Redis's timing", "a", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.me, append(threeShards(), shard{primary: "d", none: true}))
			l.n.rebind(0, l.peer("d"))
			l.pass(4 * time.Second)
			l.n.cfg.FastFail = c.fast
			l.n.now = l.now
			l.n.suspect(l.peer("b"))
			told := l.sent(l.step(Facts{}).Send, bus.TypePong)
			for _, name := range []string{"c", "d"} {
				suspected := false
				if m := told[id(name)]; m != nil {
					for _, g := range m.Gossip {
						suspected = suspected || g.ID == id("b") && g.Flags.Has(bus.FlagPFail)
					}
				}
				if suspected != c.want {
					t.Errorf("%s is told: %v", name, suspected)
				}
			}
			if told[id("b")] != nil || told[id("z")] != nil {
				t.Error("others are told")
			}
		})
	}
}
