package sentinel

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFailoverThatIsRefused(t *testing.T) {
	l := labWith(t, 1, 1, 1, nil)
	m, replica := l.members[0], l.nodes[1]
	ask := func(f Failover) error { return m.ask(f).Err }
	if err := ask(Failover{Name: "other"}); err != ErrNoSuchMaster {
		t.Errorf("of an unknown master: %v", err)
	}
	replica.priority = 0
	l.run(11 * time.Second) // an INFO
	if err := ask(Failover{Name: labMaster}); err != ErrNoGoodReplica {
		t.Errorf("without a good replica: %v", err)
	}
	replica.priority = 100
	l.nodes[0].noBefore = true
	l.run(11 * time.Second)
	if err := ask(Failover{Name: labMaster, Coordinated: true}); err != ErrNoGoodPrimary {
		t.Errorf("coordinated with a master that has no FAILOVER: %v", err)
	}
	replica.deaf = true
	if err := ask(Failover{Name: labMaster}); err != nil {
		t.Errorf("a failover that can be: %v", err)
	}
	if err := ask(Failover{Name: labMaster}); err != ErrInProgress {
		t.Errorf("a second one: %v", err)
	}
}

func TestReplicaThatIsNotPromotedInTime(t *testing.T) {
	l := labWith(t, 1, 1, 1, nil)
	m := l.members[0]
	l.nodes[1].deaf = true
	start := l.now
	m.ask(Failover{Name: labMaster})
	l.until("the failover is given up", time.Minute, func() bool { return m.said("-failover-abort-slave-timeout") })
	if took := l.now.Sub(start); took < 20*time.Second {
		t.Errorf("given up after %v, before the failover timeout", took)
	}
	v := m.master()
	if v.FailoverState != "" || v.ConfigEpoch != 0 || v.Flags != "master" || m.masterAddr() != l.nodes[0].addr {
		t.Errorf("after an abort: %+v", v)
	}
	if f := m.replicas()[0].Flags; f != "slave" {
		t.Errorf("flags of the replica: %s", f)
	}
}

func TestReplicaThatIsGoneBeforeItsPromotion(t *testing.T) {
	l := labWith(t, 1, 1, 1, nil)
	m := l.members[0]
	l.kill(l.nodes[1])
	m.ask(Failover{Name: labMaster}) // the connection is still thought to stand
	l.until("the failover is given up", time.Minute, func() bool { return m.said("-failover-abort-slave-timeout") })
	if m.said("+promoted-slave") {
		t.Error("a dead replica was promoted")
	}
}

func TestNoGoodReplicaAbortsAndIsTriedAgainLater(t *testing.T) {
	l := labWith(t, 1, 1, 1, nil)
	m := l.members[0]
	l.nodes[1].priority = 0
	l.run(11 * time.Second)
	l.kill(l.nodes[0])
	l.until("an abort", time.Minute, func() bool { return m.said("-failover-abort-no-good-slave") })
	first := l.now
	l.nodes[1].priority = 100
	l.until("a second attempt", 2*time.Minute, func() bool { return m.count("+try-failover") == 2 })
	if d := l.now.Sub(first); d < 39*time.Second || d > 43*time.Second {
		t.Errorf("the second attempt came after %v, want two failover timeouts", d)
	}
	l.until("a new master", time.Minute, func() bool { return l.agreed(l.nodes[0].addr) })
}

func TestParallelSyncs(t *testing.T) {
	for _, parallel := range []int{1, 2} {
		l := labWith(t, 1, 4, 1, func(s *MasterState) { s.Options.ParallelSyncs = parallel })
		m := l.members[0]
		l.nodes[1].offset = 200
		most := 0
		m.ask(Failover{Name: labMaster})
		for range 10000 {
			busy := 0
			for _, r := range m.replicas() {
				if strings.Contains(r.Flags, "reconf_sent") || strings.Contains(r.Flags, "reconf_inprog") {
					busy++
				}
			}
			most = max(most, busy)
			l.run(time.Millisecond)
		}
		if most != parallel {
			t.Errorf("parallel-syncs %d: %d at a time", parallel, most)
		}
		if !m.said("+switch-master") || m.count("+slave-reconf-done") != 3 {
			t.Errorf("parallel-syncs %d: %v", parallel, m.notices)
		}
	}
}

