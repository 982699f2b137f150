package clustertool

import (
	"strconv"
	"strings"
)

// RebalanceOptions say how Rebalance divides the slots.
type RebalanceOptions struct {
	Weights   []string // "node=weight": ids, beginnings of ids or addresses; 1 for those that are not named
	UseEmpty  bool     // primaries without slots get some too
	Threshold float64  // percent by which a primary may be off before anything moves
	Move      MoveOptions
}

// DefaultThreshold is redis-cli's.
const DefaultThreshold = 2

// Rebalance moves slots until all primaries of the cluster of which addr is a member
// have their part by weight, as redis-cli --cluster rebalance does.
func (t *Tool) Rebalance(addr string, o RebalanceOptions) error {
	c, half, err := t.sane(addr, "rebalancing", false)
	defer c.close()
	if err != nil {
		return err
	}
	shares, err := t.weighed(c, half, o)
	if err != nil {
		return err
	}
	plan, nodes, err := planRebalance(shares, o.Threshold)
	if err != nil {
		return t.fail("%v", err)
	}
	if len(plan) == 0 && len(half) == 0 {
		t.line("*** No rebalancing needed! All nodes are within the %.2f%% threshold.", o.Threshold)
		return nil
	}
	sum := 0.0
	for i := range shares {
		sum += shares[i].weight
	}
	t.step("Rebalancing across %d nodes. Total weight = %.2f", len(shares), sum)
	for i := range nodes {
		t.line("    %s has %d slots and should have %d", c.name(nodes[i].id), nodes[i].slots.Len(), nodes[i].expected)
	}
	if err := t.showPlan(c, plan); err != nil {
		return err
	}
	// As with redis-cli nobody is asked: whoever says rebalance has agreed.
	if t.Plan {
		_, err := t.agreed("")
		return err
	}
	done, err := t.move(c, append(half, jobs(plan)...), o.Move)
	if err == nil {
		t.ok("%s moved.", slotsHave(done))
		return nil
	}
	t.line("To go on, give the same command again.")
	return err
}

// weighed is the primaries that take part, with their weights, as if the moves that are
// half done were over.
func (t *Tool) weighed(c cluster, half []job, o RebalanceOptions) ([]share, error) {
	primaries := c.primaries()
	weights := map[string]float64{}
	for _, w := range o.Weights {
		name, value, ok := cutLast(w, "=")
		weight, err := strconv.ParseFloat(value, 64)
		if !ok || err != nil {
			return nil, t.fail("invalid input %s: a weight is given as node=number", w)
		}
		m, err := primaries.find(name)
		if err != nil {
			return nil, t.fail("No such master node %s: %v", name, err)
		}
		weights[m.id()] = weight
	}
	shares := sharesOf(primaries, half)
	for _, j := range half {
		for i := range shares {
			if shares[i].id == j.to {
				shares[i].slots.Add(j.slot)
			}
		}
	}
	var involved []share
	for _, s := range shares {
		if w, named := weights[s.id]; named {
			s.weight = w
		}
		if !s.slots.Empty() || o.UseEmpty {
			involved = append(involved, s)
		}
	}
	return involved, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
