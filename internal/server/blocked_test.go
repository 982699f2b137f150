package server

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
	"redoubt/internal/resp"
	"redoubt/slots"
)

// blocks sends a command on a connection of its own and returns when it waits.
func (n *node) blocks(line string) *client {
	n.t.Helper()
	c := n.dial()
	before := n.parked.count()
	c.send(line)
	n.waiting(before + 1)
	return c
}

// waiting waits until so many clients wait.
func (n *node) waiting(want int) {
	n.t.Helper()
	redistest.Until(n.t, 10*time.Second, fmt.Sprintf("%d clients wait", want), func() error {
		if got := n.parked.count(); got != want {
			return fmt.Errorf("%d do", got)
		}
		return nil
	})
}

// streamed is the stream so far: a command a word, with its arguments.
func (n *node) streamed() (lines []string) {
	for _, unit := range n.stream.recorded() {
		for rest := []byte(unit); len(rest) > 0; {
			var p resp.Parser
			used, err := p.Parse(rest)
			if err != nil || used == 0 {
				n.t.Fatalf("the stream has %q: %v", unit, err)
			}
			var words []string
			for _, a := range p.Args {
				words = append(words, string(a))
			}
			lines = append(lines, strings.Join(words, " "))
			rest = rest[used:]
		}
	}
	return lines
}

func TestWaitersAreServedInTheirOrder(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	a, b, c := n.blocks("BLPOP k 0"), n.blocks("BRPOP k 0"), n.blocks("BLMPOP 0 1 k LEFT COUNT 2")
	late := n.blocks("BLPOP k 0")
	pusher := n.dial()
	pusher.want("RPUSH k 1 2 3 4 5", "5")
	a.wantNext("[k 1]")
	b.wantNext("[k 5]")
	c.wantNext("[k [2 3]]")
	late.wantNext("[k 4]")
	pusher.want("EXISTS k", "0")
	want := []string{"RPUSH k 1 2 3 4 5", "LPOP k", "RPOP k", "LPOP k 2", "LPOP k"}
	if got := n.streamed(); !slices.Equal(got, want) {
		t.Errorf("the stream has %q, want %q", got, want)
	}
}

// A waiter stands at each of its keys, in any slots, and is served once.
func TestAWaiterForSeveralKeys(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	first := n.blocks("BLPOP a b c b 0")
	second := n.blocks("BZPOPMIN z b 0")
	pusher := n.dial()
	pusher.want("RPUSH b 1", "1")
	first.wantNext("[b 1]")
	pusher.want("RPUSH a 2", "1")
	pusher.want("ZADD b 3 m", "1")
	second.wantNext("[b m 3]")
	pusher.want("LRANGE a 0 -1", "[2]")
	first.want("BLPOP c a 0", "[a 2]")
}

func TestChainsOfMoves(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	end := n.blocks("BLPOP c 0")
	middle := n.blocks("BLMOVE b c LEFT right 0")
	first := n.blocks("BRPOPLPUSH a b 0")
	pusher := n.dial()
	pusher.want("RPUSH a x", "1")
	for _, c := range []*client{first, middle} {
		c.wantNext("x")
	}
	end.wantNext("[c x]")
	pusher.want("EXISTS a b c", "0")
	want := []string{"RPUSH a x", "RPOPLPUSH a b", "LMOVE b c LEFT right", "LPOP c"}
	if got := n.streamed(); !slices.Equal(got, want) {
		t.Errorf("the stream has %q, want %q", got, want)
	}
	// Two that move to and fro end, because each is served once.
	to, fro := n.blocks("BLMOVE a b LEFT LEFT 0"), n.blocks("BLMOVE b a LEFT LEFT 0")
	same := n.blocks("BLMOVE a a LEFT RIGHT 0")
	pusher.want("RPUSH a x", "1")
	to.wantNext("x")
	fro.wantNext("x")
	same.wantNext("x")
	pusher.want("LRANGE a 0 -1", "[x]")
}

