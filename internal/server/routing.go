package server

import (
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/slots"
)

// clusterDisabled answers commands of a cluster where there is none.
func clusterDisabled(x *command.Ctx) { x.Out.Error(resp.ErrClusterDisabled) }

var clusterRows = []*command.Row{
	{Name: "asking", Arity: 1, Flags: command.Fast | command.SetsAsking, ACL: command.CatConnection, Lock: command.LockNone, Run: markCommand(stateAsking, true),
		Doc: command.Brief("3.0.0", "cluster", "Lets the next command into a slot that is being imported.")},
	{Name: "readonly", Arity: 1, Flags: command.Loading | command.Stale | command.Fast, ACL: command.CatConnection, Lock: command.LockNone, Run: markCommand(stateReadOnly, true),
		Doc: command.Brief("3.0.0", "cluster", "Lets a replica answer the connection's reads in a cluster.")},
	{Name: "readwrite", Arity: 1, Flags: command.Loading | command.Stale | command.Fast, ACL: command.CatConnection, Lock: command.LockNone, Run: markCommand(stateReadOnly, false),
		Doc: command.Brief("3.0.0", "cluster", "Enables read-write queries for a connection to a Redis Cluster replica node.")},
}

// markCommand is a handler that sets or clears a mark by which a cluster routes.
func markCommand(mark connState, on bool) command.Handler {
	return command.For(func(x *command.Ctx, c *conn) {
		if c.srv.cluster == nil {
			clusterDisabled(x)
			return
		}
		c.set(mark, on)
		x.Out.OK()
	})
}

// WithoutCluster makes of the CLUSTER command that of a node outside of cluster
// mode. It has the same sub-commands, and all of them answer with an error.
func WithoutCluster(rows []*command.Row) []*command.Row {
	for _, r := range rows {
		r.Run = clusterDisabled
		WithoutCluster(r.Sub)
	}
	return rows
}

// routeLocked asks the cluster once more where the request at hand belongs,
// with the slots of its keys locked by the unit at hand. A gate has passed it.
func (l *loop) routeLocked(q *request) resp.Error {
	if !q.found {
		return ""
	}
	r := q.way
	if !r.Shard {
		r.Missing = l.missing
	}
	return l.srv.cluster.Route(r)
}

// routeQueued is routeLocked for a request of a transaction, which has no unit
// yet: in a slot that is on the move it depends on the keys where it goes.
func (l *loop) routeQueued(q *request) resp.Error {
	var known bool
	if l.slots, known = l.runner.Slots(l.slots[:0], q.row, q.args); !known || len(l.slots) == 0 {
		return ""
	}
	if l.runner.Ctx.Tx = l.exec.Begin(l.unix, l.slots); l.runner.Ctx.Tx == nil {
		return "" // the gate for that comes later
	}
	err := l.routeLocked(q)
	l.runner.Ctx.ReplyGate = max(l.runner.Ctx.ReplyGate, l.exec.End())
	l.runner.Ctx.Tx = nil
	return err
}

// countMissing counts the keys of the request, channels left out, that do not
// exist, for the unit at hand.
func (l *loop) countMissing() int {
	l.runner.Ctx.Tx.Select(0)
	n := 0
	for _, k := range l.sought {
		if _, ok := l.runner.Ctx.Tx.Peek(k); !ok {
			n++
		}
	}
	return n
}

// findWay finds out how a request is routed: q.way, and l.routed with its keys.
// It reports false if it has none, so that it runs anywhere.
func (l *loop) findWay(c *conn, q *request) bool {
	l.routed, l.sought = l.routed[:0], l.sought[:0]
	whole := true
	if q.row.Is(command.RunsQueue) && c.multi != nil {
		for i := range c.multi.queue {
			whole = l.routeKeys(c.multi.queue[i].row, c.multi.queue[i].args) && whole
		}
	} else {
		whole = l.routeKeys(q.row, q.args)
	}
	if len(l.routed) == 0 {
		return false
	}
	r := Route{
		Slot:     slots.Of(l.routed[0]),
		Keys:     len(l.sought),
		Write:    q.flags&command.Write != 0,
		Script:   q.flags&command.RunsScript != 0 && !q.row.Is(command.ReadOnly),
		Shard:    len(l.sought) == 0,
		Migrate:  q.row.Is(command.MovesKeys),
		ReadOnly: c.is(stateReadOnly),
		IPv6:     c.ipv6,
		TLS:      c.TLS(),
		Asking:   c.is(stateAsking) || q.row.Is(command.Asking),
	}
	for _, k := range l.routed[1:] {
		if string(k) != string(l.routed[0]) {
			r.Many = true
			r.Mixed = r.Mixed || slots.Of(k) != r.Slot
		}
	}
	q.way, q.oneSlot = r, whole && !r.Mixed && !r.Shard
	return true
}

// routeKeys appends the keys, or channels, by which a command is routed, to
// l.routed, and the keys among them to l.sought. It reports false if its
// arguments do not fit, so that there may be others.
func (l *loop) routeKeys(row *command.Row, args [][]byte) (ok bool) {
	if k := row.OnlyKey(); k > 0 && k < len(args) {
		l.runner.Keys = append(l.runner.Keys[:0], k)
		l.routed, l.sought = append(l.routed, args[k]), append(l.sought, args[k])
		return true
	}
	l.runner.Keys, ok = row.AppendRouted(l.runner.Keys[:0], args)
	for _, i := range l.runner.Keys {
		l.routed = append(l.routed, args[i])
		if !row.Is(command.OfShards) {
			l.sought = append(l.sought, args[i])
		}
	}
	return ok
}
