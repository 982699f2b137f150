package command

import (
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/storage"
)

// Ctx is one call of a handler. It is reused: nothing of it may be kept after
// the handler returns.
type Ctx struct {
	Row  *Row
	Args [][]byte // Args[0] is the name; views, valid during the call
	Out  *resp.Writer
	Tx   *storage.Tx       // the unit; nil for LockNone, and for LockSelf outside a transaction
	Exec *storage.Executor // for LockSelf
	// Gate is the stream offset the reply depends on. A LockSelf handler raises
	// it to the gate of each unit it runs.
	Gate replication.Offset
	Conn Conn
	Host Host
}

// Conn is what a handler of data may know of its connection.
type Conn interface {
	DB() int
	Proto() int
	// Redact hides arguments of the request, by position, from the slow log and
	// MONITOR.
	Redact(at ...int)
}

// Host is what a handler of data may know of the node.
type Host interface {
	Keyspace() *storage.Keyspace
	// Table is all commands, those about the node too.
	Table() *Table
	// ClusterEnabled: one database, keys belong to slots of nodes.
	ClusterEnabled() bool
	// Now is the wall clock in Unix milliseconds.
	Now() int64
	// LFU reports whether maxmemory-policy counts frequencies (OBJECT FREQ)
	// instead of idle times.
	LFU() bool
	// MaxBulk is proto-max-bulk-len, in bytes.
	MaxBulk() int64
}
