package psync

import "redoubt/replication"

// Handshake is what a connection told about itself with REPLCONF, and then
// asked for with PSYNC or SYNC.
type Handshake struct {
	ListeningPort int    // 0 if not told
	IP            string // announced; empty: that of the connection
	NodeID        string // its id in a cluster, if it has told one (set-cluster-node-id, as in Valkey 9)
	EOF           bool   // capa eof: a transfer may end with a mark
	PSYNC2        bool   // capa psync2: +CONTINUE may name another history
	Member        bool   // capa quorum-member: see PrimaryConfig.Committed
	Prompt        bool   // capa prompt-acks: it understands PromptAcks
	RDBOnly       bool   // the snapshot is all it wants
	Filtered      bool   // it wants no keys: redis-cli --replica, --functions-rdb
	Functions     bool   // … but functions: the latter

	// Request is that of PSYNC. A connection that sent SYNC has none: it knows
	// no offsets, sends no acknowledgements and is not timed out.
	Request *replication.Request

	// Stray judges a command that the replica has sent and that is no
	// acknowledgement. It is not executed. An error ends the connection.
	// Nil: such commands are passed over.
	Stray func(args [][]byte) error
}
