package server

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/resp"
	"redoubt/slots"
	"redoubt/storage"
)

func TestCommandsAndTransactions(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	for _, step := range []struct{ line, reply string }{
		{"PING", "PONG"},
		{"PING hello", "hello"},
		{"SET k v", "OK"},
		{"GET k", "v"},
		{"GET none", "(nil)"},
		{"NOPE a b", "error: ERR unknown command 'NOPE', with args beginning with: 'a' 'b' "},
		{"GET", "error: ERR wrong number of arguments for 'get' command"},
		{"CONFIG NOPE", "error: ERR unknown subcommand 'NOPE'. Try CONFIG HELP."},
		{"EXEC", "error: ERR EXEC without MULTI"},
		{"DISCARD", "error: ERR DISCARD without MULTI"},
		{"MULTI", "OK"},
		{"MULTI", "error: ERR MULTI calls can not be nested"},
		{"WATCH k", "error: ERR WATCH inside MULTI is not allowed"},
		{"INCR n", "QUEUED"},
		{"SELECT 1", "QUEUED"},
		{"SET k other", "QUEUED"},
		{"SELECT 0", "QUEUED"},
		{"GET k", "QUEUED"},
		{"EXEC", "[1 OK OK OK v]"},
		{"MULTI", "OK"},
		{"NOPE", "error: ERR unknown command 'NOPE', with args beginning with: "},
		{"Json.Get k", "error: ERR unknown command 'Json.Get', with args beginning with: 'k' (a command of a module of Redis that is not built in Redoubt)"},
		{"CLIENT NOPE", "error: ERR unknown subcommand 'NOPE'. Try CLIENT HELP."},
		{"EXEC", "error: EXECABORT Transaction discarded because of previous errors."},
		{"MULTI", "OK"},
		{"EXEC x", "error: EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command"},
		{"PING", "PONG"},
		{"MULTI", "OK"},
		{"EXEC", "[]"},
		{"SELECT 99", "error: ERR DB index is out of range"},
		{"FLUSHALL", "OK"},
		{"GET k", "(nil)"},
		{"CLIENT SETNAME a", "OK"},
		{"CLIENT GETNAME", "a"},
		{"RESET", "RESET"},
		{"CLIENT GETNAME", "(nil)"},
		{"QUIT", "OK"},
	} {
		c.want(step.line, step.reply)
	}
	c.closed()
}

func TestWatchSeesChangesOfOthers(t *testing.T) {
	n := startNode(t)
	a, b := n.dial(), n.dial()
	a.want("SET k 1", "OK")
	a.want("WATCH k other", "OK")
	b.want("SET k 2", "OK")
	a.want("MULTI", "OK")
	a.want("GET k", "QUEUED")
	a.want("EXEC", "(nil array)")
	a.want("WATCH k", "OK")
	a.want("UNWATCH", "OK")
	b.want("SET k 3", "OK")
	a.want("MULTI", "OK")
	a.want("GET k", "QUEUED")
	a.want("EXEC", "[3]")
}

// Redis's reply of an EXEC is one unit; so are its effects.
func TestATransactionIsOneUnitOfTheStream(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("MULTI", "OK")
	c.want("SET a 1", "QUEUED")
	c.want("SET b 2", "QUEUED")
	c.want("EXEC", "[OK OK]")
	want := "*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n2\r\n*1\r\n$4\r\nEXEC\r\n"
	if got := strings.Join(n.stream.recorded(), "|"); got != want {
		t.Errorf("the stream is %q, want %q", got, want)
	}
}

func TestInlineCommandsBecomeEffectsInRESP(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.raw("set k \"a b\"\r\n")
	c.wantNext("OK")
	if got := n.stream.recorded()[0]; got != "*3\r\n$3\r\nset\r\n$1\r\nk\r\n$3\r\na b\r\n" {
		t.Errorf("the effect is %q", got)
	}
}

