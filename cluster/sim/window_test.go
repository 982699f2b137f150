package sim

import (
	"testing"
	"time"

	"redoubt/bus"
)

// The votes about a primary lie on slow disks while it comes back, is not FAIL any more,
// and serves. They may still elect its replica; two must not take writes.
func TestLateVotesDoNotMakeTwoWriters(t *testing.T) {
	for stall := 3 * time.Second; stall <= 6*time.Second; stall += 100 * time.Millisecond {
		w := create(t, 306, 3, 3, DefaultOptions())
		w.Run(time.Second)
		w.Net.Partition(0)
		for _, voter := range w.Members[1:3] {
			voter.disk.Stall(stall)
		}
		mustHold(t, w, w.RunUntil(3*time.Second, "it is FAIL", func() bool {
			return w.Members[1].View().Node(w.Members[0].ID()).Flags.Has(bus.FlagFail)
		}))
		w.Net.Heal()
		w.Net.Cut(0, 3, true) // so that the replica goes on
		w.Run(5 * time.Second)
		w.Net.Heal()
		mustHold(t, w, w.Settle(20*time.Second))
	}
}
