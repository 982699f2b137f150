package server

import (
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
)

// Suspend stops the connection of the call x, for a command that has to wait
// for something outside of the loops. Its handler then returns without a
// reply, and the connection goes on when the function that Suspend gave is
// called, once and by any goroutine, with the reply and the offset on which it
// depends. A client that has left meanwhile is not missed.
//
// Within a transaction Suspend gives nil: all replies must be there when EXEC
// ends.
func (s *Server) Suspend(x *command.Ctx) (resume func(gate replication.Offset, reply func(*resp.Writer))) {
	c, l := connOf(x), loopOf(x)
	if l.inExec {
		return nil
	}
	c.state |= stateWaiting
	l.asked = true
	return func(gate replication.Offset, reply func(*resp.Writer)) {
		home := c.home.Load() // a connection that waits stays where it is
		home.post(func() { home.endSuspension(c, gate, reply) })
	}
}

// IPv6 reports whether the client of a call came over IPv6.
func (s *Server) IPv6(x *command.Ctx) bool { return connOf(x).ipv6 }

// endSuspension answers and goes on with the connection.
func (l *loop) endSuspension(c *conn, gate replication.Offset, reply func(*resp.Writer)) {
	if c.is(stateClosed) {
		return
	}
	c.state &^= stateWaiting
	start := c.out.Len()
	reply(&c.out)
	l.lateReply(c, start)
	if c.is(stateReplyOff | stateSkipping) {
		c.out.Truncate(start)
	}
	l.hold(c, start, gate)
	c.woff = max(c.woff, gate)
	l.wantWrite(c)
	l.goOn(c)
}

// lateReply counts the reply of a command that has waited, which begins at
// start, if it is an error: when the books of the call were kept there was
// none yet.
func (l *loop) lateReply(c *conn, start int) {
	b := c.out.Bytes()
	if len(b) <= start || b[start] != '-' {
		return
	}
	l.stats.errorReply(errorLine(b[start:]))
	if info := l.srv.table.info[c.last]; info != nil {
		l.stats.rows[info.index].failed++
	}
}

// DropShardChannels ends the subscriptions to shard channels in slots that the
// node does not serve any more, and tells their clients.
func (s *Server) DropShardChannels(gone *slots.Set) { s.pubsub.DropSlots(gone) }
