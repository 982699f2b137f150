package server

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redoubt/internal/config"
)

// checkClientMemory checks that the counts of all loops are those of their
// connections, and that each connection is in its class.
func (n *node) checkClientMemory() {
	n.t.Helper()
	n.stopLoops(nil)
	defer n.resumeLoops(nil)
	bytes, inClass := map[*loop]int64{}, map[*loop]int{}
	n.eachConn(func(c *conn) {
		l := c.home.Load()
		bytes[l] += c.memory()
		want := 0
		if !c.is(stateNoEvict) {
			want = sizeClass(c.memory()) + 1
			inClass[l]++
		}
		if int(c.counted.class) != want {
			n.t.Errorf("a connection of %d bytes is in class %d, want %d", c.memory(), c.counted.class, want)
		}
	})
	for _, l := range n.loops {
		if l.memory.bytes != bytes[l] || l.memory.toldBytes.Load() != bytes[l] {
			n.t.Errorf("loop %d counts %d bytes and tells of %d, its connections take %d", l.id, l.memory.bytes, l.memory.toldBytes.Load(), bytes[l])
		}
		found := 0
		for i, first := range l.memory.classes {
			if (first != nil) != (l.memory.present&(1<<i) != 0) {
				n.t.Errorf("class %d of loop %d: %v, and the bits are %b", i, l.id, first != nil, l.memory.present)
			}
			for c := first; c != nil; c = c.counted.next {
				found++
				if c.counted.next.counted.prev != c {
					n.t.Fatal("a ring is broken")
				}
				if c.counted.next == first {
					break
				}
			}
		}
		if found != inClass[l] {
			n.t.Errorf("loop %d has %d connections in its classes, want %d", l.id, found, inClass[l])
		}
	}
}

// field is a number of a client's line in CLIENT LIST, -1 if there is no such line.
func (c *client) field(name, field string) int {
	for line := range strings.Lines(c.do("CLIENT LIST")) {
		if !strings.Contains(line, " name="+name+" ") {
			continue
		}
		var n int
		_, rest, _ := strings.Cut(" "+line, " "+field+"=")
		if _, err := fmt.Sscan(strings.Fields(rest)[0], &n); err != nil {
			c.t.Fatal(line, err)
		}
		return n
	}
	return -1
}

// named returns a connection with that name.
func (n *node) named(name string) *client {
	c := n.dial()
	c.want("CLIENT SETNAME "+name, "OK")
	return c
}

// fill sends so much of an argument that never ends, and waits until it has come.
func (c *client) fill(watcher *client, name string, size int) {
	c.t.Helper()
	c.raw(fmt.Sprintf("*2\r\n$%d\r\n%s", size+1, strings.Repeat("v", size)))
	eventually(c.t, func() bool { return watcher.field(name, "qbuf") == size })
}

func eventually(t testing.TB, done func() bool) {
	t.Helper()
	for began := time.Now(); !done(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("it does not happen")
		}
	}
}

// Whatever a client can pile up at the server is counted, and closes it in the end.
func TestClientsAreEvictedForAllThatTheyOccupy(t *testing.T) {
	numbered := func(format string) func(int) string {
		return func(i int) string { return fmt.Sprintf(format, i) }
	}
	for _, tc := range []struct {
		name, begin string
		step        func(i int) string
	}{
		{"a request that is not complete", "*1\r\n$3000000\r\n", word(strings.Repeat("v", 10_000))},
		{"many arguments of a request that is not complete", "*1000000\r\n", word(strings.Repeat("$1\r\nv\r\n", 50))},
		{"a transaction of long commands", "MULTI\r\n", word("SET k " + strings.Repeat("v", 10_000) + "\r\n")},
		{"a transaction of many commands", "MULTI\r\n", word("PING\r\n")},
		{"watches", "", numbered("WATCH key:%d\r\n")},
		{"channels", "", numbered("SUBSCRIBE name:%d\r\n")},
		{"patterns", "", numbered("PSUBSCRIBE name:%d\r\n")},
		{"shard channels", "", numbered("SSUBSCRIBE name:%d\r\n")},
		{"replies that it does not read", "", word("GET large\r\n")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := startNode(t, "--event-loops", "2", "--maxmemory-clients", "300000")
			watcher := n.named("watcher")
			watcher.want("SET large "+strings.Repeat("v", 50_000), "OK")
			c := n.named("greedy")
			c.raw(tc.begin)
			for i := 0; watcher.field("greedy", "tot-mem") >= 0; {
				if i > 20_000 {
					t.Fatal("it is never closed")
				}
				for range 100 {
					io.WriteString(c.nc, tc.step(i)) // it may be closed already
					i++
				}
			}
			if got := watcher.do("INFO stats"); !strings.Contains(got, "evicted_clients:1\r\n") {
				t.Error(got)
			}
			n.checkClientMemory()
		})
	}
}

