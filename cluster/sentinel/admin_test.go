package sentinel

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestMonitorAndRemove(t *testing.T) {
	n := newNode(t, Settings{Timing: Timing{DefaultDownAfter: 5 * time.Second}}, nil)
	n.Step(epoch0, Tick{})
	good := Monitor{Name: labMaster, Addr: Addr{"10.0.0.1", 6379}, Quorum: 2}
	for _, c := range []struct {
		change func(m *Monitor)
		want   error
	}{
		{func(m *Monitor) { m.Quorum = 0 }, ErrInvalidQuorum},
		{func(m *Monitor) { m.Addr.Port = 0 }, ErrInvalidPort},
		{func(m *Monitor) { m.Addr.Host = "a.example" }, ErrInvalidAddr},
		{func(m *Monitor) { m.Name = "two words" }, ErrInvalidName},
		{func(m *Monitor) { m.Name = "a,b" }, ErrInvalidName},
		{func(m *Monitor) { m.Name = "a\nsentinel" }, ErrInvalidName},
		{func(m *Monitor) { m.Name = "" }, ErrInvalidName},
		{func(m *Monitor) {}, nil},
		{func(m *Monitor) {}, ErrDuplicateMaster},
	} {
		ev := good
		c.change(&ev)
		fx := n.Step(epoch0, ev)
		if fx.Result == nil || !errors.Is(fx.Result.Err, c.want) && (fx.Result.Err != nil || c.want != nil) {
			t.Errorf("%+v: %+v, want %v", ev, fx.Result, c.want)
		}
		if (fx.Persist != nil) != (c.want == nil) {
			t.Errorf("%+v: persisted %v", ev, fx.Persist)
		}
		if c.want == nil && events(fx) != "+monitor master mymaster 10.0.0.1 6379 quorum 2" {
			t.Errorf("events: %s", events(fx))
		}
	}
	if v, _ := n.Master(epoch0, labMaster); v.DownAfter != 5*time.Second || v.FailoverTimeout != 180*time.Second || v.ParallelSyncs != 1 {
		t.Errorf("%+v", v)
	}
	if fx := n.Step(epoch0, Remove{Name: "other"}); fx.Result.Err != ErrNoSuchMaster {
		t.Errorf("%v", fx.Result.Err)
	}
	fx := n.Step(epoch0, Remove{Name: labMaster})
	if fx.Result.Err != nil || events(fx) != "-monitor master mymaster 10.0.0.1 6379" || len(fx.Persist.Masters) != 0 || len(fx.Close) != 2 {
		t.Errorf("%+v", fx)
	}
	if len(n.conns) != 0 || len(n.queue) != 0 || len(n.Names()) != 0 {
		t.Errorf("left: %d connections, %d tasks", len(n.conns), len(n.queue))
	}
}

// Who is watched again may have been voted on in the current epoch.
func TestMonitorAgainGivesNoSecondVote(t *testing.T) {
	n := newNode(t, Settings{}, nil)
	monitor := Monitor{Name: labMaster, Addr: Addr{"10.0.0.1", 6379}, Quorum: 2}
	ask := func(id string, epoch uint64) string {
		return n.Step(epoch0, IsMasterDown{Addr: monitor.Addr, Epoch: epoch, Candidate: strings.Repeat(id, 40)}).Result.Leader
	}
	n.Step(epoch0, monitor)
	if got := ask("a", 3); got != strings.Repeat("a", 40) {
		t.Fatalf("no vote: %s", got)
	}
	n.Step(epoch0, Remove{Name: labMaster})
	n.Step(epoch0, monitor)
	if got := ask("b", 3); got != "*" {
		t.Errorf("a second vote for %s in epoch 3", got)
	}
	if got := ask("b", 4); got != strings.Repeat("b", 40) {
		t.Errorf("no vote in epoch 4: %s", got)
	}
}

func TestSetIsAllOrNothing(t *testing.T) {
	n := newNode(t, Settings{}, nil)
	n.Step(epoch0, Monitor{Name: labMaster, Addr: Addr{"10.0.0.1", 6379}, Quorum: 2})
	m := n.byName[labMaster]
	set := func(options ...Option) Effects { return n.Step(epoch0, Set{Name: labMaster, Options: options}) }
	fx := set(Option{"quorum", []string{"3"}}, Option{"failover-timeout", []string{"0"}})
	if fx.Result.Err == nil || m.quorum != 2 || fx.Persist != nil || events(fx) != "" {
		t.Errorf("half of it was done: %+v, quorum %d", fx, m.quorum)
	}
	fx = set(Option{"quorum", []string{"3"}}, Option{"auth-pass", []string{"secret"}}, Option{"rename-command", []string{"INFO", "I"}})
	want := "+set master mymaster 10.0.0.1 6379 quorum 3\n" +
		"+set master mymaster 10.0.0.1 6379 auth-pass ******\n" +
		"+set master mymaster 10.0.0.1 6379 rename-command INFO I"
	if fx.Result.Err != nil || events(fx) != want {
		t.Errorf("%v, events:\n%s", fx.Result.Err, events(fx))
	}
	if len(fx.Close) != 2 || m.quorum != 3 || fx.Persist.Masters[0].Options.AuthPass != "secret" {
		t.Errorf("%+v", fx)
	}
	if fx := n.Step(epoch0, Set{Name: "other"}); fx.Result.Err != ErrNoSuchMaster {
		t.Errorf("%v", fx.Result.Err)
	}
}

