package sentinel

import (
	"strings"
	"testing"
	"time"
)

func TestChoiceOfTheReplicaToPromote(t *testing.T) {
	id := func(c string) string { return strings.Repeat(c, 40) }
	// The first replica is as good as it gets; each case changes both.
	for _, c := range []struct {
		name   string
		change func(n *Node, a, b *replica)
		want   string // a, b, or none
	}{
		{"the smaller run id", func(n *Node, a, b *replica) {}, "a"},
		{"a run id is better than none", func(n *Node, a, b *replica) { a.runID = "" }, "b"},
		{"the case of run ids does not count", func(n *Node, a, b *replica) { a.runID, b.runID = id("B"), id("a") }, "b"},
		{"the greater offset", func(n *Node, a, b *replica) { b.offset++ }, "b"},
		{"the lower priority before the offset", func(n *Node, a, b *replica) { a.priority = 10; b.offset++ }, "a"},
		{"priority 0 is never promoted", func(n *Node, a, b *replica) { a.priority = 0 }, "b"},
		{"none with priority 0", func(n *Node, a, b *replica) { a.priority, b.priority = 0, 0 }, "none"},
		{"not one that is down", func(n *Node, a, b *replica) { a.sdown = true }, "b"},
		{"not one without its pub/sub connection", func(n *Node, a, b *replica) { a.link.pub.up = false }, "b"},
		{"not one without its command connection", func(n *Node, a, b *replica) { a.link.cmd = nil }, "b"},
		{"not one that has been silent for 5 pings", func(n *Node, a, b *replica) {
			a.link.lastAvail = n.now.Add(-5*time.Second - 1)
		}, "b"},
		{"not one without INFO", func(n *Node, a, b *replica) { a.info.at = time.Time{} }, "b"},
		{"an INFO of 30 s is young enough while the master is up", func(n *Node, a, b *replica) {
			a.info.at = n.now.Add(-30 * time.Second)
		}, "a"},
		{"an older INFO is not", func(n *Node, a, b *replica) { a.info.at = n.now.Add(-30*time.Second - 1) }, "b"},
		{"an INFO of more than 5 s is too old while the master is down", func(n *Node, a, b *replica) {
			a.master.sdown, a.master.sdownSince = true, n.now
			a.info.at = n.now.Add(-5*time.Second - 1)
		}, "b"},
		{"not one that lost its master too long ago", func(n *Node, a, b *replica) {
			a.masterLinkDown = 10*a.master.options.DownAfter + time.Second
		}, "b"},
		{"unless the master is down for as long", func(n *Node, a, b *replica) {
			a.master.sdown, a.master.sdownSince = true, n.now.Add(-time.Second)
			a.masterLinkDown = 10*a.master.options.DownAfter + time.Second
		}, "a"},
		{"not one that is astray", func(n *Node, a, b *replica) {
			a.info.role, a.masterHost = RoleMaster, ""
		}, "b"},
		{"unless all are", func(n *Node, a, b *replica) {
			a.info.role, a.masterHost = RoleMaster, ""
			b.priority = 0
		}, "a"},
		{"one that was promoted in a failover that did not end", func(n *Node, a, b *replica) {
			a.info.role, a.masterHost, a.masterPort = RoleMaster, "10.0.0.1", 6379
		}, "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, Settings{}, nil)
			m := n.addMaster(labMaster, Addr{"10.0.0.1", 6379}, 1, DefaultOptions())
			a := goodReplica(n, m, Addr{"10.0.0.2", 6379}, id("1"))
			b := goodReplica(n, m, Addr{"10.0.0.3", 6379}, id("2"))
			c.change(n, a, b)
			got := map[*replica]string{a: "a", b: "b", nil: "none"}[n.choose(m)]
			if got != c.want {
				t.Errorf("chose %s, want %s", got, c.want)
			}
		})
	}
}

// goodReplica is a replica that may be promoted.
func goodReplica(n *Node, m *master, addr Addr, runID string) *replica {
	r, _ := n.addReplica(m, addr)
	r.runID, r.info.at, r.offset = runID, n.now, 100
	r.link.cmd = &conn{link: r.link, up: true}
	r.link.pub = &conn{link: r.link, up: true, pubsub: true}
	return r
}
