package server

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cacher is a client that speaks RESP3 and is told of changes.
func (n *node) cacher(options string) *client {
	c := n.dial()
	c.do("HELLO 3")
	c.want("CLIENT TRACKING ON "+options, "OK")
	return c
}

func TestReadersAreToldOfChanges(t *testing.T) {
	n := startNode(t)
	c, other := n.cacher(""), n.dial()
	other.want("MSET a 1 b 2 h 3", "OK")
	c.want("MGET a b none", "[1 2 (nil)]")
	other.want("INCR h", "4") // was not read
	other.want("INCR a", "2")
	c.wantNext("[invalidate [a]]")
	other.want("INCR a", "3") // once only
	other.want("SET none x", "OK")
	c.wantNext("[invalidate [none]]")
	other.want("DEL b", "1")
	c.wantNext("[invalidate [b]]")
	if keys, marks := n.keyspace.Tracked(); keys != 0 || marks != 0 {
		t.Errorf("%d keys, %d marks are left", keys, marks)
	}
	// The same name in another database.
	c.want("GET a", "3")
	other.do("SELECT 1")
	other.want("SET a x", "OK")
	c.wantNext("[invalidate [a]]")
	// All keys.
	for _, line := range []string{"FLUSHDB", "FLUSHALL", "SWAPDB 0 1"} {
		c.do("GET a")
		other.want(line, "OK")
		c.wantNext("[invalidate (nil)]")
		if keys, _ := n.keyspace.Tracked(); keys != 0 {
			t.Errorf("%d keys have marks after %s", keys, line)
		}
	}
	c.want("CLIENT TRACKING OFF", "OK")
	c.do("GET a")
	other.want("SET a x", "OK")
	c.want("PING", "PONG")
}

func TestWhatTheNodeDeletesIsToldOf(t *testing.T) {
	n := startNode(t, "--maxmemory-policy", "allkeys-random")
	c, other := n.cacher("NOLOOP"), n.dial()
	// remembered is a key that c has read before it expired, which it may do at any
	// time.
	remembered := func(name string) string {
		for i := 0; ; i++ {
			key := fmt.Sprint(name, i)
			other.want("SET "+key+" 1 PX 20", "OK")
			if c.do("GET "+key) == "1" {
				return key
			}
		}
	}
	c.wantNext("[invalidate [" + remembered("a") + "]]") // by the housekeeping
	other.want("DEBUG SET-ACTIVE-EXPIRE 0", "OK")
	b := remembered("b")
	time.Sleep(25 * time.Millisecond)
	c.want("MGET c "+b, "[(nil) (nil)]")
	c.wantNext("[invalidate [" + b + "]]") // found by its own reader
	other.want("SET d 1", "OK")
	c.want("GET d", "1")
	other.want("CONFIG SET maxmemory 1", "OK")
	c.wantNext("[invalidate [d]]")
}

func TestOwnChangesAreToldOfBehindTheReply(t *testing.T) {
	n := startNode(t)
	c := n.cacher("")
	c.raw("GET a\r\nSET a 1\r\nGET a\r\nMULTI\r\nINCR a\r\nPING\r\nEXEC\r\nMGET a b\r\nMULTI\r\nFLUSHALL\r\nPING\r\nEXEC\r\nPING\r\n")
	for _, want := range []string{"(nil)", "OK", "[invalidate [a]]", "1", "OK", "QUEUED", "QUEUED", "[2 PONG]", "[invalidate [a]]",
		"[2 (nil)]", "OK", "QUEUED", "QUEUED", "[OK PONG]", "[invalidate (nil)]", "PONG"} {
		c.wantNext(want)
	}
	c.want("CLIENT TRACKING ON NOLOOP", "OK")
	c.raw("GET a\r\nSET a 1\r\nPING\r\n")
	for _, want := range []string{"(nil)", "OK", "PONG"} {
		c.wantNext(want)
	}
}

// A client that waits and is served gets its reply first.
func TestAServedClientIsToldOfItsChange(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	for range 20 {
		c, other := n.cacher(""), n.dial()
		c.do("LRANGE to 0 -1")
		c.send("BLMOVE from to LEFT LEFT 0")
		other.waitFor("blocked_clients", "1")
		other.want("RPUSH from x", "1")
		c.wantNext("x")
		c.wantNext("[invalidate [to]]")
		other.want("DEL to", "1")
	}
}

