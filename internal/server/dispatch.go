package server

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"redoubt/internal/admin"
	"redoubt/internal/command"
	"redoubt/internal/resp"
)

// request is the command line at hand.
type request struct {
	row  *command.Row // &noRow if there is none
	args [][]byte
	raw  []byte // as RESP; nil for an inline request

	flags      command.Flags // for EXEC those of its queue as well
	lacking    command.Flags // flags the command, or one of the queue, does not have
	refusal    resp.Error
	redirected bool

	// way is how the request is routed, once the gate of a cluster has found it
	// (found); the unit asks again with the slot locked. oneSlot: no key of the
	// request is in another slot than way.Slot.
	way            Route
	found, oneSlot bool
}

// lastFound is the command that was looked up last: its name as the client
// wrote it, which no row has before the first request.
type lastFound struct {
	name []byte
	row  *command.Row
}

// request runs one command line, or queues or refuses it. It reports false if
// the line has to wait: then nothing has happened, and the connection's loop
// gives it again.
func (l *loop) request(c *conn, args [][]byte, raw []byte) bool {
	q := &l.req
	q.args, q.raw = args, raw
	q.redirected, q.found, q.oneSlot = false, false, false
	l.pushes, l.redacted = l.pushes[:0], l.redacted[:0]
	l.stats.commands++
	c.set(stateSkipping, c.is(stateReplySkip))
	c.set(stateReplySkip, false)

	start := c.out.Len()
	q.row = l.find(args)
	v := refuse
	switch {
	case q.row == &noRow:
		if q.refusal = l.unknown(c, args); q.refusal == "" {
			return true
		}
	case !q.row.Takes(len(args)):
		q.refusal = resp.ErrArity(q.row.FullName())
	default:
		c.last = q.row
		q.flags = q.row.FlagsOf(args)
		q.lacking = ^q.flags
		if q.row.Is(command.RunsQueue) && c.multi != nil {
			q.flags |= c.multi.flags
			q.lacking |= c.multi.lacking
		}
		v = l.admit(c, q)
	}
	if l.srv.keyspace.Tracks() {
		l.limitTracked()
	}
	if c.subs != nil && v != wait {
		l.takeInbox(c.subs) // what came before the request, and what its gates have evicted
		if c.is(stateClosed) {
			return true // that was more than it may leave unread: nothing may begin for it any more
		}
		start = c.out.Len()
	}
	if v == pass {
		v = l.perform(c, q, start)
	}
	switch v {
	case wait:
		l.stats.commands--
		c.set(stateReplySkip, c.is(stateSkipping))
		l.postpone(c)
		return false
	case refuse:
		l.refuse(c, q)
		l.countArrived(q)
	case queue:
		l.countArrived(q)
		c.multi.add(q)
		c.out.Simple("QUEUED")
		if int64(c.multi.bytes) > l.cfg.QueryBufferBytes {
			l.endOverlong(c)
		}
	}
	if c.is(stateAsking) && c.multi == nil && !q.row.Is(command.SetsAsking) {
		c.set(stateAsking, false) // it is for one command, or a whole transaction
	}
	if c.is(stateCaching) && c.multi == nil && !strings.HasPrefix(q.row.FullName(), "client|") {
		c.set(stateCaching, false) // as long as ASKING, but that CLIENT commands do not end it
	}
	if c.is(stateReplyOff|stateSkipping) && !c.is(stateClosed) && c.out.Len() > start {
		l.keepPushes(c, start)
		c.unanswered(start)
	}
	if c.subs != nil {
		l.takeInbox(c.subs) // what the request itself has brought about follows its reply
	}
	return true
}

// noRow stands for the row of a name that is no command.
var noRow command.Row

// find is Table.Resolve, with the row of the last request at hand, since
// clients tend to repeat themselves.
func (l *loop) find(args [][]byte) *command.Row {
	last := &l.last
	if string(args[0]) == string(last.name) {
		return last.row
	}
	row, _ := l.srv.table.Resolve(args)
	if row == nil {
		return &noRow
	}
	if len(row.Sub) == 0 && resp.EqualFold(args[0], row.Name) { // no sub-command: the first word is all of it
		last.name = append(last.name[:0], args[0]...)
		last.row = row
	}
	return row
}

// unknown is the answer to a name that is no command.
func (l *loop) unknown(c *conn, args [][]byte) resp.Error {
	if resp.EqualFold(args[0], "host:") || resp.EqualFold(args[0], "post") {
		// A browser that was tricked into talking to us over HTTP: nothing of
		// what follows may be run.
		l.srv.log.Warn("Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis instance. Connection from " + c.remote + " aborted.")
		l.drop(c)
		return ""
	}
	return notFound(l.srv.table.Lookup(args[0]), args)
}

// notFound is the error of a name that is no command. known is the command that the
// first word names alone, nil if there is none. A remark for people may stand behind
// Redis's text.
func notFound(known *command.Row, args [][]byte) resp.Error {
	err := resp.ErrUnknownCommand(args)
	switch {
	case known == nil:
	case len(args) < 2:
		return resp.ErrArity(known.Name)
	default:
		err = resp.ErrUnknownSubcommand(string(args[0]), args[1])
	}
	if hint := command.AbsentHint(known, args); hint != "" {
		err = resp.Error(strings.TrimSuffix(string(err), " ") + " " + hint)
	}
	return err
}

