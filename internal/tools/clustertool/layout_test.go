package clustertool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"redoubt/slots"
)

// places makes one node for each host named, with ports in order.
func places(hosts ...string) []*place {
	var ps []*place
	for i, h := range hosts {
		ps = append(ps, &place{host: h, addr: fmt.Sprintf("%s:%d", h, 7000+i)})
	}
	return ps
}

func TestPlanDividesSlotsAsRedisCli(t *testing.T) {
	for _, tc := range []struct {
		name   string
		nodes  int
		ranges []string
	}{
		{"three primaries", 3, []string{"0-5460", "5461-10922", "10923-16383"}},
		{"four primaries", 4, []string{"0-4095", "4096-8191", "8192-12287", "12288-16383"}},
		{"five primaries", 5, []string{"0-3276", "3277-6553", "6554-9829", "9830-13106", "13107-16383"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hosts := make([]string, tc.nodes)
			for i := range hosts {
				hosts[i] = "10.0.0.1"
			}
			l, err := plan(places(hosts...), 0)
			if err != nil {
				t.Fatal(err)
			}
			var all slots.Set
			for i, p := range l.primaries {
				if got := fmt.Sprint(p.slots.Ranges()); got != "["+tc.ranges[i]+"]" {
					t.Errorf("primary %d has %s, want %s", i, got, tc.ranges[i])
				}
				all.AddRange(p.slots.Ranges()[0])
			}
			if all != slots.All() {
				t.Error("not all slots are covered")
			}
		})
	}
}

func TestPlanRefusesTooFewNodes(t *testing.T) {
	for _, tc := range []struct{ nodes, replicas int }{{2, 0}, {5, 1}, {8, 2}} {
		hosts := make([]string, tc.nodes)
		if _, err := plan(places(hosts...), tc.replicas); !errors.Is(err, errTooFew) {
			t.Errorf("%d nodes with %d replicas: %v", tc.nodes, tc.replicas, err)
		}
	}
}

func TestPlanAndSpread(t *testing.T) {
	for _, tc := range []struct {
		name     string
		hosts    []string
		replicas int
		want     int // the score that must be reached, at most
		extra    int // replicas beyond those asked for
	}{
		{name: "three hosts of two nodes each part every pair", hosts: []string{"a", "a", "b", "b", "c", "c"}, replicas: 1},
		{name: "six hosts need no care", hosts: []string{"a", "b", "c", "d", "e", "f"}, replicas: 1},
		{name: "three hosts of three nodes part all shards of three", hosts: []string{"a", "a", "a", "b", "b", "b", "c", "c", "c"}, replicas: 2},
		{name: "a single host cannot part anything", hosts: []string{"a", "a", "a", "a", "a", "a"}, replicas: 1, want: 3 * besidePrimary},
		{name: "two hosts part every pair", hosts: []string{"a", "a", "a", "b", "b", "b"}, replicas: 1},
		{name: "a node left over becomes an extra replica", hosts: []string{"a", "a", "b", "b", "c", "c", "d"}, replicas: 1, extra: 1},
		{name: "twelve nodes on four unequal hosts", hosts: []string{"a", "a", "a", "a", "b", "b", "b", "b", "c", "c", "d", "d"}, replicas: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nodes := places(tc.hosts...)
			l, err := plan(nodes, tc.replicas)
			if err != nil {
				t.Fatal(err)
			}
			if got := l.spread(rand.New(rand.NewPCG(1, 1))); got > tc.want {
				t.Errorf("score %d, want %d", got, tc.want)
			}
			count := map[*place]int{}
			for _, n := range nodes {
				if n.primary == nil {
					continue
				}
				count[n.primary]++
				if n.primary.primary != nil || n == n.primary || !n.slots.Empty() {
					t.Errorf("%s replicates what is no primary, or has slots", n.addr)
				}
			}
			extra := 0
			for _, p := range l.primaries {
				if count[p] < tc.replicas {
					t.Errorf("%s has %d replicas", p.addr, count[p])
				}
				extra += count[p] - tc.replicas
			}
			if extra != tc.extra {
				t.Errorf("%d extra replicas, want %d", extra, tc.extra)
			}
		})
	}
}

func TestSpreadRepairsABadLayout(t *testing.T) {
	n := places("a", "b", "c", "a", "b", "c", "a", "b", "c")
	for i := 3; i < len(n); i++ {
		n[i].primary = n[i%3] // every replica beside its primary
	}
	l := &layout{nodes: n}
	if before, _ := l.score(); before != 6*besidePrimary {
		t.Fatalf("score %d before", before)
	}
	if after := l.spread(rand.New(rand.NewPCG(1, 1))); after != 0 {
		t.Fatalf("score %d after", after)
	}
}

func TestScoreWeighsReplicaBesidePrimaryMost(t *testing.T) {
	n := places("a", "a", "b", "b")
	n[1].primary, n[2].primary, n[3].primary = n[0], n[0], n[0]
	l := &layout{nodes: n}
	if total, offenders := l.score(); total != besidePrimary+2 || len(offenders) != 3 {
		t.Fatalf("score %d with %d offenders", total, len(offenders))
	}
}
