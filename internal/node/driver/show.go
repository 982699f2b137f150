package driver

import (
	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/slots"
)

// The CLUSTER commands that only look: at the View, at a key, at a slot.

// client is how the client of a call is connected, by which the addresses shown
// to it are chosen. A caller without a connection is shown those that the nodes
// prefer, as in shouldReturnTlsInfo.
func (d *Driver) client(x *command.Ctx) cluster.Client {
	c, ok := x.Caller.(interface {
		IPv6() bool
		TLS() bool
	})
	if !ok {
		return cluster.Client{TLS: d.Config.Current().TLSCluster}
	}
	return cluster.Client{IPv6: c.IPv6(), TLS: c.TLS()}
}

func (d *Driver) infoCommand(x *command.Ctx) { x.Out.Verbatim("txt", d.View().InfoText()) }
func (d *Driver) nodesCommand(x *command.Ctx) {
	x.Out.Verbatim("txt", d.View().NodesText(d.client(x)))
}
func (d *Driver) myIDCommand(x *command.Ctx) { x.Out.BulkString(string(d.View().Me().ID)) }
func (d *Driver) myShardIDCommand(x *command.Ctx) {
	x.Out.BulkString(d.View().ShardID)
}

func keySlotCommand(x *command.Ctx) { x.Out.Int(int64(slots.Of(x.Args[2]))) }

func (d *Driver) replicasCommand(x *command.Ctx) {
	lines, err := d.View().ReplicaLines(nodeID(x.Args[2]), d.client(x))
	if err != nil {
		x.Out.Error(resp.Error(err.Error()))
		return
	}
	x.Out.Array(len(lines))
	for _, line := range lines {
		x.Out.BulkString(line)
	}
}

func (d *Driver) countKeysCommand(x *command.Ctx) {
	s, isInt := resp.ParseInt(x.Args[2])
	switch {
	case !isInt:
		x.Out.Error(resp.ErrNotInteger)
	case s < 0 || s >= slots.Count:
		x.Out.Error(errSlot)
	default:
		x.Out.Int(int64(d.Keys.SlotLen(slots.Slot(s), 0)))
	}
}

func (d *Driver) getKeysCommand(x *command.Ctx) {
	s, isInt := resp.ParseInt(x.Args[2])
	count, isIntToo := resp.ParseInt(x.Args[3])
	switch {
	case !isInt || !isIntToo:
		x.Out.Error(resp.ErrNotInteger)
		return
	case s < 0 || s >= slots.Count || count < 0:
		x.Out.Error(errSlotOrCount)
		return
	}
	n := slots.Slot(s)
	keys := d.keysIn(x, n, int(min(count, int64(d.Keys.SlotLen(n, 0)))))
	x.Out.Array(len(keys))
	for _, key := range keys {
		x.Out.Bulk(key)
	}
}

// slotsCommand is CLUSTER SLOTS (clusterReplyMultiBulkSlots).
func (d *Driver) slotsCommand(x *command.Ctx) {
	v, client := d.View(), d.client(x)
	ranges := v.SlotRanges()
	x.Out.Array(len(ranges))
	for _, r := range ranges {
		x.Out.Array(2 + len(r.Nodes))
		x.Out.Int(int64(r.First))
		x.Out.Int(int64(r.Last))
		for _, n := range r.Nodes {
			writeSlotNode(x.Out, v, n, client)
		}
	}
}

// writeSlotNode writes a node: its preferred endpoint, and in a map the
// addresses that are not preferred (addNodeToNodeReply).
func writeSlotNode(w *resp.Writer, v *cluster.View, n *cluster.NodeView, c cluster.Client) {
	w.Array(4)
	if endpoint, known := v.Endpoint(n, c); known {
		w.BulkString(endpoint)
	} else {
		w.Null()
	}
	w.Int(int64(n.ClientPort(c)))
	w.BulkString(string(n.ID))
	ip := v.EndpointType() != cluster.EndpointIP
	hostname := v.EndpointType() != cluster.EndpointHostname && n.Hostname != ""
	w.Map(howMany(ip, hostname))
	if ip {
		w.BulkString("ip")
		w.BulkString(n.ClientIP(c))
	}
	if hostname {
		w.BulkString("hostname")
		w.BulkString(n.Hostname)
	}
}

// howMany counts the conditions that hold.
func howMany(conditions ...bool) (n int) {
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

// shardsCommand is CLUSTER SHARDS (clusterReplyShards).
func (d *Driver) shardsCommand(x *command.Ctx) {
	v, client := d.View(), d.client(x)
	shards := v.Shards()
	x.Out.Array(len(shards))
	for _, shard := range shards {
		x.Out.Map(2)
		x.Out.BulkString("slots")
		x.Out.Array(2 * len(shard.Slots))
		for _, r := range shard.Slots {
			x.Out.Int(int64(r.First))
			x.Out.Int(int64(r.Last))
		}
		x.Out.BulkString("nodes")
		x.Out.Array(len(shard.Nodes))
		for _, n := range shard.Nodes {
			writeShardNode(x.Out, v, n, client)
		}
	}
}

// writeShardNode matches addNodeDetailsToShardReply.
func writeShardNode(w *resp.Writer, v *cluster.View, n *cluster.NodeView, c cluster.Client) {
	hasPort, hasTLS, hasName := n.TCPPort != 0, n.TLSPort != 0, n.Hostname != ""
	w.Map(6 + howMany(hasPort, hasTLS, hasName))
	w.BulkString("id")
	w.BulkString(string(n.ID))
	if hasPort {
		w.BulkString("port")
		w.Int(int64(n.TCPPort))
	}
	if hasTLS {
		w.BulkString("tls-port")
		w.Int(int64(n.TLSPort))
	}
	w.BulkString("ip")
	w.BulkString(n.ClientIP(c))
	endpoint, _ := v.Endpoint(n, c)
	w.BulkString("endpoint")
	w.BulkString(endpoint)
	if hasName {
		w.BulkString("hostname")
		w.BulkString(n.Hostname)
	}
	role := "master"
	if n.Flags.Has(bus.FlagReplica) {
		role = "replica"
	}
	w.BulkString("role")
	w.BulkString(role)
	w.BulkString("replication-offset")
	w.Int(n.Offset)
	w.BulkString("health")
	w.BulkString(n.Health())
}
