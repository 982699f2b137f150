package server

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"redoubt/internal/resp"
)

func TestLoopsFollowTheLoad(t *testing.T) {
	for _, tc := range []struct {
		name                            string
		active, least, most, processors int
		loads                           []load
		want                            int
	}{
		{"one idle loop", 1, 1, 2, 2, []load{{100, 1, 0}, {}}, 1},
		{"a full loop with shallow requests on a small machine", 1, 1, 2, 2, []load{{990, 1, 0}, {}}, 1},
		{"a full loop with deep pipelines", 1, 1, 2, 2, []load{{990, 64, 0}, {}}, 2},
		{"a full loop and processors to spare", 1, 1, 4, 8, []load{{990, 1, 0}, {}, {}, {}}, 2},
		{"two full loops and no third", 2, 1, 2, 8, []load{{990, 64, 0}, {990, 64, 0}}, 2},
		{"two loops with little to do", 2, 1, 2, 2, []load{{150, 1, 0}, {150, 1, 0}}, 1},
		{"two loops with enough to do", 2, 1, 2, 2, []load{{500, 1, 0}, {500, 1, 0}}, 2},
		{"never below the least", 2, 2, 2, 2, []load{{}, {}}, 2},
		{"two loops with one key", 2, 1, 2, 2, []load{{990, 64, 700}, {990, 64, 500}}, 1},
		{"one of two loops waits for the other", 2, 1, 2, 2, []load{{990, 64, 700}, {990, 64, 0}}, 2},
		{"two loops with one key and never below the least", 2, 2, 2, 2, []load{{990, 64, 700}, {990, 64, 500}}, 2},
		{"two loops that seldom wait", 2, 1, 2, 2, []load{{990, 64, 7}, {990, 64, 5}}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, _ := wantLoops(tc.active, tc.least, tc.most, tc.processors, tc.loads); got != tc.want {
				t.Errorf("%d loops, want %d", got, tc.want)
			}
		})
	}
}

// TestLoopsThatWereInEachOthersWayComeBackRarely plays an hour of clients that all use
// one key, and then some who do not: two loops are tried again and again, but for a
// small part of the time, and not given up once they are of use.
func TestLoopsThatWereInEachOthersWayComeBackRarely(t *testing.T) {
	const hour = 36_000 // housekeepings
	var s spread
	active, both := 1, 0
	tick := func(queued int64) {
		loads := []load{{990, 64, 0}, {}}
		if active == 2 {
			loads = []load{{990, 64, queued}, {990, 64, queued}}
			both++
		}
		active = s.loops(active, 1, 2, 2, loads)
	}
	for range hour {
		tick(500)
	}
	if both < 50*patience || both > hour/100 {
		t.Errorf("%d of %d times there were two loops for one key", both, hour)
	}
	both = 0
	for range hour {
		tick(0)
	}
	if both < hour-mostShy-patience {
		t.Errorf("%d of %d times there were two loops for many keys", both, hour)
	}
}

func TestConnectionsMoveBetweenLoops(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	var cs []*client
	for i := range 8 {
		c := n.dial()
		c.want(fmt.Sprintf("SET k%d %d", i, i), "OK")
		cs = append(cs, c)
	}
	for _, active := range []int32{1, 2, 1, 2} {
		n.stopLoops(nil)
		n.active.Store(active)
		for _, l := range n.loops {
			l.post(func() { l.place() })
		}
		n.resumeLoops(nil)
		want := []int{len(cs), 0}
		if active == 2 {
			want = []int{len(cs) / 2, len(cs) / 2} // their ids follow each other
		}
		began := time.Now()
		for moved := false; !moved; moved = slices.Equal(n.spread(), want) {
			if time.Since(began) > 10*time.Second {
				t.Fatalf("with %d active loops %v connections are on the loops, want %v", active, n.spread(), want)
			}
			for i, c := range cs {
				c.want(fmt.Sprintf("GET k%d", i), fmt.Sprint(i))
			}
		}
		for i, c := range cs {
			c.want(fmt.Sprintf("GET k%d", i), fmt.Sprint(i))
		}
	}
}

// spread is how many connections each loop has.
func (n *node) spread() (conns []int) {
	n.stopLoops(nil)
	defer n.resumeLoops(nil)
	for _, l := range n.loops {
		count := 0
		for _, c := range l.conns {
			if c != nil {
				count++
			}
		}
		conns = append(conns, count)
	}
	return conns
}

// fakeConn is a connection without a socket, for measuring dispatch alone.
func fakeConn(n *node) (*loop, *conn) {
	l := n.loops[0]
	c := n.newConn(-1, "127.0.0.1:1", "127.0.0.1:2")
	c.home.Store(l)
	return l, c
}

// wholeCluster is a cluster of one node, with every slot on the move, so that
// the keys are looked for as well.
type wholeCluster struct{ fakeCluster }

