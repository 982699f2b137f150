package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"redoubt/internal/netlab"
)

const (
	// groupSize is how many episodes share a cluster.
	groupSize = 10
	// perShard is how many nodes a shard has.
	perShard = 3
	// faultsFor is within what the faults of an episode begin.
	faultsFor = 4 * time.Second
	// longest is how long a fault lasts at most.
	longest = 3 * time.Second
)

// shape is what a cluster is like.
type shape struct {
	shards int
	netted bool // its nodes are in network namespaces
}

// shapeOf is the shape of the cluster of the group that begins with a seed: one to three
// shards, on a network that fails by turns, where the machine has one.
func shapeOf(seed uint64) shape {
	n := seed / groupSize
	return shape{shards: 1 + int(n%3), netted: n%2 == 1 && netlab.Lacking() == ""}
}

func (s shape) String() string {
	if s.netted {
		return fmt.Sprintf("%d shards on a network", s.shards)
	}
	return fmt.Sprintf("%d shards", s.shards)
}

// planned is a fault that is to happen.
type planned struct {
	at, lasts time.Duration
	kind      *kind
	seed      uint64 // of what it draws itself
}

// plan is the faults of an episode in their order: one to four.
func plan(seed uint64, s shape) (all []planned) {
	rnd := rand.New(rand.NewPCG(seed, 0x6368616f73))
	var possible []*kind
	for i := range kinds {
		if k := &kinds[i]; !k.network || s.netted {
			for range k.weight {
				possible = append(possible, k)
			}
		}
	}
	for range 1 + rnd.IntN(4) {
		all = append(all, planned{
			at:    time.Duration(rnd.Int64N(int64(faultsFor))),
			lasts: 100*time.Millisecond + time.Duration(rnd.Int64N(int64(longest))),
			kind:  possible[rnd.IntN(len(possible))],
			seed:  rnd.Uint64(),
		})
	}
	slices.SortFunc(all, func(a, b planned) int { return int(a.at - b.at) })
	return all
}
