package server

import (
	"slices"
	"sync/atomic"
	"time"

	"redoubt/internal/admin"
	"redoubt/internal/command"
	"redoubt/replication"
)

// monitors are the connections that said MONITOR. The list is replaced as a
// whole, with all loops stopped.
type monitors struct {
	any  atomic.Bool
	gone atomic.Bool // some of the list have ended
	list atomic.Pointer[[]*conn]
}

// all is the list, which nobody changes.
func (m *monitors) all() []*conn {
	if list := m.list.Load(); list != nil {
		return *list
	}
	return nil
}

func (m *monitors) replace(list []*conn) {
	m.list.Store(&list)
	m.any.Store(len(list) > 0)
}

// Monitoring reports whether the connection has said MONITOR: admin.Client.
func (c *conn) Monitoring() bool { return c.is(stateMonitor) }

// Monitor is MONITOR: admin.Operator.
func (c *conn) Monitor() {
	l := c.home.Load()
	l.allConns(func() {
		if c.is(stateClosed) {
			return // while the loops were being stopped: nobody would take it off the list
		}
		l.srv.monitors.replace(append(slices.Clone(l.srv.monitors.all()), c))
		c.state |= stateMonitor
		c.conds |= condMonitor
	})
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
	m.show(line, l.srv.stream.End())
}

// show gives the monitors lines that depend on offset at. Any goroutine may call it.
func (m *monitors) show(line []byte, at replication.Offset) {
	for _, to := range m.all() {
		home := to.home.Load()
		home.post(func() {
			if to.is(stateMonitor) && !to.is(stateClosed|stateClosing|stateReplyOff) {
				home.push(to, line, at)
			}
		})
	}
}

// Monitored reports whether somebody watches what is executed.
func (s *Server) Monitored() bool { return s.monitors.any.Load() }

// ShowApplied shows monitors the commands of a unit of a stream that the node at addr
// has made. It is called when the unit has ended.
func (s *Server) ShowApplied(addr string, unit []command.Effect) {
	var lines []byte
	for _, e := range unit {
		row, _ := s.table.ResolveStream(e.Args)
		if row != nil && row.Flags&(command.SkipMonitor|command.Admin) == 0 {
			lines = append(lines, admin.MonitorLine(time.Now(), e.DB, addr, e.Args)...)
		}
	}
	if len(lines) > 0 {
		s.monitors.show(lines, s.stream.End())
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
		for _, c := range m.all() {
			if c.is(stateMonitor) {
				kept = append(kept, c)
			}
		}
		m.replace(kept)
	})
}
