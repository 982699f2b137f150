package storage

import (
	"math"
	"strconv"

	"redoubt/internal/pieces"
	"redoubt/replication"
)

const (
	multi = "*1\r\n$5\r\nMULTI\r\n"
	exec  = "*1\r\n$4\r\nEXEC\r\n"
)

// unitKept is how much of the buffer of effects an executor keeps between
// units.
const unitKept = 64 << 10

// Command says that a command of the unit starts. raw is its RESP encoding,
// which becomes its effect if it changes data and records none of its own; it
// must stay valid until CommandEnd. Changes outside of commands are counted, but
// only Effect propagates them.
func (tx *Tx) Command(raw []byte) {
	tx.e.closeAll()
	tx.raw, tx.dirty, tx.commandOwn, tx.forced = raw, 0, false, false
	tx.inCommand, tx.replacing = true, false
}

// CommandEnd says that the command ended. As in Redis, a command that changed
// something (or was forced) is propagated as it came, unless it decided
// otherwise.
func (tx *Tx) CommandEnd() {
	if (tx.dirty > 0 || tx.forced) && !tx.commandOwn && !tx.mute && tx.recording() {
		tx.effect()
		tx.unit = pieces.Append(tx.unit, tx.raw)
	}
	tx.dirtyTotal += int64(tx.dirty)
	tx.raw, tx.dirty, tx.commandOwn, tx.forced = nil, 0, false, false
	tx.inCommand = false
}

// Dirty is the number of changes the command has made so far. Deletion by
// expiry does not count.
func (tx *Tx) Dirty() int { return tx.dirty }

// CountAs says that what the command in progress has changed so far counts as n
// changes, at least one: for a command that Redis counts otherwise than element
// by element (SINTERSTORE, LMOVE). A command that has changed nothing stays one.
func (tx *Tx) CountAs(n int) {
	if tx.dirty > 0 {
		tx.dirty = n
	}
}

// Uncounted is how many changes of the unit Stats does not know yet.
func (tx *Tx) Uncounted() int64 { return tx.dirtyTotal + int64(tx.dirty) }

// Effect records a command, args, as an effect instead of the one in progress;
// several calls record several. The arguments are copied.
func (tx *Tx) Effect(args ...[]byte) {
	tx.commandOwn = true
	if tx.mute || !tx.recording() {
		return
	}
	tx.effect()
	tx.unit = appendHead(tx.unit, '*', len(args))
	for _, a := range args {
		tx.unit = appendHead(tx.unit, '$', len(a))
		tx.unit = pieces.Append(tx.unit, a)
		tx.unit = append(tx.unit, "\r\n"...)
	}
}

// NoEffect says that nothing of the command in progress is propagated,
// although it changes data.
func (tx *Tx) NoEffect() { tx.commandOwn = true }

// Force says that the command is propagated although it changes nothing
// (FLUSHALL of an empty keyspace, PUBLISH).
func (tx *Tx) Force() { tx.forced = true }

// Beside says that the command has made n changes of something beside keys.
func (tx *Tx) Beside(n int) { tx.dirty += n }

// Mute says that what commands change from now on is not propagated, or (false) that
// it is again: redis.set_repl. Keys that have expired go everywhere all the same.
// It ends with the unit.
func (tx *Tx) Mute(on bool) { tx.mute = on }

// Abandon forgets all effects of the unit, also those to come, although it has
// changed data: the process ends, and nobody sees them. The gate of the unit, and of
// whoever looks at what it wrote, is one that never opens.
func (tx *Tx) Abandon() {
	tx.abandoned, tx.ready = true, tx.ready[:0]
}

// NeverCommitted is the gate of what was abandoned: no stream reaches it.
const NeverCommitted replication.Offset = math.MaxInt64

// expiredEffect records the DEL of a key whose time is past. It precedes the
// effect of the command that found it and does not stand for it.
func (tx *Tx) expiredEffect(key []byte) {
	if !tx.recording() {
		return
	}
	tx.effect()
	tx.unit = append(tx.unit, "*2\r\n$3\r\nDEL\r\n"...)
	tx.unit = appendHead(tx.unit, '$', len(key))
	tx.unit = append(tx.unit, key...)
	tx.unit = append(tx.unit, "\r\n"...)
}

// expiredFieldsEffect is expiredEffect for fields of a hash: an HDEL.
func (tx *Tx) expiredFieldsEffect(key []byte, names [][]byte) {
	if tx.recording() {
		own, mute := tx.commandOwn, tx.mute
		tx.mute = false
		tx.Effect(append([][]byte{nameHDel, key}, names...)...)
		tx.commandOwn, tx.mute = own, mute
	}
}

var nameHDel = []byte("HDEL")

// effect opens the next effect: it is of the selected database.
func (tx *Tx) effect() {
	if tx.effects == 0 {
		tx.firstDB = tx.db
	} else if tx.lastDB != tx.db {
		var digits [20]byte
		n := strconv.AppendInt(digits[:0], int64(tx.db), 10)
		tx.unit = append(tx.unit, "*2\r\n$6\r\nSELECT\r\n"...)
		tx.unit = appendHead(tx.unit, '$', len(n))
		tx.unit = append(tx.unit, n...)
		tx.unit = append(tx.unit, "\r\n"...)
	}
	tx.lastDB = tx.db
	tx.effects++
}

// flush appends the unit's effects to the stream and returns the offset of the
// unit's end, 0 if it has none. The buffer begins with MULTI, which is left
// out when the effect is a single one.
func (tx *Tx) flush() replication.Offset {
	if tx.abandoned {
		tx.unit, tx.effects = tx.unit[:len(multi)], 0
		return NeverCommitted
	}
	if tx.effects == 0 {
		return tx.applied
	}
	unit := tx.unit
	if tx.effects == 1 || tx.kind&unitLoose != 0 {
		unit = unit[len(multi):]
	} else {
		unit = append(unit, exec...)
		tx.unit = unit
	}
	end := tx.ks.stream.Append(tx.firstDB, tx.lastDB, unit)
	tx.e.unannounced = true
	tx.e.wrote += len(unit)
	if cap(tx.unit) > unitKept {
		tx.unit = append(make([]byte, 0, unitKept), multi...)
	}
	tx.unit, tx.effects = tx.unit[:len(multi)], 0
	return end
}

// appendHead appends the head of a RESP array or bulk string: kind, n, CRLF.
func appendHead(b []byte, kind byte, n int) []byte {
	switch {
	case n < 10: // nearly all of them are short
		return append(b, kind, '0'+byte(n), '\r', '\n')
	case n < 100:
		return append(b, kind, '0'+byte(n/10), '0'+byte(n%10), '\r', '\n')
	}
	b = append(b, kind)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, "\r\n"...)
}
