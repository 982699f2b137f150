package sentinels

import (
	"testing"
	"time"

	"redoubt/cluster/sentinel"
)

// mustHold ends the test with the trace if err is not nil.
func mustHold(t *testing.T, w *World, err error) {
	t.Helper()
	if err == nil {
		err = w.Err()
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, w.Trace())
	}
}

// create makes a world in which all know each other.
func create(t *testing.T, seed uint64, change func(*Options)) *World {
	t.Helper()
	opt := DefaultOptions()
	if change != nil {
		change(&opt)
	}
	w := New(seed, opt)
	mustHold(t, w, w.Settle(time.Minute))
	return w
}

// sees reports whether a Sentinel tells clients that the master is there.
func (s *Sentinel) sees(g *Group, master *Server) bool {
	a, _ := s.node.MasterAddr(g.Name)
	return a == master.addr()
}

// replaced reports whether all Sentinels that are up tell of another master.
func (w *World) replaced(g *Group, old *Server) bool {
	addr, err := w.agreed(g)
	return err == nil && addr != old.addr()
}

func TestReplicaOfADeadMasterTakesOver(t *testing.T) {
	w := create(t, 1, nil)
	g := w.Groups[0]
	old := g.Servers[0]
	old.Crash()
	// Down after two seconds, then a vote, a second for INFO, and a hello.
	mustHold(t, w, w.RunUntil(6*time.Second, "all tell of another master", func() bool { return w.replaced(g, old) }))
	old.Restart()
	mustHold(t, w, w.Settle(40*time.Second))
	if !old.IsReplica() {
		t.Error("the old master is no replica")
	}
}

func TestMinorityReplacesNobody(t *testing.T) {
	w := create(t, 2, func(o *Options) { o.Sentinels, o.Quorum = 5, 2 })
	g := w.Groups[0]
	old, near := g.Servers[0], g.Servers[1]
	// Two Sentinels and a replica are on one side: quorum enough to call the
	// master down, but no majority.
	w.Net.Partition(0, 1, near.Index)
	w.Run(2 * time.Minute)
	mustHold(t, w, w.Err())
	if !near.IsReplica() || !w.Sentinels[0].sees(g, old) {
		t.Error("a minority has replaced the master")
	}
	w.Net.Heal()
	mustHold(t, w, w.Settle(time.Minute))
}

func TestMasterAmongTheMinorityIsReplaced(t *testing.T) {
	w := create(t, 3, func(o *Options) { o.Sentinels, o.Quorum = 5, 3 })
	g := w.Groups[0]
	old := g.Servers[0]
	w.Net.Partition(0, old.Index)
	mustHold(t, w, w.RunUntil(10*time.Second, "the majority tells of another master", func() bool {
		return !w.Sentinels[1].sees(g, old) && !w.Sentinels[4].sees(g, old)
	}))
	if !w.Sentinels[0].sees(g, old) {
		t.Error("a Sentinel has heard of it through the partition")
	}
	w.Net.Heal()
	mustHold(t, w, w.Settle(time.Minute))
}

// The leader of a failover dies at a bad moment: another one has to try again
// after twice the failover timeout.
func TestLeaderDiesWithinAFailover(t *testing.T) {
	for _, c := range []struct {
		name string
		at   sentinel.SimFailure
	}{
		{"after its election", sentinel.CrashAfterElection},
		{"after the promotion", sentinel.CrashAfterPromotion},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := create(t, 4, func(o *Options) { o.Sentinels = 5 })
			g := w.Groups[0]
			old := loseLeader(t, w, g, c.at)
			mustHold(t, w, w.RunUntil(40*time.Second, "all others tell of another master", func() bool { return w.replaced(g, old) }))
			w.repair()
			mustHold(t, w, w.Settle(time.Minute))
		})
	}
}