func TestWhatMakesAKeyReady(t *testing.T) {
	for _, c := range []struct {
		wait, setup, line, reply string
	}{
		{"BLPOP k 0", "", "LPUSH k x", "[k x]"},
		{"BLPOP k 0", "RPUSH other x", "RENAME other k", "[k x]"},
		{"BLPOP k 0", "RPUSH other x", "RENAMENX other k", "[k x]"},
		{"BLPOP k 0", "RPUSH other x", "COPY other k", "[k x]"},
		{"BLPOP k 0", "RPUSH other x", "LMOVE other k LEFT LEFT", "[k x]"},
		{"BLPOP k 0", "RPUSH other x", "SORT other ALPHA STORE k", "[k x]"},
		{"BLPOP k 0", "RPUSH other x", "SORT other BY w_* STORE k", "[k x]"},
		{"BLPOP k 0", "SELECT 1; RPUSH k x", "MOVE k 0", "[k x]"},
		{"BLPOP k 0", "SELECT 1; RPUSH k x", "SWAPDB 0 1", "[k x]"},
		{"BLPOP k 0", "MULTI; SET k v; DEL k; RPUSH k x", "EXEC", "[k x]"},
		{"BLPOP k 0", "SET k v", "LPUSH other x; DEL k; RENAME other k", "[k x]"},
		{"BZPOPMAX k 0", "ZADD other 1 x", "ZUNIONSTORE k 1 other", "[k x 1]"},
		{"BZPOPMAX k 0", "ZADD other 1 x", "ZRANGESTORE k other 0 -1", "[k x 1]"},
		{"BZPOPMAX k 0", "SADD other x", "ZINTERSTORE k 1 other", "[k x 1]"},
		{"BZPOPMAX k 0", "", "ZINCRBY k 1 x", "[k x 1]"},
		{"BZMPOP 0 2 k l MIN", "", "ZADD k 1 x", "[k [[x 1]]]"},
		{"BLMPOP 0 2 l k RIGHT", "", "RPUSH k x y", "[k [y]]"},
		{"BLMOVE k k LEFT LEFT 0", "", "RPUSH k x y", "x"},
	} {
		t.Run(c.line, func(t *testing.T) {
			n := startNode(t)
			d := n.dial()
			for line := range strings.SplitSeq(c.setup, "; ") {
				if line != "" && !strings.HasPrefix(line, "SET ") {
					d.do(line)
				}
			}
			w := n.blocks(c.wait)
			if strings.HasPrefix(c.setup, "SET ") {
				d.do(c.setup)
			}
			for line := range strings.SplitSeq(c.line, "; ") {
				d.do(line)
			}
			w.wantNext(c.reply)
		})
	}
}

// An expired key serves nobody, and stays until somebody looks at it, as in Redis
// 7.2. (7.0 deletes it with the unit that would have made it ready.)
func TestAReadyKeyThatHasExpiredServesNobody(t *testing.T) {
	for _, c := range []struct {
		name          string
		lines, stream []string
	}{
		{"it had when the unit began",
			[]string{"SELECT 1", "RPUSH k x", "PEXPIRE k 1", "DEBUG SLEEP 0.01", "SWAPDB 0 1"},
			[]string{"RPUSH k x", "PEXPIREAT k", "SWAPDB 0 1"}},
		{"it has while the unit ran",
			[]string{"MULTI", "RPUSH k x", "PEXPIRE k 1", "DEBUG SLEEP 0.01", "EXEC"},
			[]string{"MULTI", "RPUSH k x", "PEXPIREAT k", "EXEC"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := startNode(t)
			d := n.dial()
			d.want("DEBUG SET-ACTIVE-EXPIRE 0", "OK")
			w := n.blocks("BLPOP k 0")
			for _, line := range c.lines {
				d.do(line)
			}
			n.waiting(1)
			stream := n.streamed()
			for i, line := range stream {
				if strings.HasPrefix(line, "PEXPIREAT k ") {
					stream[i] = "PEXPIREAT k"
				}
			}
			if !slices.Equal(stream, c.stream) {
				t.Errorf("the stream has %q, want %q", stream, c.stream)
			}
			d.do("SELECT 0")
			d.want("RPUSH k y", "1")
			w.wantNext("[k y]")
			// The write deletes the expired key first, in a unit of its own or in
			// front of it, so that a replica has one element as well.
			stream = n.streamed()
			if i := slices.Index(stream, "DEL k"); i < 0 || slices.Index(stream, "RPUSH k y") < i {
				t.Errorf("the stream has %q", stream)
			}
		})
	}
}

func TestARestoredKeyIsReady(t *testing.T) {
	n := startNode(t)
	d := n.dial()
	d.want("RPUSH other x", "1")
	payload := d.do("DUMP other")
	w := n.blocks("BLPOP k 0")
	d.raw(string(resp.AppendArray(nil, []byte("RESTORE"), []byte("k"), []byte("0"), []byte(payload))))
	d.wantNext("OK")
	w.wantNext("[k x]")
}

func TestAReadyKeyOfAnotherTypeLeavesTheClientWaiting(t *testing.T) {
	n := startNode(t)
	list, zset := n.blocks("BLPOP k 0"), n.blocks("BZPOPMIN k 0")
	d := n.dial()
	d.want("SET k v", "OK")
	d.want("DEL k", "1")
	d.want("SADD k v", "1")
	d.want("DEL k", "1")
	d.want("ZADD k 1 m", "1")
	zset.wantNext("[k m 1]")
	n.waiting(1)
	d.want("RPUSH k x", "1")
	list.wantNext("[k x]")
	d.want("SET k v", "OK")
	d.want("BLPOP k 0", "error: "+string(resp.ErrWrongType))
	d.want("BZMPOP 0 2 none k MIN", "error: "+string(resp.ErrWrongType))
}