func TestPipelinesKeepOrder(t *testing.T) {
	for _, loops := range []string{"1", "3"} {
		t.Run(loops+" loops", func(t *testing.T) {
			n := startNode(t, "--event-loops", loops)
			var wg sync.WaitGroup
			for i := range 8 {
				c := n.dial()
				wg.Go(func() {
					c.pipelined(2000, key(fmt.Sprintf("ECHO %d-%%d", i)), key(fmt.Sprintf("%d-%%d", i)))
				})
			}
			wg.Wait()
		})
	}
}

func TestBigAndBrokenRequests(t *testing.T) {
	n := startNode(t, "--proto-max-bulk-len", "2mb")
	c := n.dial()
	big := strings.Repeat("x", 1<<20+17)
	c.raw(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", len(big), big))
	c.wantNext("OK")
	if got := c.read(); got != big {
		t.Errorf("a value of %d bytes came back with %d", len(big), len(got))
	}
	for _, piece := range strings.Split("*1|\r|\n$|4\r\nPI|NG\r|\n", "|") {
		c.raw(piece)
	}
	c.wantNext("PONG")
	c.raw("*1\r\n$3000000\r\n")
	c.wantNext("error: ERR Protocol error: invalid bulk length")
	c.closed()
	post := n.dial()
	post.raw("POST / HTTP/1.1\r\nHost: x\r\n\r\nSET evil 1\r\n")
	post.closed()
	n.dial().want("GET evil", "(nil)")
}

func TestPubSubInBothProtocols(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	two, three, pub := n.dial(), n.dial(), n.dial()
	two.want("SUBSCRIBE a b", "[subscribe a 1]")
	two.wantNext("[subscribe b 2]")
	two.want("GET k", "error: ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")
	two.want("PING", "[pong ]")
	three.do("HELLO 3")
	three.want("PSUBSCRIBE a*", "[psubscribe a* 1]")
	three.want("SSUBSCRIBE a", "[ssubscribe a 1]")
	three.want("GET k", "(nil)")
	pub.want("PUBLISH a x", "2")
	two.wantNext("[message a x]")
	three.wantNext("[pmessage a* a x]")
	pub.want("SPUBLISH a y", "1")
	three.wantNext("[smessage a y]")
	pub.want("PUBSUB NUMSUB a b", "[a 1 b 1]")
	pub.want("PUBSUB CHANNELS", "[a b]")
	pub.want("PUBSUB NUMPAT", "1")
	var gone slots.Set
	gone.Add(slots.Of([]byte("a")))
	n.pubsub.DropSlots(&gone)
	three.wantNext("[sunsubscribe a 0]")
	two.want("UNSUBSCRIBE", "[unsubscribe a 1]")
	two.wantNext("[unsubscribe b 0]")
	two.want("GET k", "(nil)")
}

func TestPauseHoldsWritesOnly(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	a, b := n.dial(), n.dial()
	a.want("CLIENT PAUSE 100000 WRITE", "OK")
	b.send("SET k 1")
	b.send("GET k")
	a.want("GET k", "(nil)")
	a.want("CLIENT UNPAUSE", "OK")
	b.wantNext("OK")
	b.wantNext("1")
	a.want("CLIENT PAUSE 50 ALL", "OK")
	a.want("GET k", "1") // once the pause has run out
}

// A request that waits costs nothing until there is a reason to try it again.
func TestAPausedRequestIsTriedAgainWhenThePauseEnds(t *testing.T) {
	f := new(fakeCluster)
	n := startParts(t, func(c *Config) { c.Cluster = f }, "--cluster-enabled", "yes")
	n.keepNoHouse() // which would end the pause
	c := n.dial()
	c.want("CLIENT PAUSE 100 WRITE", "OK")
	c.want("SET k v", "OK")
	n.stream.fill(true)
	c.send("SET k w")
	n.untilPostponed()
	n.stream.fill(false)
	c.wantNext("OK")
	// Each of the two was routed once before it waited, once when it did not
	// any more, and once in its unit. Another gate may have come with the end of
	// the pause.
	f.mu.Lock()
	defer f.mu.Unlock()
	if asked := len(f.asked); asked > 8 {
		t.Errorf("the requests passed the gates %d times", asked)
	}
}

func TestAFailoversPauseIsNotAClients(t *testing.T) {
	n := startNode(t)
	a, b := n.dial(), n.dial()
	b.want("SET gone v PX 1", "OK")
	n.Pause(n.now() + 100_000)
	end := n.stream.End()
	b.send("SET k 1")
	a.want("CLIENT UNPAUSE", "OK")
	for a.do("GET gone") != "(nil)" {
	}
	a.want("GET k", "(nil)")
	if n.stream.End() != end {
		t.Error("the stream went on although writes are paused")
	}
	n.Resume()
	b.wantNext("OK")
}

func TestAuthenticationGuardsEverything(t *testing.T) {
	n := startNode(t, "--requirepass", "secret")
	c := n.dial()
	c.want("GET k", "error: "+string(resp.ErrNoAuth))
	c.want("AUTH wrong", "error: "+string(resp.ErrWrongPass))
	c.want("HELLO 3 AUTH default wrong", "error: "+string(resp.ErrWrongPass))
	c.want("AUTH secret", "OK")
	c.want("GET k", "(nil)")
	stranger := n.dial()
	stranger.raw("*2\r\n$3\r\nGET\r\n$20000\r\n")
	stranger.wantNext("error: " + string(resp.ErrProtoUnauthBulk))
	stranger.closed()
}

func TestMaxClients(t *testing.T) {
	notOverTLS(t, "TestMaxClientsOverTLS")
	n := startNode(t, "--maxclients", "2")
	a, b := n.dial(), n.dial()
	a.want("PING", "PONG")
	b.want("PING", "PONG")
	c := n.dial()
	c.wantNext("error: ERR max number of clients reached")
	c.closed()
	b.want("QUIT", "OK")
	b.closed()
	a.want("CLIENT KILL TYPE pubsub", "0")
	n.dial().want("PING", "PONG")
}

func TestClientListAndKillReachAllLoops(t *testing.T) {
	n := startNode(t, "--event-loops", "3")
	var cs []*client
	for i := range 6 {
		c := n.dial()
		c.want(fmt.Sprintf("CLIENT SETNAME c%d", i), "OK")
		cs = append(cs, c)
	}
	list := cs[0].do("CLIENT LIST")
	for i := range cs {
		if !strings.Contains(list, fmt.Sprintf(" name=c%d ", i)) {
			t.Errorf("c%d is not listed in\n%s", i, list)
		}
	}
	cs[0].want("CLIENT KILL TYPE normal SKIPME yes", "5")
	for _, c := range cs[1:] {
		c.closed()
	}
	cs[0].want("MULTI", "OK")
	cs[0].want("SET k 1", "QUEUED")
	cs[0].want("CLIENT LIST TYPE pubsub", "QUEUED")
	cs[0].want("EXEC", "[OK ]")
}

// A connection that moves from one loop to another is a client all the time.
func TestAConnectionThatMovesCanBeListedAndKilled(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	c, other := n.dial(), n.dial()
	id := c.do("CLIENT ID")
	n.stopLoops(nil)
	var moving *conn
	n.eachConn(func(x *conn) {
		if fmt.Sprint(x.id) == id {
			moving = x
		}
	})
	from, to := n.loops[0], n.loops[1]
	if moving.home.Load() == to {
		from, to = to, from
	}
	from.move(moving, to)
	seen := false
	n.eachConn(func(x *conn) { seen = seen || x == moving })
	to.move(moving, from)
	n.resumeLoops(nil)
	if !seen {
		t.Error("nobody sees it")
	}
	c.want("PING", "PONG")
	other.want("CLIENT KILL ID "+id, "1")
	c.closed()
}

func TestResetStatSetsTheCountersToZero(t *testing.T) {
	n := startNode(t, "--requirepass", "secret")
	c := n.dial()
	c.want("AUTH wrong", "error: "+string(resp.ErrWrongPass))
	c.want("AUTH secret", "OK")
	want := func(when string, lines ...string) {
		t.Helper()
		info := c.do("INFO stats")
		for _, line := range lines {
			if !strings.Contains(info, line+"\r\n") {
				t.Errorf("%s: %s is missing in\n%s", when, line, info)
			}
		}
	}
	want("before", "acl_access_denied_auth:1", "total_error_replies:1", "total_reads_processed:3")
	c.want("CONFIG RESETSTAT", "OK")
	want("after", "acl_access_denied_auth:0", "total_error_replies:0", "total_connections_received:0", "instantaneous_ops_per_sec:0")
}

// A replica counts what it applies, beside what its clients ask.
func TestAppliedCommandsAreCounted(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("SET k v", "OK")
	before := n.Stats().Commands
	set := n.table.Lookup([]byte("set"))
	applier := command.NewRunner(n.table, n.keyspace.NewExecutor(), n)
	n.CountApplied(&applier)
	applier.Count(set, 2*time.Second, false)
	applier.Count(set, time.Second, true)
	if got := n.Stats().Commands - before; got != 2 {
		t.Errorf("%d commands more, want 2", got)
	}
	info := c.do("INFO commandstats")
	_, counts, _ := strings.Cut(info, "cmdstat_set:")
	var calls, micros int64
	if _, err := fmt.Sscanf(counts, "calls=%d,usec=%d", &calls, &micros); err != nil || calls != 3 || micros < 3_000_000 ||
		!strings.Contains(counts, ",rejected_calls=0,failed_calls=1\r\n") {
		t.Errorf("INFO has\n%s", info)
	}
	c.want("CONFIG RESETSTAT", "OK")
	if info := c.do("INFO commandstats"); strings.Contains(info, "cmdstat_set") {
		t.Errorf("after RESETSTAT INFO has\n%s", info)
	}
}

func TestUnixSocketsGoThroughWires(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	n := startNode(t, "--unixsocket", path, "--unixsocketperm", "700")
	c := dialTo(t, "unix", path)
	c.pipelined(3000, key("SET k%d v"), word("OK"))
	big := strings.Repeat("y", 300_000)
	c.raw(fmt.Sprintf("*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", len(big), big))
	if got := c.read(); got != big {
		t.Errorf("%d bytes came back, want %d", len(got), len(big))
	}
	n.stream.hold()
	before := n.stream.End()
	c.send("SET k 1")
	for n.stream.End() == before {
		runtime.Gosched() // the bytes are on their way through two goroutines
	}
	n.dial().want("PING", "PONG")
	n.stream.commit(-1)
	c.wantNext("OK")
	c.want("QUIT", "OK")
	c.closed()
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("the socket's mode is %v (%v)", fi, err)
	}
}

