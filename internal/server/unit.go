package server

import (
	"redoubt/internal/command"
	"redoubt/storage"
)

// unit runs one command as an execution unit, under the locks its row asks
// for, and leaves its gate in the context.
func (l *loop) unit(c *conn, q *request) {
	l.runner.Ctx.Tx = nil
	switch q.row.Needs(q.args) {
	case command.LockNone, command.LockSelf:
		if q.row.Flags&command.MayReplicate == 0 {
			q.row.Run(&l.runner.Ctx)
			return
		}
		l.runner.Ctx.Tx = l.exec.Begin(l.unix, nil) // touches no key, but the stream
	case command.LockWorld:
		l.runner.Ctx.Tx = l.exec.BeginWorld(l.unix)
		if q.row.Is(command.TouchesArbitraryKeys) {
			l.runner.Ctx.Tx.Loose()
		}
	default:
		ok := q.oneSlot
		if ok {
			l.slots = append(l.slots[:0], q.way.Slot)
		} else {
			l.slots, ok = l.runner.Slots(l.slots[:0], q.row, q.args)
		}
		if ok {
			if len(l.runner.Keys) > 1 && c.db == 0 {
				l.fetchKeys(q.args)
			}
			l.runner.Ctx.Tx = l.begin(l.slots, q.row.Flags&command.Write != 0)
			if k := q.row.OnlyKey(); k > 0 && k < len(q.args) {
				l.runner.Ctx.Tx.Only(q.args[k])
			}
		} else {
			// Where the keys stand cannot be told; the handler will say why.
			l.runner.Ctx.Tx = l.exec.BeginWorld(l.unix)
		}
	}
	if err := l.admitLocked(q); err != "" {
		l.endUnit()
		c.out.Error(err)
		return
	}
	l.runner.Run(q.raw)
	l.serveBlocked()
	l.endUnit()
}

func (l *loop) endUnit() {
	gate := l.runner.End()
	if len(l.served) > 0 {
		l.sendServed(gate)
	}
}

// fetchKeys has the keyspace fetch what a command of several keys, at l.runner.Keys,
// will look at; the first of them may have been fetched for the pipeline.
func (l *loop) fetchKeys(args [][]byte) {
	for i := 0; i < len(l.runner.Keys); i += storage.AheadKeys {
		l.ahead = l.ahead[:0]
		for _, k := range l.runner.Keys[i:min(i+storage.AheadKeys, len(l.runner.Keys))] {
			l.ahead = append(l.ahead, args[k])
		}
		l.exec.FetchAhead(l.ahead)
	}
}

// everything runs f with all loops stopped and the world locked: for commands
// that change the node itself. Within a transaction both are so already.
func (l *loop) everything(f func(tx *storage.Tx)) {
	if l.runner.Ctx.Tx != nil {
		f(l.runner.Ctx.Tx)
		return
	}
	l.allConns(func() {
		tx := l.exec.BeginWorld(l.unix)
		f(tx)
		l.runner.Ctx.Tx = tx
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
