package sentinel

import (
	"strings"
	"testing"
	"time"
)

func TestSilentInstanceIsDownAfterItsTime(t *testing.T) {
	l := labWith(t, 1, 1, 2, nil)
	m := l.members[0]
	l.run(7 * time.Second)
	l.nodes[0].hung = true
	hung := l.now
	l.until("+sdown", time.Minute, func() bool { return m.said("+sdown master") })
	// The silence counts from the first PING without an answer, a second after
	// the last that had one.
	if d := l.now.Sub(hung); d < 3*time.Second || d > 4200*time.Millisecond {
		t.Errorf("down after %v", d)
	}
	if v := m.master(); v.Flags != "s_down,master" && v.Flags != "s_down,master,disconnected" || v.SDownTime < 0 {
		t.Errorf("%+v", v)
	}
	l.nodes[0].hung = false
	l.until("-sdown", time.Minute, func() bool { return m.said("-sdown master") })
	if m.said("+odown") {
		t.Error("ODOWN by one of two")
	}
}

func TestConnectionsThatHangAreMadeAgain(t *testing.T) {
	l := labWith(t, 1, 0, 1, func(s *MasterState) { s.Options.DownAfter = 6 * time.Second })
	m := l.members[0]
	l.run(20 * time.Second) // old enough to be given up
	before := m.node.byName[labMaster].link.cmd.id
	l.nodes[0].hung = true
	l.run(4100 * time.Millisecond) // half of 6 s after the first PING
	l.nodes[0].hung = false
	l.run(time.Second)
	if now := m.node.byName[labMaster].link.cmd; now == nil || now.id == before || !now.up {
		t.Errorf("the hanging connection is still there: %+v", now)
	}
	if m.said("+sdown") {
		t.Error("down, though it answered again in time")
	}
}

func TestPubSubWithoutMessagesIsMadeAgain(t *testing.T) {
	l := labWith(t, 1, 0, 1, nil)
	l.run(20 * time.Second)
	id := func() LinkID {
		if c := l.members[0].node.byName[labMaster].link.pub; c != nil && c.up {
			return c.id
		}
		return 0
	}
	before := id()
	l.nodes[0].mute = true
	l.run(3500 * time.Millisecond) // the last message was less than 2 s old
	if id() != before {
		t.Error("made again before 6 s")
	}
	l.run(4 * time.Second)
	if id() == before || id() == 0 {
		t.Error("a silent pub/sub connection is kept")
	}
}

func TestRefusedConnectionIsDownAtOnceIfAsked(t *testing.T) {
	for _, fast := range []bool{false, true} {
		l := labWith(t, 3, 1, 2, func(s *MasterState) {
			s.Options.FastDown = fast
			s.Options.DownAfter = 30 * time.Second
		})
		old := l.nodes[0]
		l.run(15 * time.Second)
		l.kill(old)
		l.run(5 * time.Second)
		if l.agreed(old.addr) != fast {
			t.Errorf("fast-down %v: after 5 s the master is %v", fast, l.members[0].masterAddr())
		}
	}
}

// A process that dies may let a caller in once more, only to end that connection too.
func TestDyingProcessThatStillTakesConnectionsIsDownSoon(t *testing.T) {
	l := labWith(t, 3, 1, 2, func(s *MasterState) {
		s.Options.FastDown = true
		s.Options.DownAfter = 30 * time.Second
	})
	old := l.nodes[0]
	l.run(15 * time.Second)
	l.dropConnsTo(old.addr)
	l.run(4 * l.latency)
	for i, m := range l.members {
		if m.node.byName[labMaster].link.cmd == nil {
			t.Fatalf("sentinel %d has not called again", i)
		}
	}
	l.kill(old)
	l.run(2 * redialPause)
	for i, m := range l.members {
		if !m.said("+sdown master") {
			t.Errorf("sentinel %d: not down after two more calls", i)
		}
	}
}

// What ends every connection is called quickly a few times, and then once a period.
func TestQuickRedialsAreFew(t *testing.T) {
	for _, fast := range []bool{false, true} {
		l := labWith(t, 1, 0, 1, func(s *MasterState) { s.Options.FastDown = fast })
		l.run(15 * time.Second)
		m, d := l.members[0], l.nodes[0]
		calls := func(forSoLong time.Duration) int {
			before := m.node.lastLink
			for end := l.now.Add(forSoLong); l.now.Before(end); l.run(2 * l.latency) {
				l.dropConnsTo(d.addr)
			}
			return int(m.node.lastLink-before) / 2 // cmd and pubsub
		}
		most := 2 // one at once, and one a period later
		if fast {
			most += quickRedials
		}
		if got := calls(1500 * time.Millisecond); got > most {
			t.Errorf("fast-down %v: %d calls in 1.5 s, at most %d are expected", fast, got, most)
		}
		if got := calls(5 * time.Second); got > 6 {
			t.Errorf("fast-down %v: %d calls in the next 5 s", fast, got)
		}
	}
}