func TestShutdownEndsRun(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.send("SHUTDOWN NOSAVE")
	c.closed()
	<-n.ending.done
}

func TestAStreamThatIsFullHoldsWritesBack(t *testing.T) {
	n := startNode(t)
	a, b := n.dial(), n.dial()
	for _, test := range []struct{ line, reply string }{
		{"SET k 1", "OK"},
		{"EVAL return(redis.call('SET','k',1)) 0", "OK"},
		{"PUBLISH ch m", "0"},
	} {
		n.stream.fill(true)
		a.send(test.line)
		eventually(t, func() bool { return n.Stats().Waiting == 1 })
		b.want("GET k", "(nil)")
		b.want("EVAL_RO return(1) 0", "1")
		n.stream.fill(false)
		a.wantNext(test.reply)
		b.do("DEL k")
	}
}

// Messages of a cluster do not go by the stream, and those who read on a replica add
// nothing to it.
func TestAStreamThatIsFullHoldsBackOnlyWhatItGets(t *testing.T) {
	n := startParts(t, func(c *Config) { c.Cluster = &fakeCluster{elsewhere: slots.Count, moving: slots.Count} }, "--cluster-enabled", "yes")
	c := n.dial()
	n.stream.fill(true)
	c.want("PUBLISH ch m", "0")
	f := newFakeReplication()
	n = startParts(t, func(c *Config) { c.Replication = f })
	f.locked(func() { f.host = "127.0.0.1" })
	n.RoleChanged()
	n.stream.fill(true)
	n.dial().want("EVAL return(1) 0", "1")
}

