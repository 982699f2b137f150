// Package server is the shell of a node: sockets, event loops and dispatch, with
// the commands that are part of them: transactions, WAIT, and those by which a
// replica takes its connection over.
//
// A connection belongs to one event loop at a time. The loop reads what its
// sockets have, parses requests in place, admits each through the gates, runs
// it under the locks its row asks for, and writes all replies at the end of the
// turn. There is no goroutine per connection: connections that cannot be polled
// (Unix sockets) have goroutines that only move bytes to and from
// their loop.
//
// Words used here:
//
//   - turn: what a loop does between two waits. A loop's lock, its turn, is held
//     for that long; whoever holds it may touch the loop's connections. Stopping
//     all loops (CLIENT LIST, MONITOR, CONFIG SET) is taking all turns. INFO and
//     the like stop nobody: they read what the loops count (stats.go).
//   - gate: a check before a command runs, in the order of Redis's
//     processCommand (gates.go). Not to be confused with the reply gate: the
//     stream offset a reply depends on; output is held back until the offset is
//     committed (output.go).
//   - unit: a command, or all commands of an EXEC, between storage's Begin and
//     End (unit.go).
//   - parked: a connection whose command is answered later (parked.go).
//   - desk: what a loop executes commands with (desk.go). A script that takes long
//     keeps its desk, and its loop is handed over to another goroutine with another
//     one (handover.go).
//   - session: a script under a debugger, which its client steers (debugging.go). An
//     asynchronous one has left its loop, and works on a view, a keyspace of copies
//     (debugview.go).
//   - mail: functions that other goroutines ask a loop to run in its next turn.
//
// Lock order: a loop's turn, then slots or the world (storage). Nobody takes
// another loop's turn or waits for mail while holding slots. Whoever stops all
// loops gives up its own turn first.
//
// What other rooms deliver is plugged in through the small interfaces of
// parts.go: the stream, replication, the cluster, persistence. A part that is
// absent makes its commands answer what a Redis without it would answer.
//
// The commands about the node and its clients are package admin's. Server and
// conn are what they see of the shell (client.go, stats.go).
package server
