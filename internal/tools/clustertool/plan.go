package clustertool

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"redoubt/slots"
)

// share is a primary with the slots that it has, as the plans of reshard and
// rebalance see it.
type share struct {
	id     string
	slots  slots.Set
	weight float64 // how many slots it should have beside the others; rebalance only
}

// transfer is slots that are to go from one primary to another.
type transfer struct {
	from, to string // ids
	slots    slots.Set
}

// moved counts the slots of a plan.
func moved(plan []transfer) (n int) {
	for i := range plan {
		n += plan[i].slots.Len()
	}
	return n
}

// planReshard takes n slots of the sources for the node to: of each source in
// proportion to what it has, and its lowest. Sources with many slots come first,
// as in redis-cli (clusterManagerComputeReshardTable), but the sum is always n.
func planReshard(sources []share, to string, n int) ([]transfer, error) {
	total := 0
	for i := range sources {
		total += sources[i].slots.Len()
	}
	if n < 1 || n > slots.Count {
		return nil, fmt.Errorf("the number of slots must be from 1 to %d", slots.Count)
	}
	if n > total {
		return nil, fmt.Errorf("the source nodes have %d slots, which is fewer than %d", total, n)
	}
	sorted := slices.Clone(sources)
	slices.SortStableFunc(sorted, func(a, b share) int { return b.slots.Len() - a.slots.Len() })
	weights := make([]float64, len(sorted))
	for i := range sorted {
		weights[i] = float64(sorted[i].slots.Len())
	}
	var plan []transfer
	for i, count := range apportion(n, weights, nil) {
		if count > 0 {
			plan = append(plan, transfer{sorted[i].id, to, lowest(&sorted[i].slots, count)})
		}
	}
	return plan, nil
}

// apportion divides n by weights, in whole numbers whose sum is n: each gets its
// share rounded down, and those who lost most by that get one more. Between equals
// the one that has more is preferred, if have is not nil, so that a division which
// was made before stays as it is; then the earlier one.
func apportion(n int, weights []float64, have []int) []int {
	total := 0.0
	for _, w := range weights {
		total += w
	}
	parts := make([]int, len(weights))
	lost := make([]float64, len(weights))
	order := make([]int, len(weights))
	left := n
	for i, w := range weights {
		// 16384 × (1/3) and 16384/3 differ in the last bit: rounding makes equals equal.
		exact := math.Round(float64(n)*w/total*1e6) / 1e6
		parts[i] = int(exact)
		lost[i] = exact - float64(parts[i])
		order[i] = i
		left -= parts[i]
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if c := cmp.Compare(lost[b], lost[a]); c != 0 || have == nil {
			return c
		}
		return have[b] - have[a]
	})
	for _, i := range order[:max(0, left)] {
		parts[i]++
	}
	return parts
}

// lowest is the n lowest slots of a set.
func lowest(set *slots.Set, n int) (low slots.Set) {
	set.Each(func(s slots.Slot) bool {
		if n--; n < 0 {
			return false
		}
		low.Add(s)
		return true
	})
	return low
}

// balance is what rebalance finds of a primary.
type balance struct {
	share
	expected int // slots that it should have by its weight
}

// over reports whether the node has more or fewer slots than it should by more than
// threshold percent of what it has. A node without slots is over if it should have
// more than one.
func (b *balance) over(threshold float64) bool {
	have := b.slots.Len()
	if have == 0 {
		return b.expected > 1
	}
	return math.Abs(100-100*float64(b.expected)/float64(have)) > threshold
}

// planRebalance moves slots until every primary has its part by weight. The plan is
// empty if no primary is off by more than threshold percent. As in redis-cli
// (clusterManagerCommandRebalance) the primary that has most too many gives to the
// one that has most too few; but equals stay as they are, so that a second run finds
// nothing to do.
func planRebalance(shares []share, threshold float64) ([]transfer, []balance, error) {
	weights := make([]float64, len(shares))
	have := make([]int, len(shares))
	sum, total := 0.0, 0
	for i := range shares {
		weights[i], have[i] = shares[i].weight, shares[i].slots.Len()
		if weights[i] < 0 || math.IsNaN(weights[i]) || math.IsInf(weights[i], 0) {
			return nil, nil, fmt.Errorf("the weight of %s must not be negative", shares[i].id)
		}
		sum, total = sum+weights[i], total+have[i]
	}
	if sum == 0 {
		return nil, nil, errors.New("the sum of all weights is 0: nobody is left to take the slots")
	}
	nodes := make([]balance, len(shares))
	needed := false
	for i, expected := range apportion(total, weights, have) {
		nodes[i] = balance{shares[i], expected}
		needed = needed || nodes[i].over(threshold)
	}
	if !needed {
		return nil, nodes, nil
	}
	return match(nodes), nodes, nil
}

// match pairs those that have too many slots with those that have too few.
func match(nodes []balance) (plan []transfer) {
	sorted := slices.Clone(nodes)
	surplus := func(b *balance) int { return b.slots.Len() - b.expected }
	slices.SortStableFunc(sorted, func(a, b balance) int { return surplus(&a) - surplus(&b) })
	gets, gives := 0, len(sorted)-1
	for gets < gives {
		to, from := &sorted[gets], &sorted[gives]
		n := min(-surplus(to), surplus(from))
		if n > 0 {
			set := lowest(&from.slots, n)
			plan = append(plan, transfer{from.id, to.id, set})
			from.slots = from.slots.Without(&set)
			set.Each(func(s slots.Slot) bool { to.slots.Add(s); return true })
		}
		if surplus(to) >= 0 {
			gets++
		}
		if surplus(from) <= 0 {
			gives--
		}
	}
	return plan
}