// Writes wait while snapshots hold as much as they may, reads and what has been begun
// go on, and nothing is lost.
func TestSnapshotsThatHoldTooMuchHoldWritesBack(t *testing.T) {
	f := &fakePersistence{}
	n := startParts(t, func(c *Config) { c.Persistence = f })
	a, b := n.dial(), n.dial()
	script := n.dial()
	a.want("MULTI", "OK")
	a.want("INCR k", "QUEUED")
	b.want("SET gone v PX 1", "OK")
	f.room(false)
	a.send("EXEC")
	script.send("EVAL return(redis.call('SET','other',1)) 0")
	b.want("GET k", "(nil)")
	b.want("GET other", "(nil)")
	b.want("PUBLISH ch m", "0")
	time.Sleep(2 * cronPeriod)
	if got := n.keyspace.Len(0); got != 1 {
		t.Errorf("expired keys are deleted: %d keys", got)
	}
	b.want("CONFIG SET maxmemory 1", "OK")
	b.want("CONFIG SET maxmemory-policy allkeys-random", "OK")
	b.want("PING", "PONG")
	if got := n.keyspace.Len(0); got != 1 {
		t.Errorf("a key was evicted: %d keys", got)
	}
	b.want("CONFIG SET maxmemory 0", "OK")
	b.send("INCR k")
	f.room(true)
	first, second := a.read(), b.read()
	script.wantNext("OK")
	n.dial().want("GET k", "2")
	if first == second {
		t.Errorf("EXEC answers %s and INCR %s", first, second)
	}
}

