package raftgroup

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// poll is the rounds of questions by which a primary finds out that it still was one when a
// round began. The library has such a round (VerifyLeader), but that is one of heartbeats: they
// pass through its loop, which also commits, and answers to earlier ones count.
//
// A question is the number of a round, and the answer that and the term of the member. If that
// is the primary's, or one before it, nobody who has answered had voted for a later one; and whoever is elected
// later has the vote of one of any majority. So what was acknowledged before the round began was
// acknowledged by this primary, or before it.
type poll struct {
	g    *Group
	news chan struct{} // bell

	mu     sync.Mutex
	asking map[string]*asking // by member
}

// asking is what goes on with one member.
type asking struct {
	conn     net.Conn // nil: none
	dialling bool
	asked    uint64 // the last round that it was asked in
	since    time.Time
	answered uint64 // the last that it has answered
	term     uint64 // of that answer
}

const (
	questionBytes = 8
	answerBytes   = 8 + 8
)

func newPoll(g *Group) *poll {
	return &poll{g: g, news: bell(), asking: map[string]*asking{}}
}

// confirmed reports whether most of the voters, of which this node is one, still were of a term
// at some moment after the call. It returns when they have said so, or the node does not lead.
func (p *poll) confirmed(round, term uint64) bool {
	again := time.NewTimer(commitPeriod)
	defer again.Stop()
	for {
		voters, _ := p.g.Voters()
		if p.ask(voters, round, term) {
			return true
		}
		if !p.g.rules() || p.g.raft.CurrentTerm() != term {
			return false
		}
		select {
		case <-p.news:
		case <-again.C:
			again.Reset(commitPeriod)
		case <-p.g.ctx.Done():
			return false
		}
	}
}

// ask asks who has not been asked in a round yet, and reports whether most have answered.
func (p *poll) ask(voters []string, round, term uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	agree := 0
	for _, v := range voters {
		if v == p.g.self {
			agree++
			continue
		}
		a := p.asking[v]
		if a == nil {
			a = &asking{}
			p.asking[v] = a
		}
		switch {
		case a.answered == round:
			if a.term <= term {
				agree++
			}
		case a.conn == nil:
			p.dial(v, a)
		case a.asked == a.answered:
			p.put(a, round)
		case time.Since(a.since) > wireTimeout:
			a.conn.Close()
		}
	}
	p.forget(voters)
	return agree > len(voters)/2
}

// put asks a member, which has answered what it was asked before. So little is never too much
// for the socket: nobody waits. mu is held.
func (p *poll) put(a *asking, round uint64) {
	a.asked, a.since = round, time.Now()
	if _, err := a.conn.Write(binary.BigEndian.AppendUint64(nil, round)); err != nil {
		a.conn.Close()
	}
}

// dial connects to a member. mu is held.
func (p *poll) dial(member string, a *asking) {
	if a.dialling {
		return
	}
	a.dialling = true
	p.g.running.Go(func() {
		conn, err := p.g.cfg.Ask(member, wireTimeout)
		if err != nil {
			select {
			case <-time.After(commitPeriod):
			case <-p.g.ctx.Done():
			}
		}
		p.mu.Lock()
		a.dialling = false
		if err == nil && p.asking[member] != a {
			conn.Close() // it was forgotten meanwhile
		}
		if err == nil {
			a.conn, a.asked, a.answered = conn, 0, 0
		}
		p.mu.Unlock()
		wake(p.news)
		if err == nil {
			p.read(a, conn)
		}
	})
}

// read takes the answers of a member until the connection ends.
func (p *poll) read(a *asking, conn net.Conn) {
	end := closeWith(p.g.ctx, conn)
	defer end()
	b := make([]byte, answerBytes)
	for {
		_, err := io.ReadFull(conn, b)
		p.mu.Lock()
		if round := binary.BigEndian.Uint64(b); err == nil && round == a.asked {
			a.answered, a.term = round, binary.BigEndian.Uint64(b[8:])
		} else {
			a.conn = nil
		}
		gone := a.conn == nil
		p.mu.Unlock()
		wake(p.news)
		if gone {
			return
		}
	}
}

// forget ends the connections to those who have no vote any more. mu is held.
func (p *poll) forget(voters []string) {
	if len(p.asking) < len(voters) {
		return
	}
	for member, a := range p.asking {
		if !slices.Contains(voters, member) {
			if a.conn != nil {
				a.conn.Close()
			}
			delete(p.asking, member)
		}
	}
}

// Answer answers the questions that another member asks by a connection, until that ends.
func (g *Group) Answer(conn net.Conn) {
	end := closeWith(g.ctx, conn)
	defer end()
	b := make([]byte, answerBytes)
	for {
		if _, err := io.ReadFull(conn, b[:questionBytes]); err != nil {
			return
		}
		binary.BigEndian.PutUint64(b[questionBytes:], g.raft.CurrentTerm())
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
}

// closeWith closes a connection when a context or the caller ends, who calls what it returns.
func closeWith(ctx context.Context, conn net.Conn) (end func()) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return func() {
		stop()
		conn.Close()
	}
}