// A host that does not answer at all is not one that refuses.
func TestUnreachableIsNotRefused(t *testing.T) {
	l := labWith(t, 1, 1, 1, func(s *MasterState) { s.Options.FastDown = true })
	l.run(15 * time.Second)
	l.split([]string{"10.0.1.1"}, []string{l.nodes[0].addr.Host})
	l.run(2500 * time.Millisecond)
	if l.members[0].said("+sdown") {
		t.Error("down before down-after-milliseconds")
	}
	l.until("+sdown", 10*time.Second, func() bool { return l.members[0].said("+sdown") })
}

func TestMasterThatSaysItIsAReplicaIsDown(t *testing.T) {
	l := labWith(t, 1, 1, 1, nil)
	m := l.members[0]
	l.run(11 * time.Second)
	l.nodes[0].of = &l.nodes[1].addr
	l.until("its role", 15*time.Second, func() bool { return m.said("-role-change master") })
	l.run(22 * time.Second) // down-after + 2 × info-period is 23 s
	if m.said("+sdown") {
		t.Error("down too early")
	}
	l.until("+sdown", 3*time.Second, func() bool { return m.said("+sdown master") })
}

func TestRebootedMasterThatLoads(t *testing.T) {
	l := labWith(t, 1, 0, 1, func(s *MasterState) { s.Options.RebootDownAfter = 5 * time.Second })
	m := l.members[0]
	n := m.node
	n.byName[labMaster].runID = strings.Repeat("0", 40) // so that its INFO shows another
	l.nodes[0].runID = strings.Repeat("1", 40)
	l.nodes[0].busy = true // it gives no PONG
	l.until("+reboot", 15*time.Second, func() bool { return m.said("+reboot master") })
	if !strings.Contains(m.master().Flags, "master_reboot") {
		t.Errorf("flags: %s", m.master().Flags)
	}
	l.until("+sdown", 10*time.Second, func() bool { return m.said("+sdown master") })
	l.until("-sdown", 10*time.Second, func() bool { return m.said("-sdown master") }) // SCRIPT KILL frees it
	if strings.Contains(m.master().Flags, "master_reboot") {
		t.Errorf("flags after PONG: %s", m.master().Flags)
	}
}

func TestBusyInstanceGetsScriptKillOnce(t *testing.T) {
	l := labWith(t, 1, 0, 1, nil)
	m := l.members[0]
	l.nodes[0].busy = true
	l.until("-sdown", time.Minute, func() bool { return m.said("-sdown master") })
	kills := 0
	for _, r := range m.sent {
		if r.Kind == RequestScriptKill {
			kills++
		}
	}
	if kills != 1 {
		t.Errorf("SCRIPT KILL was sent %d times", kills)
	}
}

func TestRepliesThatCountAsAlive(t *testing.T) {
	for text, alive := range map[string]bool{
		"PONG":                             true,
		"LOADING Redis is loading":         true,
		"MASTERDOWN Link with MASTER":      true,
		"BUSY Redis is busy":               false,
		"NOAUTH Authentication required.":  false,
		"ERR unknown command 'PING', with": false,
	} {
		n := newNode(t, Settings{}, nil)
		m := n.addMaster(labMaster, Addr{"10.0.0.1", 6379}, 1, DefaultOptions())
		kind := ReplyError
		if text == "PONG" {
			kind = ReplyStatus
		}
		n.pong(m.link, Reply{Kind: kind, Text: text})
		if got := m.link.waiting.IsZero(); got != alive {
			t.Errorf("%q counts as alive: %v", text, got)
		}
	}
}

func TestOpinionsOfOthersExpire(t *testing.T) {
	l := labWith(t, 3, 0, 3, nil)
	l.kill(l.nodes[0])
	m := l.members[0]
	l.until("+odown", time.Minute, func() bool { return m.said("+odown") })
	l.split([]string{"10.0.1.1"}, []string{"10.0.1.2", "10.0.1.3"})
	l.until("-odown", 10*time.Second, func() bool { return m.said("-odown") })
}

// A late answer about the old master says nothing of the new one.
func TestOpinionAboutTheMasterBefore(t *testing.T) {
	n := newNode(t, Settings{}, nil)
	m := n.addMaster(labMaster, Addr{"10.0.0.2", 6379}, 1, DefaultOptions())
	p := n.addPeer(m, strings.Repeat("a", 40), Addr{"10.0.1.2", 26379})
	down := Reply{Kind: ReplyArray, Array: []Reply{{Kind: ReplyInteger, Integer: 1}, {Kind: ReplyBulk, Text: "*"}, {Kind: ReplyInteger}}}
	n.opinion(p, Addr{"10.0.0.1", 6379}, down)
	if p.masterDown {
		t.Error("an opinion about another address counts")
	}
	n.opinion(p, m.addr, down)
	if !p.masterDown {
		t.Error("an opinion about this address does not count")
	}
}
