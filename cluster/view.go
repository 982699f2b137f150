package cluster

import (
	"fmt"
	"strings"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// View is what a Node knew after a Step: where to send clients, and what the
// CLUSTER commands show. It does not change, and may be read by any number of
// goroutines.
type View struct {
	// Nodes are all known nodes by id, those in handshake included.
	Nodes []NodeView
	// Myself is the index of the node itself in Nodes.
	Myself int
	// Settled: if the node has started as a primary, it does not look any more
	// for a replica with more data. Before that it must make no replica throw its
	// data away.
	Settled bool
	// OK is cluster_state:ok.
	OK           bool
	Size         int // primaries with slots
	CurrentEpoch bus.Epoch
	// MyEpoch is the config epoch of this node, or of its primary.
	MyEpoch bus.Epoch
	// ShardID is the shard of this node, and Group the name of the shard's own group, if this
	// node belongs to it (State.Group).
	ShardID string
	Group   string
	// Links are the links whose node is known.
	Links []LinkView

	cfg    Settings
	routes *routes
	stats  stats
}

// NodeView is a node in a View.
type NodeView struct {
	NodeRecord
	Offset   int64 // replication offset
	Replicas []int // indices of its replicas in View.Nodes
	Reports  int   // failure reports
	// RTT is how long its last PONG took to come; 0: none has come.
	RTT time.Duration
}

// Takeovers is how many primaries, of all shards, this node has seen replaced by a
// replica since it started.
func (v *View) Takeovers() uint64 { return v.stats.takeovers }

// Failovers is how often this node has replaced its primary, and for how long all of
// those shards together had none: from the FAIL of the old primary, or from the request
// of a manual failover.
func (v *View) Failovers() (count uint64, took time.Duration) {
	return v.stats.failovers, v.stats.failing
}

// LinkView is a link in a View.
type LinkView struct {
	Link      LinkID
	Node      bus.NodeID
	Inbound   bool
	Up        bool
	CreatedMs int64
}

// routes is the part of a View that changes seldom.
type routes struct {
	owners    owners
	migrating map[slots.Slot]int // index in Nodes of the other end
	importing map[slots.Slot]int
	leaving   slots.Set // given away as soon as the shard has agreed on it
}

// owners is a table from slots to owners: 1 + index in Nodes, or 0 for nobody.
// Tables of successive Views share the parts in which no slot has changed hands:
// a resharding makes a View for each slot that it moves.
type owners [slots.Count / ownersPart]*[ownersPart]uint16

const ownersPart = 256

func (o *owners) of(s slots.Slot) int { return int(o[s/ownersPart][s%ownersPart]) }

// viewCache keeps the last View as long as nothing has happened, and its
// routes as long as slots and membership are the same.
type viewCache struct {
	stale   bool
	news    bool      // something has changed that requests are routed by; see Latest
	made    time.Time // when the view was
	view    *View
	changes uint64 // table.changes of the routes
	members []*peer
}

// Latest is a View for those who route by it. It is that of now if anything has changed
// that nodes.conf has, or the health or the role of this node. Of what else there is in a
// View, times of PONGs, offsets and counts, it may be late in a large cluster, where a
// View takes half a millisecond to make and several hundred messages a second arrive.
func (n *Node) Latest() *View {
	c := &n.view
	if c.view == nil || n.news() || n.now.Sub(c.made) >= n.lateness() {
		return n.View()
	}
	return c.view
}

// news reports whether the last View is wrong in something that Latest must have right.
func (n *Node) news() bool {
	c := &n.view
	v := c.view
	return c.news || c.changes != n.table.changes || len(v.Nodes) != len(n.order) ||
		v.OK != n.health.ok || v.Settled != n.settledIn() || v.MyEpoch != n.identity().configEpoch
}

// lateness is by how much Latest may be late: not at all among up to a hundred nodes, a
// second among a thousand.
func (n *Node) lateness() time.Duration {
	const small, perNode = 100, time.Millisecond
	if len(n.order) <= small {
		return 0
	}
	return time.Duration(len(n.order)) * perNode
}

// View gives the node's view after the last Step. It costs little if nothing
// has changed.
func (n *Node) View() *View {
	c := &n.view
	if c.view != nil && !c.stale {
		return c.view
	}
	v := &View{
		Nodes:        make([]NodeView, len(n.order)),
		OK:           n.health.ok,
		Settled:      n.settledIn(),
		Size:         n.health.size,
		CurrentEpoch: n.currentEpoch,
		MyEpoch:      n.identity().configEpoch,
		ShardID:      n.myself.shardID,
		Group:        n.group,
		Links:        n.linkViews(),
		cfg:          n.cfg,
		stats:        n.stats,
	}
	index := make(map[*peer]int, len(n.order))
	for i, p := range n.order {
		index[p] = i
	}
	for i, p := range n.order {
		v.Nodes[i] = NodeView{NodeRecord: n.record(p), Offset: p.offset, Reports: n.reports(p), RTT: p.rtt}
		for _, r := range p.replicas {
			v.Nodes[i].Replicas = append(v.Nodes[i].Replicas, index[r])
		}
	}
	v.Myself = index[n.myself]
	v.Nodes[v.Myself].Offset = n.offset()
	v.routes = n.routes(index)
	c.view, c.stale, c.news, c.made = v, false, false, n.now
	return v
}

func (n *Node) routes(index map[*peer]int) *routes {
	c := &n.view
	same := c.view != nil && samePeers(c.members, n.order)
	if same && c.changes == n.table.changes {
		return c.view.routes
	}
	r := &routes{
		migrating: make(map[slots.Slot]int, len(n.table.migrating)),
		importing: make(map[slots.Slot]int, len(n.table.importing)),
		leaving:   n.agreement.leaving,
	}
	if same {
		r.owners = c.view.routes.owners.with(n.table.moved, func(s slots.Slot) uint16 {
			if p := n.table.owner[s]; p != nil {
				return uint16(index[p] + 1)
			}
			return 0
		})
	} else {
		r.owners = n.allOwners(index)
	}
	n.table.moved = slots.Set{}
	// Those of a replica are its primary's.
	for s, p := range n.table.migrating {
		r.migrating[s] = index[p]
	}
	for s, p := range n.table.importing {
		r.importing[s] = index[p]
	}
	c.changes = n.table.changes
	c.members = append([]*peer(nil), n.order...)
	return r
}

// with is the table with the owners of the given slots looked up anew.
func (o owners) with(changed slots.Set, owner func(slots.Slot) uint16) owners {
	var cloned [len(owners{})]bool
	changed.Each(func(s slots.Slot) bool {
		part := s / ownersPart
		if !cloned[part] {
			clone := *o[part]
			o[part], cloned[part] = &clone, true
		}
		o[part][s%ownersPart] = owner(s)
		return true
	})
	return o
}

func (n *Node) allOwners(index map[*peer]int) (o owners) {
	for i := range o {
		o[i] = new([ownersPart]uint16)
	}
	// Neighbours mostly have one owner: it is looked up once for all of them.
	var last *peer
	var number uint16
	for s, p := range n.table.owner {
		if p == nil {
			continue
		}
		if p != last {
			last, number = p, uint16(index[p]+1)
		}
		o[s/ownersPart][s%ownersPart] = number
	}
	return o
}

func samePeers(a, b []*peer) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func (n *Node) linkViews() []LinkView {
	views := make([]LinkView, 0, 2*len(n.order))
	for _, p := range n.order {
		for _, l := range [...]*link{p.out, p.in} {
			if l != nil {
				views = append(views, LinkView{l.id, p.id, l.inbound, l.up, l.created.UnixMilli()})
			}
		}
	}
	return views
}

// Me is the node itself.
func (v *View) Me() *NodeView { return &v.Nodes[v.Myself] }

// IsReplica reports whether the node itself is a replica.
func (v *View) IsReplica() bool { return v.Me().Flags.Has(bus.FlagReplica) }

// Node finds a node by its id; nil if it is not known.
func (v *View) Node(id bus.NodeID) *NodeView {
	lo, hi := 0, len(v.Nodes)
	for lo < hi {
		if mid := (lo + hi) / 2; v.Nodes[mid].ID < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(v.Nodes) && v.Nodes[lo].ID == id {
		return &v.Nodes[lo]
	}
	return nil
}

// Owner is the owner of s; nil if it has none.
func (v *View) Owner(s slots.Slot) *NodeView {
	if i := v.routes.owners.of(s); i > 0 {
		return &v.Nodes[i-1]
	}
	return nil
}

// Mine reports whether the node itself owns s.
func (v *View) Mine(s slots.Slot) bool { return v.routes.owners.of(s) == v.Myself+1 }

// Client is how a client is connected; it is told addresses where it can reach
// them.
type Client struct {
	TLS  bool
	IPv6 bool
}

// ClientIP is the address of n for a client, as Valkey 8's clusterNodeIp: what n
// announces to clients of that family, or what other nodes use.
func (n *NodeView) ClientIP(c Client) string {
	switch {
	case c.IPv6 && n.ClientIPv6 != "":
		return n.ClientIPv6
	case !c.IPv6 && n.ClientIPv4 != "":
		return n.ClientIPv4
	}
	return n.IP
}

// ClientPort is the port of n for a client that uses TLS, or does not. If n
// has only one port, it is that one.
func (n *NodeView) ClientPort(c Client) uint16 {
	first, second := n.TCPPort, n.TLSPort
	if c.TLS {
		first, second = second, first
	}
	if first != 0 {
		return first
	}
	return second
}

// Endpoint is how a client is told to reach n, by
// cluster-preferred-endpoint-type; known is false for unknown-endpoint.
func (v *View) Endpoint(n *NodeView, c Client) (endpoint string, known bool) {
	switch v.cfg.Endpoint {
	case EndpointHostname:
		if n.Hostname == "" {
			return "?", true
		}
		return n.Hostname, true
	case EndpointUnknown:
		return "", false
	}
	return n.ClientIP(c), true
}

// EndpointType is cluster-preferred-endpoint-type.
func (v *View) EndpointType() EndpointType { return v.cfg.Endpoint }

// NodesText is the answer to CLUSTER NODES.
func (v *View) NodesText(c Client) string {
	var text []byte
	for i := range v.Nodes {
		text = v.Nodes[i].appendLine(text, v.Nodes[i].ClientIP(c), v.Nodes[i].ClientPort(c))
		text = append(text, '\n')
	}
	return string(text)
}

// ReplicaLines are the lines of CLUSTER REPLICAS: one a replica of the node
// with that id.
func (v *View) ReplicaLines(id bus.NodeID, c Client) ([]string, error) {
	n := v.Node(id)
	if n == nil {
		return nil, errUnknownNode(id)
	}
	if n.Flags.Has(bus.FlagReplica) {
		return nil, refuse("The specified node is not a master")
	}
	lines := make([]string, len(n.Replicas))
	for i, r := range n.Replicas {
		replica := &v.Nodes[r]
		lines[i] = string(replica.appendLine(nil, replica.ClientIP(c), replica.ClientPort(c)))
	}
	return lines, nil
}

// InfoText is the answer to CLUSTER INFO.
func (v *View) InfoText() string {
	var assigned, suspected, failed int
	for i := range v.Nodes {
		n := &v.Nodes[i]
		count := n.Slots.Len()
		assigned += count
		switch {
		case n.Flags.Has(bus.FlagFail):
			failed += count
		case n.Flags.Has(bus.FlagPFail):
			suspected += count
		}
	}
	state := "fail"
	if v.OK {
		state = "ok"
	}
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%s:%v\r\n", name, value) }
	line("cluster_state", state)
	line("cluster_slots_assigned", assigned)
	line("cluster_slots_ok", assigned-suspected-failed)
	line("cluster_slots_pfail", suspected)
	line("cluster_slots_fail", failed)
	line("cluster_known_nodes", len(v.Nodes))
	line("cluster_size", v.Size)
	line("cluster_current_epoch", v.CurrentEpoch)
	line("cluster_my_epoch", v.MyEpoch)
	messageLines(line, "sent", &v.stats.sent)
	messageLines(line, "received", &v.stats.received)
	line("total_cluster_links_buffer_limit_exceeded", v.stats.overflows)
	return b.String()
}

func messageLines(line func(string, any), direction string, counts *[bus.TypeCount]uint64) {
	var total uint64
	for t, count := range counts {
		total += count
		if count > 0 {
			line(fmt.Sprintf("cluster_stats_messages_%s_%s", bus.Type(t), direction), count)
		}
	}
	line("cluster_stats_messages_"+direction, total)
}