// refuse answers a request that did not pass, as Redis's rejectCommand.
func (l *loop) refuse(c *conn, q *request) {
	err := q.refusal
	exec := q.row.Is(command.RunsQueue)
	switch {
	case exec && q.redirected:
		l.discard(c)
	case exec && c.multi != nil:
		l.discard(c)
		err = resp.ErrExecAbortedBy(err)
	case exec:
		err = resp.ErrExecAbortedBy(err)
	case c.multi != nil:
		c.multi.broken = true
	}
	c.out.Error(err)
	if exec && !q.redirected && l.srv.monitors.any.Load() {
		l.srv.monitors.tell(l, c, q.args) // they have seen MULTI, and see its end
	}
	l.stats.errorReply(err, false)
	if q.row != &noRow {
		l.runner.CountRejection(q.row)
	}
}

// perform runs an admitted request and keeps the books of it. A transaction may
// find, when it has what it needs, that it must wait or is refused after all.
func (l *loop) perform(c *conn, q *request, start int) verdict {
	began := l.mono
	l.runner.Bind(c, &c.out, q.row, q.args)
	l.runner.Ctx.ReplyGate, l.answered, l.ranIn = 0, start, noSlot
	l.exec.TakeWrote()
	term := l.srv.stream.Term()
	if l.runner.Reader = 0; c.track != nil {
		l.runner.Reader = c.reader()
	}
	if q.row.Is(command.RunsQueue) {
		if v := l.transact(c, q); v != pass {
			return v
		}
	} else {
		l.unit(c, q)
	}
	if len(l.monitored) > 0 {
		l.srv.monitors.send(l)
	}
	l.account(c, q.row, q.args, start, began)
	l.announceDue()
	if len(l.published) > 0 {
		l.sendPublished(c)
	}
	wrote := l.exec.TakeWrote()
	if l.runner.CountsSlots() {
		l.countSlot(c, q, start, began, wrote)
	}
	if !c.is(stateClosed | stateDetached) {
		shows := wrote == 0 || !q.mayWrite()
		routed := q.found || q.row.Is(command.RunsScript) || q.row.Is(command.RunsQueue)
		l.hold(c, mark{start: start, at: l.runner.Ctx.ReplyGate, term: term, shows: shows, routed: routed, mixed: len(l.pushes) > 0})
		c.woff = max(c.woff, l.runner.Ctx.ReplyGate)
	}
	return pass
}

// mayWrite reports whether effects of the request are what its client has asked for: a
// read may have found that a key has expired.
func (q *request) mayWrite() bool {
	return q.flags&(command.Write|command.MayReplicate) != 0 || q.row.Is(command.RunsScript)
}

// account keeps the books of one executed command: its statistics, the slow
// log, the monitors.
func (l *loop) account(c *conn, row *command.Row, args [][]byte, start int, began time.Duration) {
	took := l.readClock() - began
	b := c.out.Bytes()
	failed := !c.is(stateClosed) && len(b) > start && b[start] == '-'
	l.runner.Count(row, took, failed)
	if c.is(stateClosed) {
		return
	}
	if failed && !l.counted {
		l.stats.errorReply(errorLine(b[start:]), l.ownError)
	}
	l.counted, l.ownError = false, false
	if len(l.redacted) > 0 {
		args = slices.Clone(args)
		for _, i := range l.redacted {
			args[i] = []byte("(redacted)")
		}
	}
	if p := c.parked; p != nil {
		p.took, p.args = took, nil
		if l.cfg.SlowlogLogSlowerThan >= 0 {
			p.args = cloneArgs(args)
		}
	} else {
		c.commands++
		l.runner.CountLatency(row, took)
		l.logSlow(c, row, args, took)
	}
	if limit := l.cfg.LatencyMonitorThreshold; limit > 0 && took >= limit {
		l.srv.admin.Latency.Add(admin.LatencyEvent(row), l.unix/1000, took)
	}
	if l.srv.monitors.any.Load() && row.Flags&(command.SkipMonitor|command.Admin) == 0 {
		l.srv.monitors.tell(l, c, args)
	}
}

// logSlow puts a command into the slow log if it is slow.
func (l *loop) logSlow(c *conn, row *command.Row, args [][]byte, took time.Duration) {
	if limit := l.cfg.SlowlogLogSlowerThan; took >= limit && limit >= 0 && row.Flags&command.SkipSlowlog == 0 {
		l.srv.admin.SlowLog.Add(l.unix, took, args, c.remote, c.identity.Name)
	}
}

func cloneArgs(args [][]byte) [][]byte {
	own := make([][]byte, len(args))
	for i, a := range args {
		own[i] = bytes.Clone(a)
	}
	return own
}

// errorLine is the error that b begins with.
func errorLine(b []byte) resp.Error {
	for i, ch := range b {
		if ch == '\r' {
			return resp.Error(b[1:i])
		}
	}
	return resp.Error(b[1:])
}