// The largest clients go first, wherever they are, and no more than must.
func TestTheLargestClientsAreEvicted(t *testing.T) {
	n := startNode(t, "--event-loops", "3")
	control := n.named("control")
	sizes := []int{3 << 20, 1 << 20, 100 << 10}
	var clients []*client
	for i := range 9 {
		name := fmt.Sprint("client", i)
		c := n.named(name)
		c.fill(control, name, sizes[i%3])
		clients = append(clients, c)
	}
	limit := func() int {
		sum := 2 * (1 << 20) // beside them
		for i := range clients {
			sum += max(control.field(fmt.Sprint("client", i), "tot-mem"), 0)
		}
		return sum
	}
	all := limit()
	largest := control.field("client0", "tot-mem")
	for _, tc := range []struct {
		limit int
		left  []int // of the three sizes
	}{
		{all, []int{3, 3, 3}},
		{all - largest, []int{2, 3, 3}},
		{all - 3*largest, []int{0, 3, 3}},
		{900 << 10, []int{0, 0, 3}},
	} {
		// The reply says that it is done.
		control.want(fmt.Sprint("CONFIG SET maxmemory-clients ", tc.limit), "OK")
		var left [3]int
		for i := range clients {
			if control.field(fmt.Sprint("client", i), "id") >= 0 {
				left[i%3]++
			}
		}
		if !slices.Equal(left[:], tc.left) {
			t.Errorf("limit %d: of each size are left %v, want %v", tc.limit, left, tc.left)
		}
		n.checkClientMemory()
	}
	if got := control.do("INFO stats"); !strings.Contains(got, "evicted_clients:6\r\n") {
		t.Error(got)
	}
	control.want("CONFIG RESETSTAT", "OK")
	if got := control.do("INFO stats"); !strings.Contains(got, "evicted_clients:0\r\n") {
		t.Error(got)
	}
}

// A client that asks for its own end is answered first; in a transaction too.
func TestAClientEvictsItself(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("CONFIG SET maxmemory-clients 1", "OK")
	c.closed()

	c = startNode(t, "--event-loops", "2").dial()
	c.want("WATCH k", "OK")
	c.want("MULTI", "OK")
	c.want("CONFIG SET maxmemory-clients 1", "QUEUED")
	c.want("INCR k", "QUEUED")
	c.want("EXEC", "[OK 1]")
	c.closed()
}

func TestNoEvictKeepsAClient(t *testing.T) {
	n := startNode(t, "--maxmemory-clients", "100000")
	control, c := n.named("control"), n.named("kept")
	control.want("CLIENT NO-EVICT on", "OK")
	c.want("CLIENT NO-EVICT on", "OK")
	c.want("MULTI", "OK")
	for range 10 {
		c.want("SET k "+strings.Repeat("v", 30_000), "QUEUED")
	}
	n.checkClientMemory()
	// It counts all the same: another one goes.
	n.dial().closed()
	control.want("CLIENT NO-EVICT off", "OK")
	control.closed()
	c.want("DISCARD", "OK")
	c.want("CLIENT NO-EVICT off", "OK")
	c.want("PING", "PONG")
	c.want("CONFIG SET maxmemory-clients 1", "OK")
	c.closed()
}

func TestMaxmemoryClientsInPercent(t *testing.T) {
	n := startNode(t, "--maxmemory-clients", "7%")
	control, c := n.named("control"), n.named("large")
	control.want("CLIENT NO-EVICT on", "OK")
	c.fill(control, "large", 1<<20) // without maxmemory there is no limit
	control.want("CONFIG GET maxmemory-clients", "[maxmemory-clients 7%]")
	control.want("CONFIG SET maxmemory 100mb", "OK")
	control.want("EXISTS k", "0")
	if control.field("large", "id") < 0 {
		t.Error("it is gone, and takes one percent")
	}
	control.want("CONFIG SET maxmemory 10mb", "OK")
	if control.field("large", "id") >= 0 {
		t.Error("it is there, and takes ten percent")
	}
}

// What a client has sent of a request counts as an argument when that is whole.
func TestClientListShowsUnfinishedRequests(t *testing.T) {
	n := startNode(t)
	control, c := n.named("control"), n.named("slow")
	c.raw("*3\r\n$3\r\nSET\r\n$10\r\n0123456789\r\n$100\r\nabc")
	eventually(t, func() bool { return control.field("slow", "qbuf") == 3 })
	if got := control.field("slow", "argv-mem"); got != 13 {
		t.Errorf("argv-mem=%d, want 13", got)
	}
}

