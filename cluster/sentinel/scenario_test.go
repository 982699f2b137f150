package sentinel

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReplicaTakesOverFromDeadMaster(t *testing.T) {
	l := labWith(t, 3, 2, 2, nil)
	old := l.nodes[0]
	l.nodes[2].offset = 200 // the one to choose
	l.run(15 * time.Second)
	l.kill(old)
	l.until("all agree on another master", time.Minute, func() bool { return l.agreed(old.addr) })
	if got := l.members[0].masterAddr(); got != l.nodes[2].addr {
		t.Errorf("the master is %v, %v has more data", got, l.nodes[2].addr)
	}
	l.until("the other replica follows", time.Minute, func() bool {
		return l.nodes[1].of != nil && *l.nodes[1].of == l.nodes[2].addr
	})
	l.revive(old)
	l.until("the old master comes back as a replica", time.Minute, func() bool {
		return old.of != nil && *old.of == l.nodes[2].addr
	})
	for i, m := range l.members {
		if v := m.master(); v.Replicas != 2 || v.OtherSentinels != 2 {
			t.Errorf("sentinel %d knows %d replicas and %d sentinels", i, v.Replicas, v.OtherSentinels)
		}
	}
}

// The events of a failover, in their order, as redis-sentinel publishes them.
func TestEventsOfAForcedFailover(t *testing.T) {
	l := labWith(t, 1, 1, 1, nil)
	m := l.members[0]
	m.notices = nil
	if r := m.ask(Failover{Name: labMaster}); r.Err != nil {
		t.Fatal(r.Err)
	}
	l.until("the old master is a replica", time.Minute, func() bool { return m.said("+role-change") })
	id := m.node.MyID()
	old, replica := "master mymaster 10.0.0.1 6379", "slave 10.0.0.2:6379 10.0.0.2 6379 @ mymaster 10.0.0.1 6379"
	back := "slave 10.0.0.1:6379 10.0.0.1 6379 @ mymaster 10.0.0.2 6379"
	want := []string{
		"+new-epoch 1",
		"+try-failover " + old,
		"+vote-for-leader " + id + " 1",
		"+elected-leader " + old,
		"+failover-state-select-slave " + old,
		"+selected-slave " + replica,
		"+failover-state-send-slaveof-noone " + replica,
		"+failover-state-wait-promotion " + replica,
		"-role-change " + replica + " new reported role is master",
		"+promoted-slave " + replica,
		"+failover-state-reconf-slaves " + old,
		"+failover-end " + old,
		"+switch-master mymaster 10.0.0.1 6379 10.0.0.2 6379",
		"+slave " + back,
		"-role-change " + back + " new reported role is master",
		"+convert-to-slave " + back,
		"+role-change " + back + " new reported role is slave",
	}
	if !slices.Equal(m.notices, want) {
		t.Errorf("events:\n%s\nwant:\n%s", strings.Join(m.notices, "\n"), strings.Join(want, "\n"))
	}
}

func TestReplicationCommandsAreATransaction(t *testing.T) {
	l := labWith(t, 1, 1, 1, func(s *MasterState) {
		s.Options.RenamedCommands = []RenamedCommand{{"config", "CFG"}}
		s.Options.AuthUser, s.Options.AuthPass = "watcher", "secret"
	})
	m := l.members[0]
	m.ask(Failover{Name: labMaster})
	l.until("a promotion", time.Minute, func() bool { return m.said("+promoted-slave") })
	i := slices.IndexFunc(m.sent, func(r Request) bool { return r.Kind == RequestReplicaOf })
	var lines []string
	for _, c := range m.sent[i].Commands {
		lines = append(lines, strings.Join(c, " "))
	}
	want := "MULTI|SLAVEOF NO ONE|CFG REWRITE|CLIENT KILL TYPE normal|CLIENT KILL TYPE pubsub|EXEC"
	if got := strings.Join(lines, "|"); got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}

