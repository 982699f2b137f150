package server

import (
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/slots"
	"redoubt/storage"
)

// clusterDisabled answers commands of a cluster where there is none.
func clusterDisabled(x *command.Ctx) { x.Out.Error(resp.ErrClusterDisabled) }

var clusterRows = []*command.Row{
	{Name: "asking", Arity: 1, Flags: command.Fast, ACL: command.CatConnection, Lock: command.LockNone, Run: markCommand(stateAsking, true),
		Doc: doc("3.0.0", "cluster", "Lets the next command into a slot that is being imported.")},
	{Name: "readonly", Arity: 1, Flags: command.Loading | command.Stale | command.Fast, ACL: command.CatConnection, Lock: command.LockNone, Run: markCommand(stateReadOnly, true),
		Doc: doc("3.0.0", "cluster", "Lets a replica answer the connection's reads in a cluster.")},
	{Name: "readwrite", Arity: 1, Flags: command.Loading | command.Stale | command.Fast, ACL: command.CatConnection, Lock: command.LockNone, Run: markCommand(stateReadOnly, false),
		Doc: doc("3.0.0", "cluster", "Enables read-write queries for a connection to a Redis Cluster replica node.")},
}

// markCommand is a handler that sets or clears a mark by which a cluster routes.
func markCommand(mark connState, on bool) command.Handler {
	return func(x *command.Ctx) {
		if serverOf(x).cluster == nil {
			clusterDisabled(x)
			return
		}
		connOf(x).set(mark, on)
		x.Out.OK()
	}
}

// withoutCluster is the CLUSTER command of a node outside of cluster mode.
var withoutCluster = []*command.Row{
	{Name: "cluster", Arity: -2, Flags: command.Stale, Lock: command.LockNone, Run: clusterDisabled,
		Doc: doc("3.0.0", "cluster", "Administers the cluster and tells about it.")},
}

// route asks the cluster where a request belongs. Within a unit tx holds the
// slots of the keys.
func (l *loop) route(c *conn, q *request, tx *storage.Tx) resp.Error {
	r := Route{
		Write:    q.flags&command.Write != 0,
		Shard:    q.info.is(traitShard),
		Migrate:  q.info.is(traitMigrate),
		ReadOnly: c.is(stateReadOnly),
		Asking:   c.is(stateAsking) || q.row.Is(command.Asking),
	}
	l.routed = l.routed[:0]
	if q.info.is(traitExec) && c.multi != nil {
		for i := range c.multi.queue {
			l.routeKeys(c.multi.queue[i].info, c.multi.queue[i].args)
		}
	} else {
		l.routeKeys(q.info, q.args)
	}
	if len(l.routed) == 0 {
		return ""
	}
	r.Slot, r.Keys = slots.Of(l.routed[0]), len(l.routed)
	for _, k := range l.routed[1:] {
		if string(k) != string(l.routed[0]) {
			r.Many = true
			r.Mixed = r.Mixed || slots.Of(k) != r.Slot
		}
	}
	if tx != nil && !r.Shard {
		tx.Select(0)
		r.Missing = func() int {
			n := 0
			for _, k := range l.routed {
				if _, ok := tx.Peek(k); !ok {
					n++
				}
			}
			return n
		}
	}
	return l.srv.cluster.Route(r)
}

// routeQueued asks the cluster about a request of a transaction, with its keys at
// hand: in a slot that is on the move it depends on them where the request goes.
func (l *loop) routeQueued(c *conn, q *request) resp.Error {
	var known bool
	if l.slots, known = l.keySlots(l.slots[:0], q.row, q.args); !known || len(l.slots) == 0 {
		return ""
	}
	err := l.route(c, q, l.exec.Begin(l.unix, l.slots))
	l.exec.End()
	return err
}

// routeKeys appends the keys, or channels, by which a command is routed.
func (l *loop) routeKeys(info *rowInfo, args [][]byte) {
	l.keys, _ = info.route.AppendKeys(l.keys[:0], args)
	for _, i := range l.keys {
		l.routed = append(l.routed, args[i])
	}
}
