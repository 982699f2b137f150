// Package rdb reads and writes Redis's RDB files and the payloads of DUMP and
// RESTORE. It is pure: it works on an io.Reader or io.Writer, and knows no
// file, clock or keyspace.
//
// An RDB file is a frame around records. The frame is a magic with a version,
// and an end record with a CRC64. A record is an opcode (auxiliary fields, the
// selected database, expiry of the next key, …) or a value type followed by a
// key and a value. A [Reader] turns that into one [Entry] per key; a [Writer]
// is its reverse and writes version 10, which every Redis since 7.0 and every
// Valkey can load, or version 80 of Valkey 9 if there are hashes whose fields
// expire, which no other server has. [Check] reads a file for its own sake: a file that
// came from elsewhere is checked before it replaces anything.
//
// The forms of values are storage's: it has a loader for each type byte and writes
// each type. A key of a type that it does not have is [ErrUnsupportedType], because
// skipping it would lose it silently.
//
// Nothing in a file is believed: a length makes the reader allocate no more
// than has arrived, and every damage is an error that wraps [ErrCorrupt].
// Whether a key is duplicated, expired or wanted at all is for the caller, who
// has the keyspace.
package rdb

import (
	"errors"

	"redoubt/storage"
	"redoubt/storage/rdb/wire"
)

// Version is the RDB version that Writer and DUMP payloads carry but for hashes
// whose fields expire.
const Version = 10

// Versions that a Reader and RESTORE accept. Redis counts up from 1; Valkey
// since 9.0 has a magic of its own and began at 80, to part from Redis's 12.
const (
	maxRedisVersion = 12
	valkeyVersion   = 80
)

// Opcodes: the first byte of a record that is not a key.
const (
	opSlotImport   = 243 // Valkey 9 only; Redis 8 uses the number for something else
	opSlotInfo     = 244
	opFunction     = 245
	opFunctionRC   = 246 // 7.0 release candidates; refused as Redis does
	opModuleAux    = 247
	opIdle         = 248
	opFreq         = 249
	opAux          = 250
	opResizeDB     = 251
	opExpireTimeMs = 252
	opExpireTime   = 253
	opSelectDB     = 254
	opEOF          = 255
)

// Errors of this package. ErrCorrupt and ErrUnsupportedType are wrapped with
// what was found and where.
var (
	ErrCorrupt         = wire.ErrCorrupt
	ErrVersion         = errors.New("rdb: version not supported")
	ErrUnsupportedType = errors.New("rdb: value type not supported")
)

// Entry is one key of a file, but for its value.
type Entry struct {
	DB         int
	Key        []byte
	Type       storage.Type // as read
	ExpireAtMs int64        // Unix milliseconds; 0 if the key does not expire
	Idle       int64        // seconds since the last access; -1 if the file does not tell
	Freq       int          // LFU counter, 0 to 255; -1 if the file does not tell
}
