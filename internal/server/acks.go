package server

import (
	"time"

	"redoubt/internal/resp"
	"redoubt/replication"
)

// This file is the share of the reply gate that min-replicas-to-ack has: replies wait
// until enough replicas have acknowledged their offsets, as they wait for an fsync, but
// not for longer than min-replicas-ack-timeout. Then the reply to a write is replaced
// by an error, since nobody knows whether the write will survive; what shows data leaves
// as it is.

// commits is what the stream says of its commits at one moment.
type commits struct {
	committed, shown, end replication.Offset
	confirmed             uint64
	term                  uint32
	timeout               time.Duration
}

func (l *loop) commits() commits {
	s := l.srv.stream
	now := commits{timeout: l.srv.config.Current().MinReplicasAckTimeout}
	now.committed, now.shown, now.end = s.Committed(), s.Shown(), s.End()
	now.confirmed = s.Confirmed()
	now.term = s.Term() // last: if it is that of a mark, so was it when the rest was read
	return now
}

// free reports whether what a mark holds back may leave as it is.
func (n *commits) free(m *mark) bool {
	if m.term != 0 {
		return m.term == n.term && m.at <= n.committed && m.round <= n.confirmed
	}
	return m.at <= n.shown || beyond(m.at, n.end)
}

// over reports whether a reply to a write has waited for replicas and the node's role
// has changed since, so that nobody will ever know.
func (n *commits) over(m *mark) bool { return m.term != 0 && m.term != n.term }

// overdue deals with a mark, number i of a connection, that has waited for replicas for
// too long, and reports whether it holds nothing back any more.
func (l *loop) overdue(c *conn, i int, now *commits) bool {
	m := &c.marks[i]
	if !m.waits || c.is(stateRunning) { // a script that takes long writes to the output
		return false
	}
	if !now.over(m) {
		if now.timeout == 0 {
			return false
		}
		if due := m.since + now.timeout; due > l.mono {
			if l.acksDue == 0 || due < l.acksDue {
				l.acksDue = due
			}
			return false
		}
		l.srv.stream.GiveUp(m.at)
		now.shown = l.srv.stream.Shown()
	}
	m.waits = false
	if m.term != 0 {
		m.term, m.round = 0, 0
		l.replace(c, i)
		if l.srv.stream.Strict() {
			m.at = 0 // nothing of the data is left in the output
		}
	}
	return now.free(m)
}

// replace puts an error in the place of a reply that is held back. If nothing of the
// request is answered, there is nothing to replace.
func (l *loop) replace(c *conn, i int) {
	m := &c.marks[i]
	switch {
	case m.start == m.end:
		return
	case m.mixed:
		l.drop(c) // subscriptions were confirmed in it, which the client would not know of
		return
	}
	err := resp.ErrUncertain
	if m.shows {
		err = resp.ErrNoQuorum
	} else {
		l.srv.uncertain.Add(1)
	}
	l.stats.errorReply(err, false)
	tail := append(l.encoded[:0], c.out.Bytes()[m.end:]...)
	l.encoded = tail
	c.out.Truncate(m.start)
	c.out.Error(err)
	by := c.out.Len() - m.end
	c.out.Raw(tail)
	m.end += by
	for j := i + 1; j < len(c.marks); j++ {
		c.marks[j].start += by
		c.marks[j].end += by
	}
}

// unanswered says that the reply of the last request, which began at start, was dropped.
func (c *conn) unanswered(start int) {
	if n := len(c.marks); n > 0 && c.marks[n-1].end > start {
		m := &c.marks[n-1]
		m.end, m.mixed = m.start, false
	}
}

// wantAcks asks replicas for acknowledgements if replies wait for them.
func (l *loop) wantAcks() {
	if len(l.held) == 0 || l.srv.replication == nil || !l.srv.stream.AwaitsReplicas() {
		return
	}
	l.srv.replication.WantAcks(l.exec)
}

// Uncertain counts the writes that were answered with UNCERTAIN.
func (s *Server) Uncertain() int64 { return s.uncertain.Load() }
