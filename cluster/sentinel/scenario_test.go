package sentinel

import (
	"testing"
	"time"
)

func TestReplicaTakesOverFromDeadMaster(t *testing.T) {
	l := labWith(t, 3, 2, 2, nil)
	old := l.nodes[0]
	l.nodes[2].offset = 200 // the one to choose
	l.run(15 * time.Second)
	l.kill(old)
	l.until("all agree on another master", time.Minute, func() bool { return l.agreed(old.addr) })
	if got := l.members[0].masterAddr(); got != l.nodes[2].addr {
		t.Errorf("the master is %v, %v has more data", got, l.nodes[2].addr)
	}
	l.until("the other replica follows", time.Minute, func() bool {
		return l.nodes[1].of != nil && *l.nodes[1].of == l.nodes[2].addr
	})
	l.revive(old)
	l.until("the old master comes back as a replica", time.Minute, func() bool {
		return old.of != nil && *old.of == l.nodes[2].addr
	})
	for i, m := range l.members {
		if v := m.master(); v.Replicas != 2 || v.OtherSentinels != 2 {
			t.Errorf("sentinel %d knows %d replicas and %d sentinels", i, v.Replicas, v.OtherSentinels)
		}
	}
}
