package server

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
)

// monitors are the connections that said MONITOR. The list is replaced as a
// whole, with all loops stopped, so that a loop may read it in its turn.
type monitors struct {
	any  atomic.Bool
	gone atomic.Bool // some of the list have ended
	list []*conn
}

func monitorCommand(x *command.Ctx) {
	c, l := connOf(x), loopOf(x)
	switch {
	case l.inExec:
		x.Out.Error(resp.ErrMonitorDenied)
		return
	case c.is(stateMonitor):
		return // without a word, as in Redis
	}
	l.allConns(func() {
		l.srv.monitors.list = append(l.srv.monitors.list[:len(l.srv.monitors.list):len(l.srv.monitors.list)], c)
		l.srv.monitors.any.Store(true)
	})
	c.state |= stateMonitor
	c.conds |= condFeed
	x.Out.OK()
}

// remove ends a connection's monitoring. Feeds may still name it; its loop
// drops them.
func (m *monitors) remove(c *conn) {
	c.state &^= stateMonitor
	c.conds &^= condFeed
	m.gone.Store(true)
}

// feed tells the monitors of a command that was executed. Those of a
// transaction are told of when its unit has ended: only then is it known on
// which offset they depend.
func (m *monitors) feed(l *loop, c *conn, args [][]byte) {
	if l.srv.Loading() {
		return
	}
	l.monitored = append(l.monitored, monitorLine(c, time.Now(), args)...)
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

// monitorLine is what MONITOR prints of a command.
func monitorLine(c *conn, now time.Time, args [][]byte) []byte {
	var b strings.Builder
	from := c.remote
	if strings.HasPrefix(from, "/") {
		from = "unix:" + strings.TrimSuffix(from, ":0")
	}
	fmt.Fprintf(&b, "+%d.%06d [%d %s]", now.Unix(), now.Nanosecond()/1000, c.db, from)
	for _, a := range args {
		b.WriteByte(' ')
		writeQuoted(&b, a)
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// writeQuoted writes a string as Redis's sdscatrepr does.
func writeQuoted(b *strings.Builder, s []byte) {
	b.WriteByte('"')
	for _, ch := range s {
		switch ch {
		case '\\', '"':
			b.WriteByte('\\')
			b.WriteByte(ch)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\a':
			b.WriteString(`\a`)
		case '\b':
			b.WriteString(`\b`)
		default:
			if ch < ' ' || ch > '~' {
				fmt.Fprintf(b, `\x%02x`, ch)
			} else {
				b.WriteByte(ch)
			}
		}
	}
	b.WriteByte('"')
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