func TestAMoveToAKeyOfAnotherType(t *testing.T) {
	n := startNode(t)
	d := n.dial()
	d.want("SET target v", "OK")
	w := n.blocks("BLMOVE k target LEFT LEFT 0")
	next := n.blocks("BLPOP k 0")
	d.want("RPUSH k x", "1")
	w.wantNext("error: " + string(resp.ErrWrongType))
	next.wantNext("[k x]")
	if got := n.streamed(); !slices.Equal(got, []string{"SET target v", "RPUSH k x", "LPOP k"}) {
		t.Errorf("the stream has %q", got)
	}
}

func TestTheEndOfAWait(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	c, d := n.dial(), n.dial()
	c.want("BLPOP k 0.01", "(nil array)")
	c.want("BLMOVE k l LEFT LEFT 0.01", "(nil array)")
	c.want("BZMPOP 0.01 1 k MAX", "(nil array)")
	c.want("BLPOP k 1e-3", "(nil array)")
	id := c.do("CLIENT ID")
	c.send("BRPOPLPUSH k l 0")
	c.send("PING")
	n.waiting(1)
	d.want("CLIENT UNBLOCK "+id, "1")
	c.wantNext("(nil array)")
	c.wantNext("PONG")
	c.send("BZPOPMIN k 0")
	n.waiting(1)
	d.want("CLIENT UNBLOCK "+id+" ERROR", "1")
	c.wantNext("error: " + string(resp.ErrUnblocked))
	d.want("CLIENT UNBLOCK "+id, "0")
	d.want("RPUSH k x", "1")
	d.want("LLEN k", "1")
	for line, err := range map[string]resp.Error{
		"BLPOP k x":                resp.ErrBadSeconds,
		"BLPOP k -1":               resp.ErrNegTimeout,
		"BLPOP k 9223372036854775": resp.ErrFarTimeout,
		"BLPOP k inf":              resp.ErrFarTimeout,
		"BLPOP k nan":              resp.ErrBadSeconds,
	} {
		c.want(line, "error: "+string(err))
	}
}

func TestATransactionDoesNotWait(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("MULTI", "OK")
	for _, line := range []string{"BLPOP k 0", "BLMOVE k l LEFT LEFT 0", "BZPOPMAX k 0", "RPUSH k x", "BLPOP k 0", "BLPOP k 0"} {
		c.want(line, "QUEUED")
	}
	c.want("EXEC", "[(nil array) (nil) (nil array) 1 [k x] (nil array)]")
	if got := n.streamed(); !slices.Equal(got, []string{"MULTI", "RPUSH k x", "LPOP k", "EXEC"}) {
		t.Errorf("the stream has %q", got)
	}
}

func TestAKilledClientFreesItsPlace(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	first := n.dial()
	id := first.do("CLIENT ID")
	first.send("BLPOP k other 0")
	n.waiting(1)
	gone, second := n.blocks("BLPOP k 0"), n.blocks("BLPOP k 0")
	d := n.dial()
	d.want("CLIENT KILL ID "+id, "1")
	gone.nc.Close()
	n.waiting(1)
	d.want("RPUSH k x", "1")
	second.wantNext("[k x]")
	d.want("RPUSH other y", "1")
	d.want("LRANGE other 0 -1", "[y]")
}

// A client that has left, with requests behind its BLPOP or without, must not get
// the element.
func TestAClientThatLeavesFreesItsPlace(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	n := startNode(t, "--event-loops", "2", "--unixsocket", socket)
	for _, network := range []string{"tcp", "unix"} {
		for _, more := range []string{"", "PING\r\n"} {
			addr := n.Addr()
			if network == "unix" {
				addr = socket
			}
			c := n.dialBy(network, addr)
			c.raw("BLPOP k 0\r\n" + more)
			n.waiting(1)
			c.nc.Close()
			n.waiting(0)
		}
	}
}

func TestADemotionEndsBlockedClients(t *testing.T) {
	f := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication = f })
	w := n.blocks("BLPOP k 0")
	f.locked(func() { f.host = "127.0.0.1" })
	n.Server.RoleChanged()
	w.wantNext("error: " + string(resp.ErrUnblockedByRole))
	w.closed()
}

