package server

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"redoubt/replication"
)

// D5: "A connection's output is released up to the first reply whose offset is
// not yet committed; order is kept."
func TestRepliesWaitForTheirOffset(t *testing.T) {
	n := startNode(t)
	a, b := n.dial(), n.dial()
	n.stream.hold()
	a.send("GET untouched")
	a.wantNext("(nil)") // its slot has no uncommitted write
	n.sends(a, "SET k 1")
	a.send("PING")
	b.send("GET k") // looks at the uncommitted write
	// A connection that saw nothing of it is not held.
	n.dial().want("PING", "PONG")
	n.dial().want("GET elsewhere", "(nil)")
	for _, c := range []*client{a, b} {
		c.nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if reply, err := readReply(c.r); err == nil {
			t.Errorf("%q left before its write was committed", reply)
		}
	}
	n.stream.commit(-1)
	a.wantNext("OK")
	a.wantNext("PONG")
	b.wantNext("1")
}

// A write whose reply is not wanted leaves a mark without output. What came before it
// leaves, and the mark stays before what comes after.
func TestReplyAfterADroppedOneWaitsForItsOffset(t *testing.T) {
	for _, unwanted := range []string{"CLIENT REPLY SKIP", "CLIENT REPLY OFF"} {
		n := startNode(t)
		c := n.dial()
		n.stream.hold()
		c.raw("PING 0123456789\r\n" + unwanted + "\r\nSET k 1\r\n")
		c.wantNext("0123456789")
		if unwanted == "CLIENT REPLY OFF" {
			c.send("CLIENT REPLY ON")
		} else {
			c.send("PING OK")
		}
		c.nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if reply, err := readReply(c.r); err == nil {
			t.Errorf("%s: %q left before the write was committed", unwanted, reply)
		}
		n.stream.commit(-1)
		c.wantNext("OK")
		c.want("PING", "PONG")
	}
}

// The stream may be replaced by one that ends lower before a loop has looked
// at what was committed of it. Replies that wait for the old stream leave then,
// and those that wait for the new one do not leave with them.
func TestRepliesOutliveTheStreamTheyWaitedFor(t *testing.T) {
	n := startNode(t)
	a := n.dial()
	a.want("PING", "PONG")
	n.stream.hold()
	l := n.loops[0]
	onLoop := func(f func()) {
		done := make(chan struct{})
		l.post(func() { f(); close(done) })
		<-done
	}
	var c *conn
	onLoop(func() {
		for _, x := range l.conns {
			if x != nil {
				c = x
			}
		}
		l.openOutput(c)
		reply := func(text string, gate replication.Offset) {
			start := c.out.Len()
			c.out.Simple(text)
			l.hold(c, mark{start: start, at: gate})
		}
		old := n.stream.Append(0, 0, []byte("a unit of the old stream"))
		reply("written before", old)
		n.stream.replace(0)
		reply("held late", old)
		reply("written after", n.stream.Append(0, 0, []byte("new")))
	})
	a.wantNext("written before")
	a.wantNext("held late")
	onLoop(func() { // the turn in which the two left is over
		if c.heldBytes() != len("+written after\r\n") || c.releasable() != c.sent {
			t.Errorf("%d bytes wait for the new stream, and %d may leave", c.heldBytes(), c.releasable()-c.sent)
		}
	})
	n.stream.commit(-1)
	a.wantNext("written after")
}

// A loop announces what it appends before it waits for what only the
// announcement brings about.
func TestALoopAnnouncesWhatItAppended(t *testing.T) {
	n := startNode(t)
	a, b := n.dial(), n.dial()
	for i := range 100 {
		a.want(fmt.Sprintf("SET k %d", i), "OK")
		deadline := time.Now().Add(10 * time.Second)
		for {
			n.stream.mu.Lock()
			end, announced := n.stream.end, n.stream.announced
			n.stream.mu.Unlock()
			if announced == end {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("announced %d of %d", announced, end)
			}
			if i%2 == 0 {
				b.want("PING", "PONG") // or nothing happens on the loop any more
			}
		}
	}
}

func TestPublishedMessagesFollowTheirUnit(t *testing.T) {
	n := startNode(t)
	sub, pub := n.dial(), n.dial()
	sub.want("SUBSCRIBE ch", "[subscribe ch 1]")
	n.stream.hold()
	pub.send("MULTI")
	pub.send("SET k v")
	pub.send("PUBLISH ch hello")
	n.sends(pub, "EXEC")
	pub.wantNext("OK")
	pub.wantNext("QUEUED")
	pub.wantNext("QUEUED")
	sub.nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if reply, err := readReply(sub.r); err == nil {
		t.Errorf("%q was delivered before its unit was committed", reply)
	}
	n.stream.commit(-1)
	pub.wantNext("[OK 1]")
	sub.wantNext("[message ch hello]")
}

// A client that does not read is closed at its limit and harms nobody.
func TestOutputLimit(t *testing.T) {
	n := startNode(t, "--client-output-buffer-limit", "normal 4mb 0 0")
	c, other := n.dial(), n.dial()
	other.want("SET k "+strings.Repeat("z", 100_000), "OK")
	go io.WriteString(c.nc, strings.Repeat("GET k\r\n", 2000))
	for {
		other.want("PING", "PONG")
		if strings.Contains(other.do("INFO stats"), "client_output_buffer_limit_disconnections:1\r\n") {
			break
		}
	}
}

