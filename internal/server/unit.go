package server

import (
	"redoubt/internal/command"
	"redoubt/slots"
	"redoubt/storage"
)

// unit runs one command as an execution unit, under the locks its row asks
// for, and leaves its gate in the context.
func (l *loop) unit(c *conn, q *request) {
	start := c.out.Len()
	l.runner.Ctx.Tx = nil
	switch q.row.Needs(q.args) {
	case command.LockNone, command.LockSelf:
		if q.row.Flags&command.MayReplicate == 0 {
			l.runAlone(c, q)
			return
		}
		l.runner.Ctx.Tx = l.exec.Begin(l.unix, nil) // touches no key, but the stream
	case command.LockWorld:
		l.runner.Ctx.Tx = l.exec.BeginWorld(l.unix)
	default:
		l.beginKeys(c, q)
	}
	l.runUnit(c, q)
	if l.strayed {
		// A script that needs more than it said has done nothing yet.
		l.strayed = false
		c.out.Truncate(start)
		l.runner.Ctx.Tx = l.exec.BeginWorld(l.unix)
		l.runUnit(c, q)
	}
}

// runAlone runs a command that begins its own units, or none.
func (l *loop) runAlone(c *conn, q *request) {
	start := c.out.Len()
	l.exec.GaveUp() // what the loop did before does not count
	q.row.Run(&l.runner.Ctx)
	if q.found && q.way.Shard {
		l.followShard(q.way)
	}
	if l.exec.GaveUp() && c.parked == nil && !c.is(stateClosed|stateDetached) { // what waits is answered by who ends the wait
		c.out.Truncate(start)
		c.out.Error(l.srv.busy())
	}
}

// followShard asks once more where shard channels belong, to which the request at hand
// may have subscribed. No lock keeps their slot here: if it has gone since the gate, so
// that others are told already, nobody else would tell this client.
func (l *loop) followShard(way Route) {
	if l.srv.cluster.Route(way).Code() == "MOVED" {
		var gone slots.Set
		gone.Add(way.Slot)
		l.srv.DropShardChannels(&gone)
	}
}

// beginKeys begins the unit of a command on the slots of its keys.
func (l *loop) beginKeys(c *conn, q *request) {
	ok := q.oneSlot
	if ok {
		l.slots = append(l.slots[:0], q.way.Slot)
	} else {
		l.slots, ok = l.runner.Slots(l.slots[:0], q.row, q.args)
	}
	if !ok {
		// Where the keys stand cannot be told; the handler will say why.
		l.runner.Ctx.Tx = l.exec.BeginWorld(l.unix)
		return
	}
	if len(l.runner.Keys) > 1 && c.db == 0 {
		l.fetchKeys(q.args)
	}
	writes := q.flags&command.Write != 0 || q.row.Is(command.RunsScript)
	if l.runner.Ctx.Tx = l.begin(l.slots, writes); l.runner.Ctx.Tx == nil {
		return
	}
	if k := q.row.OnlyKey(); k > 0 && k < len(q.args) {
		l.runner.Ctx.Tx.Only(q.args[k])
	}
}

// runUnit runs a command in the unit that was begun for it, and ends that. There is
// none if a script takes long that holds what it needs.
func (l *loop) runUnit(c *conn, q *request) {
	tx := l.runner.Ctx.Tx
	if tx == nil {
		l.missUnit(c, q)
		return
	}
	if q.row.Is(command.TouchesArbitraryKeys) {
		tx.Loose()
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

// missUnit answers a command that has no unit. WATCH is one of those that may be
// called meanwhile, so that what a client has sent behind it does not run without
// it: the EXEC to come fails instead.
func (l *loop) missUnit(c *conn, q *request) {
	if q.row.Is(command.AllowBusy) {
		c.watchMissed = true
		c.out.OK()
		return
	}
	c.out.Error(l.srv.busy())
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
// that change the node itself. Within a transaction both are so already. It reports
// false if a script takes long, and nothing has happened.
func (l *loop) everything(f func(tx *storage.Tx)) (done bool) {
	if l.runner.Ctx.Tx != nil {
		f(l.runner.Ctx.Tx)
		return true
	}
	l.allConns(func() {
		tx := l.exec.BeginWorld(l.unix)
		if tx == nil {
			return
		}
		done = true
		f(tx)
		l.runner.Ctx.Tx = tx
		l.serveBlocked()
		l.endUnit()
	})
	return done
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
