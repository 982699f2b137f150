package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// takeover kills members at once, and gives the time until everybody else knows
// the successors of all of them.
func takeover(t *testing.T, w *World, victims ...int) time.Duration {
	t.Helper()
	for _, i := range victims {
		w.Members[i].Crash()
	}
	return replaced(t, w, victims...)
}

// replaced gives the time until everybody who runs, but for the victims, knows the
// successors of all of them.
func replaced(t *testing.T, w *World, victims ...int) time.Duration {
	t.Helper()
	at := w.Now()
	old := make(map[int]bool)
	for _, i := range victims {
		old[i] = true
	}
	mustHold(t, w, w.RunUntil(time.Minute, fmt.Sprint("the successors of ", victims), func() bool {
		for _, m := range w.Members {
			if !m.Up() || old[m.Index] {
				continue
			}
			for _, r := range m.View().SlotRanges() {
				owner := w.member(r.Nodes[0].ID)
				if owner == nil || old[owner.Index] || !m.View().OK {
					return false
				}
			}
		}
		return true
	}))
	return w.Now().Sub(at)
}

// A firewall that rejects all that is sent to a primary, answers to its own PINGs
// included, makes its host look like one whose process has died. The primary hears of
// nothing and serves until its lease ends, so nobody may take over sooner (the law in
// writers.go).
func TestAFirewallDoesNotLookLikeADeath(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		opt := DefaultOptions()
		opt.NodeTimeout = 15 * time.Second
		w := create(t, seed, 3, 3, opt)
		w.Run(10 * time.Second)
		for _, m := range w.Members[1:] {
			w.Net.Reject(m.Index, 0)
		}
		took := replaced(t, w, 0)
		if took < opt.NodeTimeout/2 {
			t.Errorf("seed %d: the primary is replaced after %v", seed, took)
		}
	}
}

// After kill -9 the host refuses connections, and nobody waits for the node
// timeout, nor for anybody else.
func TestKilledPrimariesAreReplacedWithinASecond(t *testing.T) {
	for _, c := range []struct {
		name         string
		primaries    int
		replicas     int
		victims      []int
		median, most time.Duration
	}{
		{"one of three", 3, 3, []int{0}, 600 * time.Millisecond, time.Second},
		{"one of three, with two replicas", 3, 6, []int{0}, 600 * time.Millisecond, time.Second},
		{"one and one of its two replicas", 3, 6, []int{0, 3}, 600 * time.Millisecond, time.Second},
		{"two of five at once", 5, 5, []int{0, 1}, 1200 * time.Millisecond, 1500 * time.Millisecond},
		{"three of seven at once", 7, 7, []int{0, 1, 2}, 1500 * time.Millisecond, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			var took []time.Duration
			for seed := uint64(1000); seed < 1010; seed++ {
				opt := DefaultOptions()
				opt.NodeTimeout, opt.FsyncMax, opt.CodecPercent = 15*time.Second, 20*time.Millisecond, 0
				w := create(t, seed, c.primaries, c.replicas, opt)
				w.Run(10*time.Second + time.Duration(seed%17)*313*time.Millisecond)
				took = append(took, takeover(t, w, c.victims...))
			}
			slices.Sort(took)
			t.Logf("median %v, most %v", took[len(took)/2], took[len(took)-1])
			if took[len(took)/2] > c.median || took[len(took)-1] > c.most {
				t.Errorf("it takes %v", took)
			}
		})
	}
}
