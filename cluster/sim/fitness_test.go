package sim

import (
	"testing"
	"time"

	"redoubt/cluster"
)

// Who is elected must have the data of its shard. In each case the primary
// of slot 0 dies while the only candidate for its place has others, or none.
func TestUnfitReplicaIsNotElected(t *testing.T) {
	for _, c := range []struct {
		name string
		// prepare returns the candidate and the primary that is to die.
		prepare func(t *testing.T, w *World) (candidate, primary *Member)
	}{
		{"a deposed primary with writes of its own", func(t *testing.T, w *World) (*Member, *Member) {
			old, heir := w.Members[3], w.Members[0]
			mustHold(t, w, old.Command(cluster.Failover{})) // which had been a replica in step
			mustHold(t, w, w.RunUntil(3*time.Second, "the roles are swapped", func() bool {
				return ownerOfSlot0(w, 0) == old && heir.data.link.inStep
			}))
			w.Net.Partition(3)
			mustHold(t, w, w.RunUntil(6*time.Second, "it is replaced", func() bool { return ownerOfSlot0(w, 1) == heir }))
			w.Run(time.Second) // let clients write there
			w.Net.Heal()
			mustHold(t, w, w.RunUntil(6*time.Second, "the old primary begins to copy", func() bool {
				return old.data.link.snapshot != nil
			}))
			return old, heir
		}},
		{"a replica that comes from another shard", func(t *testing.T, w *World) (*Member, *Member) {
			w.Members[3].Crash()
			moved := w.Members[4]
			mustHold(t, w, moved.Command(cluster.Replicate{ID: w.Members[0].ID()}))
			mustHold(t, w, w.RunUntil(6*time.Second, "it begins to copy", func() bool {
				return moved.data.link.snapshot != nil
			}))
			return moved, w.Members[0]
		}},
		{"a replica whose snapshot could not be loaded", func(t *testing.T, w *World) (*Member, *Member) {
			w.Members[3].detached = true
			w.Members[3].data.forget()
			return w.Members[3], w.Members[0]
		}},
		{"a replica that loads a snapshot", func(t *testing.T, w *World) (*Member, *Member) {
			w.Members[3].data.standing.Load()
			w.Members[3].data.link.loaded = w.Now().Add(time.Hour)
			return w.Members[3], w.Members[0]
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := create(t, 18, 3, 3, DefaultOptions())
			w.Run(2 * time.Second)
			candidate, primary := c.prepare(t, w)
			candidate.data.link.arrives = w.Now().Add(time.Hour)
			primary.Crash()
			w.Run(20 * time.Second)
			mustHold(t, w, nil)
			if !candidate.View().IsReplica() {
				t.Errorf("member %d was elected", candidate.Index)
			}
		})
	}
}

// A replica that restarts with its journal is as good as before, although its
// primary is not there to say so.
func TestRestartedReplicaIsElected(t *testing.T) {
	w := create(t, 19, 3, 3, DefaultOptions())
	w.Run(2 * time.Second)
	w.Members[0].Crash()
	w.Members[3].Crash()
	w.Run(time.Second)
	w.Members[3].Restart()
	mustHold(t, w, w.RunUntil(6*time.Second, "it takes over", func() bool {
		return ownerOfSlot0(w, 1) == w.Members[3]
	}))
}
