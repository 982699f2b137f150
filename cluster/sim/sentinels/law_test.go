package sentinels

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"redoubt/cluster/sentinel"
)

// A law that nothing can break says nothing: each is broken here by hand.
func TestLawsAreSeenToFail(t *testing.T) {
	notice := func(kind, format string, args ...any) *sentinel.Effects {
		return &sentinel.Effects{Notices: []sentinel.Notice{{Type: kind, Text: fmt.Sprintf(format, args...)}}}
	}
	state := func(s *Sentinel, change func(*sentinel.State, *sentinel.MasterState)) *sentinel.State {
		after, m := *s.file, *s.file.Masters[0]
		after.Masters = []*sentinel.MasterState{&m}
		change(&after, &m)
		return &after
	}
	elect := func(w *World, s *Sentinel, epoch uint64, voters ...int) {
		s.epoch, s.tries["m1"] = epoch, epoch
		for _, v := range voters {
			w.law.votes[ballot{v, term{"m1", epoch}}] = s.id
		}
		w.judgeStep(s, notice("+elected-leader", "master m1 10.1.0.1 6379"))
	}
	for _, c := range []struct {
		name    string
		violate func(w *World, a, b *Sentinel)
		want    string
	}{
		{"two leaders in an epoch", func(w *World, a, b *Sentinel) {
			elect(w, a, 7, 1, 2)
			w.law.votes = map[ballot]string{}
			elect(w, b, 7, 0, 2)
		}, "has elected Sentinels 0 and 1"},
		{"a leader without a majority", func(w *World, a, _ *Sentinel) { elect(w, a, 7) }, "with 1 of 3 votes"},
		{"two votes in an epoch", func(w *World, a, b *Sentinel) {
			a.file = state(a, func(s *sentinel.State, m *sentinel.MasterState) { s.CurrentEpoch, m.LeaderEpoch = 7, 7 })
			w.judgeVote(a, w.Groups[0].Servers[0].addr(), &sentinel.Result{Leader: a.id, LeaderEpoch: 7})
			w.judgeVote(a, w.Groups[0].Servers[0].addr(), &sentinel.Result{Leader: b.id, LeaderEpoch: 7})
		}, "votes in epoch 7 for"},
		{"a vote that is not on disk", func(w *World, a, _ *Sentinel) {
			w.judgeVote(a, w.Groups[0].Servers[0].addr(), &sentinel.Result{Leader: a.id, LeaderEpoch: 7})
		}, "its disk says 0"},
		{"a config epoch that goes back", func(w *World, a, _ *Sentinel) {
			a.newest = state(a, func(_ *sentinel.State, m *sentinel.MasterState) { m.ConfigEpoch = 7 })
			w.judgeStep(a, &sentinel.Effects{Persist: state(a, func(_ *sentinel.State, m *sentinel.MasterState) { m.ConfigEpoch = 6 })})
		}, "goes back from the epochs 7"},
		{"a current epoch that goes back", func(w *World, a, _ *Sentinel) {
			a.newest = state(a, func(s *sentinel.State, _ *sentinel.MasterState) { s.CurrentEpoch = 7 })
			w.judgeStep(a, &sentinel.Effects{Persist: state(a, func(*sentinel.State, *sentinel.MasterState) {})})
		}, "goes back from epoch 7 to"},
		{"a configuration epoch of two addresses", func(w *World, a, b *Sentinel) {
			w.law.leaders[term{"m1", 7}] = 0
			w.judgeConfig(a, term{"m1", 7}, w.Groups[0].Servers[1].addr())
			w.judgeConfig(b, term{"m1", 7}, w.Groups[0].Servers[2].addr())
		}, "epoch 7 of m1 stands for"},
		{"a configuration that nobody was elected for", func(w *World, a, _ *Sentinel) {
			w.judgeConfig(a, term{"m1", 7}, w.Groups[0].Servers[1].addr())
		}, "in which nobody was elected"},
		{"a promotion without an election", func(w *World, a, _ *Sentinel) {
			w.judgePromotion(a, w.Groups[0].Servers[1].Host)
		}, "without being elected"},
		{"a replica that is never to be promoted", func(w *World, a, _ *Sentinel) {
			r := w.Groups[0].Servers[1]
			r.Priority = 0
			w.judgeStep(a, notice("+selected-slave", "slave %s:6379 %s 6379 @ m1 10.1.0.1 6379", r.IP, r.IP))
		}, "which has priority 0"},
		{"two masters after everything has healed", func(w *World, a, b *Sentinel) {
			// Two of three have a configuration that the third never hears of.
			w.Net.Partition(2)
			for _, s := range []*Sentinel{a, b} {
				s.step(sentinel.Remove{Name: "m1"})
				s.step(sentinel.Monitor{Name: "m1", Addr: w.Groups[0].Servers[1].addr(), Quorum: 2})
			}
			w.Run(time.Second)
			w.Break("%v", w.Verdict())
		}, "Sentinel 2 says"},
		{"a recovery that takes too long", func(w *World, _, _ *Sentinel) {
			w.Net.Partition(0)
			w.Net.Partition(1)
			w.Groups[0].Servers[0].Crash()
			w.Break("%v", w.Settle(w.recovery()))
		}, "all is in order: not after"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := create(t, 1, nil)
			c.violate(w, w.Sentinels[0], w.Sentinels[1])
			if err := w.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the law says %v, want %q", err, c.want)
			}
		})
	}
}

// Clocks that are set by hours, either way, change nothing: not while all is well, and
// not in a failover.
func TestStepsOfClocksMatterToNobody(t *testing.T) {
	for _, step := range []time.Duration{-9 * time.Hour, 9 * time.Hour} {
		w := create(t, 1, nil)
		g := w.Groups[0]
		stepAll := func() {
			for _, s := range w.Sentinels {
				s.StepClock(step)
			}
			for _, s := range g.Servers {
				s.StepClock(step)
			}
		}
		stepAll()
		w.Run(time.Minute)
		mustHold(t, w, w.Verdict())
		if master, _ := w.Sentinels[0].node.Master(w.Sentinels[0].Clock(), "m1"); master.ConfigEpoch != 0 {
			t.Fatalf("clocks were set by %v, and the master was replaced", step)
		}
		old := g.Servers[0]
		old.Crash()
		w.Run(time.Second) // the replicas have noticed
		stepAll()
		mustHold(t, w, w.RunUntil(8*time.Second, "all tell of another master", func() bool { return w.replaced(g, old) }))
		stepAll()
		w.repair()
		mustHold(t, w, w.Settle(40*time.Second))
	}
}