// waitFor waits until a field of INFO has a value.
func (c *client) waitFor(field, value string) {
	c.t.Helper()
	for range 2000 {
		if strings.Contains(c.do("INFO"), field+":"+value+"\r\n") {
			return
		}
		time.Sleep(time.Millisecond)
	}
	c.t.Fatalf("%s is not %s", field, value)
}

func TestReadsAreChosen(t *testing.T) {
	n := startNode(t)
	other := n.dial()
	in := n.cacher("OPTIN")
	in.want("GET a", "(nil)")
	in.want("CLIENT CACHING YES", "OK")
	in.want("CLIENT TRACKINGINFO", "[flags [on optin caching-yes] redirect 0 prefixes []]")
	in.want("GET b", "(nil)")
	in.want("GET c", "(nil)")
	for _, line := range []string{"CLIENT CACHING YES", "MULTI", "GET d", "GET e", "EXEC", "GET f"} {
		in.do(line)
	}
	other.want("MSET a 1 b 1 c 1 d 1 e 1 f 1", "OK")
	for _, key := range []string{"b", "d", "e"} {
		in.wantNext("[invalidate [" + key + "]]")
	}
	in.want("CLIENT CACHING NO", "error: ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
	out := n.cacher("OPTOUT")
	out.want("CLIENT CACHING NO", "OK")
	out.want("GET a", "1")
	out.want("GET b", "1")
	other.want("MSET a 1 b 1", "OK")
	out.wantNext("[invalidate [b]]")
	in.want("PING", "PONG")
	out.want("PING", "PONG")
}

func TestBroadcasts(t *testing.T) {
	n := startNode(t)
	all, some, other := n.cacher("BCAST"), n.cacher("BCAST PREFIX a: PREFIX b: NOLOOP"), n.dial()
	for _, line := range []string{"MULTI", "SET b:2 1", "SET a:1 1", "SET c 1", "SET b:1 1", "SET b:2 2", "EXEC"} {
		other.do(line)
	}
	all.wantNext("[invalidate [a:1 b:1 b:2 c]]")
	// One message for each prefix, in any order.
	if got := some.read() + some.read(); got != "[invalidate [a:1]][invalidate [b:1 b:2]]" && got != "[invalidate [b:1 b:2]][invalidate [a:1]]" {
		t.Errorf("prefixes: %s", got)
	}
	some.want("SET a:1 2", "OK")
	all.wantNext("[invalidate [a:1]]")
	some.want("CLIENT TRACKING ON BCAST PREFIX c", "OK")
	some.want("CLIENT TRACKINGINFO", "[flags [on bcast] redirect 0 prefixes [a: b: c]]")
	other.want("DEL c", "1")
	some.wantNext("[invalidate [c]]")
	all.wantNext("[invalidate [c]]")
	some.want("CLIENT TRACKING ON BCAST PREFIX cd", "error: ERR Prefix 'cd' overlaps with an existing prefix 'c'. Prefixes for a single client must not overlap.")
	other.waitFor("tracking_total_prefixes", "4")
	other.waitFor("tracking_clients", "2")
	all.nc.Close()
	some.want("RESET", "RESET")
	other.waitFor("tracking_clients", "0")
	other.waitFor("tracking_total_prefixes", "0")
}

func TestInvalidationsCanBeRedirected(t *testing.T) {
	n := startNode(t)
	to, c, other := n.dial(), n.dial(), n.dial()
	id := to.do("CLIENT ID")
	c.want("CLIENT TRACKING ON REDIRECT "+id, "OK")
	c.want("CLIENT GETREDIR", id)
	c.do("GET a")
	other.want("SET a 1", "OK") // RESP2 without a subscription gets nothing
	to.want("SUBSCRIBE __redis__:invalidate", "[subscribe __redis__:invalidate 1]")
	c.do("GET a")
	other.want("SET a 1", "OK")
	to.wantNext("[message __redis__:invalidate [a]]")
	other.want("FLUSHALL", "OK")
	to.wantNext("[message __redis__:invalidate (nil)]")
	if line := listed(other, c); !strings.Contains(line, " flags=t ") || !strings.Contains(line, " redir="+id+" ") {
		t.Errorf("listed as %s", line)
	}
	c.do("HELLO 3")
	c.do("GET a")
	to.nc.Close()
	other.waitFor("connected_clients", "2")
	other.want("SET a 1", "OK")
	c.wantNext("[tracking-redir-broken " + id + "]")
	c.want("CLIENT TRACKINGINFO", "[flags [on broken_redirect] redirect "+id+" prefixes []]")
	if line := listed(other, c); !strings.Contains(line, " flags=tR ") {
		t.Errorf("listed as %s", line)
	}
	c.want("CLIENT TRACKING ON REDIRECT "+id, "error: ERR The client ID you want redirect to does not exist")
}

// After RESET the receiver of messages speaks RESP2, in which it hears only what it has
// subscribed to.
func TestAReceiverThatResets(t *testing.T) {
	n := startNode(t)
	to, c, other := n.dial(), n.dial(), n.dial()
	c.want("CLIENT TRACKING ON REDIRECT "+to.do("CLIENT ID"), "OK")
	to.do("HELLO 3")
	c.do("GET a")
	other.want("SET a 1", "OK")
	to.wantNext("[invalidate [a]]")
	to.want("RESET", "RESET")
	c.do("GET a")
	other.want("SET a 1", "OK")
	to.want("PING", "PONG")
	to.silent()
}

// listed is the line of CLIENT LIST about c.
func listed(asks, c *client) string { return asks.do("CLIENT LIST ID " + c.do("CLIENT ID")) }

// RESP2 has no way to tell a client of something on the connection of its replies.
func TestRESP2IsToldNothingOnItsOwnConnection(t *testing.T) {
	n := startNode(t)
	c, other := n.dial(), n.dial()
	for _, options := range []string{"BCAST", ""} {
		c.want("CLIENT TRACKING ON "+options, "OK")
		c.do("GET a")
		other.want("SET a 1", "OK")
		other.want("FLUSHALL", "OK")
		c.want("PING", "PONG")
		c.silent()
		c.want("CLIENT TRACKING OFF", "OK")
	}
}

func TestRefusedTracking(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	for _, x := range []struct{ line, reply string }{
		{"CLIENT TRACKING", "error: ERR wrong number of arguments for 'client|tracking' command"},
		{"CLIENT TRACKING MAYBE", "error: ERR syntax error"},
		{"CLIENT TRACKING ON PREFIX", "error: ERR syntax error"},
		{"CLIENT TRACKING ON PREFIX a", "error: ERR PREFIX option requires BCAST mode to be enabled"},
		{"CLIENT TRACKING ON REDIRECT 1000000", "error: ERR The client ID you want redirect to does not exist"},
		{"CLIENT TRACKING ON REDIRECT x", "error: ERR value is not an integer or out of range"},
		{"CLIENT TRACKING ON OPTIN OPTOUT", "error: ERR You can't specify both OPTIN mode and OPTOUT mode"},
		{"CLIENT TRACKING ON BCAST OPTIN", "error: ERR OPTIN and OPTOUT are not compatible with BCAST"},
		{"CLIENT TRACKING ON BCAST PREFIX ab PREFIX a", "error: ERR Prefix 'ab' overlaps with another provided prefix 'a'. Prefixes for a single client must not overlap."},
		{"CLIENT CACHING YES", "error: ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"},
		{"CLIENT GETREDIR", "-1"},
		{"CLIENT TRACKING ON OPTIN", "OK"},
		{"CLIENT TRACKING ON OPTOUT", "error: ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."},
		{"CLIENT TRACKING ON BCAST", "error: ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."},
		{"CLIENT CACHING MAYBE", "error: ERR syntax error"},
		{"CLIENT TRACKING OFF", "OK"},
		{"CLIENT TRACKINGINFO", "[flags [off] redirect -1 prefixes []]"},
	} {
		c.want(x.line, x.reply)
	}
}

// The marks are bounded; who loses one is told.
func TestMarksAreBounded(t *testing.T) {
	n := startNode(t, "--tracking-table-max-keys", "10")
	c, other := n.cacher(""), n.dial()
	const keys = 300
	c.pipelined(1, word("MGET "+strings.Join(names(keys), " ")), func(int) string { return "[" + strings.TrimSpace(strings.Repeat("(nil) ", keys)) + "]" })
	stale := map[string]bool{}
	for range keys - 10 {
		stale[c.read()] = true
	}
	if len(stale) != keys-10 {
		t.Errorf("%d keys were told of", len(stale))
	}
	c.want("PING", "PONG")
	other.waitFor("tracking_total_keys", "10")
	other.waitFor("tracking_total_items", "10")
}

func names(n int) (keys []string) {
	for i := range n {
		keys = append(keys, "key:"+strconv.Itoa(i))
	}
	return keys
}

// A message is held until the write that it tells of is committed.
func TestInvalidationsWaitForTheirWrite(t *testing.T) {
	n := startNode(t)
	c, other := n.cacher(""), n.dial()
	c.do("GET a")
	n.stream.hold()
	n.sends(other, "SET a 1")
	c.silent()
	n.stream.commit(-1)
	c.wantNext("[invalidate [a]]")
}

// Clients with caches never stay stale: when writers have stopped, what a client has
// read and was not told of is the value. Connections move between loops meanwhile.
func TestCachesDoNotStayStale(t *testing.T) {
	n := startNode(t, "--event-loops", "3")
	const keys, readers, writers = 16, 6, 4
	var stop atomic.Bool
	var write, read sync.WaitGroup
	for w := range writers {
		c := n.dial()
		write.Go(func() {
			for i := range 1500 {
				c.do(fmt.Sprintf("SET key:%d %d.%d", (i*7+w)%keys, w, i))
			}
		})
	}
	caches := make([]map[string]string, readers)
	clients := make([]*client, readers)
	for r := range readers {
		options := []string{"", "BCAST", "NOLOOP"}[r%3]
		c, cache := n.cacher(options), map[string]string{}
		caches[r], clients[r] = cache, c
		read.Go(func() {
			for i := 0; !stop.Load(); i++ {
				c.cachedGet(cache, fmt.Sprintf("key:%d", i%keys))
			}
		})
	}
	write.Wait()
	stop.Store(true)
	read.Wait()
	truth := n.dial()
	for r, c := range clients {
		c.cachedGet(caches[r], "none") // what is on its way comes before the reply
		for key, value := range caches[r] {
			if key == "none" {
				continue
			}
			if now := truth.do("GET " + key); now != value {
				t.Errorf("reader %d has %s of %s, which is %s", r, value, key, now)
			}
		}
	}
}

// cachedGet reads a key that is not cached and caches it, as clients do.
func (c *client) cachedGet(cache map[string]string, key string) {
	if _, ok := cache[key]; ok {
		key = "PING" // something must be read for messages to come
	}
	line := "GET " + key + "\r\n"
	if key == "PING" {
		line = "PING\r\n"
	}
	io.WriteString(c.nc, line)
	for {
		reply := c.read()
		stale, told := strings.CutPrefix(reply, "[invalidate [")
		if !told {
			if key != "PING" {
				cache[key] = reply
			}
			return
		}
		for k := range strings.FieldsSeq(strings.TrimSuffix(stale, "]]")) {
			delete(cache, k)
		}
	}
}

// Prefixes are memory of their client, which is closed for it.
func TestPrefixesAreMemory(t *testing.T) {
	n := startNode(t, "--maxmemory-clients", "0")
	c, other := n.dial(), n.dial()
	c.want("CLIENT TRACKING ON BCAST PREFIX first:", "OK")
	other.want("CONFIG SET maxmemory-clients 150000", "OK")
	for i := 0; ; i++ {
		if i == 2000 {
			t.Fatal("the client is still there")
		}
		c.raw(fmt.Sprintf("CLIENT TRACKING ON BCAST PREFIX a%d: PREFIX b%d:\r\n", i, i))
		c.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := readReply(c.r); err != nil {
			break
		}
	}
	other.waitFor("tracking_total_prefixes", "0")
	other.waitFor("evicted_clients", "1")
}
