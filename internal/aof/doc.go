// Package aof knows the append-only files of Redis: which of them make up the
// data of a directory, the manifest that says so, and the commands in them. A
// node reads them once, to go on in a journal of its own; redis-check-aof's twin
// (internal/tools/filecheck) checks them.
//
// Since Redis 7 the files lie in a directory of their own (appenddirname). The
// manifest, appendonly.aof.manifest, names at most one base, an RDB file or
// commands, and behind it the incremental files in the order of their sequence
// numbers; files of history are those that nobody reads any more. Before Redis 7
// there was one file, appendonly.aof, in the data directory itself, which may
// begin with an RDB file, its preamble.
//
// A file of commands is what clients would send, in RESP, with MULTI and EXEC
// around what belongs together, and SELECT before a command for another database
// than the one before. Lines that begin with # are annotations: #TS: and a Unix
// time. Each file begins in database 0 and outside of a transaction.
//
// The package reads and writes files, but it knows no keyspace: who executes the
// commands is its caller.
package aof
