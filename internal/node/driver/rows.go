package driver

import "redoubt/internal/command"

// Rows is the CLUSTER command.
func (d *Driver) Rows() []*command.Row {
	const (
		read = command.Stale
		// What tells of the cluster answers while a replica loads its data, too, as
		// in Valkey 8.1: redis-cli --cluster takes the error for a broken node.
		about = command.Loading | command.Stale
		admin = command.Admin | command.Stale
		write = command.NoAsyncLoading | command.Admin | command.Stale
	)
	slot := command.Arg{Name: "slot", Type: "integer"}
	node := command.Arg{Name: "node-id", Type: "string"}
	ranges := command.Arg{Name: "range", Type: "block", Flags: command.Multiple, Args: []command.Arg{
		{Name: "start-slot", Type: "integer"}, {Name: "end-slot", Type: "integer"}}}
	several := slot
	several.Flags = command.Multiple
	return []*command.Row{{
		Name: "cluster", Arity: -2, Lock: command.LockNone,
		Doc: command.Doc{Summary: "Holds the commands about the cluster and this node's place in it.", Since: "3.0.0", Group: "cluster", Complexity: "Depends on subcommand."},
		Sub: []*command.Row{
			clusterRow("addslots", -3, write, d.addSlotsCommand, "Makes this node the owner of slots.", "3.0.0", "O(N) where N is the number of slots", several),
			clusterRow("addslotsrange", -4, write, d.addSlotsRangeCommand, "Makes this node the owner of ranges of slots.", "7.0.0", "O(N) where N is the number of slots", ranges),
			volatile(clusterRow("bumpepoch", 2, write, d.bumpEpochCommand, "Gives this node a config epoch higher than all others.", "3.0.0", "O(1)")),
			volatile(clusterRow("count-failure-reports", 3, admin, d.countReportsCommand, "Counts the nodes that reported another one as failing.", "3.0.0", "O(N) where N is the number of failure reports", node)),
			clusterRow("countkeysinslot", 3, read, d.countKeysCommand, "Counts the keys that this node has in a slot.", "3.0.0", "O(1)", slot),
			clusterRow("delslots", -3, write, d.delSlotsCommand, "Makes this node forget who owns slots.", "3.0.0", "O(N) where N is the number of slots", several),
			clusterRow("delslotsrange", -4, write, d.delSlotsRangeCommand, "Makes this node forget who owns ranges of slots.", "7.0.0", "O(N) where N is the number of slots", ranges),
			clusterRow("failover", -2, write, d.failoverCommand, "Makes this replica take the place of its primary.", "3.0.0", "O(1)",
				command.Arg{Name: "options", Type: "oneof", Flags: command.Optional, Args: []command.Arg{
					{Name: "force", Type: "pure-token", Token: "FORCE"}, {Name: "takeover", Type: "pure-token", Token: "TAKEOVER"}}}),
			selfLocked(clusterRow("flushslots", 2, write, d.flushSlotsCommand, "Gives all slots of this node up.", "3.0.0", "O(1)")),
			clusterRow("forget", 3, write, d.forgetCommand, "Removes a node from the table of nodes.", "3.0.0", "O(1)", node),
			volatile(selfLocked(clusterRow("getkeysinslot", 4, read, d.getKeysCommand, "Names keys that this node has in a slot.", "3.0.0", "O(N) where N is the number of requested keys", slot, command.Arg{Name: "count", Type: "integer"}))),
			clusterRow("help", 2, about, clusterHelp, "Lists the subcommands.", "5.0.0", "O(1)"),
			volatile(clusterRow("info", 2, about, d.infoCommand, "Tells how the cluster is.", "3.0.0", "O(1)")),
			clusterRow("keyslot", 3, about, keySlotCommand, "Computes the slot of a key.", "3.0.0", "O(N) where N is the length of the key", command.Arg{Name: "key", Type: "string"}),
			volatile(clusterRow("links", 2, about, d.linksCommand, "Lists the links of the cluster bus to and from this node.", "7.0.0", "O(N) where N is the number of nodes")),
			clusterRow("meet", -4, write, d.meetCommand, "Introduces another node, and with it its cluster.", "3.0.0", "O(1)",
				command.Arg{Name: "ip", Type: "string"}, command.Arg{Name: "port", Type: "integer"},
				command.Arg{Name: "cluster-bus-port", Type: "integer", Flags: command.Optional, Since: "4.0.0"}),
			clusterRow("myid", 2, about, d.myIDCommand, "Names this node.", "3.0.0", "O(1)"),
			volatile(clusterRow("myshardid", 2, about, d.myShardIDCommand, "Names the shard of this node.", "7.2.0", "O(1)")),
			volatile(clusterRow("nodes", 2, about, d.nodesCommand, "Lists the nodes as this one sees them.", "3.0.0", "O(N) where N is the number of nodes")),
			volatile(clusterRow("replicas", 3, admin|about, d.replicasCommand, "Lists the replicas of a primary.", "5.0.0", "O(N) where N is the number of replicas", node)),
			selfLocked(clusterRow("replicate", 3, write, d.replicateCommand, "Makes this node a replica of a primary.", "3.0.0", "O(1)", node)),
			selfLocked(clusterRow("reset", -2, admin|command.NoScript, d.resetCommand, "Makes this node forget its cluster.", "3.0.0", "O(N) where N is the number of nodes; a replica deletes its keys as well",
				command.Arg{Name: "reset-type", Type: "oneof", Flags: command.Optional, Args: []command.Arg{
					{Name: "hard", Type: "pure-token", Token: "HARD"}, {Name: "soft", Type: "pure-token", Token: "SOFT"}}})),
			clusterRow("saveconfig", 2, write, d.saveConfigCommand, "Writes the state of the cluster to disk.", "3.0.0", "O(1)"),
			clusterRow("set-config-epoch", 3, write, d.setConfigEpochCommand, "Gives a new node its first config epoch.", "3.0.0", "O(1)", command.Arg{Name: "config-epoch", Type: "integer"}),
			selfLocked(clusterRow("setslot", -4, write, d.setSlotCommand, "Opens, closes or assigns a slot by hand.", "3.0.0", "O(1)", slot,
				command.Arg{Name: "subcommand", Type: "oneof", Args: []command.Arg{
					{Name: "importing", Type: "string", Token: "IMPORTING"}, {Name: "migrating", Type: "string", Token: "MIGRATING"},
					{Name: "node", Type: "string", Token: "NODE"}, {Name: "stable", Type: "pure-token", Token: "STABLE"}}})),
			volatile(clusterRow("shards", 2, about, d.shardsCommand, "Lists the shards with their slots and nodes.", "7.0.0", "O(N) where N is the number of nodes")),
			deprecated(volatile(clusterRow("slaves", 3, admin|about, d.replicasCommand, "Lists the replicas of a primary.", "3.0.0", "O(N) where N is the number of replicas", node)), "5.0.0", "`CLUSTER REPLICAS`"),
			toAllShards(volatile(clusterRow("slot-stats", -4, about, d.slotStatsCommand, "Tells how the slots of this node are used.", "8.0.0", "O(N) where N is the number of slots; O(N*log(N)) with ORDERBY",
				command.Arg{Name: "filter", Type: "oneof", Args: []command.Arg{
					{Name: "slotsrange", Type: "block", Token: "SLOTSRANGE", Args: []command.Arg{
						{Name: "start-slot", Type: "integer"}, {Name: "end-slot", Type: "integer"}}},
					{Name: "orderby", Type: "block", Token: "ORDERBY", Args: []command.Arg{
						{Name: "metric", Type: "string"},
						{Name: "limit", Type: "integer", Token: "LIMIT", Flags: command.Optional},
						{Name: "order", Type: "oneof", Flags: command.Optional, Args: []command.Arg{
							{Name: "asc", Type: "pure-token", Token: "ASC"}, {Name: "desc", Type: "pure-token", Token: "DESC"}}}}}}}))),
			deprecated(volatile(clusterRow("slots", 2, about, d.slotsCommand, "Lists the ranges of slots with their nodes.", "3.0.0", "O(N) where N is the number of nodes")), "7.0.0", "`CLUSTER SHARDS`"),
		},
	}}
}

