package sentinel

import (
	"testing"
	"time"

	"redoubt/cluster/vouch"
)

// listening is a lab whose nodes listen to what Sentinels say of them.
func listening(t *testing.T) *lab {
	t.Helper()
	l := labWith(t, 3, 2, 2, nil)
	for _, d := range l.nodes {
		d.watch = vouch.NewWatch(nil)
	}
	l.until("the master remembers its Sentinels", time.Minute, func() bool {
		r := l.nodes[0].watch.Records()
		return len(r) == 1 && r[0].Voters == 3
	})
	return l
}

func TestAMasterThatWasAwayIsConfirmed(t *testing.T) {
	l := listening(t)
	master := l.nodes[0]
	l.kill(master)
	l.run(time.Second)
	l.revive(master)
	back := l.now
	l.until("most have spoken for it", time.Minute, func() bool { return master.watch.State(l.now) == vouch.Confirmed })
	if took := l.now.Sub(back); took > 2*time.Second {
		t.Errorf("that took %v", took)
	}
	if r := l.nodes[1].watch.State(l.now); r != vouch.Replaced {
		t.Errorf("a replica is told %v", r)
	}
}

func TestAMasterThatWasReplacedIsTold(t *testing.T) {
	l := listening(t)
	master := l.nodes[0]
	l.kill(master)
	l.until("it is replaced", time.Minute, func() bool { return l.agreed(master.addr) })
	l.revive(master)
	l.until("it has been told", time.Minute, func() bool {
		state := master.watch.State(l.now)
		if master.of == nil && state == vouch.Confirmed {
			t.Fatal("a master that was replaced is confirmed")
		}
		return state == vouch.Replaced
	})
	l.until("it is a replica", time.Minute, func() bool { return master.of != nil })
	heir := l.nodeAt(l.members[0].masterAddr())
	l.until("the new master has been told that it is one", time.Minute, func() bool { return heir.watch.State(l.now) == vouch.Confirmed })
}

// A master that comes back while it is being replaced waits for the outcome: whoever
// has voted says so.
func TestAMasterThatIsBeingReplacedIsNotConfirmed(t *testing.T) {
	l := listening(t)
	master := l.nodes[0]
	for _, r := range l.nodes[1:] {
		r.deaf = true // it does not become a master
	}
	l.kill(master)
	var leader *member
	l.until("a replica is to be promoted", time.Minute, func() bool {
		for _, m := range l.members {
			if m.said("+failover-state-wait-promotion") {
				leader = m
			}
		}
		return leader != nil
	})
	l.revive(master)
	until := l.now.Add(10 * time.Second)
	for l.now.Before(until) {
		l.run(100 * time.Millisecond)
		if master.watch.State(l.now) == vouch.Confirmed {
			t.Fatal("it is confirmed while a failover may still come to its end")
		}
	}
	l.until("the failover is given up", time.Minute, func() bool { return leader.said("-failover-abort-slave-timeout") })
	l.until("it is confirmed then", time.Minute, func() bool { return master.watch.State(l.now) == vouch.Confirmed })
}
