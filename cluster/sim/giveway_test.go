package sim

import (
	"testing"
	"time"
)

// A power cut takes the last second of a primary's journal, and it is back
// before anybody has noticed. Its replica has what was acknowledged, and must
// not throw it away.
func TestReplicatedWritesSurviveAPowerCutOfThePrimary(t *testing.T) {
	for _, c := range []struct {
		name  string
		redis bool // the replica does not understand that it is asked
		limit time.Duration
	}{
		{"the replica is asked to take over", false, 3 * time.Second},
		{"the replica takes over from a silent primary", true, 8 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := create(t, 20, 3, 3, DefaultOptions())
			w.Run(3 * time.Second)
			primary, replica := w.Members[0], w.Members[3]
			replica.redis = c.redis
			primary.Crash()
			primary.data.lose(10)
			acknowledged := replica.data.head
			primary.Restart()
			mustHold(t, w, w.RunUntil(c.limit, "the replica takes over", func() bool { return ownerOfSlot0(w, 1) == replica }))
			mustHold(t, w, w.Settle(20*time.Second))
			mustHold(t, w, w.RunUntil(10*time.Second, "the old primary has copied", func() bool { return primary.data.link.inStep }))
			for _, m := range []*Member{primary, replica} {
				if !m.data.head.has(acknowledged) {
					t.Errorf("member %d has lost writes", m.Index)
				}
			}
		})
	}
}

// The replica that has more dies, too: the shard must go on without it.
func TestLostReplicaDoesNotKeepItsPrimaryDown(t *testing.T) {
	w := create(t, 21, 3, 3, DefaultOptions())
	w.Run(3 * time.Second)
	primary, replica := w.Members[0], w.Members[3]
	replica.redis = true
	primary.Crash()
	primary.data.lose(10)
	primary.Restart()
	mustHold(t, w, w.RunUntil(time.Second, "it gives way", func() bool {
		return primary.View().Node(replica.ID()).Offset > primary.data.offset()
	}))
	replica.Crash()
	mustHold(t, w, w.RunUntil(8*time.Second, "the primary serves", primary.serves))
	mustHold(t, w, w.Settle(10*time.Second))
}