// Who has not named the password cannot fill the memory with errors that he does not
// read.
// The time of a soft limit begins when the output passes it, however long the turn of the
// loop has lasted by then.
func TestTheTimeOfASoftLimitIsNotShort(t *testing.T) {
	n := startNode(t, "--client-output-buffer-limit", "normal 0 10 3600")
	n.dial().want("PING", "PONG")
	done := make(chan struct{})
	l := n.loops[0]
	l.post(func() {
		defer close(done)
		for _, c := range l.conns {
			if c == nil {
				continue
			}
			l.mono = 0
			l.openOutput(c)
			before := time.Since(n.started)
			c.out.Bulk(make([]byte, smallOutput-100))
			if l.checkOutput(c); c.softFrom != 0 {
				t.Error("what CLIENT LIST does not show as omem counts")
			}
			c.out.Bulk(make([]byte, 200))
			l.checkOutput(c)
			if c.softFrom < before {
				t.Errorf("the time began %v too early", before-c.softFrom)
			}
			return
		}
		t.Error("the loop has no connection")
	})
	<-done
}

func TestOutputLimitBeforeThePassword(t *testing.T) {
	n := startNode(t, "--requirepass", "secret")
	c, other := n.dial(), n.dial()
	other.want("AUTH secret", "OK")
	go func() { // until the connection is closed
		for err := error(nil); err == nil; {
			_, err = io.WriteString(c.nc, strings.Repeat("PING\r\n", 1000))
		}
	}()
	eventually(t, func() bool {
		return strings.Contains(other.do("INFO stats"), "client_output_buffer_limit_disconnections:1\r\n")
	})
}

// A reply over the limit closes its client, also where the socket would take it.
func TestOutputLimitOfOneReply(t *testing.T) {
	n := startNode(t, "--client-output-buffer-limit", "normal 100000 0 0")
	c := n.dial()
	c.want("SET small "+strings.Repeat("z", 80_000), "OK")
	c.want("SET large "+strings.Repeat("z", 120_000), "OK")
	c.want("STRLEN large", "120000")
	c.want("GET small", strings.Repeat("z", 80_000))
	c.send("GET large")
	c.closed()
}

// What waits for a client that does not read is shown where Redis shows it.
func TestClientListShowsWaitingOutput(t *testing.T) {
	n := startNode(t, "--client-output-buffer-limit", "pubsub 0 0 0")
	idle, c := n.dial(), n.dial()
	idle.want("CLIENT SETNAME idle", "OK")
	idle.send("SUBSCRIBE ch")
	message := "PUBLISH ch " + strings.Repeat("m", 100_000)
	for omem := 0; omem < 1_000_000; {
		c.want(message, "1")
		for line := range strings.Lines(c.do("CLIENT LIST")) {
			if !strings.Contains(line, "name=idle") {
				continue
			}
			var obl, oll int
			at := strings.Index(line, "obl=")
			if _, err := fmt.Sscanf(line[at:], "obl=%d oll=%d omem=%d", &obl, &oll, &omem); err != nil {
				t.Fatal(line, err)
			}
			if obl > 16<<10 || (omem > 0) != (oll == 1 && obl == 16<<10) {
				t.Fatal(line)
			}
		}
	}
}

func TestIdleConnectionsHoldNoBuffers(t *testing.T) {
	n := startNode(t)
	var cs []*client
	for range 50 {
		c := n.dial()
		c.want("SET k v", "OK")
		cs = append(cs, c)
	}
	n.stopLoops(nil)
	defer n.resumeLoops(nil)
	n.eachConn(func(c *conn) {
		if cap(c.in) != 0 || cap(c.out.Bytes()) != 0 {
			t.Errorf("an idle connection holds %d and %d bytes", cap(c.in), cap(c.out.Bytes()))
		}
	})
	_ = cs
}

// TestALoopCommitsByItself has a stream that tells nobody of a commit: whoever asked
// for it looks by itself.
func TestALoopCommitsByItself(t *testing.T) {
	n := startNode(t)
	n.stream.holdButTry()
	c := n.dial()
	for range 3 {
		c.want("SET k v", "OK")
		c.want("GET k", "v")
	}
}

// Messages that come before a request can close its connection, if it has not read
// the ones before. Then the request is not run: nobody would end what it begins, and
// the element that it waits for would be lost.
func TestNothingRunsForAClientThatItsMessagesHaveClosed(t *testing.T) {
	n := startNode(t, "--client-output-buffer-limit", "pubsub 10000 0 0")
	c, other := n.dial(), n.dial()
	c.do("HELLO 3")
	c.want("SUBSCRIBE ch", "[subscribe ch 1]")
	n.stopLoops(nil)
	n.Publish([]byte("ch"), make([]byte, 30_000), false)
	c.send("BLPOP k 0") // is read before the loop's mail, if it has arrived by then
	n.resumeLoops(nil)
	c.closed()
	other.want("RPUSH k x", "1")
	other.want("LRANGE k 0 -1", "[x]")
	if got := n.parked.count(); got != 0 {
		t.Errorf("%d clients wait", got)
	}
}
