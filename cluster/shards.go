package cluster

import (
	"redoubt/bus"
	"redoubt/slots"
)

// SlotRange is an element of CLUSTER SLOTS: a range with its owner and the
// owner's replicas that can be read from, owner first.
type SlotRange struct {
	slots.Range
	Nodes []*NodeView
}

// SlotRanges is the data of CLUSTER SLOTS, in ascending order. Replicas that
// are FAIL or have no data yet are left out.
func (v *View) SlotRanges() []SlotRange {
	var ranges []SlotRange
	for s := 0; s < slots.Count; {
		first, owner := s, v.routes.owners.of(slots.Slot(s))
		for s < slots.Count && v.routes.owners.of(slots.Slot(s)) == owner {
			s++
		}
		if owner == 0 {
			continue
		}
		r := SlotRange{Range: slots.Range{First: slots.Slot(first), Last: slots.Slot(s - 1)}}
		n := &v.Nodes[owner-1]
		r.Nodes = append(r.Nodes, n)
		for _, i := range n.Replicas {
			if replica := &v.Nodes[i]; !replica.Flags.Has(bus.FlagFail) && replica.Offset != 0 {
				r.Nodes = append(r.Nodes, replica)
			}
		}
		ranges = append(ranges, r)
	}
	return ranges
}

// Shard is an element of CLUSTER SHARDS.
type Shard struct {
	Slots []slots.Range
	Nodes []*NodeView // a primary first, if the shard has one
}

// Shards is the data of CLUSTER SHARDS: one a shard id, ordered by the id of
// the first node.
func (v *View) Shards() []Shard {
	var shards []Shard
	place := make(map[string]int)
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if n.Flags.Has(bus.FlagHandshake) {
			continue
		}
		at, found := place[n.ShardID]
		if !found {
			at = len(shards)
			place[n.ShardID] = at
			shards = append(shards, Shard{})
		}
		shard := &shards[at]
		shard.Nodes = append(shard.Nodes, n)
		if n.Flags.Has(bus.FlagPrimary) {
			last := len(shard.Nodes) - 1
			shard.Nodes[0], shard.Nodes[last] = shard.Nodes[last], shard.Nodes[0]
			shard.Slots = append(shard.Slots, n.Slots.Ranges()...)
		}
	}
	return shards
}

// Health is the field of that name in CLUSTER SHARDS. A replica without data
// is loading.
func (n *NodeView) Health() string {
	switch {
	case n.Flags.Has(bus.FlagFail):
		return "fail"
	case n.Flags.Has(bus.FlagReplica) && n.Offset == 0:
		return "loading"
	}
	return "online"
}