// What a client that waits is told, in the protocol of its own.
func TestRepliesToWaitersInRESP3(t *testing.T) {
	n := startNode(t)
	w := n.dial()
	w.do("HELLO 3")
	d := n.dial()
	for _, c := range []struct{ wait, line, raw string }{
		{"BZPOPMIN k 0", "ZADD k 1.5 m", "*3\r\n$1\r\nk\r\n$1\r\nm\r\n,1.5\r\n"},
		{"BZMPOP 0 1 k MAX", "ZADD k inf m", "*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$1\r\nm\r\n,inf\r\n"},
		{"BLPOP k 0.01", "PING", "_\r\n"},
		{"BLMOVE k l LEFT LEFT 0.01", "PING", "_\r\n"},
	} {
		w.send(c.wait)
		if c.line != "PING" {
			n.waiting(1)
		}
		d.do(c.line)
		for i := range len(c.raw) {
			b, err := w.r.ReadByte()
			if err != nil {
				t.Fatal(err)
			}
			if b != c.raw[i] {
				t.Fatalf("%s: byte %d of the reply is %q, want %q of %q", c.wait, i, b, c.raw[i], c.raw)
			}
		}
	}
}

// Two units on different loops may make two keys of one waiter ready at the same
// time, one of them with a type that it does not wait for: the other must serve
// it all the same.
func TestAWaiterIsNotMissedWhileAnotherKeyIsLookedAt(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	w, a, b := n.dial(), n.dial(), n.dial()
	for round := range 200 {
		w.send("BLPOP a b 0")
		n.waiting(1)
		a.send("SADD a x")
		b.send("RPUSH b x")
		a.read()
		b.read()
		if got := w.read(); got != "[b x]" {
			t.Fatalf("round %d: %s", round, got)
		}
		a.want("DEL a", "1")
	}
}

// Each list has several clients, and each client gets what was pushed when it
// was the first.
func TestManyBlockedClients(t *testing.T) {
	const lists, each = 200, 10
	n := startNode(t, "--event-loops", "2")
	var waiting [each][lists]*client
	for round := range each {
		for i := range lists {
			c := n.dial()
			c.send(fmt.Sprintf("BLPOP list:%d 0", i))
			waiting[round][i] = c
		}
		n.waiting((round + 1) * lists)
	}
	pusher := n.dial()
	for i := range lists {
		pusher.want(fmt.Sprintf("RPUSH list:%d 0 1 2 3 4", i), "5")
	}
	pusher.pipelined(lists, key("RPUSH list:%d 5 6 7 8 9"), word("5"))
	for round := range each {
		for i, c := range waiting[round] {
			c.wantNext(fmt.Sprintf("[list:%d %d]", i, round))
		}
	}
	n.waiting(0)
	pusher.want("DBSIZE", "0")
}

// A slot that goes to another node takes those who wait in it along.
func TestBlockedClientsFollowTheirSlot(t *testing.T) {
	slot := slots.Of([]byte("k"))
	f := &fakeCluster{elsewhere: slots.Count, moving: slots.Count}
	n := startParts(t, func(c *Config) { c.Cluster = f }, "--cluster-enabled", "yes")
	w, other := n.blocks("BLPOP k {k}2 0"), n.blocks("BLPOP other 0")
	f.mu.Lock()
	f.elsewhere = slot
	f.mu.Unlock()
	w.wantNext(fmt.Sprintf("error: MOVED %d 127.0.0.1:7001", slot))
	n.waiting(1)
	n.dial().want("RPUSH other x", "1")
	other.wantNext("[other x]")
}

// A replica serves reads of its slots to those who said READONLY, also if they wait.
func TestWhoWaitsToReadStaysOnAReplica(t *testing.T) {
	slot := slots.Of([]byte("k"))
	f := &fakeCluster{elsewhere: slots.Count, moving: slots.Count}
	n := startParts(t, func(c *Config) { c.Cluster = f }, "--cluster-enabled", "yes")
	reader := n.dial()
	reader.want("READONLY", "OK")
	reader.send("XREAD BLOCK 0 STREAMS k 0")
	n.waiting(1)
	f.mu.Lock()
	f.elsewhere, f.asked = slot, nil
	f.mu.Unlock()
	looked := func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return slices.ContainsFunc(f.asked, func(r Route) bool { return r.ReadOnly && r.Slot == slot })
	}
	for !looked() {
		time.Sleep(time.Millisecond)
	}
	f.mu.Lock()
	f.elsewhere = slots.Count
	f.mu.Unlock()
	n.dial().want("XADD k 1-1 f v", "1-1")
	reader.wantNext("[[k [[1-1 [f v]]]]]")
}

// From the answer to CLIENT KILL on nothing goes to the client that was killed, though
// its own loop closes it later.
func TestAKilledClientIsServedNoMore(t *testing.T) {
	n := startNode(t, "--event-loops", "1")
	gone := n.dial()
	id := gone.do("CLIENT ID")
	gone.send("BLPOP k 0")
	n.waiting(1)
	c := n.dial()
	c.raw("CLIENT KILL ID " + id + "\r\nRPUSH k x\r\nLRANGE k 0 -1\r\n") // in one turn
	c.wantNext("1")
	c.wantNext("1")
	c.wantNext("[x]")
	gone.closed()
	n.waiting(0)
}
