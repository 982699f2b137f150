package sim

import (
	"slices"
	"testing"
	"time"

	"redoubt/cluster"
)

// The source of a slot on its way dies. The node at the other end goes on
// serving, and the successor goes on with the move.
func TestSlotMovesOnAfterAFailover(t *testing.T) {
	for _, c := range []struct {
		name string
		dies int
		heir int
	}{
		{"of the source", 0, 3},
		{"of the target", 1, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := create(t, 22, 3, 3, DefaultOptions())
			ends := []*Member{w.Members[0], w.Members[1]}
			set := func(on *Member, action cluster.SlotAction, end *Member) {
				t.Helper()
				mustHold(t, w, on.Command(cluster.SetSlot{Slot: 0, Action: action, ID: end.ID()}))
			}
			set(ends[1], cluster.SlotImporting, ends[0])
			set(ends[0], cluster.SlotMigrating, ends[1])
			w.Run(10 * time.Millisecond) // what a client's next command takes, or more
			w.Members[c.dies].Crash()
			ends[c.dies] = w.Members[c.heir]
			mustHold(t, w, w.RunUntil(6*time.Second, "all but the dead are well", func() bool {
				return ends[0].serves() && ends[1].serves() && w.Members[2].serves()
			}))
			source, target := ends[0].View().Me(), ends[1].View().Me()
			if want := []cluster.OpenSlot{{Slot: 0, Node: target.ID}}; !slices.Equal(source.Migrating, want) {
				t.Errorf("the source has open %v", source.Migrating)
			}
			if want := []cluster.OpenSlot{{Slot: 0, Node: source.ID}}; !slices.Equal(target.Importing, want) {
				t.Errorf("the target has open %v", target.Importing)
			}
			set(ends[1], cluster.SlotNode, ends[1])
			set(ends[0], cluster.SlotNode, ends[1])
			w.Members[c.dies].Restart()
			mustHold(t, w, w.Settle(20*time.Second))
			if got := ownerOfSlot0(w, 2); got != ends[1] {
				t.Errorf("member %d owns the slot", got.Index)
			}
		})
	}
}
