package command

import (
	"time"

	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/storage"
	"redoubt/storage/chunk"
)

// Ctx is one call of a handler. It is reused: nothing of it may be kept after
// the handler returns.
type Ctx struct {
	Row  *Row
	Args [][]byte // Args[0] is the name; views, valid during the call
	Out  *resp.Writer
	Tx   *storage.Tx       // the unit; nil for LockNone, and for LockSelf outside a transaction
	Exec *storage.Executor // for LockSelf
	// ReplyGate is the stream offset the reply depends on. A LockSelf handler raises
	// it to that of each unit it runs.
	ReplyGate replication.Offset
	Caller    Caller
	Host      Host

	// Scratch of handlers, which the next call overwrites.
	room    []byte
	someIDs []chunk.ID
	points  []geoPoint
	members []byte
}

// DB is the database in which the call works. A unit's is its own: the handler
// may have been called for a stream, which has no connection.
func (c *Ctx) DB() int {
	if c.Tx != nil {
		return c.Tx.DB()
	}
	return c.Caller.DB()
}

// For makes a handler of one that needs more of its caller than every Caller has:
// a T, which most often is the connection of a client. Any other caller gets an
// error.
func For[T any](run func(c *Ctx, caller T)) Handler {
	return func(c *Ctx) {
		caller, ok := c.Caller.(T)
		if !ok {
			c.Out.Error(resp.ErrNotForCaller)
			return
		}
		run(c, caller)
	}
}

// A Suspender is a Caller whose command can be answered later.
type Suspender interface {
	// Suspend has nothing more of the caller run until somebody calls what it
	// returns. It is nil within a transaction, where all replies must be there when
	// EXEC ends.
	Suspend() Resume
}

// Resume goes on with a caller that was suspended: with its reply, and the offset
// of the stream on which that depends. It is called once, by any goroutine. A
// client that has left meanwhile is not missed.
type Resume = func(gate replication.Offset, reply func(out *resp.Writer))

// Suspend makes the caller wait for something outside of its loop; the handler
// then returns without a reply. It is nil if the caller cannot wait, and the reply
// must be there when the handler returns.
func (c *Ctx) Suspend() Resume {
	if s, ok := c.Caller.(Suspender); ok {
		return s.Suspend()
	}
	return nil
}

// Wait is how a command waits that has found nothing.
type Wait struct {
	// Keys are what it waits for, in order; views of the arguments. Also are
	// keys that Serve uses besides.
	Keys, Also [][]byte
	// Timeout is how long it waits; 0 is for ever.
	Timeout time.Duration
	// Gone says that Serve is called when a key is gone, too.
	Gone bool
	// Serve answers in the unit that made one of the keys ready, or reports
	// false if there is nothing for the command after all. c.Args are those of
	// the command.
	Serve func(c *Ctx, key []byte) bool
	// Expired writes the reply of a wait that was in vain, Refused that where
	// nobody can wait; nil: the same.
	Expired, Refused func(out *resp.Writer)
}

// Block ends a command that has found nothing: it is answered when one of the
// keys is ready or the time is up, or at once where nobody can wait (in a
// transaction, in a stream). The unit holds the slots of all keys.
func (c *Ctx) Block(b *Wait) {
	switch {
	case !c.Tx.Applying() && c.Caller.Block(c, b):
	case b.Refused != nil:
		b.Refused(c.Out)
	default:
		b.Expired(c.Out)
	}
}

// serverDel is the effect by which a key goes that no client asked to delete.
func (c *Ctx) serverDel() []byte {
	if c.Host.LazyServerDel() {
		return nameUnlink
	}
	return nameDel
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
	// SharedIntegers reports whether Redis would share the objects of small
	// integers (OBJECT REFCOUNT): not if maxmemory-policy looks at each key's use.
	SharedIntegers() bool
	// MaxBulk is proto-max-bulk-len, in bytes.
	MaxBulk() int64
	// HLLSparseMax is hll-sparse-max-bytes.
	HLLSparseMax() int
	// LazyServerDel is lazyfree-lazy-server-del.
	LazyServerDel() bool
}
