package sim

import (
	"slices"

	"redoubt/bus"
	"redoubt/cluster/sim/virtual"
)

// Members may pass for nodes of Redis 7.0. They run the same core without fast
// failover, and the wire hides from either side what Redis does not know: who is
// of this product, shard ids and other extensions, what an answer says of its receiver,
// and that a primary asks a replica to take over. Such a voter says nothing to a primary
// that it holds for FAIL.
//
// What they do besides is the core's all the same: they stop at the end of a lease, where
// one of Redis waits for its own suspicions.

// asRedisReads is what a member that passes for one of Redis understands of a message;
// nil if nothing.
func (m *Member) asRedisReads(msg *bus.Message) *bus.Message {
	if msg.Type == bus.TypeMFStart && msg.Primary == "" {
		return nil
	}
	return plain(msg)
}

// asRedisWrites is what it would have written to another.
func (m *Member) asRedisWrites(msg *bus.Message, to *virtual.Host) *bus.Message {
	other := plain(msg)
	receiver := m.world.Members[to.Index].id
	if slices.ContainsFunc(other.Gossip, func(g bus.Gossip) bool { return g.ID == receiver }) {
		other.Gossip = slices.DeleteFunc(slices.Clone(other.Gossip), func(g bus.Gossip) bool { return g.ID == receiver })
	}
	return other
}

// plain is a copy of a message without what Redis 7.0 does not know.
func plain(msg *bus.Message) *bus.Message {
	other := *msg
	other.Redoubt = false
	other.MsgFlags &^= bus.MsgTakingOver
	if other.Ext.Hostname == "" {
		other.MsgFlags &^= bus.MsgExtData
	}
	other.Ext = bus.Extensions{Hostname: msg.Ext.Hostname}
	return &other
}