func (*wholeCluster) Route(r Route) resp.Error {
	if r.Missing != nil {
		r.Missing()
	}
	return ""
}

func TestDispatchDoesNotAllocate(t *testing.T) {
	t.Run("alone", func(t *testing.T) { dispatchDoesNotAllocate(t, startNode(t)) })
	t.Run("in a cluster", func(t *testing.T) {
		dispatchDoesNotAllocate(t, startParts(t, func(c *Config) { c.Cluster = new(wholeCluster) }, "--cluster-enabled", "yes"))
	})
}

func dispatchDoesNotAllocate(t *testing.T, n *node) {
	n.stream.quiet = true
	n.stopLoops(nil)
	defer n.resumeLoops(nil)
	l, c := fakeConn(n)
	c.queued = true // nobody writes its output
	l.beginTurn()
	for name, in := range map[string]string{
		"SET":       "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n",
		"GET":       "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n",
		"GET a nil": "*2\r\n$3\r\nGET\r\n$4\r\nnone\r\n",
		"PING":      "*1\r\n$4\r\nPING\r\n",
	} {
		b := []byte(in)
		run := func() {
			if rest := l.process(c, b); len(rest) != 0 {
				t.Fatalf("%d bytes were left", len(rest))
			}
			c.out.Truncate(0)
			l.closeOutput(c) // as after the write
		}
		run()
		if allocs := testing.AllocsPerRun(200, run); allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

// What delivers an item makes no reply for what could be wrong with it, and finds all
// memory that it needs.
func TestDeliveringAnItemDoesNotAllocate(t *testing.T) {
	n := startNode(t)
	n.stream.quiet = true
	n.stopLoops(nil)
	defer n.resumeLoops(nil)
	l, c := fakeConn(n)
	c.queued = true // nobody writes its output
	l.beginTurn()
	const items = 1000
	do := func(b []byte) {
		l.process(c, b)
		if bytes.Contains(c.out.Bytes(), []byte("-ERR")) {
			t.Fatalf("%q: %s", b, c.out.Bytes())
		}
		c.out.Truncate(0)
		l.closeOutput(c)
	}
	for id := range items {
		do(appendRequest(nil, fmt.Sprintf("XADD items 1-%d field value", id+1)))
	}
	do(appendRequest(nil, "XGROUP CREATE items group 0"))
	for _, line := range []string{"XREADGROUP GROUP group consumer COUNT 1 STREAMS items >", "XACK items group 1-%d"} {
		var requests [][]byte
		for id := range items {
			requests = append(requests, appendRequest(nil, strings.ReplaceAll(line, "%d", strconv.Itoa(id+1))))
		}
		next := 0
		run := func() { do(requests[next]); next++ }
		run()
		if allocs := testing.AllocsPerRun(items-10, run); allocs != 0 {
			t.Errorf("%s: %v allocations", line, allocs)
		}
	}
}

// A snapshot advances under any load, and takes an eighth of the clients' time.
func TestTheSliceOfASnapshot(t *testing.T) {
	for _, c := range []struct {
		clients time.Duration
		any     bool
		want    time.Duration
	}{
		{0, false, idleSlice},
		{0, true, leastSlice},
		{100 * time.Microsecond, true, leastSlice},
		{800 * time.Microsecond, true, 100 * time.Microsecond},
		{time.Second, true, mostSlice},
	} {
		if got := snapshotSlice(c.clients, c.any); got != c.want {
			t.Errorf("clients took %v (any: %v): %v, want %v", c.clients, c.any, got, c.want)
		}
	}
}

// TestAPipelineIsReadInLargePieces would need hundreds of reads if what follows an
// unfinished request were read into the small buffer that keeps it.
func TestAPipelineIsReadInLargePieces(t *testing.T) {
	n := startNode(t)
	n.stopLoops(nil)
	defer n.resumeLoops(nil)
	l, c := fakeConn(n)
	c.queued = true // nobody writes its output
	l.beginTurn()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	c.fd = ends[0]
	var p []byte
	for i := 0; len(p) < 2*readBytes; i++ {
		p = appendRequest(p, fmt.Sprintf("SET key:%d value:%d", i, i))
	}
	sent, reads := 0, 0
	for before := l.stats.inBytes; l.stats.inBytes-before < int64(len(p)); reads++ {
		if reads > 100 {
			t.Fatalf("%d bytes after %d reads", l.stats.inBytes-before, reads)
		}
		if k, err := unix.Write(ends[1], p[sent:min(len(p), sent+readBytes)]); err == nil {
			sent += k
		}
		l.read(c)
		c.out.Truncate(0)
	}
	if most := len(p)/(readBytes-smallRest) + 2; reads > most {
		t.Errorf("%d bytes took %d reads, not %d", len(p), reads, most)
	}
	if c.in != nil {
		t.Errorf("%q is left", c.in)
	}
}
