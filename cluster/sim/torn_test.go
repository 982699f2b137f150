package sim

import (
	"bytes"
	"testing"
	"time"

	"redoubt/cluster"
	"redoubt/slots"
)

// A power cut in the middle of a write leaves a part of it behind what is safe. The
// member starts with what it had promised, and goes on to write.
func TestATornWriteOfNodesConf(t *testing.T) {
	w := create(t, 31, 3, 0, DefaultOptions())
	m, other := w.Members[0], w.Members[1]
	torn := 0
	for s := slots.Slot(0); s < 40; s++ {
		mustHold(t, w, m.Command(cluster.SetSlot{Slot: s, Action: cluster.SlotMigrating, ID: other.ID()}))
		before, had := m.onDisk.saved, len(m.onDisk.log)
		m.PowerCut()
		if m.onDisk.saved == before && len(m.onDisk.log) > had {
			torn++
		}
		read, err := m.onDisk.load()
		if err != nil {
			t.Fatal(err)
		}
		if change := read.AppendChanges(nil, m.onDisk.saved); bytes.Count(change, []byte("\n")) != 1 { // the variables
			t.Fatalf("slot %d: it starts with what differs from its promises by\n%s", s, change)
		}
		m.Restart()
		w.Run(200 * time.Millisecond)
	}
	mustHold(t, w, nil)
	if torn < 5 {
		t.Errorf("%d writes were torn", torn)
	}
}
