package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"redoubt/internal/netlab"
	"redoubt/internal/redistest"
)

// successor is who is expected to own a shard after a partition.
type successor int

const (
	same   successor = iota // its primary
	heir                    // its replica
	either                  // one of them
)

// partition is something that happens to the network, and what has to come of it.
type partition struct {
	name string
	// cut sets rules; s is the shard that the case is about, of all.
	cut func(l *networked, s shard, all []shard)
	// owner is who owns that shard afterwards; all others keep their primaries.
	owner successor
	// lasts is how long it stays, if no replica is expected to take over.
	lasts time.Duration
}

// idle is how long a partition stays in which nobody may take over: long enough for it.
const idle = 2*nodeTimeout + 2*time.Second

// after is how long a partition stays once a replica has taken over, with both sides asked
// for writes.
const after = nodeTimeout

// alone are the partitions of one primary from all others, its replica among them.
var alone = []partition{
	{"a primary is cut off", func(l *networked, s shard, _ []shard) {
		l.net.SetBoth(l.hosts(s.primary), l.others(s.primary), netlab.Cut)
	}, heir, 0},
	{"a primary is cut off with its replica", func(l *networked, s shard, _ []shard) {
		l.net.SetBoth(l.hosts(s.primary, s.replica), l.others(s.primary, s.replica), netlab.Cut)
	}, same, idle},
	{"nobody hears a primary", func(l *networked, s shard, _ []shard) {
		l.net.Set(l.hosts(s.primary), l.others(s.primary), netlab.Cut)
	}, heir, 0},
}

// faults are the other ones.
var faults = []partition{
	{"a primary hears nobody", func(l *networked, s shard, _ []shard) {
		l.net.Set(l.others(s.primary), l.hosts(s.primary), netlab.Cut)
	}, heir, 0},
	{"the other primaries do not hear a primary, its replica does", func(l *networked, s shard, all []shard) {
		l.net.Set(l.hosts(s.primary), l.hosts(rivals(s, all)...), netlab.Cut)
	}, heir, 0},
	{"a firewall rejects what a primary and a majority send each other", func(l *networked, s shard, all []shard) {
		l.net.SetBoth(l.hosts(s.primary), l.hosts(rivals(s, all)...), netlab.Rule{Reject: true})
	}, heir, 0},
	{"a firewall rejects what a primary sends", func(l *networked, s shard, _ []shard) {
		l.net.Set(l.hosts(s.primary), l.others(s.primary), netlab.Rule{Reject: true})
	}, heir, 0},
	{"a firewall rejects what is sent to a primary", func(l *networked, s shard, _ []shard) {
		l.net.Set(l.others(s.primary), l.hosts(s.primary), netlab.Rule{Reject: true})
	}, heir, 0},
	{"a primary's link flaps", func(l *networked, s shard, _ []shard) {
		l.net.SetBoth(l.hosts(s.primary), l.others(s.primary), netlab.Rule{Flap: 300 * time.Millisecond})
	}, either, 2 * idle},
	{"everything takes 200 ms", func(l *networked, s shard, _ []shard) {
		l.net.SetBoth(l.net.Hosts, l.net.Hosts, netlab.Rule{Delay: 200 * time.Millisecond})
	}, same, idle},
	{"one packet in five is lost", func(l *networked, s shard, _ []shard) {
		l.net.SetBoth(l.net.Hosts, l.net.Hosts, netlab.Rule{Loss: 0.2})
	}, either, 2 * idle},
}

// rivals are the primaries of the other shards.
func rivals(s shard, all []shard) (nodes []int) {
	for _, other := range all {
		if other.primary != s.primary {
			nodes = append(nodes, other.primary)
		}
	}
	return nodes
}

// TestPartitions: whatever the network does to a primary, no two nodes serve its slots, the
// expected one has them in the end, and what is lost is what the deposed one has kept.
func TestPartitions(t *testing.T) {
	for name, cases := range map[string][]partition{"alone": alone, "faults": faults} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			startNetworked(t, 3, 1, nil).playAll(cases)
		})
	}
}

