// Package check is the consistency check: many clients write and read all
// slots of a cluster while somebody kills its nodes, and in the end it is
// known which acknowledged writes are gone.
//
// Every key has one writer, and every value is written once: "run:sequence".
// A write is SET … GET, so its reply also says what it replaced; a loss cannot
// hide under the next write of its key. What is believed of a key is its
// history, a pure state machine; each reply is an observation that confirms
// the history or cuts it:
//
//   - a lost write was acknowledged, and a later reply shows an older value;
//   - an unacked write had an unknown outcome (a timeout or a broken
//     connection after it was sent), and a later reply shows that it took
//     effect, perhaps after younger writes of its key: it may have waited in
//     the socket of a stopped process;
//   - a stale reply came from a node that had been deposed: what it made look
//     lost has been seen again;
//   - a refused write (any error reply, or a connection that could not be
//     made) was not executed, and means nothing but an error.
//
// One thing it cannot know: what a write of unknown outcome replaced. If that
// was a loss, it is not seen.
//
// A client works within one shard, so that clients of a dead shard that wait
// for their timeouts do not slow the others. Shards are those of the moment at
// which the run began. When it ends, every key is read from its primary.
//
// The package needs ordinary Redis commands only, among them SET with GET
// (Redis 6.2). cmd/redoubt drives it.
package check