func TestReset(t *testing.T) {
	l := labWith(t, 3, 2, 2, nil)
	m := l.members[0]
	l.kill(l.nodes[0])
	l.until("+odown", time.Minute, func() bool { return m.said("+odown") })
	if r := m.ask(Reset{Match: func(name string) bool { return name == "other" }}); r.Count != 0 {
		t.Errorf("%d reset", r.Count)
	}
	r := m.ask(Reset{Match: func(name string) bool { return strings.HasPrefix(name, "my") }})
	if r.Count != 1 || !m.said("+reset-master master mymaster") {
		t.Errorf("%d reset: %v", r.Count, m.notices)
	}
	v := m.master()
	if v.OtherSentinels != 0 || v.Replicas != 0 || v.SDown || v.ODown {
		t.Errorf("%+v", v)
	}
	if d := m.diskMaster(labMaster); len(d.Replicas)+len(d.Sentinels) != 0 {
		t.Errorf("on disk: %+v", d)
	}
}

// Tools look at once whether the replicas are gone.
func TestResetLeavesTheMasterAloneForAMoment(t *testing.T) {
	l := labWith(t, 1, 1, 1, nil)
	m := l.members[0]
	m.ask(Reset{Match: func(string) bool { return true }})
	if len(m.conns) != 0 {
		t.Errorf("%d connections are made at once", len(m.conns))
	}
	l.run(150 * time.Millisecond)
	if v := m.master(); len(m.conns) == 0 || v.Replicas != 1 {
		t.Errorf("%d connections, %d replicas", len(m.conns), v.Replicas)
	}
}

func TestIsMasterDown(t *testing.T) {
	l := labWith(t, 1, 1, 2, nil)
	m := l.members[0]
	ask := func(a Addr) Result { return m.ask(IsMasterDown{Addr: a, Candidate: "*"}) }
	if r := ask(l.nodes[0].addr); r.Down || r.Leader != "*" {
		t.Errorf("%+v", r)
	}
	l.kill(l.nodes[0])
	l.kill(l.nodes[1])
	l.until("both are down", time.Minute, func() bool { return m.count("+sdown") == 2 })
	if r := ask(l.nodes[0].addr); !r.Down {
		t.Errorf("%+v", r)
	}
	if r := ask(l.nodes[1].addr); r.Down {
		t.Errorf("a replica is called a master: %+v", r)
	}
	if r := m.ask(IsMasterDown{Addr: l.nodes[0].addr, Epoch: 1<<64 - 1, Candidate: strings.Repeat("a", 40)}); m.node.CurrentEpoch() != 0 {
		t.Errorf("the last of epochs is believed: %+v", r)
	}
}

func TestCheckQuorum(t *testing.T) {
	l := labWith(t, 3, 0, 2, nil)
	m := l.members[0]
	check := func() [3]any {
		u, q, a, _ := m.node.CheckQuorum(labMaster)
		return [3]any{u, q, a}
	}
	if got := check(); got != [3]any{3, true, true} {
		t.Errorf("%v", got)
	}
	l.members[1].crash()
	l.members[2].crash()
	l.until("both are down", time.Minute, func() bool { return m.count("+sdown sentinel") == 2 })
	if got := check(); got != [3]any{1, false, false} {
		t.Errorf("%v", got)
	}
	if _, _, _, ok := m.node.CheckQuorum("other"); ok {
		t.Error("there is no such master")
	}
}

func TestOtherPasswordForSentinels(t *testing.T) {
	l := labWith(t, 2, 0, 2, nil)
	m := l.members[0]
	s := m.settings
	s.SentinelUser, s.SentinelPass = "sentinel", "new"
	fx := m.node.Step(l.now, Configure{Settings: s})
	if len(fx.Close) != 1 {
		t.Fatalf("closed: %v", fx.Close)
	}
	fx = m.node.Step(l.now.Add(2*time.Second), Tick{})
	for _, c := range fx.Connect {
		if c.Addr == l.members[1].addr && strings.Join(c.Setup[0], " ") == "AUTH sentinel new" {
			return
		}
	}
	t.Errorf("connections: %+v", fx.Connect)
}

func TestNotificationScripts(t *testing.T) {
	l := labWith(t, 1, 0, 1, func(s *MasterState) { s.Options.NotificationScript = "/notify" })
	m := l.members[0]
	l.kill(l.nodes[0])
	l.until("+sdown", time.Minute, func() bool { return m.said("+sdown") })
	want := "/notify +monitor master mymaster 10.0.0.1 6379 quorum 1"
	if len(m.scripts) < 2 || m.scripts[0] != want || m.scripts[1] != "/notify +sdown master mymaster 10.0.0.1 6379" {
		t.Errorf("scripts: %v", m.scripts)
	}
	for _, s := range m.scripts {
		if strings.Contains(s, "+slave") || strings.Contains(s, "role-change") {
			t.Errorf("not a warning: %s", s)
		}
	}
}