// TestPartitionsLoseNothingWithAcks: a write that is acknowledged when two nodes have it
// is in the shard whichever of them owns it.
func TestPartitionsLoseNothingWithAcks(t *testing.T) {
	t.Parallel()
	l := startNetworked(t, 3, 1, nil, "--min-replicas-to-ack", "1", "--min-replicas-ack-timeout", "1000")
	for i, lost := range l.playAll(alone) {
		if lost > 0 {
			t.Errorf("%s: %d writes that two nodes had are lost", alone[i].name, lost)
		}
	}
}

// TestPartitionsWithRedis: the replicas are of redis-server, which takes over from ours.
func TestPartitionsWithRedis(t *testing.T) {
	t.Parallel()
	kinds := []redistest.Kind{
		redistest.Redoubt, redistest.Redoubt, redistest.Redoubt,
		redistest.Redis, redistest.Redis, redistest.Redis,
	}
	startNetworked(t, 3, 1, kinds).playAll(alone[:2])
}

// playAll plays partitions, each with another shard than the one before, and returns how
// many writes each has lost.
func (l *networked) playAll(cases []partition) (lost []int) {
	for i, p := range cases {
		l.t.Run(p.name, func(t *testing.T) { lost = append(lost, l.play(t, p, i)) })
		if l.t.Failed() {
			break // the next ones expect a cluster that is whole
		}
	}
	return lost
}

// play plays one partition and returns how many writes were lost.
func (l *networked) play(t *testing.T, p partition, number int) int {
	before := l.shards(t)
	s := before[number%len(before)]
	w := l.begin(t)
	at := time.Now()
	p.cut(l, s, before)
	if p.owner == heir {
		l.untilHeirOwns(t, s)
		time.Sleep(after)
	} else {
		time.Sleep(p.lasts)
	}
	agreed := l.reunite(t, w)
	now := l.shards(t)[number%len(before)]
	l.wantOwner(t, p.owner, s, now)
	o := l.judge(t, w)
	if p.owner == heir && o.lost > 0 {
		wantFork(t, l.c.Nodes[s.primary], l.c.Nodes[s.replica])
	}
	l.tell(t, w, s, now, number%len(before), at, agreed, o)
	return o.lost
}

// probesOf are the indices of the probes in a shard.
func (l *networked) probesOf(shardIndex int) []int {
	each := len(l.probes) / (len(l.c.Nodes) / 2)
	return []int{shardIndex * each, shardIndex*each + 1}
}

// untilHeirOwns waits until the replica of a shard has taken over. Whether it also takes
// writes depends on min-replicas-to-ack.
func (l *networked) untilHeirOwns(t *testing.T, s shard) {
	t.Helper()
	redistest.Until(t, reunion, "the replica takes over", func() error {
		if me := myself(t, l.c.Nodes[s.replica]); me.slots == "" {
			return fmt.Errorf("it is %v", me)
		}
		return nil
	})
}

// wantOwner fails the test if another node owns the shard now than is expected, or if the
// two nodes of the shard are not its primary and its replica.
func (l *networked) wantOwner(t *testing.T, want successor, was, now shard) {
	t.Helper()
	kept, swapped := now == was, now == shard{was.first, was.replica, was.primary}
	if want == same && !kept || want == heir && !swapped || !kept && !swapped {
		t.Errorf("the shard was %+v and is %+v", was, now)
	}
}

// tell logs the figures of a partition, and looks at the times of what is lost.
func (l *networked) tell(t *testing.T, w *witnesses, was, now shard, index int, at time.Time, agreed time.Duration, o outcome) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d writes acknowledged, %d lost; all agreed after %v", o.acked, o.issued, o.lost, agreed.Round(time.Millisecond))
	if now.primary != was.primary {
		probe := l.probesOf(index)[0]
		first := w.firstAfter(probe, now.primary, at)
		last := w.lastBefore(probe, was.primary, first)
		fmt.Fprintf(&b, "; after the cut the old primary wrote for %v, the new one began after %v", last.Sub(at).Round(time.Millisecond), first.Sub(at).Round(time.Millisecond))
		if late := last.Sub(at); late > nodeTimeout+lateness {
			t.Errorf("a primary that was cut off acknowledged for %v", late)
		}
	}
	t.Logf("%s; refused: %v", &b, w.refused)
}

