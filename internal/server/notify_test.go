package server

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// listener is a client that hears of the events of all keys.
func (n *node) listener() *client {
	c := n.dial()
	c.want("PSUBSCRIBE __key*", "[psubscribe __key* 1]")
	return c
}

// events reads n events, as "channel payload".
func (c *client) events(n int) (events []string) {
	c.t.Helper()
	for range n {
		e := strings.TrimSuffix(strings.TrimPrefix(c.read(), "[pmessage __key* "), "]")
		events = append(events, e)
	}
	return events
}

func (c *client) wantEvents(events ...string) {
	c.t.Helper()
	if got := c.events(len(events)); fmt.Sprint(got) != fmt.Sprint(events) {
		c.t.Errorf("events %q, want %q", got, events)
	}
}

func TestEventsOfKeysArePublished(t *testing.T) {
	n := startNode(t, "--notify-keyspace-events", "KEA")
	l, c := n.listener(), n.dial()
	c.want("SET a 1 EX 100", "OK")
	l.wantEvents("__keyspace@0__:a set", "__keyevent@0__:set a", "__keyspace@0__:a expire", "__keyevent@0__:expire a")
	c.want("CONFIG SET notify-keyspace-events Eg$mn", "OK")
	c.want("SELECT 3", "OK")
	for _, line := range []string{"MULTI", "LPUSH l 1", "DEL l", "GET none", "EXEC"} {
		c.do(line)
	}
	l.wantEvents("__keyevent@3__:new l", "__keyevent@3__:del l", "__keyevent@3__:keymiss none")
	c.want("CONFIG SET notify-keyspace-events Egl", "OK")
	waits := n.dial()
	waits.send("BLPOP queue 0") // in database 0
	c.waitFor("blocked_clients", "1")
	c.want("SELECT 0", "OK")
	c.want("RPUSH queue x", "1")
	waits.wantNext("[queue x]")
	l.wantEvents("__keyevent@0__:rpush queue", "__keyevent@0__:lpop queue", "__keyevent@0__:del queue")
	c.want("SELECT 3", "OK")
	c.want("FLUSHALL", "OK")
	c.want("CONFIG SET notify-keyspace-events K", "OK")
	c.want("SET a 1", "OK")
	c.want("CONFIG SET notify-keyspace-events KE$", "OK")
	c.want("APPEND a 1", "2")
	l.wantEvents("__keyspace@3__:a append", "__keyevent@3__:append a")
}

func TestEventsOfWhatTheNodeDeletes(t *testing.T) {
	n := startNode(t, "--notify-keyspace-events", "Exe", "--maxmemory-policy", "allkeys-random")
	l, c := n.listener(), n.dial()
	c.want("SET found v PX 1", "OK")
	l.wantEvents("__keyevent@0__:expired found") // by the housekeeping
	c.want("DEBUG SET-ACTIVE-EXPIRE 0", "OK")
	c.want("SET found v PXAT 1", "OK")
	c.want("GET found", "(nil)")
	l.wantEvents("__keyevent@0__:expired found")
	c.want("SET a v", "OK")
	c.want("CONFIG SET maxmemory 1", "OK")
	l.wantEvents("__keyevent@0__:evicted a")
}

// A message about a write is held like the reply to it.
func TestEventsWaitForTheirWrite(t *testing.T) {
	n := startNode(t, "--notify-keyspace-events", "EA")
	l, c := n.listener(), n.dial()
	n.stream.hold()
	n.sends(c, "SET a 1")
	l.send("PING")
	l.silent()
	n.stream.commit(-1)
	c.wantNext("OK")
	l.wantEvents("__keyevent@0__:set a")
	l.wantNext("[pong ]")
}

// Whoever listens hears of changes of a key in the order in which they were made,
// on whatever loop: the length of a list goes up with each event.
func TestEventsOfAKeyComeInOrder(t *testing.T) {
	n := startNode(t, "--notify-keyspace-events", "KA", "--event-loops", "3")
	l := n.dial()
	l.want("SUBSCRIBE __keyspace@0__:k", "[subscribe __keyspace@0__:k 1]")
	const writers, writes = 4, 200
	var all sync.WaitGroup
	for range writers {
		c := n.dial()
		all.Go(func() {
			for range writes {
				c.do("LPUSH k x")
				c.do("RPOP k")
			}
		})
	}
	length := 0
	for seen := 0; seen < 2*writers*writes; seen++ {
		switch e := l.read(); e {
		case "[message __keyspace@0__:k lpush]":
			length++
		case "[message __keyspace@0__:k rpop]":
			if length--; length < 0 {
				t.Fatal("an element is taken before it is put")
			}
		case "[message __keyspace@0__:k del]":
			if length != 0 {
				t.Fatalf("the list goes with %d elements", length)
			}
			seen--
		default:
			t.Fatal(e)
		}
	}
	all.Wait()
}

// A client that speaks RESP3 hears of its own write behind the reply.
func TestOwnEventsFollowTheReply(t *testing.T) {
	n := startNode(t, "--notify-keyspace-events", "EA")
	c := n.dial()
	c.do("HELLO 3")
	c.want("SUBSCRIBE __keyevent@0__:set", "[subscribe __keyevent@0__:set 1]")
	c.raw("SET a 1\r\nGET a\r\nMULTI\r\nSET b 1\r\nPING\r\nEXEC\r\nCLIENT REPLY OFF\r\nSET c 1\r\n")
	for _, want := range []string{"OK", "[message __keyevent@0__:set a]", "1", "OK", "QUEUED", "QUEUED",
		"[OK PONG]", "[message __keyevent@0__:set b]", "[message __keyevent@0__:set c]"} {
		c.wantNext(want)
	}
}