// The write that fills the stream is the last one, though many are in the same
// pipeline and are run in the same turn.
func TestNoWriteRunsAfterTheOneThatFilledTheStream(t *testing.T) {
	n := startNode(t)
	n.stream.mu.Lock()
	n.stream.fullAt = 10
	n.stream.mu.Unlock()
	a, b := n.dial(), n.dial()
	fmt.Fprint(a.nc, strings.Repeat("INCR k\r\n", 100))
	for i := range 10 {
		a.wantNext(strconv.Itoa(i + 1))
	}
	b.want("GET k", "10")
	n.stream.fill(false)
	for i := 10; i < 100; i++ {
		a.wantNext(strconv.Itoa(i + 1))
	}
}

func TestTheNodeListensElsewhereWhenTold(t *testing.T) {
	notOverTLS(t, "TestTheTLSPortChanges")
	n := startNode(t)
	c := n.dial()
	port, taken := freePort(t), freePort(t)
	ln, err := net.Listen("tcp", "127.0.0.1:"+taken)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c.want("CONFIG SET port "+taken, "error: ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.")
	n.dial().want("PING", "PONG")
	c.want("CONFIG SET port "+port, "OK")
	dialTo(t, "tcp", "127.0.0.1:"+port).want("PING", "PONG")
	if nc, err := net.Dial("tcp", n.Addr()); err == nil {
		nc.Close()
		t.Error("the old port is still open")
	}
	c.want("CONFIG SET port 0", "OK")
	c.want("CONFIG SET port "+port, "OK")
	dialTo(t, "tcp", "127.0.0.1:"+port).want("PING", "PONG")
}

func TestANodeThatListensNowhereDoesNotStart(t *testing.T) {
	for _, args := range [][]string{{"--bind", ""}, {"--bind", "127.0.0.1", "--port", "0"}} {
		settings, err := config.Load(config.Source{Args: append(args, "--dir", t.TempDir()), Product: "test"})
		if err != nil {
			t.Fatal(err)
		}
		stream := &memoryStream{}
		s, err := New(Config{Settings: settings, Stream: stream, Keyspace: storage.New(storage.Config{Databases: 16, Stream: stream})})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Listen(); err == nil || !strings.Contains(err.Error(), "not listen anywhere") {
			t.Errorf("%q: error %v", args, err)
		}
	}
}