// TestPartitionsOfFive: with five primaries a majority can lose two.
func TestPartitionsOfFive(t *testing.T) {
	t.Parallel()
	l := startNetworked(t, 5, 1, nil)
	nodes := func(all []shard, replicas bool, of ...int) (found []int) {
		for _, i := range of {
			if replicas {
				found = append(found, all[i].replica)
			} else {
				found = append(found, all[i].primary)
			}
		}
		return found
	}
	for _, c := range []struct {
		name string
		// parts are cut off from each other.
		parts func(all []shard) [][]int
		heirs []int // the shards whose replicas take over
		// others is who owns the other shards. Where nobody has had a majority, links come
		// back one after the other, and two parts may find that the third is gone.
		others successor
	}{
		{"three of five against two with all their replicas", func(all []shard) [][]int {
			minority := append(nodes(all, false, 0, 1), nodes(all, true, 0, 1)...)
			return [][]int{minority, l.rest(minority)}
		}, nil, same},
		{"a majority has the replicas of the minority", func(all []shard) [][]int {
			minority := append(nodes(all, false, 0, 1), nodes(all, true, 2, 3, 4)...)
			return [][]int{minority, l.rest(minority)}
		}, []int{0, 1}, same},
		{"three parts, and none is a majority", func(all []shard) [][]int {
			a := append(nodes(all, false, 0, 1), nodes(all, true, 2, 3)...)
			b := append(nodes(all, false, 2, 3), nodes(all, true, 0, 1)...)
			return [][]int{a, b, l.rest(slices.Concat(a, b))}
		}, nil, either},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := l.shards(t)
			w := l.begin(t)
			parts := c.parts(before)
			for i, part := range parts {
				for _, other := range parts[i+1:] {
					l.net.SetBoth(l.hosts(part...), l.hosts(other...), netlab.Cut)
				}
			}
			for _, i := range c.heirs {
				l.untilHeirOwns(t, before[i])
			}
			if len(c.heirs) == 0 {
				time.Sleep(idle - after)
			}
			time.Sleep(after)
			agreed := l.reunite(t, w)
			for i, now := range l.shards(t) {
				want := c.others
				if slices.Contains(c.heirs, i) {
					want = heir
				}
				l.wantOwner(t, want, before[i], now)
			}
			o := l.judge(t, w)
			t.Logf("%d of %d writes acknowledged, %d lost; all agreed after %v; refused: %v", o.acked, o.issued, o.lost, agreed, w.refused)
		})
		if t.Failed() {
			break
		}
	}
}

// rest are the nodes that are not among these.
func (l *networked) rest(these []int) (nodes []int) {
	for i := range l.c.Nodes {
		if !slices.Contains(these, i) {
			nodes = append(nodes, i)
		}
	}
	return nodes
}

// TestAllAddressesChange: all nodes are restarted at once, at other addresses. Nobody knows
// where anybody is, so nobody serves; one node that is told to meet the others is enough
// for all to find each other, in the roles that they had.
func TestAllAddressesChange(t *testing.T) {
	t.Parallel()
	l := startNetworked(t, 3, 1, nil)
	before := l.shards(t)
	w := l.begin(t)
	for _, s := range l.c.Nodes {
		s.Kill()
	}
	for i, h := range l.net.Hosts {
		if err := h.Readdress(netlab.Address(1, i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range l.c.Nodes {
		s.Launch()
	}
	for _, s := range l.c.Nodes {
		untilAnswers(t, s)
	}
	for _, s := range l.c.Nodes[1:] {
		l.c.Nodes[0].Do("CLUSTER", "MEET", l.net.Hosts[slices.Index(l.c.Nodes, s)].String(), s.Port)
	}
	agreed := l.untilWhole(t, w)
	for i, now := range l.shards(t) {
		l.wantOwner(t, same, before[i], now)
	}
	o := l.judge(t, w)
	if o.lost > 0 {
		t.Errorf("%d writes are lost", o.lost)
	}
	t.Logf("%d of %d writes acknowledged; all agreed after %v", o.acked, o.issued, agreed)
}
