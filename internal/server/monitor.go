package server

import (
	"sync/atomic"
	"time"

	"redoubt/internal/admin"
)

// monitors are the connections that said MONITOR. The list is replaced as a
// whole, with all loops stopped, so that a loop may read it in its turn.
type monitors struct {
	any  atomic.Bool
	gone atomic.Bool // some of the list have ended
	list []*conn
}

// Monitoring reports whether the connection has said MONITOR: admin.Client.
func (c *conn) Monitoring() bool { return c.is(stateMonitor) }

// Monitor is MONITOR: admin.Operator.
func (c *conn) Monitor() {
	l := c.home.Load()
	l.allConns(func() {
		l.srv.monitors.list = append(l.srv.monitors.list[:len(l.srv.monitors.list):len(l.srv.monitors.list)], c)
		l.srv.monitors.any.Store(true)
	})
	c.state |= stateMonitor
	c.conds |= condMonitor
}

// remove ends a connection's monitoring. Lines for it may be on their way; its
// loop drops them.
func (m *monitors) remove(c *conn) {
	c.state &^= stateMonitor
	c.conds &^= condMonitor
	m.gone.Store(true)
}

// tell tells the monitors of a command that was executed. Those of a
// transaction are told of when its unit has ended: only then is it known on
// which offset they depend.
func (m *monitors) tell(l *loop, c *conn, args [][]byte) {
	if l.srv.Loading() {
		return
	}
	l.monitored = append(l.monitored, admin.MonitorLine(time.Now(), c.db, c.remote, args)...)
	if !l.inExec {
		m.send(l)
	}
}

// send gives the monitors the lines of the unit that has just ended.
func (m *monitors) send(l *loop) {
	line := l.monitored
	l.monitored = nil
	at := l.srv.stream.End()
	for _, to := range m.list {
		home := to.home.Load()
		home.post(func() {
			if to.is(stateMonitor) && !to.is(stateClosed|stateClosing|stateReplyOff) {
				home.push(to, line, at)
			}
		})
	}
}

// sweepMonitors takes those that are gone off the list, now and then.
func (l *loop) sweepMonitors() {
	m := &l.srv.monitors
	if !m.gone.Swap(false) {
		return
	}
	l.allConns(func() {
		var kept []*conn
		for _, c := range m.list {
			if c.is(stateMonitor) {
				kept = append(kept, c)
			}
		}
		m.list = kept
		m.any.Store(len(kept) > 0)
	})
}
