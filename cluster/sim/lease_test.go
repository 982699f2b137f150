package sim

import (
	"testing"
	"time"
)

// A primary that is cut off has stopped before its successor begins, and within
// the node timeout and a tick.
func TestPrimaryThatIsCutOffStopsBeforeItsSuccessorBegins(t *testing.T) {
	for seed := uint64(100); seed < 110; seed++ {
		opt := DefaultOptions()
		opt.NodeTimeout = 2 * time.Second
		w := create(t, seed, 3, 3, opt)
		w.Run(time.Duration(seed%7) * 313 * time.Millisecond)
		old, successor := w.Members[0], w.Members[3]
		switch seed % 3 {
		case 0:
			w.Net.Partition(0)
		case 1: // it hears everybody, and nobody hears it
			for i := 1; i < 6; i++ {
				w.Net.Cut(0, i, true)
			}
		case 2:
			w.Net.Partition(0, 3, 4) // with its replica, in a minority
			successor = nil
		}
		cut := w.Now()
		var stopped time.Duration
		for w.Now().Sub(cut) < 3*opt.NodeTimeout {
			w.Run(10 * time.Millisecond)
			if stopped == 0 && !old.serves() {
				stopped = w.Now().Sub(cut)
			}
			if successor != nil && !successor.View().IsReplica() {
				if stopped == 0 {
					t.Fatalf("seed %d: two primaries serve after %v", seed, w.Now().Sub(cut))
				}
				break
			}
		}
		mustHold(t, w, w.Err())
		if stopped == 0 || stopped > opt.NodeTimeout+100*time.Millisecond {
			t.Errorf("seed %d: it stops after %v", seed, stopped)
		}
	}
}