func TestIdleClientsAreClosed(t *testing.T) {
	n := startNode(t, "--timeout", "100")
	idle, subscriber := n.dial(), n.dial()
	idle.want("PING", "PONG")
	subscriber.want("SUBSCRIBE ch", "[subscribe ch 1]")
	n.stopLoops(nil)
	n.eachConn(func(c *conn) { c.active -= 101 * time.Second })
	n.resumeLoops(nil)
	idle.closed()
	n.dial().want("PUBLISH ch x", "1")
	subscriber.wantNext("[message ch x]")
}

// ageAll makes it long since anything came from or went to a client.
func (n *node) ageAll() {
	n.eachConn(func(c *conn) { c.active -= 101 * time.Second })
}

// A client whose wait ends has not been idle meanwhile: it gets its reply even if the
// housekeeping comes first, and can go on.
func TestAClientThatHasWaitedIsNotIdle(t *testing.T) {
	n := startNode(t, "--timeout", "100", "--busy-reply-threshold", "20")
	n.keepNoHouse()
	for _, test := range []struct {
		name, line, reply string
		full              bool
		begun             func() bool
		end               func()
	}{
		{"for an element", "BLPOP k 0", "(nil array)", false, func() bool { return n.parked.count() == 1 }, func() {
			for _, p := range n.parked.all() {
				n.Unblock(p.c.id, "")
			}
		}},
		{"for room in the stream", "INCR n", "1", true, func() bool { return n.Stats().Waiting == 1 }, func() { n.stream.fill(false) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := n.dial()
			c.want("PING", "PONG")
			n.stream.fill(test.full)
			c.send(test.line)
			eventually(t, test.begun)
			n.stopLoops(nil)
			n.ageAll()
			for _, l := range n.loops {
				l.nextCron = 0
			}
			test.end()
			n.resumeLoops(nil)
			c.wantNext(test.reply)
			n.keepHouse()
			c.want("PING", "PONG")
		})
	}
	t.Run("for its own script", func(t *testing.T) {
		c := n.dial()
		c.send("CLIENT REPLY OFF")
		c.call("EVAL", endless, "0")
		n.untilBusy()
		n.stopLoops(nil)
		n.ageAll()
		n.long.each(func(r *run) bool { return r.killUnwritten() })
		n.resumeLoops(nil)
		eventually(t, func() bool { return n.Busy() == "" })
		n.keepHouse()
		c.want("CLIENT REPLY ON", "OK")
	})
}

// A client that is still reading a long reply is not idle.
func TestAClientThatReadsIsNotIdle(t *testing.T) {
	n := startNode(t, "--timeout", "100")
	n.keepNoHouse()
	c, other := n.dial(), n.dial()
	other.want("SET k "+strings.Repeat("v", 100_000), "OK")
	const replies = 200
	c.raw(strings.Repeat("GET k\r\n", replies))
	eventually(t, func() (full bool) {
		n.stopLoops(nil)
		defer n.resumeLoops(nil)
		n.eachConn(func(c *conn) { full = full || c.polled&writable != 0 })
		if full {
			n.ageAll()
		}
		return full
	})
	for range replies {
		c.read()
	}
	n.keepHouse()
	c.want("PING", "PONG")
}

// A burst of expired keys is deleted without anybody asking for them.
func TestExpiredKeysGoByThemselves(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.pipelined(2000, key("SET k%d v PX 1"), word("OK"))
	for c.do("DBSIZE") != "0" {
	}
}

