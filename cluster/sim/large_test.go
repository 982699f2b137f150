package sim

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var (
	large      = flag.Bool("large", false, "run the cluster of 300 nodes")
	largeSeeds = flag.Int("large-seeds", 0, "how many clusters of 500 nodes to run")
)

// The size that Redis Cluster's own specification has in mind is a thousand
// nodes. This is as much of it as a test can pay for.
func TestThreeHundredNodesLoseTenPrimaries(t *testing.T) {
	if !*large {
		t.Skip("takes a minute or so: run it with -large")
	}
	loseTenPrimaries(t, 300, 300)
}

func TestFiveHundredNodesLoseTenPrimaries(t *testing.T) {
	if *largeSeeds == 0 {
		t.Skip("takes minutes: run it with -large-seeds 1")
	}
	for seed := range *largeSeeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { loseTenPrimaries(t, uint64(seed), 500) })
	}
}

// loseTenPrimaries has ten of a third of the nodes crash, and come back.
func loseTenPrimaries(t *testing.T, seed uint64, nodes int) {
	primaries := nodes / 3
	opt := DefaultOptions()
	opt.NodeTimeout = 5 * time.Second
	opt.CodecPercent = 1
	w := create(t, seed, primaries, nodes-primaries, opt)
	t.Logf("whole after %v", w.Elapsed())
	for i := range 10 {
		w.Members[i].Crash()
	}
	mustHold(t, w, w.RunUntil(30*time.Second, "ten replicas take over", func() bool {
		v := w.Members[primaries/2].View()
		if !v.OK {
			return false
		}
		for i := range 10 {
			if w.member(v.Owner(share(i, primaries).First).ID) == nil {
				return false
			}
		}
		return true
	}))
	t.Logf("ten primaries replaced by %v", w.Elapsed())
	for i := range 10 {
		w.Members[i].Restart()
	}
	mustHold(t, w, w.Settle(time.Minute))
	t.Logf("whole again at %v", w.Elapsed())
}
