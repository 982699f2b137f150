package sentinel

import (
	"testing"
	"time"
)

func forgetful(after time.Duration) func(*MasterState) {
	return func(s *MasterState) { s.Options.ForgetAfter = after }
}

func TestReplicaThatIsGoneForGoodIsForgotten(t *testing.T) {
	for _, after := range []time.Duration{0, time.Minute} {
		l := labWith(t, 1, 2, 1, forgetful(after))
		m := l.members[0]
		l.run(15 * time.Second)
		l.kill(l.nodes[1])
		l.run(50 * time.Second)
		if v := m.master(); v.Replicas != 2 {
			t.Errorf("forgotten after less than a minute")
		}
		l.run(time.Minute)
		want := 2
		if after > 0 {
			want = 1
		}
		if v := m.master(); v.Replicas != want || len(m.diskMaster(labMaster).Replicas) != want {
			t.Errorf("forget-after %v: %d replicas, want %d", after, v.Replicas, want)
		}
	}
}

// While the master is away nobody knows who belongs to it.
func TestNoReplicaIsForgottenWithoutAMaster(t *testing.T) {
	l := labWith(t, 1, 2, 2, forgetful(time.Minute))
	l.run(15 * time.Second)
	for _, d := range l.nodes {
		l.kill(d)
	}
	l.run(5 * time.Minute)
	if v := l.members[0].master(); v.Replicas != 2 {
		t.Errorf("%d replicas are left", v.Replicas)
	}
}

func TestSentinelThatIsGoneForGoodIsForgotten(t *testing.T) {
	l := labWith(t, 3, 0, 2, forgetful(time.Minute))
	l.members[2].crash()
	l.run(2 * time.Minute)
	for _, m := range l.members[:2] {
		if v := m.master(); v.OtherSentinels != 1 || len(m.diskMaster(labMaster).Sentinels) != 1 {
			t.Errorf("%d others", v.OtherSentinels)
		}
	}
	l.members[2].start()
	l.until("it is met again", time.Minute, func() bool { return l.members[0].master().OtherSentinels == 2 })
}

// The lesser side of a partition must not become a majority of itself.
func TestMinorityForgetsNobody(t *testing.T) {
	l := labWith(t, 5, 1, 2, forgetful(time.Minute))
	l.split([]string{"10.0.1.1", "10.0.1.2", "10.0.0.2"}, []string{"10.0.1.3", "10.0.1.4", "10.0.1.5", "10.0.0.1"})
	l.run(10 * time.Minute)
	for i, m := range l.members {
		want := 4
		if i >= 2 {
			want = 2
		}
		if v := m.master(); v.OtherSentinels != want {
			t.Errorf("sentinel %d knows %d others, want %d", i, v.OtherSentinels, want)
		}
		if m.masterAddr() != l.nodes[0].addr {
			t.Errorf("sentinel %d has the master %v", i, m.masterAddr())
		}
	}
	l.heal()
	l.until("all are met again", time.Minute, func() bool {
		for _, m := range l.members {
			if m.master().OtherSentinels != 4 {
				return false
			}
		}
		return true
	})
}
