// Package psync moves a node's stream between nodes: it is the I/O of
// asynchronous replication, byte-compatible with Redis's PSYNC in both roles.
//
// A [Primary] serves the replicas of this node. Each replica has a goroutine,
// its feeder, that decides between a partial and a full resync (package
// replication has the rules), sends a snapshot where one is needed, and from
// then on copies bytes of the stream to the socket as they appear. A feeder
// buffers nothing: the stream is its backlog, in memory or on disk.
//
// A [Link] makes this node a replica: one goroutine dials the primary, shakes
// hands, receives a snapshot into a file that is checked before anything is
// replaced, and then cuts the stream into execution units ([Reader]) which it
// hands on one by one. If the node asks for it, the snapshot is loaded while it arrives.
// It reconnects until it is closed, and asks for what it
// has not got.
//
// Neither ever touches data. What they need is told by interfaces: a [Stream]
// to copy from, [Snapshots] to send, a [Target] to hand units to. Who calls
// whom: the server's PSYNC and SYNC commands call Primary.Serve with the
// connection, and with what REPLCONF told as a [Handshake]; its REPLICAOF, or the
// cluster, starts and closes Links. PING and REPLCONF GETACK occupy offset, so
// the server appends them to the stream and the feeders do not know them.
//
// Not here: Valkey's dual-channel and Redis 8's RDB-channel transfers, which
// peers use only with nodes that announce them; who hands over to whom ([Handover]).
package psync

import (
	"context"
	"io"
	"time"

	"redoubt/replication"
)

// Stream is the node's stream, as feeders read it. Its methods are called
// from many goroutines.
type Stream interface {
	// End is the offset of the last byte, First the offset after which bytes
	// can still be read.
	End() replication.Offset
	First() replication.Offset
	// ReadAt reads bytes that follow after, at least one if there is one.
	ReadAt(p []byte, after replication.Offset) (int, error)
	// Wait returns nil once there is a byte that follows after.
	Wait(ctx context.Context, after replication.Offset) error
	// Pin keeps the bytes that follow after from being trimmed. What is
	// already gone stays gone: look at First afterwards.
	Pin(after replication.Offset) Pin
}

// Pin holds the part of a Stream that a feeder has not sent yet.
type Pin interface {
	Move(after replication.Offset) // forward only
	Release()
}

// Need is what a replica can make use of.
type Need struct {
	Sized bool // the length must be known beforehand: it lacks "capa eof"
	Empty bool // no keys and no functions, as redis-cli --replica asks
	// Functions: the libraries of functions in spite of Empty, as redis-cli
	// --functions-rdb asks.
	Functions bool
	// Current: as of a moment after it was asked for. An older snapshot with the
	// stream behind it will not do for one who reads no stream (a backup by
	// redis-cli --rdb) or does not speak PSYNC and may be no replica at all.
	Current bool
}

// Base is a snapshot in transfer: an RDB file as of the offset At. Size is -1
// if it is not known before its end. As the stream goes on in the database
// selected at At, the file's repl-stream-db must tell it, unless the stream's
// next byte begins a SELECT. It may still be made while it is read; Close ends a Read that
// waits for more.
type Base struct {
	io.ReadCloser
	Size int64
	At   replication.Offset
}

// Snapshots hands out snapshots: the newest base, or a fresh one. How many
// replicas share one is its business. Base may take long; it gives up when ctx
// ends. If the offset of the snapshot is known before the snapshot is complete, Base
// calls began with it, once at most.
type Snapshots interface {
	Base(ctx context.Context, need Need, began func(replication.Offset)) (*Base, error)
}

// Limit bounds how far a replica may fall behind, in bytes of stream, as
// client-output-buffer-limit does for replicas. Zero is no limit.
type Limit struct {
	HardBytes int64         // beyond it the replica is disconnected
	SoftBytes int64         // beyond it for SoftTime, too
	SoftTime  time.Duration //
}

// PromptAcks is the question for acknowledgements with the wish that a replica of this
// product goes on to acknowledge what it applies by itself, whenever it has applied all
// it has received, for the time that the argument says in milliseconds. Others take it
// for the plain question, since Redis does not look at the argument.
const PromptAcks = "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$4\r\n2000\r\n"

// PromptFor is how long replicas go on after PromptAcks.
const PromptFor = 2 * time.Second

// capaPrompt is the capability by which a replica says that it understands that.
const capaPrompt = "prompt-acks"

// capaMember is the capability by which a replica says that it is a member of the
// primary's quorum.
const capaMember = "quorum-member"

const (
	second = time.Second // of keep-alives, acknowledgements and checks

	copyBytes = 64 << 10

	gather      = 100 * time.Microsecond // a feeder waits so long for more …
	gatherBytes = 16 << 10               // … if there is less than this and it has just sent
)
