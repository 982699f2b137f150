// Package storage is the keyspace: what keys there are, what they hold, who
// may touch them, and what the stream is told about it.
//
// # The model
//
// A key belongs to a hash slot (package slots), and the slot is the unit of
// everything here: it has the lock, the tables (one per database), the offset of
// its last write and the marks of WATCH. Outside cluster mode the same slots
// are lock stripes.
//
// Only executors touch data: the event loops and the one applier of a received
// stream, each with an Executor of its own. An executor runs execution units:
// Begin takes the locks of the unit's slots in ascending order, the handlers
// of its commands read and write through the Tx, End hands the unit's effects
// to the Stream as one append, stamps the written slots and unlocks. Locks are
// never upgraded and nobody waits for a message while holding one, so there is
// no deadlock. What cannot name its slots takes the world lock instead: one
// mutex, and a flag per executor that says whether it is in a unit. An executor
// that waits for the world counts as out.
//
// An effect is a deterministic command in RESP, as replicas and the journal
// get it. A command that changed data and recorded no effect of its own is its
// own effect, by its very bytes (Redis's rule of server.dirty). A key that was
// found expired adds a DEL before the effect of the command that found it. A
// unit with more than one effect is wrapped in MULTI and EXEC.
//
// On a replica, and while a received stream is applied, nothing is recorded.
// An ordinary unit on a replica does not see expired keys, but does not delete
// them by itself either; an applying unit sees them, because the DEL of the
// primary has not come yet. The clock is an argument: Begin is told the time.
//
// # Memory
//
// Keys and values lie outside the Go heap, in blocks of package storage/slab that
// references of 32 bits name. A record is one block: a header, the key, the value.
// The value of a small collection is a packed leaf, that of a large one names the
// nodes of a tree (package storage/tree). An Entry, and a List, Hash, Set or ZSet,
// is a view: it ends with the next write of another key, and what it returns with
// the next call.
//
// A table is an array of cells, each 16 bits of a hash and a reference, in the
// order of the hashes. With more than about a thousand keys it becomes a directory
// of such arrays by the first bits of the hash (extendible hashing); each splits
// alone, so no table is ever rehashed as a whole. The order makes a hash prefix a
// cursor that splits do not disturb (Tx.Scan).
//
// What deletions leave is freed in slices between commands (Executor.Reclaim), and
// memory that is used little is compacted (Executor.Compact).
//
// # Snapshots
//
// Several may be open (Capture). Records carry the epoch of the last snapshot that
// has them: a writer hands the record that it is about to change to those that lack
// it first, and tables that a flush detaches go to all of them whole. Nodes of trees
// and long strings that a snapshot may read are replaced, not changed, and kept
// until it has written what leads to them (kept.go). What snapshots hold is counted
// (Keyspace.Held). Package storage/snapshot walks and writes.
//
// # Waiting
//
// A client that waits for a key stands in a queue of the key's slot (Tx.Await). The
// unit that changes the key serves it before it ends (Tx.Serve).
//
// # Adding a value type
//
// A type is a constant of Type, a row of the table kinds (how values are named,
// digested and written), loaders for its forms in RDB files, and a file with the
// handle that commands work on; hash.go is the pattern.
//
// What the package does not do: it knows no command, connection or reply, no
// file and no socket. Whether a slot may be served here is the cluster's
// matter and was decided before Begin.
package storage