func TestATransactionThatGrowsPastTheQueryBufferIsCutOff(t *testing.T) {
	n := startNode(t, "--client-query-buffer-limit", "1mb")
	c := n.dial()
	c.want("MULTI", "OK")
	line := "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$61440\r\n" + strings.Repeat("x", 61440) + "\r\n"
	for queued := 0; ; queued++ {
		if queued > 40 {
			t.Fatal("2.4 MB are queued and the connection is open")
		}
		if _, err := c.nc.Write([]byte(line)); err != nil {
			return
		}
		c.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
		if reply, err := readReply(c.r); err != nil {
			return
		} else if reply != "QUEUED" {
			t.Fatalf("reply %q", reply)
		}
	}
}

// A transaction that stops the loops gives up its turn after the gates. What
// comes in between, here a pause, counts for it.
func TestAPauseThatComesWhileATransactionStopsTheLoopsHoldsIt(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	c := n.dial()
	c.want("MULTI", "OK")
	c.want("SET k v", "QUEUED")
	c.want("SCAN 0", "QUEUED") // takes all loops
	other := n.loops[0]
	if n.loopFor(n.nextID.Load()) == other {
		other = n.loops[1]
	}
	other.turn.Lock()
	c.send("EXEC")
	for n.stopMu.TryLock() {
		n.stopMu.Unlock() // until EXEC waits for the other loop's turn
		runtime.Gosched()
	}
	n.pause.begin(pauseByFailover, n.now(), n.now()+60_000, false)
	n.setCondition(condPause, true)
	other.turn.Unlock()
	n.dial().want("PING", "PONG")
	n.stopLoops(nil) // EXEC has had its turn
	n.resumeLoops(nil)
	if end := n.stream.End(); end != 0 {
		t.Errorf("the transaction wrote during the pause: the stream ends at %d", end)
	}
	n.Resume()
	c.read()
	if n.stream.End() == 0 {
		t.Error("the transaction did not run after the pause")
	}
}

func TestAnLFUPolicyCountsAccesses(t *testing.T) {
	n := startNode(t, "--maxmemory-policy", "allkeys-lfu")
	c := n.dial()
	c.want("SET k v", "OK")
	c.want("OBJECT FREQ k", "5")
	c.want("GET k", "v")
	if got := c.do("OBJECT FREQ k"); got != "5" && got != "6" {
		t.Errorf("OBJECT FREQ: %s", got)
	}
	payload := c.do("DUMP k")
	restore := func(option, value string) {
		t.Helper()
		c.raw(string(resp.AppendArray(nil, []byte("RESTORE"), []byte("r"), []byte("0"), []byte(payload), []byte("REPLACE"), []byte(option), []byte(value))))
		c.wantNext("OK")
	}
	restore("FREQ", "200")
	c.want("OBJECT FREQ r", "200")
	c.want("MULTI", "OK")
	c.want("CONFIG SET maxmemory-policy allkeys-lru", "QUEUED")
	c.want("EXEC", "[OK]")
	restore("IDLETIME", "5000")
	if seconds, _ := strconv.Atoi(c.do("OBJECT IDLETIME r")); seconds < 5000 {
		t.Errorf("OBJECT IDLETIME: %d", seconds)
	}
	c.want("CONFIG SET maxmemory-policy volatile-lfu", "OK")
	restore("FREQ", "100")
	c.want("OBJECT FREQ r", "100")
}

// Without a password nobody need name one, those neither who were there before: the
// limits on their requests go with it.
func TestRequestsWhenThePasswordGoes(t *testing.T) {
	n := startNode(t, "--requirepass", "secret")
	c, other := n.dial(), n.dial()
	c.want("GET k", "error: "+string(resp.ErrNoAuth))
	other.want("AUTH secret", "OK")
	const many = "EXISTS a b c d e f g h i j k l"
	other.call("CONFIG", "SET", "requirepass", "")
	other.wantNext("OK")
	c.want(many, "0")
	other.want("CONFIG SET requirepass secret", "OK")
	other.want(many, "0")
	c.want("GET k", "error: "+string(resp.ErrNoAuth))
	if got := c.do(many); !strings.Contains(got, "unauthenticated multibulk length") {
		t.Errorf("%q", got)
	}
}