func clusterRow(name string, arity int, flags command.Flags, run command.Handler, summary, since, complexity string, args ...command.Arg) *command.Row {
	return &command.Row{
		Name: name, Arity: arity, Flags: flags, Lock: command.LockNone, Run: run,
		Doc: command.Doc{Summary: summary, Since: since, Group: "cluster", Complexity: complexity, Args: args},
	}
}

// volatile marks a row whose answer differs from call to call.
func volatile(r *command.Row) *command.Row {
	r.Doc.Tips = append(r.Doc.Tips, "nondeterministic_output")
	return r
}

// toAllShards marks a row of which each shard has a part of the answer.
func toAllShards(r *command.Row) *command.Row {
	r.Doc.Tips = append(r.Doc.Tips, "request_policy:all_shards")
	return r
}

func deprecated(r *command.Row, since, by string) *command.Row {
	r.Doc.Deprecated, r.Doc.ReplacedBy = since, by
	return r
}

func selfLocked(r *command.Row) *command.Row {
	r.Lock = command.LockSelf
	return r
}

func clusterHelp(x *command.Ctx) {
	command.Help(x,
		"ADDSLOTS <slot> [<slot> ...]",
		"    Own these slots.",
		"ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
		"    Own these ranges of slots.",
		"BUMPEPOCH",
		"    Take a config epoch above all others.",
		"COUNT-FAILURE-REPORTS <node-id>",
		"    Count who reported <node-id> as failing.",
		"COUNTKEYSINSLOT <slot>",
		"    Count the keys here in <slot>.",
		"DELSLOTS <slot> [<slot> ...]",
		"    Forget the owners of these slots.",
		"DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
		"    Forget the owners of these ranges of slots.",
		"FAILOVER [FORCE|TAKEOVER]",
		"    Take the place of this replica's primary.",
		"FLUSHSLOTS",
		"    Own no slots.",
		"FORGET <node-id>",
		"    Forget a node.",
		"GETKEYSINSLOT <slot> <count>",
		"    Name up to <count> keys here in <slot>.",
		"INFO",
		"    Tell how the cluster is.",
		"KEYSLOT <key>",
		"    Compute the slot of <key>.",
		"LINKS",
		"    List the links to and from other nodes.",
		"MEET <ip> <port> [<bus-port>]",
		"    Join with the node there.",
		"MYID",
		"    Name this node.",
		"MYSHARDID",
		"    Name the shard of this node.",
		"NODES",
		"    List the nodes, a line each:",
		"    <id> <ip:port@bus-port[,hostname]> <flags> <master> <ping> <pong> <epoch> <link> <slot> ...",
		"REPLICAS <node-id>",
		"    List the replicas of <node-id>.",
		"REPLICATE <node-id>",
		"    Become a replica of <node-id>.",
		"RESET [HARD|SOFT]",
		"    Leave the cluster (default: soft).",
		"SAVECONFIG",
		"    Write the state of the cluster to disk.",
		"SET-CONFIG-EPOCH <epoch>",
		"    Give a new node its config epoch.",
		"SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>) [TIMEOUT <milliseconds>]",
		"    Open, close or assign a slot.",
		"SHARDS",
		"    List the shards with their slots and nodes.",
		"SLOT-STATS SLOTSRANGE <start slot> <end slot>",
		"SLOT-STATS ORDERBY <metric> [LIMIT <limit>] [ASC|DESC]",
		"    Tell how slots are used: key-count, cpu-usec, network-bytes-in,",
		"    network-bytes-out.",
		"SLOTS",
		"    List the ranges of slots with their nodes.",
	)
}