// Connections that come, go, move and fill up leave the counts exact.
func TestClientMemoryStaysExact(t *testing.T) {
	n := startNode(t, "--event-loops", "3", "--maxmemory-clients", "2mb")
	var work sync.WaitGroup
	for w := range 6 {
		work.Go(func() {
			for i := range 60 {
				c := n.dial()
				io.WriteString(c.nc, "CLIENT NO-EVICT "+[]string{"on", "off"}[i%2]+"\r\n"+[]string{
					"*1\r\n$900000\r\n" + strings.Repeat("v", 800_000), "SUBSCRIBE a b c\r\n", "WATCH a b\r\nMULTI\r\nPING\r\n", "MONITOR\r\n", "PUBLISH a " + strings.Repeat("m", 10_000) + "\r\n",
				}[(i+w)%5])
				if i%7 != 0 {
					c.nc.Close()
				}
			}
		})
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for i := int32(0); i < 100; i++ {
			n.stopLoops(nil)
			n.active.Store(i%3 + 1)
			for _, l := range n.loops {
				l.post(l.place)
			}
			n.resumeLoops(nil)
		}
	}()
	work.Wait()
	<-stopped
	// Once the last has settled, that is: MONITOR gives up its loop's turn in the
	// middle of it.
	for _, l := range n.loops {
		turn := make(chan struct{})
		l.post(func() { l.post(func() { close(turn) }) })
		<-turn
	}
	n.checkClientMemory()
}

// With maxmemory, keys make room for what clients occupy.
func TestClientsCountInMaxmemory(t *testing.T) {
	n := startNode(t, "--maxmemory-policy", "allkeys-lru")
	c := n.named("control")
	value := strings.Repeat("v", 1000)
	for i := range 1000 {
		c.want(fmt.Sprintf("SET key:%d %s", i, value), "OK")
	}
	c.want(fmt.Sprint("CONFIG SET maxmemory ", n.usedMemory()+100<<10), "OK")
	c.want("DBSIZE", "1000")
	large := n.named("large")
	large.fill(c, "large", 500<<10)
	c.want("EXISTS nothing", "0")
	if got := c.do("DBSIZE"); got == "1000" {
		t.Error("no key was evicted")
	}
	eventually(t, func() bool { return n.usedMemory() <= n.config.Current().MaxMemory.Bytes }) // it may take several turns
}

func TestClientLimit(t *testing.T) {
	for _, tc := range []struct {
		m    config.MaxMemory
		want int64
	}{
		{config.MaxMemory{}, 0},
		{config.MaxMemory{Bytes: 1000}, 0},
		{config.MaxMemory{ClientsBytes: 77}, 77},
		{config.MaxMemory{ClientsPercent: 7}, 0}, // of no limit
		{config.MaxMemory{Bytes: 6 << 20, ClientsPercent: 7}, 440401},
		{config.MaxMemory{Bytes: math.MaxInt64, ClientsPercent: 100}, math.MaxInt64},
	} {
		if got := clientLimit(&tc.m); got != tc.want {
			t.Errorf("%+v: %d, want %d", tc.m, got, tc.want)
		}
	}
	for bytes, want := range map[int64]int{0: 0, 640: 0, 32<<10 - 1: 0, 32 << 10: 1, 64<<10 - 1: 1, 64 << 10: 2, 4<<30 - 1: 17, 4 << 30: 18, 1 << 50: 18} {
		if got := sizeClass(bytes); got != want {
			t.Errorf("%d bytes are in class %d, want %d", bytes, got, want)
		}
	}
}

// That nobody is left to be closed is said once for each time that it is so.
func TestNobodyIsLeftToBeEvicted(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	n := startParts(t, func(c *Config) { c.Log = zap.New(core) })
	c := n.dial()
	over := func() int { return logged.FilterMessageSnippet("Over client maxmemory").Len() }
	c.want("CLIENT NO-EVICT on", "OK")
	for i := 1; i <= 2; i++ {
		c.want("CONFIG SET maxmemory-clients 1", "OK")
		for range 20 {
			c.want("PING", "PONG")
		}
		if got := over(); got != i {
			t.Errorf("it is said %d times, want %d", got, i)
		}
		c.want("CONFIG SET maxmemory-clients 100mb", "OK")
		c.want("PING", "PONG")
	}
}

// The client whose script takes long cannot go, though it is the largest: others do.
func TestTheClientOfALongScriptIsNotEvicted(t *testing.T) {
	n := startNode(t, "--event-loops", "1", "--busy-reply-threshold", "20", "--maxmemory-clients", "8000000")
	c := n.dial()
	c.call("EVAL", "while true do end", "0", strings.Repeat("v", 3_000_000))
	n.untilBusy()
	for range 8 {
		io.WriteString(n.dial().nc, "*2\r\n$2000000\r\n"+strings.Repeat("v", 900_000))
	}
	eventually(t, func() bool { return n.Stats().EvictedClients > 0 })
	n.dial().want("SCRIPT KILL", "OK")
	if got := c.read(); !strings.Contains(got, "Script killed") {
		t.Errorf("the script ends with %q", got)
	}
	c.want("PING", "PONG")
	n.checkClientMemory()
}
