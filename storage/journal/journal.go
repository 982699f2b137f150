// Package journal is the one stream of a node: the bytes of all effects in
// order, in memory and on disk. The same bytes are the append-only log, the
// replication backlog, what replicas receive and what a restart replays.
//
// Words. A unit is the whole output of one execution unit (one command, or one
// MULTI/EXEC); Append takes one at a time and nothing ever divides it: recovery
// ends at the end of a unit. An offset is a replication offset; "after offset
// o" means from byte o+1. A generation is one uninterrupted run of offsets; a
// full resync begins a new one. A base is an RDB file that holds the data as of
// an offset, so that the journal below it is not needed to restart.
//
// Where bytes lie. Append copies a unit into the ring, a preallocated file that
// is mapped shared (RingBytes long; the byte after offset o lies at o modulo its
// size). What is in the map is in the kernel's hands and survives kill -9 of the
// process without a system call. One writer goroutine takes everything that is
// new, a batch at a time, into Pebble, and asks it for an fsync by the policy.
// Append does not wake it; Announce does, which whoever appends calls when it has
// no more to append at once, so that one fsync covers as much as it can.
// A region of the ring is written again only when Pebble has synced what it
// held, because a commit that is not synced stays in the memory of the process.
// Pages of the ring that Pebble has synced are dropped from resident memory.
// At appendfsync always, and if the disk is quick, the goroutine that executed a write
// first writes it to the commit log and calls fsync (TryCommit); see commitLog.
// A power cut voids the ring (its header carries the boot id of the kernel); the
// journal then ends at the last fsync. A unit that does not fit into the ring
// goes to heap segments, and all that follows it too, until the writer has
// synced them; they are not committed before.
//
// Without a journal (Config.Enabled is false) the same Stream keeps the last
// BacklogBytes in heap segments and everything is committed at once.
//
// Files in Config.Dir: "current" (text: generation, base, histories; replaced
// by rename, so every change of these is atomic), "ring", "commitlog", "ballast",
// "base-<generation>-<offset>.rdb" and the directory "pebble". Keys in Pebble are
// (generation, start offset), values one flag byte and whole units.
//
// What it does not do: it does not know commands (but for the SELECT it
// prepends), apply anything, write RDB files, or decide when to rewrite the base;
// the server does. Feeders of replicas are readers of it and nothing more.
//
// A full disk never reaches Pebble, which would end the process: writes wait,
// DiskFull reports true, and they resume when space returns. An fsync that fails
// calls Config.Fatal, for after it nobody knows what the disk holds.
package journal

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"

	"redoubt/internal/reason"
	"redoubt/replication"
)

// Policy says when what was appended counts as committed (appendfsync).
type Policy int32

const (
	// EverySec commits what the kernel has; an fsync a second limits what a
	// power cut takes.
	EverySec Policy = iota
	// Always commits what has been fsynced.
	Always
	// No commits what the kernel has; an fsync happens only when the ring needs
	// room.
	No
	// OnDemand commits what the kernel has: others say when replies may leave, and ask for
	// the fsyncs that they need (Stream.Sync). As with EverySec there is one a second.
	OnDemand
)

// quick reports whether somebody waits for fsyncs, for which the commit log is there.
func (p Policy) quick() bool { return p == Always || p == OnDemand }

// String is the policy's name in the configuration.
func (p Policy) String() string {
	switch p {
	case EverySec:
		return "everysec"
	case Always:
		return "always"
	case No:
		return "no"
	case OnDemand:
		return "ondemand"
	}
	return fmt.Sprintf("policy(%d)", int32(p))
}

var (
	// ErrTrimmed answers a read of bytes the stream no longer holds, or never held.
	ErrTrimmed = errors.New("journal: offset is no longer in the stream")
	// ErrClosed answers every call after Close.
	ErrClosed = errors.New("journal: closed")
	// ErrDisabled answers calls that need the journal while it is off.
	ErrDisabled = errors.New("journal: not enabled")
	// ErrCorrupt marks errors about bytes on disk that are not what was written.
	ErrCorrupt = errors.New("journal: corrupt")
)

// CorruptError says that the journal is whole up to At and no further.
// errors.Is(err, ErrCorrupt) holds for it.
type CorruptError struct {
	At     replication.Offset // end of the last whole unit
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal: corrupt after offset %d: %s", e.At, e.Reason)
}

// Is makes every CorruptError an ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// Default sizes.
const (
	DefaultRingBytes      = 64 << 20
	DefaultCommitLogBytes = 16 << 20
	DefaultBacklogBytes   = 1 << 20
	DefaultBallastBytes   = 16 << 20
	DefaultPinDiskBytes   = 4 << 30
	DefaultPinMemoryBytes = 256 << 20
	DefaultTrimBytes      = 128 << 20
)

// Limits of RingBytes: a record's length is 32 bits, and a ring of a few pages
// is enough for tests.
const (
	minRingBytes = 64 << 10
	maxRingBytes = 2 << 30
)

// maxCommitLogBytes bounds CommitLogBytes, since a start has the log in memory.
const maxCommitLogBytes = 1 << 30

