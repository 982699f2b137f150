package interop

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// served is one request for a key of a slot that a node has executed for a client: not
// before it was sent, and not after it was answered. All times are of one monotonic clock,
// as the nodes and their clients are on one machine, so the bound on clocks is zero. What
// is not known is when, in between, the request was executed.
type served struct {
	slot, node int
	epoch      uint64 // the configEpoch of the node
	write      bool
	sent       time.Time
	answered   time.Time
}

// tenure is what a node has served of a slot under one configEpoch, by the moments that
// bound it for certain: it served at or before began, and at or after ended.
type tenure struct {
	node    int
	epoch   uint64
	writes  int
	began   time.Time // when its first write had been answered
	written time.Time // when its last write was sent
	read    time.Time // when its last read was sent
}

// tenures are those of all slots.
type tenures map[int][]*tenure

func (ts tenures) add(s served) {
	i := slices.IndexFunc(ts[s.slot], func(t *tenure) bool { return t.node == s.node && t.epoch == s.epoch })
	if i < 0 {
		i = len(ts[s.slot])
		ts[s.slot] = append(ts[s.slot], &tenure{node: s.node, epoch: s.epoch})
	}
	t := ts[s.slot][i]
	if !s.write {
		t.read = latest(t.read, s.sent)
		return
	}
	if t.writes == 0 || s.answered.Before(t.began) {
		t.began = s.answered
	}
	t.written = latest(t.written, s.sent)
	t.writes++
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// violations is each pair of nodes that have, for certain, both served a slot: a node
// wrote or read after one with a later claim had acknowledged a write; or, with claims of
// one epoch, the writes of each began before the last of the other.
func (ts tenures) violations() (found []string) {
	for slot, all := range ts {
		for _, old := range all {
			for _, next := range all {
				if next.writes == 0 || old.node == next.node || old.epoch > next.epoch {
					continue
				}
				say := func(what string, at time.Time) {
					found = append(found, fmt.Sprintf("slot %d: node %d (epoch %d) %s %v after the first write of node %d (epoch %d)",
						slot, old.node, old.epoch, what, at.Sub(next.began), next.node, next.epoch))
				}
				if old.epoch == next.epoch {
					if old.node < next.node && old.writes > 0 && old.written.After(next.began) && next.written.After(old.began) {
						say("wrote, under the same epoch,", old.written)
					}
					continue
				}
				if old.writes > 0 && old.written.After(next.began) {
					say("wrote", old.written)
				}
				if old.read.After(next.began) {
					say("read", old.read)
				}
			}
		}
	}
	slices.Sort(found)
	return found
}

func TestTenures(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }
	w := func(node int, epoch uint64, sent, answered int) served {
		return served{node: node, epoch: epoch, write: true, sent: at(sent), answered: at(answered)}
	}
	r := func(node int, epoch uint64, sent, answered int) served {
		return served{node: node, epoch: epoch, sent: at(sent), answered: at(answered)}
	}
	for _, c := range []struct {
		name string
		all  []served
		want int
	}{
		{"one after the other", []served{w(0, 1, 0, 1), w(0, 1, 5, 6), w(1, 2, 7, 8), w(1, 2, 20, 21)}, 0},
		{"and back, by a new claim", []served{w(0, 1, 0, 1), w(1, 2, 7, 8), w(0, 3, 10, 11), w(0, 3, 20, 21)}, 0},
		{"the last write may have been before the first", []served{w(0, 1, 6, 9), w(1, 2, 7, 8)}, 0},
		{"an old one after the new one's first", []served{w(0, 1, 0, 1), w(1, 2, 7, 8), w(0, 1, 9, 10)}, 1},
		{"a read of the old one is too late", []served{w(0, 1, 0, 1), w(1, 2, 7, 8), r(0, 1, 9, 10)}, 1},
		{"a read of the old one in time", []served{w(0, 1, 0, 1), r(0, 1, 5, 10), w(1, 2, 7, 8)}, 0},
		{"in turns under one epoch", []served{w(0, 1, 0, 1), w(1, 1, 2, 3), w(0, 1, 4, 5), w(1, 1, 6, 7)}, 1},
		{"reads alone are no tenure", []served{r(1, 2, 0, 1), w(0, 1, 4, 5)}, 0},
		{"of two slots", []served{{slot: 1, node: 1, epoch: 2, write: true, sent: at(0), answered: at(1)}, w(0, 1, 4, 5)}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			ts := tenures{}
			for _, s := range c.all {
				ts.add(s)
			}
			if got := ts.violations(); len(got) != c.want {
				t.Errorf("%q, want %d", got, c.want)
			}
		})
	}
}
