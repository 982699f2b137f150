package psync

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"redoubt/replication"
)

// socket is a connection that takes at once as many bytes as it has room for.
type socket struct {
	net.Conn
	room int
	took strings.Builder // by TrySend
}

func (s *socket) TrySend(p []byte) (int, error) {
	n := min(len(p), s.room)
	s.room -= n
	s.took.Write(p[:n])
	return n, nil
}

// comeBy lets a replica come by a socket, and returns when it has the stream.
func (r *rig) comeBy(s *socket) {
	r.t.Helper()
	ours, theirs := net.Pipe()
	s.Conn = ours
	r.conn, r.done = theirs, make(chan error, 1)
	r.in = bufio.NewReader(theirs)
	go func() { r.done <- r.primary.Serve(context.Background(), s, 7, psync(idA, r.stream.End()+1)) }()
	r.expect("+CONTINUE " + idA + "\r\n")
	synctest.Wait()
}

// Whoever appends sends, before Push returns. What the socket does not take is left to
// the feeder, which can wait, and after that Push sends again.
func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := &socket{room: 30}
		r.comeBy(s)
		a, b, c := cmd("SET", "a", "1"), cmd("SET", "b", "2"), cmd("SET", "c", "3")
		r.stream.append(a)
		r.primary.Push()
		if got := s.took.String(); got != a {
			t.Fatalf("Push has sent %q", got)
		}
		r.stream.append(b)
		r.primary.Push()
		if got := s.took.String(); got != (a + b)[:30] {
			t.Fatalf("a socket with room for 30 bytes was sent %q", got)
		}
		s.room = 1000
		r.expect((a + b)[30:]) // by the feeder
		synctest.Wait()
		r.stream.append(c)
		r.primary.Push()
		if got := s.took.String(); got != (a + b)[:30]+c {
			t.Fatalf("Push has sent %q", got)
		}
		r.conn.Close()
		<-r.done
	})
}

// Once it is turned off the feeder sends again, and once it is turned on Push does.
func TestPushIsTurnedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := &socket{room: 1000}
		r.comeBy(s)
		r.primary.SetAhead(false)
		synctest.Wait()
		r.stream.append(cmd("PING"))
		r.primary.Push()
		if got := s.took.String(); got != "" {
			t.Fatalf("Push has sent %q", got)
		}
		r.expect(cmd("PING"))
		r.primary.SetAhead(true)
		r.stream.append(cmd("SELECT", "1")) // ends the feeder's wait
		r.expect(cmd("SELECT", "1"))
		synctest.Wait()
		r.stream.append(cmd("PING"))
		r.primary.Push()
		if got := s.took.String(); got != cmd("PING") {
			t.Fatalf("Push has sent %q", got)
		}
		r.conn.Close()
		<-r.done
	})
}

// After Bar nothing is sent that was not read before: it may be of another history.
func TestPushAfterBar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := &socket{room: 1000}
		r.comeBy(s)
		lift := r.primary.Bar()
		r.stream.append(cmd("PING"))
		r.primary.Push()
		if got := s.took.String(); got != "" {
			t.Errorf("Push has sent %q", got)
		}
		<-r.done
		lift()
	})
}

// Enough is the offset that so many replicas have, of those that get the stream.
func TestEnough(t *testing.T) {
	a, at := replication.NewAcks(), time.Unix(0, 0)
	for id, offset := range map[replication.ReplicaID]replication.Offset{1: 10, 2: 30, 3: 20, 4: 90} {
		a.Attach(id)
		if id != 4 {
			a.Online(id, at)
		}
		a.Record(id, offset, 0, at)
	}
	for n, want := range []replication.Offset{0, 30, 20, 10, 0} {
		if got := a.Enough(n); got != want {
			t.Errorf("%d replicas have the stream up to %d, want %d", n, got, want)
		}
	}
}

// A replica that is asked to acknowledge by itself does so when it has applied what has
// arrived, for as long as it was asked to; and nothing that its own disk does not have.
func TestPromptAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLinkRig(t)
		r.target.known, r.target.position = true, Position{History: replication.NewHistory(idA), End: 100}
		r.start()
		r.greet(idA, "101")
		r.send("+CONTINUE\r\n")
		ack := func(at string) { t.Helper(); r.expect(cmd("REPLCONF", "ACK", at)) }
		ack("100")
		r.send(PromptAcks)
		ack("100") // without the question itself
		ack("140") // by itself
		r.send(cmd("SET", "a", "1"))
		ack("167")
		r.target.limit(180)
		r.send(cmd("SET", "b", "2"))
		ack("180")
		r.target.limit(194)
		r.link.Committed()
		ack("194")
		time.Sleep(PromptFor + time.Millisecond)
		ack("194") // those that come once a second
		ack("194")
		r.send(cmd("SET", "c", "3"))
		r.conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := r.in.Peek(1); err == nil {
			t.Error("it still acknowledges by itself")
		}
		r.conn.Close()
		r.link.Close()
	})
}
