package server

import (
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/slots"
	"redoubt/storage"
)

// unit runs one command as an execution unit, under the locks its row asks
// for, and leaves its gate in the context.
func (l *loop) unit(c *conn, q *request) {
	l.ctx.Tx = nil
	switch q.row.Needs(q.args) {
	case command.LockNone, command.LockSelf:
		if q.row.Flags&command.MayReplicate == 0 {
			q.row.Run(&l.ctx)
			return
		}
		l.ctx.Tx = l.exec.Begin(l.unix, nil) // touches no key, but the stream
	case command.LockWorld:
		l.ctx.Tx = l.exec.BeginWorld(l.unix)
		if q.row.Is(command.TouchesArbitraryKeys) {
			l.ctx.Tx.Loose()
		}
	default:
		ok := q.oneSlot
		if ok {
			l.slots = append(l.slots[:0], q.way.Slot)
		} else {
			l.slots, ok = l.keySlots(l.slots[:0], q.info, q.args)
		}
		if ok {
			if len(l.keys) > 1 && c.db == 0 {
				l.fetchKeys(q.args)
			}
			l.ctx.Tx = l.begin(l.slots, q.row.Flags&command.Write != 0)
		} else {
			// Where the keys stand cannot be told; the handler will say why.
			l.ctx.Tx = l.exec.BeginWorld(l.unix)
		}
	}
	if err := l.admitLocked(q); err != "" {
		l.endUnit()
		c.out.Error(err)
		return
	}
	l.call(c, q.row, q.args, q.raw)
	l.serveBlocked()
	l.endUnit()
}

// call runs one command within the unit at hand.
func (l *loop) call(c *conn, row *command.Row, args [][]byte, raw []byte) {
	if raw == nil || row.Renamed() {
		if row.Renamed() {
			args = append([][]byte{row.StreamName()}, args[1:]...)
		}
		l.encoded = resp.AppendArray(l.encoded[:0], args...)
		raw = l.encoded
	}
	tx := l.ctx.Tx
	tx.Select(c.db)
	tx.Command(raw)
	if k := row.OnlyKey(); k > 0 && k < len(l.ctx.Args) {
		tx.Only(l.ctx.Args[k])
	}
	if c.is(stateNoTouch) {
		tx.NoTouch(!row.Is(command.Touches))
	}
	row.Run(&l.ctx)
	tx.CommandEnd()
}

func (l *loop) endUnit() {
	end := l.exec.End()
	l.ctx.Gate = max(l.ctx.Gate, end)
	l.ctx.Tx = nil
	if len(l.served) > 0 {
		l.sendServed(end)
	}
}

// fetchKeys has the keyspace fetch what a command of several keys, at l.keys,
// will look at; the first of them may have been fetched for the pipeline.
func (l *loop) fetchKeys(args [][]byte) {
	for i := 0; i < len(l.keys); i += storage.AheadKeys {
		l.ahead = l.ahead[:0]
		for _, k := range l.keys[i:min(i+storage.AheadKeys, len(l.keys))] {
			l.ahead = append(l.ahead, args[k])
		}
		l.exec.FetchAhead(l.ahead)
	}
}

// keySlots appends the slots of a command's keys to dst.
func (l *loop) keySlots(dst []slots.Slot, info *rowInfo, args [][]byte) ([]slots.Slot, bool) {
	if k := info.onlyKey; k > 0 && k < len(args) {
		l.keys = append(l.keys[:0], k)
		return append(dst, slots.Of(args[k])), true
	}
	var ok bool
	if l.keys, ok = info.row.AppendKeys(l.keys[:0], args); !ok {
		return dst, false
	}
	for _, i := range l.keys {
		dst = append(dst, slots.Of(args[i]))
	}
	return dst, true
}

// everything runs f with all loops stopped and the world locked: for commands
// that change the node itself. Within a transaction both are so already.
func (l *loop) everything(f func(tx *storage.Tx)) {
	if l.ctx.Tx != nil {
		f(l.ctx.Tx)
		return
	}
	l.allConns(func() {
		tx := l.exec.BeginWorld(l.unix)
		f(tx)
		l.ctx.Tx = tx
		l.serveBlocked()
		l.endUnit()
	})
}

// allConns runs f with all loops stopped, so that it may look at every
// connection.
func (l *loop) allConns(f func()) {
	if l.stopped {
		f()
		return
	}
	l.srv.stopLoops(l)
	l.stopped = true
	f()
	l.stopped = false
	l.srv.resumeLoops(l)
}
