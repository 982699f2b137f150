package driver

import (
	"testing"
	"time"

	"redoubt/cluster"
	"redoubt/internal/node/nodetest"
	"redoubt/slots"
)

// TestNoWriteBetweenTheCountAndTheDecision: a command that gives slots up counts
// the keys first. A client that writes while the driver is busy with something
// else must not be told that its write succeeded, and find the slot gone.
func TestNoWriteBetweenTheCountAndTheDecision(t *testing.T) {
	const key = "k"
	slot := nodetest.SlotOf(key)
	other := cluster.Meet{IP: "127.0.0.1", Port: 1}
	cases := []struct {
		name    string
		command func(m *member) []any
	}{
		{"SETSLOT NODE", func(m *member) []any { return []any{"cluster", "setslot", slot, "node", m.other()} }},
		{"FLUSHSLOTS", func(m *member) []any { return []any{"cluster", "flushslots"} }},
		{"RESET", func(m *member) []any { return []any{"cluster", "reset"} }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := startMember(t)
			m.WantOK("cluster", "addslotsrange", 0, slots.Count-1)
			m.WantOK("cluster", "meet", other.IP, other.Port)
			args := c.command(m)

			written := make(chan bool, 1)
			busy := make(chan struct{})
			m.post(func() { <-busy })
			asked := make(chan (<-chan string), 1)
			go func() { asked <- m.Ask(args...) }()
			for len(m.inbox) == 0 { // until the command has counted and asks
				select {
				case <-t.Context().Done():
					t.Fatal("the command asks nothing")
				case <-time.After(time.Millisecond):
				}
			}
			client := m.Keys.NewExecutor()
			go func() {
				tx := client.Begin(time.Now().UnixMilli(), []slots.Slot{slot})
				mine := m.View().Mine(slot) // as the server looks, under the lock
				if mine {
					tx.Command(nil)
					tx.SetString([]byte(key), []byte("v"), 0, 0)
					tx.CommandEnd()
				}
				client.End()
				written <- mine
			}()
			// The client has to wait for the lock: that it does not come within this
			// time proves nothing, that it does would be the fault.
			acknowledged := false
			select {
			case acknowledged = <-written:
				close(busy)
			case <-time.After(100 * time.Millisecond):
				close(busy)
				acknowledged = <-written
			}
			reply := <-<-asked
			if acknowledged && !m.View().Mine(slot) {
				t.Errorf("the write was acknowledged, the command answered %q, and the slot is gone", reply)
			}
		})
	}
}

// other is the id of a node that the member knows beside itself.
func (m *member) other() string {
	for _, n := range m.View().Nodes {
		if n.ID != m.View().Me().ID {
			return string(n.ID)
		}
	}
	m.t.Fatal("no other node is known")
	return ""
}