func TestConnectionsIntroduceThemselves(t *testing.T) {
	l := newLab(t)
	d := l.addNode(nil)
	o := DefaultOptions()
	o.AuthUser, o.AuthPass = "watcher", "secret"
	id := strings.Repeat("ab", 20)
	peer := KnownSentinel{Addr: Addr{"10.0.1.9", 26379}, ID: strings.Repeat("c", 40)}
	n := newNode(t, Settings{Port: 26379, SentinelPass: "between"}, &State{MyID: id, Masters: []*MasterState{
		{Name: labMaster, Addr: d.addr, Quorum: 1, Options: o, Sentinels: []KnownSentinel{peer}}}})
	got := make(map[string]bool)
	for _, c := range n.Step(l.now, Tick{}).Connect {
		got[fmt.Sprintf("%v %v %v", c.Addr, c.PubSub, c.Setup)] = true
	}
	for _, want := range []string{
		"10.0.0.1:6379 false [[AUTH watcher secret] [CLIENT SETNAME sentinel-abababab-cmd]]",
		"10.0.0.1:6379 true [[AUTH watcher secret] [CLIENT SETNAME sentinel-abababab-pubsub] [SUBSCRIBE __sentinel__:hello]]",
		"10.0.1.9:26379 false [[AUTH between] [CLIENT SETNAME sentinel-abababab-cmd]]",
	} {
		if !got[want] {
			t.Errorf("no connection %s among %v", want, got)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d connections, want 3", len(got))
	}
}

func TestMinorityDoesNotFailOver(t *testing.T) {
	l := labWith(t, 5, 2, 2, nil)
	old := l.nodes[0]
	// Two Sentinels and a replica on one side: a quorum, and no majority.
	l.split([]string{"10.0.1.1", "10.0.1.2", "10.0.0.2"},
		[]string{"10.0.1.3", "10.0.1.4", "10.0.1.5", "10.0.0.1", "10.0.0.3"})
	l.until("the two find the master ODOWN", time.Minute, func() bool { return l.members[0].said("+odown") })
	l.run(3 * time.Minute)
	for i, m := range l.members {
		if m.said("+elected-leader") || m.masterAddr() != old.addr {
			t.Errorf("sentinel %d has the master %v", i, m.masterAddr())
		}
	}
	if !l.members[0].said("-failover-abort-not-elected") && !l.members[1].said("-failover-abort-not-elected") {
		t.Error("nobody stood for election")
	}
}

func TestLeaderThatDiesIsReplaced(t *testing.T) {
	for _, flag := range []SimFailure{CrashAfterElection, CrashAfterPromotion} {
		t.Run(fmt.Sprint(flag), func(t *testing.T) {
			l := labWith(t, 3, 2, 2, nil)
			old := l.nodes[0]
			for _, m := range l.members {
				m.ask(SimulateFailure{Flags: flag})
			}
			l.kill(old)
			l.until("the leader exits", time.Minute, func() bool {
				return slices.ContainsFunc(l.members, func(m *member) bool { return m.exited })
			})
			for _, m := range l.members {
				if !m.exited {
					m.ask(SimulateFailure{})
				}
			}
			l.until("the others do it", 3*time.Minute, func() bool { return l.agreed(old.addr) })
			for _, m := range l.members {
				if m.exited {
					m.start()
				}
			}
			l.until("the one that died agrees", time.Minute, func() bool { return l.agreed(old.addr) })
		})
	}
}

// Between the promotion and its being on disk clients get the old address.
func TestClientsHearOfAMasterThatIsOnDisk(t *testing.T) {
	l := labWith(t, 1, 1, 1, nil)
	m := l.members[0]
	old := m.masterAddr()
	m.ask(Failover{Name: labMaster})
	l.until("SLAVEOF NO ONE", time.Minute, func() bool { return len(l.nodes[1].log) > 0 })
	m.stuck = true
	l.run(5 * time.Second)
	if got := m.masterAddr(); got != old {
		t.Errorf("clients are sent to %v, the file has %v", got, old)
	}
	if m.diskMaster(labMaster).Addr != old {
		t.Fatal("the disk was not stuck")
	}
	m.stuck = false
	l.until("clients are sent to the new master", 5*time.Second, func() bool { return m.masterAddr() != old })
	if m.said("+switch-master") && m.diskMaster(labMaster).Addr == old {
		t.Error("the file has the old master")
	}
}

func TestNothingIsPromotedWhileTheDiskHangs(t *testing.T) {
	l := labWith(t, 1, 1, 1, nil)
	m := l.members[0]
	m.stuck = true
	m.ask(Failover{Name: labMaster})
	l.run(time.Minute) // longer than the failover timeout
	if log := l.nodes[1].log; len(log) > 0 {
		t.Errorf("sent %v before the epoch was on disk", log)
	}
	m.stuck = false
	l.run(10 * time.Second)
	if !m.said("-failover-abort-slave-timeout") {
		t.Errorf("the failover is not over: %v", m.notices)
	}
	if log := l.nodes[1].log; len(log) > 0 {
		t.Errorf("sent %v for a failover that was given up", log)
	}
}

func TestRestartGoesOnFromDisk(t *testing.T) {
	l := labWith(t, 3, 2, 2, nil)
	m := l.members[0]
	id := m.node.MyID()
	old := l.nodes[0]
	l.kill(old)
	l.until("all agree", time.Minute, func() bool { return l.agreed(old.addr) })
	l.run(5 * time.Second)
	epoch := m.node.CurrentEpoch()
	m.crash()
	m.start()
	v := m.master()
	if m.node.MyID() != id || m.node.CurrentEpoch() != epoch || v.Replicas != 2 || v.OtherSentinels != 2 || v.ConfigEpoch == 0 {
		t.Errorf("after a restart: id %s, epoch %d, %+v", m.node.MyID(), m.node.CurrentEpoch(), v)
	}
	if m.masterAddr() == old.addr {
		t.Error("the old master is back")
	}
}

// A vote is on disk, so that a Sentinel that comes back does not vote again. The
// lab checks each +vote-for-leader.
func TestOneVoteAnEpochAcrossRestart(t *testing.T) {
	l := labWith(t, 1, 1, 1, nil)
	m := l.members[0]
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	ask := func(id string, epoch uint64) Result {
		return m.ask(IsMasterDown{Addr: l.nodes[0].addr, Epoch: epoch, Candidate: id})
	}
	if r := ask(a, 7); r.Leader != a || r.LeaderEpoch != 7 {
		t.Fatalf("no vote: %+v", r)
	}
	if r := ask(b, 7); r.Leader != a || r.LeaderEpoch != 7 {
		t.Errorf("another vote in the same epoch: %+v", r)
	}
	if r := ask(b, 6); r.Leader != a {
		t.Errorf("a vote in a past epoch: %+v", r)
	}
	m.crash()
	m.start()
	if r := ask(b, 7); r.Leader == b {
		t.Errorf("a second vote after a restart: %+v", r)
	}
	if r := ask(b, 8); r.Leader != b || r.LeaderEpoch != 8 {
		t.Errorf("no vote in a new epoch: %+v", r)
	}
	if m.count("+new-epoch 7") != 1 || m.count("+vote-for-leader "+a+" 7") != 1 {
		t.Errorf("events: %v", m.notices)
	}
}

func TestVoteWaitsForTheDisk(t *testing.T) {
	l := labWith(t, 1, 1, 1, nil)
	m := l.members[0]
	m.stuck = true
	answered := false
	m.stepFor(IsMasterDown{Addr: l.nodes[0].addr, Epoch: 3, Candidate: strings.Repeat("a", 40)},
		func(Result) { answered = true })
	l.run(time.Second)
	if answered {
		t.Error("a vote left before it was on disk")
	}
	m.stuck = false
	l.run(time.Second)
	if !answered {
		t.Error("the vote did not leave")
	}
}
