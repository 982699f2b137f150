package sentinels

import (
	"testing"
	"time"

	"redoubt/cluster/sentinel"
)

// loseLeader kills the master of a group, and the leader of the failover at that moment of
// it.
func loseLeader(t *testing.T, w *World, g *Group, at sentinel.SimFailure) (old *Server) {
	t.Helper()
	for _, s := range w.Sentinels {
		s.step(sentinel.SimulateFailure{Flags: at})
	}
	old = g.Servers[0]
	old.Crash()
	mustHold(t, w, w.RunUntil(10*time.Second, "the leader dies", func() bool {
		for _, s := range w.Sentinels {
			if !s.Up() {
				return true
			}
		}
		return false
	}))
	for _, s := range w.Sentinels {
		s.step(sentinel.SimulateFailure{})
	}
	return old
}

// loseTeller is loseLeader when the leader has seen the promotion and told nobody.
func loseTeller(t *testing.T, w *World, g *Group) (old, promoted *Server) {
	t.Helper()
	old = loseLeader(t, w, g, sentinel.CrashAfterPromotion)
	for _, s := range g.Servers {
		if s != old && !s.IsReplica() {
			promoted = s
		}
	}
	if promoted == nil {
		t.Fatalf("the leader has promoted nobody\n%s", w.Trace())
	}
	return old, promoted
}

// The master is back before anybody has told that another one was promoted. Whoever
// asked the servers for their roles has written to the promoted one, and must not lose
// that.
func TestPromotionOfADeadLeaderIsFinished(t *testing.T) {
	for _, back := range []bool{true, false} {
		for seed := range uint64(10) {
			w := create(t, seed, func(o *Options) {
				o.Sentinels, o.Replicas = 5, 3
				o.Master.FailoverTimeout = 3 * time.Minute // the default; it must not take that long
				o.FsyncMax = 50 * time.Millisecond
			})
			g := w.Groups[0]
			old, promoted := loseTeller(t, w, g)
			if back {
				old.Restart()
			}
			mustHold(t, w, w.RunUntil(25*time.Second, "all others tell of the promoted one", func() bool {
				addr, err := w.agreed(g)
				return err == nil && addr == promoted.addr()
			}))
			mustHold(t, w, w.RunUntil(2*time.Minute, "the promoted one is the only master", func() bool {
				for _, s := range g.Servers {
					if s.Up() && s.IsReplica() == (s == promoted) {
						return false
					}
				}
				return true
			}))
			w.repair()
			mustHold(t, w, w.Settle(2*time.Minute))
			if promoted.IsReplica() {
				t.Errorf("seed %d: the promoted one is a replica again", seed)
			}
		}
	}
}

// What an administrator has promoted by hand is put back to its place as ever: there was
// no vote.
func TestPromotionByHandIsUndone(t *testing.T) {
	w := create(t, 1, nil)
	g := w.Groups[0]
	g.Servers[1].follow(sentinel.Addr{})
	mustHold(t, w, w.RunUntil(time.Minute, "it is a replica again", g.Servers[1].IsReplica))
	if !w.Sentinels[0].sees(g, g.Servers[0]) {
		t.Error("it was made the master")
	}
}