// Both nodes of a coordinated failover restart. FAILOVER has not changed their
// files: if nobody else did, they would follow each other.
func TestCoordinatedFailoverSurvivesRestarts(t *testing.T) {
	w := create(t, 5, nil)
	g := w.Groups[0]
	old := g.Servers[0]
	w.Sentinels[0].failover(g, true)
	mustHold(t, w, w.RunUntil(10*time.Second, "all tell of another master", func() bool { return w.replaced(g, old) }))
	w.Run(time.Second)
	for _, s := range g.Servers {
		s.Crash()
	}
	w.repair()
	mustHold(t, w, w.Settle(20*time.Second))
	if !old.IsReplica() {
		t.Error("the old master is back in office")
	}
}

// Administrators ask two Sentinels for a failover at the same moment, which then
// have made two masters in one epoch.
func TestTwoForcedFailoversAtOnce(t *testing.T) {
	collisions := 0
	for seed := range uint64(10) {
		w := create(t, seed, func(o *Options) { o.Replicas = 4; o.LatencyMax = 50 * time.Millisecond })
		g := w.Groups[0]
		w.Sentinels[0].failover(g, false)
		w.Sentinels[1].failover(g, false)
		// The promotions take a second, and are told at once. If nobody yielded, the
		// two would be made replicas of each other later.
		mustHold(t, w, w.RunUntil(5*time.Second, "all tell of one other master", func() bool { return w.replaced(g, g.Servers[0]) }))
		mustHold(t, w, w.Settle(2*time.Minute))
		if w.law.collided[g.Name] {
			collisions++
		}
	}
	if collisions == 0 {
		t.Error("it never made two masters of one epoch: the test shows nothing")
	}
}

// A master that comes back is among the replicas, but says that it is a master
// until it is converted. Should its successor die just then, a replica that has
// everything is better.
func TestReturningMasterIsNotPromoted(t *testing.T) {
	w := create(t, 6, nil)
	g := w.Groups[0]
	old := g.Servers[0]
	for _, s := range g.Servers[1:] {
		s.Priority = 200 // that of the old master would be better
	}
	old.Crash()
	mustHold(t, w, w.RunUntil(10*time.Second, "it is replaced", func() bool { return w.replaced(g, old) }))
	w.Run(30 * time.Second)
	next := w.primaryOf(g)
	next.Crash()
	old.Restart()
	mustHold(t, w, w.RunUntil(10*time.Second, "its successor is replaced", func() bool { return w.replaced(g, next) }))
	if addr, _ := w.agreed(g); addr == old.addr() {
		t.Errorf("the old master was promoted, without what was written since it died\n%s", w.Trace())
	}
}

func TestRefusedConnectionIsDownAtOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		fast bool
		min  time.Duration
		max  time.Duration
	}{
		{"fast-down no", false, 5 * time.Second, 10 * time.Second},
		{"fast-down yes", true, 0, 4 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := create(t, 7, func(o *Options) {
				o.Master.DownAfter = 5 * time.Second
				o.Master.FastDown = c.fast
			})
			g := w.Groups[0]
			old, begin := g.Servers[0], w.Elapsed()
			old.Crash()
			mustHold(t, w, w.RunUntil(c.max, "it is replaced", func() bool { return w.replaced(g, old) }))
			if took := w.Elapsed() - begin; took < c.min {
				t.Errorf("replaced after %v", took)
			}
		})
	}
}

// A machine with a Sentinel is stopped for a while. What it finds when it goes on
// tells it nothing of the others.
func TestStoppedSentinelsBlameNobody(t *testing.T) {
	w := create(t, 8, nil)
	for _, s := range w.Sentinels {
		s.Freeze(20 * time.Second)
	}
	w.Run(60 * time.Second)
	mustHold(t, w, w.Settle(time.Minute))
	if master, _ := w.Sentinels[0].node.Master(w.Sentinels[0].Clock(), "m1"); master.ConfigEpoch != 0 {
		t.Error("the master was replaced")
	}
}

func TestMovedSentinelIsFoundAgain(t *testing.T) {
	w := create(t, 9, func(o *Options) { o.Masters = 2 })
	s := w.Sentinels[0]
	s.Crash()
	s.Move()
	s.Restart()
	mustHold(t, w, w.Settle(20*time.Second))
}
