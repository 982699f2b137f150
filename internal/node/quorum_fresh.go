package node

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"time"

	"redoubt/replication"
)

// How late a replica is. What was acknowledged before an instant lies before the end of what
// the primary had committed at that instant, or later. So the replica asks the primary, and
// when what it shows has all that the answer names, it has all that was acknowledged before
// it asked: an upper bound that takes no clock but its own. The primary answers only when a
// majority has told, after the question, that it still is the primary; otherwise somebody
// else may have acknowledged more.

const (
	freshPeriod = 500 * time.Millisecond
	freshBytes  = 20 + 8 // a replication id and an offset, big-endian
)

// refresh keeps quorum.fresh, on a replica.
func (q *quorum) refresh(ctx context.Context, p *membership) {
	tick := time.NewTicker(freshPeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		leader := p.Leader()
		if leader == "" || leader == p.Self() {
			continue
		}
		asked := time.Now()
		line, at, err := q.askFresh(leader)
		if err != nil {
			continue
		}
		within, cancel := context.WithTimeout(ctx, peerTime)
		err = q.n.commits.wait(within, func() bool { return q.n.replicator.ID() == line && q.n.commits.Committed() >= at })
		cancel()
		if err == nil {
			q.fresh.Store(&asked)
		}
	}
}

// askFresh asks the primary up to where its stream is committed.
func (q *quorum) askFresh(leader string) (line string, at replication.Offset, err error) {
	conn, err := q.dial(leader, forFresh, peerTime)
	if err != nil {
		return "", 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(peerTime))
	b := make([]byte, freshBytes)
	if _, err := io.ReadFull(conn, b); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(b[:20]), replication.Offset(binary.BigEndian.Uint64(b[20:])), nil
}

// tellFresh answers askFresh, if this node is the primary.
func (q *quorum) tellFresh(conn net.Conn, p *membership) {
	if q.term.Load() == 0 {
		_, _ = conn.Write(p.answer(peerNo))
		return
	}
	round := p.Ask()
	ctx, cancel := context.WithTimeout(q.n.replicator.ctx, peerTime)
	defer cancel()
	line := q.n.replicator.ID()
	// The first mark of a primary has everything that was acknowledged before it was one.
	known := func() bool {
		return q.confirmed.Load() >= round && (q.n.commits.Committed() > 0 || q.n.stream.End() == 0)
	}
	if q.n.commits.wait(ctx, known) != nil || !q.n.commits.leads.Load() {
		_, _ = conn.Write(p.answer(peerNo))
		return
	}
	b, err := hex.AppendDecode(p.answer(peerYes), []byte(line))
	if err == nil {
		_, _ = conn.Write(binary.BigEndian.AppendUint64(b, uint64(q.n.commits.Committed())))
	}
}

// staleness is by how much what this node shows may be out of date: 0 on a primary, and less
// than a millisecond (-1 in milliseconds) if it is not known.
func (q *quorum) staleness(now time.Time) time.Duration {
	fresh := q.fresh.Load()
	switch {
	case q.n.commits.leads.Load():
		return 0
	case fresh == nil:
		return -time.Millisecond
	}
	return now.Sub(*fresh)
}
