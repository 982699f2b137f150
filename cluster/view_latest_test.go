package cluster

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// In a large cluster a View is not made for each message that tells of an offset or a
// PONG, and is made at once when requests are routed by what has changed.
func TestLatestView(t *testing.T) {
	for _, c := range []struct {
		nodes int
		late  bool
	}{{50, false}, {500, true}} {
		n := largeNode(t, c.nodes)
		now := n.now
		step := func(after time.Duration, ev Event) *View {
			now = now.Add(after)
			n.Step(now, ev)
			return n.Latest()
		}
		step(0, Tick{})
		first := step(time.Minute, Tick{}) // what the start has changed
		if same := step(time.Millisecond, Facts{Offset: 7}) == first; same != c.late {
			t.Errorf("%d nodes: after an offset the View is the same: %t", c.nodes, same)
		}
		if v := step(time.Second, Tick{}); v.Me().Offset != 7 {
			t.Errorf("%d nodes: a second later the offset is %d", c.nodes, v.Me().Offset)
		}
		p := n.order[len(n.order)/2]
		n.suspect(p)
		if v := step(time.Millisecond, Facts{Offset: 8}); !v.Node(p.id).Flags.Has(bus.FlagPFail) {
			t.Errorf("%d nodes: a suspected node is not shown", c.nodes)
		}
		n.unbind(0)
		n.bind(0, p)
		if v := step(time.Millisecond, Facts{Offset: 9}); v.Owner(0) == nil || v.Owner(0).ID != p.id {
			t.Errorf("%d nodes: a slot that has moved is not shown", c.nodes)
		}
		n.health.ok, n.view.stale = !n.health.ok, true // as after a Step
		if v := n.Latest(); v.OK != n.health.ok {
			t.Errorf("%d nodes: the state is not shown", c.nodes)
		}
		n.addPeer(bus.NodeID(fmt.Sprintf("%040x", 1<<20)), bus.FlagPrimary)
		n.view.stale = true
		if v := n.Latest(); len(v.Nodes) != c.nodes+1 {
			t.Errorf("%d nodes: one more is not shown", c.nodes)
		}
	}
}

// largeNode is a primary that knows many others, which share the slots with it.
func largeNode(t *testing.T, nodes int) *Node {
	t.Helper()
	settings := DefaultSettings()
	settings.TCPPort, settings.BusPort = 6379, 16379
	n, err := New(time.Unix(1_800_000_000, 0), Config{Settings: settings, Rand: rand.New(rand.NewPCG(1, 1))})
	if err != nil {
		t.Fatal(err)
	}
	for i := len(n.order); i < nodes; i++ {
		p := n.addPeer(bus.NodeID(fmt.Sprintf("%040x", i)), bus.FlagPrimary)
		p.ip, p.tcpPort, p.busPort = fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), 6379, 16379
	}
	for s := range n.table.owner {
		n.bind(slots.Slot(s), n.order[s%nodes])
	}
	n.giving.settled = true
	return n
}
