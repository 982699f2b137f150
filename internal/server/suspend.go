package server

import (
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
)

// Suspend stops the connection of a call whose answer another goroutine will
// have. The handler returns without a reply; nothing more of the connection is
// run until the function that Suspend gave is called, once, by any goroutine,
// with the reply and the offset it depends on. Within a transaction Suspend
// gives nil: the reply must be there when the handler returns.
func (s *Server) Suspend(x *command.Ctx) (resume func(gate replication.Offset, reply func(*resp.Writer))) {
	c, l := connOf(x), loopOf(x)
	if l.inExec {
		return nil
	}
	c.state |= stateWaiting
	return func(gate replication.Offset, reply func(*resp.Writer)) {
		home := c.home.Load() // a waiting connection stays on its loop
		home.post(func() { home.endSuspension(c, gate, reply) })
	}
}

func (l *loop) endSuspension(c *conn, gate replication.Offset, reply func(*resp.Writer)) {
	if c.is(stateClosed) {
		return
	}
	c.state &^= stateWaiting
	if c.out.Bytes() == nil {
		c.out.SetBuffer(l.buffer())
	}
	start := c.out.Len()
	reply(&c.out)
	if c.is(stateReplyOff) {
		c.out.Truncate(start)
	}
	l.hold(c, start, gate)
	c.woff = max(c.woff, gate)
	l.wantWrite(c)
	l.goOn(c)
}

// DropShardChannels ends the subscriptions to shard channels in these slots.
func (s *Server) DropShardChannels(gone *slots.Set) { s.pubsub.DropSlots(gone) }