// Config describes a stream. The zero value of a field means its default.
type Config struct {
	// Dir is the journal's own directory; it is made if it does not exist. It is
	// needed even while Enabled is false, since Enable may come later.
	Dir string
	// Enabled is appendonly yes.
	Enabled bool
	// Policy is appendfsync.
	Policy Policy
	// RingBytes is the size of the ring, a multiple of 4096.
	RingBytes int
	// CommitLogBytes is the size of the commit log, a multiple of 4096.
	CommitLogBytes int
	// BacklogBytes is what is kept in memory while the journal is off
	// (repl-backlog-size). Heap segments round it up, by less than a sixteenth if
	// it is 64 KiB or more.
	BacklogBytes int
	// BallastBytes is the size of the file given up when the disk is full, so
	// that what is already accepted can be written. Negative: none.
	BallastBytes int
	// PinDiskBytes and PinMemoryBytes are how far behind the end a pin may hold
	// back trimming, with the journal and without.
	PinDiskBytes, PinMemoryBytes int64
	// TrimBytes is the least that is trimmed at once.
	TrimBytes int64
	// RefuseTorn makes Open fail, and change nothing, where a journal did not end
	// cleanly (aof-load-truncated no).
	RefuseTorn bool
	// FS is where everything but the ring lies; nil is the disk. With a file
	// system in memory, as tests use, the ring lies in memory too and does not
	// survive.
	FS vfs.FS
	// Observed is told how long each write of the stream's bytes took, and whether
	// that was an fsync. Nil: nobody.
	Observed func(took time.Duration, sync bool)
	// Log must be set.
	Log *zap.Logger
	// Fatal ends the process when the disk failed; it must not return. Nil logs
	// the error at fatal level.
	Fatal func(error)
}

// validate fills in the defaults and refuses what cannot work.
func (c *Config) validate() error {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def64 := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.RingBytes, DefaultRingBytes)
	def(&c.CommitLogBytes, DefaultCommitLogBytes)
	def(&c.BacklogBytes, DefaultBacklogBytes)
	def(&c.BallastBytes, DefaultBallastBytes)
	def64(&c.PinDiskBytes, DefaultPinDiskBytes)
	def64(&c.PinMemoryBytes, DefaultPinMemoryBytes)
	def64(&c.TrimBytes, DefaultTrimBytes)
	if c.FS == nil {
		c.FS = vfs.Default
	}
	switch {
	case c.Log == nil:
		return errors.New("journal: Config.Log is nil")
	case c.Dir == "":
		return errors.New("journal: Config.Dir is empty")
	case c.Policy < EverySec || c.Policy > OnDemand:
		return fmt.Errorf("journal: unknown %v", c.Policy)
	case !validRingBytes(c.RingBytes):
		return fmt.Errorf("journal: RingBytes %d is not a multiple of 4096 from %d to %d", c.RingBytes, minRingBytes, maxRingBytes)
	case c.CommitLogBytes < 2*blockBytes || c.CommitLogBytes > maxCommitLogBytes || c.CommitLogBytes%blockBytes != 0:
		return fmt.Errorf("journal: CommitLogBytes %d is not a multiple of 4096 from %d to %d", c.CommitLogBytes, 2*blockBytes, maxCommitLogBytes)
	case c.BacklogBytes < 0 || c.PinDiskBytes < 0 || c.PinMemoryBytes < 0 || c.TrimBytes < 0:
		return errors.New("journal: a size is negative")
	}
	if c.Fatal == nil {
		log := c.Log
		c.Fatal = func(err error) {
			log.Warn("A write to the journal has failed, and nobody knows what of it is on the disk. The process ends, as a later write could hide that. " +
				"Writes that were not acknowledged may be lost, no others; look at the disk before the next start.")
			log.Fatal(reason.Of(err))
		}
	}
	return nil
}

// Recovered is what Open found on disk.
type Recovered struct {
	// Found is false if there was no journal (or it is not enabled). Everything
	// else is then zero, and the stream is at offset 0.
	Found bool
	// Base is the path of the base RDB, "" if the generation began with no data.
	Base string
	// BaseOffset is the offset Base is as of. Replay from here.
	BaseOffset replication.Offset
	// End is the end of the last whole unit.
	End replication.Offset
	// History is what SaveHistory saved last.
	History replication.History
	// Replica says that the node was a replica when it last saved.
	Replica bool
	// Fitness is what SaveFitness saved last for this history; zero for a primary.
	Fitness replication.Fitness
	// Torn says why recovery stopped before the last byte it saw; "" if the
	// journal ended cleanly.
	Torn string
}

const (
	gather      = 5 * time.Millisecond // the writer lets this much time pass between commits nobody waits for
	gatherBytes = 256 << 10            // … or this many bytes
	batchBytes  = 1 << 20              // one commit takes about this much
	syncPeriod  = time.Second          // appendfsync everysec

	minRegroup = 50 * time.Microsecond // see writer.regroup
	maxRegroup = 500 * time.Microsecond

	unloadPeriod = time.Second // between two looks at how much of the ring is resident in vain
)
