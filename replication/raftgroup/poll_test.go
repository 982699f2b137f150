package raftgroup

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// pair is the two ends of a connection.
func pair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if near, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	_ = far.SetDeadline(time.Now().Add(time.Minute))
	return near, far
}

// A round takes answers to its own question only, with the primary's term, from most of the
// voters.
func TestRoundsOfQuestions(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	g := &Group{self: "a", ctx: ctx}
	far, near := map[string]net.Conn{}, map[string]net.Conn{}
	for _, member := range []string{"b", "c", "d"} {
		near[member], far[member] = pair(t)
	}
	dialled := map[string]chan bool{"b": make(chan bool, 1), "c": make(chan bool, 1), "d": make(chan bool, 1)}
	g.cfg.Ask = func(member string, _ time.Duration) (net.Conn, error) {
		dialled[member] <- true // a second time it waits for ever
		return near[member], nil
	}
	p := newPoll(g)
	voters := []string{"a", "b", "c", "d"} // three are most
	const term = 3
	for p.ask(voters, 1, term); !t.Failed(); time.Sleep(time.Millisecond) {
		p.mu.Lock()
		connected := p.asking["b"].conn != nil && p.asking["c"].conn != nil && p.asking["d"].conn != nil
		p.mu.Unlock()
		if connected {
			break
		}
	}
	question := func(member string) uint64 {
		t.Helper()
		b := make([]byte, questionBytes)
		if _, err := io.ReadFull(far[member], b); err != nil {
			t.Fatal(err)
		}
		return binary.BigEndian.Uint64(b)
	}
	answer := func(member string, round, term uint64) {
		t.Helper()
		b := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, round), term)
		if _, err := far[member].Write(b); err != nil {
			t.Fatal(err)
		}
		for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
			p.mu.Lock()
			a := p.asking[member]
			taken := a.conn == nil || a.answered == round
			p.mu.Unlock()
			if taken {
				return
			}
		}
		t.Fatal("nobody takes the answer")
	}
	round := func(number uint64, want bool) {
		t.Helper()
		if got := p.ask(voters, number, term); got != want {
			t.Errorf("round %d is confirmed: %v", number, got)
		}
	}

	round(1, false)
	for member := range far {
		if got := question(member); got != 1 {
			t.Fatalf("%s is asked in round %d", member, got)
		}
	}
	answer("b", 1, term)
	round(1, false) // two of four
	answer("c", 1, term+1)
	round(1, false)        // one of them has another
	answer("d", 1, term-1) // it has not voted for a later one
	round(1, true)

	round(2, false) // what was said before does not count
	for member := range far {
		if got := question(member); got != 2 {
			t.Fatalf("%s is asked in round %d", member, got)
		}
	}
	round(3, false) // nobody is asked twice
	answer("b", 2, term)
	answer("c", 2, term)
	round(3, false) // too late: these were the answers to another question
	if b, c := question("b"), question("c"); b != 3 || c != 3 {
		t.Fatalf("asked in rounds %d and %d", b, c)
	}
	answer("b", 3, term)
	answer("c", 3, term)
	round(3, true)
	answer("d", 9, term) // nobody has asked that
	p.mu.Lock()
	if p.asking["d"].conn != nil {
		t.Error("who answers what nobody has asked is listened to")
	}
	p.mu.Unlock()
	cancel()
	g.running.Wait()
}
