package sim

import (
	"flag"
	"testing"
	"time"
)

var large = flag.Bool("large", false, "run the cluster of 300 nodes")

// The size that Redis Cluster's own specification has in mind is a thousand
// nodes. This is as much of it as a test can pay for.
func TestThreeHundredNodesLoseTenPrimaries(t *testing.T) {
	if !*large {
		t.Skip("takes a minute or so: run it with -large")
	}
	opt := DefaultOptions()
	opt.NodeTimeout = 5 * time.Second
	opt.CodecPercent = 1
	w := create(t, 300, 100, 200, opt)
	t.Logf("whole after %v", w.Elapsed())
	for i := range 10 {
		w.Members[i].Crash()
	}
	mustHold(t, w, w.RunUntil(30*time.Second, "ten replicas take over", func() bool {
		v := w.Members[50].View()
		if !v.OK {
			return false
		}
		for i := range 10 {
			if w.member(v.Owner(share(i, 100).First).ID) == nil {
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
