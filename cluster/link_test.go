package cluster

import (
	"testing"
	"time"

	"redoubt/bus"
)

// refuseDials lets time pass in ticks in which each dial of a peer fails, and
// gives the times of the dials since the start.
func (l *lab) refuseDials(d time.Duration, of string) (at []time.Duration) {
	l.t.Helper()
	began := l.now
	for l.now.Sub(began) < d {
		l.now = l.now.Add(tickPeriod)
		for _, dial := range l.step(Tick{}).Dial {
			p := l.n.links[dial.Link].peer
			if p != l.peer(of) {
				l.step(LinkUp{dial.Link})
				continue
			}
			at = append(at, l.now.Sub(began))
			l.step(LinkDown{Link: dial.Link})
		}
		for _, p := range l.n.order {
			if p != l.n.myself && p != l.peer(of) {
				l.answer(p.id)
			}
		}
	}
	return at
}

// hangUp ends both links of a peer.
func (l *lab) hangUp(name string) { l.breakLinks(name, true) }

// breakLinks breaks the links with a peer, as their end or by a reset.
func (l *lab) breakLinks(name string, ended bool) {
	l.step(LinkDown{Link: l.peer(name).out.id, Ended: ended})
	if in := l.peer(name).in; in != nil {
		l.step(LinkDown{Link: in.id})
	}
}

// A hundred dead nodes must not cost a thousand dials a second.
func TestADeadNodeIsDialledLessAndLess(t *testing.T) {
	l := newWorkingLab(t, "a")
	l.n.cfg.NodeTimeout = time.Minute
	l.hangUp("b")
	at := l.refuseDials(time.Minute, "b")
	if len(at) < 4 || at[2] > 3*tickPeriod {
		t.Fatalf("the first dials come after %v: a failure has to show soon", at)
	}
	if got := len(at); got > 40 {
		t.Errorf("%d dials in a minute", got)
	}
	for i := range at[1:] {
		if pause := at[i+1] - at[i]; pause > longestRedial+tickPeriod {
			t.Errorf("a pause of %v", pause)
		}
	}
}

func TestANodeThatComesBackIsDialledAtOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		news func(*lab)
	}{
		{"it has dialled", func(l *lab) {
			l.step(LinkAccepted{Link: InboundLink(99), PeerIP: l.peer("b").ip, LocalIP: "10.0.0.200"})
			l.in[id("b")] = InboundLink(99)
			l.send(bus.TypePing, "b", nil)
		}},
		{"another has its new address", func(l *lab) {
			b := l.peer("b")
			b.flags |= bus.FlagPFail
			g := l.n.gossipAbout(b)
			g.IP, g.Flags = "10.0.9.9", bus.FlagPrimary
			l.send(bus.TypePing, "c", func(m *bus.Message) { m.Gossip = []bus.Gossip{g} })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newWorkingLab(t, "a")
			l.n.cfg.NodeTimeout = time.Minute
			l.hangUp("b")
			l.refuseDials(30*time.Second, "b")
			for l.peer("b").redialAt.Sub(l.now) < time.Second {
				l.now = l.now.Add(tickPeriod)
				for _, dial := range l.step(Tick{}).Dial {
					l.step(LinkDown{Link: dial.Link})
				}
			}
			c.news(l)
			if at := l.refuseDials(tickPeriod, "b"); len(at) != 1 {
				t.Errorf("dials at %v, want one with the next tick", at)
			}
		})
	}
}

// Somebody waits for a handshake.
func TestAHandshakeIsDialledWithEachTick(t *testing.T) {
	l := newWorkingLab(t, "a")
	l.step(Meet{IP: "10.0.7.7", Port: 7000})
	dials := 0
	for range 8 {
		l.now = l.now.Add(tickPeriod)
		for _, d := range l.step(Tick{}).Dial {
			if d.IP == "10.0.7.7" {
				dials++
				l.step(LinkDown{Link: d.Link})
			}
		}
	}
	if dials != 8 {
		t.Errorf("%d dials in 8 ticks", dials)
	}
}

// What is one node's opinion of a moment is no reason to write to the disk.
func TestASuspicionIsNotSaved(t *testing.T) {
	l := newWorkingLab(t, "a")
	b := l.peer("b")
	version := l.n.disk.version
	l.pass(2*testTimeout, "b")
	if !b.has(bus.FlagPFail) {
		t.Fatal("b is not suspected")
	}
	l.pass(5 * tickPeriod)
	if b.has(bus.FlagPFail) || l.n.disk.version != version {
		t.Errorf("suspected: %v, %d states were saved", b.has(bus.FlagPFail), l.n.disk.version-version)
	}
}

// A time that came by gossip must not depend on a clock that can be set: set back
// by an hour, the node would be silent towards its peer for that long.
func TestGossipedTimesDoNotFollowTheWallClock(t *testing.T) {
	l := newWorkingLab(t, "a")
	l.now = time.Now().Add(time.Hour) // with a monotonic reading
	p := l.peer("z")
	p.pingSent, p.pongReceived, p.reports = time.Time{}, time.Time{}, nil
	g := l.n.gossipAbout(p)
	g.PongReceivedSec = uint32(l.now.Unix())
	l.send(bus.TypePing, "c", func(m *bus.Message) { m.Gossip = []bus.Gossip{g} })
	if age := l.now.Sub(p.pongReceived); age < 0 || age > time.Second {
		t.Fatalf("the PONG is %v old", age)
	}
	if p.pongReceived == p.pongReceived.Round(0) {
		t.Error("the time of the PONG is one of the wall clock")
	}
}
