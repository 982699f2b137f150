package sentinel

import (
	"strings"
	"testing"
	"time"
)

func TestTilt(t *testing.T) {
	l := labWith(t, 3, 1, 2, nil)
	m := l.members[0]
	m.frozen = true
	l.run(10 * time.Second)
	m.thaw()
	l.run(time.Second)
	if !m.said("+tilt #tilt mode entered") || m.said("+sdown") {
		t.Fatalf("after standing still: %v", m.notices)
	}
	if s := m.node.Summary(l.now); !s.Tilt || s.TotalTilt != 1 || s.TiltSince < 0 {
		t.Errorf("summary: %+v", s)
	}
	// In TILT it collects and does not judge; it does vote.
	l.kill(l.nodes[0])
	l.run(20 * time.Second)
	if m.said("+sdown") {
		t.Error("it judges in TILT")
	}
	if r := m.ask(IsMasterDown{Addr: l.nodes[0].addr, Candidate: "*"}); r.Down {
		t.Error("it calls the master down in TILT")
	}
	l.until("-tilt", 20*time.Second, func() bool { return m.said("-tilt #tilt mode exited") })
	l.until("all agree again", time.Minute, func() bool { return l.agreed(l.nodes[0].addr) })
}

// What has waited while the Sentinel stood still comes before the Tick. That is one
// standstill, not one for each.
func TestTiltIsSaidOnce(t *testing.T) {
	l := labWith(t, 3, 1, 2, nil)
	m := l.members[0]
	m.frozen = true
	l.run(10 * time.Second)
	for range 3 {
		m.step(HelloReceived{Payload: "what came in the meantime"})
	}
	m.thaw()
	l.run(time.Second)
	said := 0
	for _, n := range m.notices {
		if strings.HasPrefix(n, "+tilt") {
			said++
		}
	}
	if said != 1 {
		t.Errorf("+tilt was said %d times: %v", said, m.notices)
	}
}

// A pause that is shorter than the TILT trigger finds the replies unread, and
// must not find everybody down.
func TestShortPauseJudgesNobody(t *testing.T) {
	l := labWith(t, 1, 2, 1, func(s *MasterState) { s.Options.DownAfter = time.Second })
	m := l.members[0]
	l.latency = 100 * time.Millisecond // so that a PING is often on its way
	for i := range 100 {
		l.run(1300*time.Millisecond + time.Duration(i)*7*time.Millisecond)
		m.frozen = true // the replies wait in its sockets
		l.run(1900 * time.Millisecond)
		m.thaw()
	}
	if m.said("+sdown") {
		t.Errorf("events: %v", m.notices)
	}
}

// What the wall clock says does not matter: a Step is late or it is not.
func TestQuietSentinelIsNotLate(t *testing.T) {
	n := newNode(t, Settings{}, nil)
	fx := n.Step(epoch0, Tick{})
	if !n.Deadline().IsZero() {
		t.Errorf("nothing is watched, and a Tick is due at %v", n.Deadline())
	}
	if fx.Persist == nil || !validID(fx.Persist.MyID) {
		t.Error("the invented id is not persisted")
	}
	n.Step(epoch0.Add(time.Hour), Monitor{Name: labMaster, Addr: Addr{"10.0.0.1", 6379}, Quorum: 1})
	if s := n.Summary(epoch0.Add(time.Hour)); s.Tilt {
		t.Error("TILT, though no Tick was due")
	}
}