func TestReplicaThatDoesNotObeyHoldsNobodyUp(t *testing.T) {
	l := labWith(t, 1, 3, 1, nil)
	m := l.members[0]
	l.nodes[1].offset = 200
	l.nodes[2].deaf = true
	m.ask(Failover{Name: labMaster})
	l.until("the end", time.Minute, func() bool { return m.said("+switch-master") })
	if !m.said("-slave-reconf-sent-timeout slave 10.0.0.3:6379") || m.said("+failover-end-for-timeout") {
		t.Errorf("events: %v", m.notices)
	}
	if l.nodes[3].of == nil || *l.nodes[3].of != l.nodes[1].addr {
		t.Error("the other replica does not follow")
	}
}

func TestReplicaThatNeverSyncsEndsByTimeout(t *testing.T) {
	l := labWith(t, 1, 3, 1, nil)
	m := l.members[0]
	l.nodes[1].offset = 200
	// Replica 2 cannot reach the new master, replica 3 waits for its turn.
	l.split([]string{l.nodes[2].addr.Host}, []string{l.nodes[1].addr.Host})
	m.ask(Failover{Name: labMaster})
	l.until("the end", 2*time.Minute, func() bool { return m.said("+switch-master") })
	if !m.said("+failover-end-for-timeout") || !m.said("+slave-reconf-sent-be slave 10.0.0.4:6379") {
		t.Errorf("events: %v", m.notices)
	}
}

func TestCoordinatedFailover(t *testing.T) {
	for replicas := 1; replicas <= 2; replicas++ { // the only one leaves nobody to be reconfigured
		for after := time.Duration(0); after < 2*time.Second; after += 200 * time.Millisecond { // a hello may be due
			t.Run(fmt.Sprint(replicas, " replicas, after ", after), func(t *testing.T) { testCoordinatedFailover(t, replicas, after) })
		}
	}
}

func testCoordinatedFailover(t *testing.T, replicas int, after time.Duration) {
	l := labWith(t, 1, replicas, 1, func(s *MasterState) { s.Options.ClientReconfigScript = "/reconf" })
	m := l.members[0]
	old, promoted := l.nodes[0], l.nodes[1]
	promoted.offset = 200
	l.run(after)
	if r := m.ask(Failover{Name: labMaster, Coordinated: true}); r.Err != nil {
		t.Fatal(r.Err)
	}
	if f := m.master().Flags; !strings.Contains(f, "coordinated_failover") {
		t.Errorf("flags: %s", f)
	}
	l.until("the switch", time.Minute, func() bool { return m.said("+switch-master") })
	i := slices.IndexFunc(m.sent, func(r Request) bool { return r.Kind == RequestHandOver })
	want := []string{"MULTI", "CLIENT PAUSE 10000 WRITE", "FAILOVER TO 10.0.0.2 6379 TIMEOUT 10000", "EXEC"}
	if got := words(m.sent[i]); !slices.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
	if len(promoted.log) > 0 || old.of == nil || *old.of != promoted.addr {
		t.Errorf("the nodes did not change places themselves: %v %v", promoted.log, old.of)
	}
	rewritten, settled := 0, false
	for _, r := range m.sent[i:] {
		if r.Link == m.sent[i].Link {
			settled = settled || r.Kind == RequestUnpause
			if r.Kind == RequestHello && !settled {
				t.Error("a PUBLISH waits for the end of the pause, and all behind it")
			}
		}
		if r.Kind == RequestSettleRole && slices.Equal(r.Commands[1], []string{"CONFIG", "REWRITE"}) {
			rewritten++
		}
	}
	if rewritten != 2 {
		t.Errorf("%d nodes have kept their new role for a restart, want both", rewritten)
	}
	if !slices.Contains(m.scripts, "/reconf mymaster leader start 10.0.0.1 6379 10.0.0.2 6379") {
		t.Errorf("scripts: %v", m.scripts)
	}
}

