package netlab

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestALinkDecides(t *testing.T) {
	start := time.Unix(1000, 0)
	type step struct {
		at   time.Duration
		want verdict
		due  time.Duration
	}
	for _, c := range []struct {
		name  string
		rule  Rule
		steps []step
	}{
		{"all pass at once", Rule{}, []step{{0, pass, 0}, {1, pass, 1}}},
		{"all are dropped", Rule{Drop: true}, []step{{0, lose, 0}, {time.Hour, lose, time.Hour}}},
		{"all are rejected", Rule{Reject: true}, []step{{0, refuse, 0}}},
		{"what is dropped is not answered", Rule{Drop: true, Reject: true}, []step{{0, lose, 0}}},
		{"all are lost", Rule{Loss: 1}, []step{{0, lose, 0}}},
		{"a flapping link begins with a cut", Rule{Flap: time.Second}, []step{
			{0, lose, 0}, {999 * time.Millisecond, lose, 999 * time.Millisecond}, {time.Second, pass, time.Second}, {2 * time.Second, lose, 2 * time.Second}}},
		{"all are delayed by as much", Rule{Delay: time.Second}, []step{{0, later, time.Second}, {1, later, time.Second + 1}}},
		{"a bandwidth spaces packets", Rule{Bandwidth: 1000}, []step{{0, later, time.Second}, {0, later, 2 * time.Second}, {5 * time.Second, later, 6 * time.Second}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, rnd := link{rule: c.rule, since: start, free: start}, rand.New(rand.NewPCG(1, 1))
			for i, s := range c.steps {
				v, due := l.decide(start.Add(s.at), 1000, rnd)
				if v != s.want || !due.Equal(start.Add(s.due)) {
					t.Errorf("packet %d: %v at %v, want %v at %v", i, v, due.Sub(start), s.want, s.due)
				}
			}
		})
	}
}

func TestAFullQueueLosesPackets(t *testing.T) {
	start := time.Unix(1000, 0)
	l, rnd := link{rule: Rule{Bandwidth: 1000}, free: start}, rand.New(rand.NewPCG(1, 1))
	got := map[verdict]int{}
	for range 100 {
		v, _ := l.decide(start, 1000, rnd)
		got[v]++
	}
	if want := minQueue / 1000; got[later] != want || got[lose] != 100-want {
		t.Errorf("%v, want %d queued", got, want)
	}
}

// A rule without a delay does not let packets overtake those that the rule before has
// delayed.
func TestNoPacketOvertakesWhatIsQueued(t *testing.T) {
	start := time.Unix(1000, 0)
	l, rnd := link{rule: Rule{Delay: time.Second}}, rand.New(rand.NewPCG(1, 1))
	if v, _ := l.decide(start, 1, rnd); v != later {
		t.Fatal(v)
	}
	l.queued, l.rule = 1, Rule{}
	if v, due := l.decide(start.Add(1), 1, rnd); v != later || !due.Equal(start.Add(time.Second)) {
		t.Errorf("%v at %v", v, due.Sub(start))
	}
	l.queued = 0
	if v, _ := l.decide(start.Add(2), 1, rnd); v != pass {
		t.Error(v)
	}
}

// Nothing a host sends may do harm here.
func FuzzPackets(f *testing.F) {
	f.Add([]byte{0x45, 0, 0, 20})
	f.Add(make([]byte, 60))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parsePacket(b)
		if !ok {
			return
		}
		p.source()
		if r := p.refusal(); r != nil {
			if _, ok := parsePacket(r); !ok || r.destination() != p.source() || r.source() != p.destination() {
				t.Errorf("%x is refused with %x", p, r)
			}
		}
	})
}