// words are the commands of a request, a string each.
func words(r Request) (list []string) {
	for _, c := range r.Commands {
		list = append(list, strings.Join(c, " "))
	}
	return list
}

func TestMasterThatRefusesToHandOver(t *testing.T) {
	l := labWith(t, 1, 1, 1, nil)
	m := l.members[0]
	other := Addr{"10.0.0.99", 6379}
	l.nodes[1].of = &other // not its replica any more
	m.ask(Failover{Name: labMaster, Coordinated: true})
	l.until("the abort", 5*time.Second, func() bool { return m.said("-failover-abort-master-timeout") })
	if v := m.master(); v.Flags != "master" {
		t.Errorf("flags: %s", v.Flags)
	}
	if last := m.sent[len(m.sent)-1]; last.Kind != RequestUnpause || strings.Join(last.Commands[0], " ") != "CLIENT UNPAUSE" {
		t.Errorf("clients stay paused: the last request is %v", last.Commands)
	}
}

// TestAMasterThatIsAwayCannotHandOver: whoever asks is told at once, and not only by the log.
func TestAMasterThatIsAwayCannotHandOver(t *testing.T) {
	l := labWith(t, 1, 1, 1, func(s *MasterState) { s.Options.DownAfter = time.Hour })
	m := l.members[0]
	l.kill(l.nodes[0])
	l.run(3 * time.Second)
	if r := m.ask(Failover{Name: labMaster, Coordinated: true}); r.Err != ErrPrimaryAway {
		t.Errorf("the error is %v", r.Err)
	}
	if v := m.master(); strings.Contains(v.Flags, "failover") {
		t.Errorf("flags: %s", v.Flags)
	}
}

// The promoted replica dies before the others follow it. The leader gives its
// opinion about it, so that another Sentinel may replace it; alone it goes on
// when the failover has timed out.
func TestPromotedReplicaThatDies(t *testing.T) {
	for sentinels, limit := range map[int]time.Duration{1: time.Minute, 2: 15 * time.Second} {
		l := labWith(t, sentinels, 3, sentinels, nil)
		m := l.members[0]
		l.nodes[1].offset = 200
		l.nodes[2].deaf = true
		m.ask(Failover{Name: labMaster})
		l.until("+promoted-slave", time.Minute, func() bool { return m.said("+promoted-slave") })
		l.kill(l.nodes[1])
		l.nodes[2].deaf = false
		l.until("another master that is up", limit, func() bool {
			d := l.nodeAt(m.masterAddr())
			return d.up && d.of == nil && m.said("+switch-master") && l.agreed(l.nodes[1].addr)
		})
	}
}

// A failover whose epoch is overtaken by that of another master's stands again
// in the newer one: many masters may die at once.
func TestManyMastersFailOverAtOnce(t *testing.T) {
	l := newLab(t)
	const masters = 8
	var states []*MasterState
	for i := range masters {
		d := l.addNode(nil)
		l.addNode(&d.addr)
		ms := &MasterState{Name: string(rune('a' + i)), Addr: d.addr, Quorum: 2, Options: DefaultOptions()}
		ms.Options.DownAfter = 3 * time.Second
		states = append(states, ms)
	}
	for range 3 {
		l.addSentinel(&State{Masters: states})
	}
	l.run(20 * time.Second)
	l.latency = 20 * time.Millisecond // an election takes as long as the next is away
	for i := 0; i < len(l.nodes); i += 2 {
		l.kill(l.nodes[i])
	}
	l.until("all fail over", 40*time.Second, func() bool { // once: a second attempt is six minutes away
		for i := range masters {
			for _, m := range l.members {
				if a, _ := m.node.MasterAddr(states[i].Name); a != l.nodes[2*i+1].addr {
					return false
				}
			}
		}
		return true
	})
}
