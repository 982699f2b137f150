package server

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"redoubt/internal/resp"
)

const uncertain = "error: " + string(resp.ErrUncertain)

// awaitReplicas has the stream commit only what the test says, as acknowledgements of
// replicas would.
func (m *memoryStream) awaitReplicas() {
	m.hold()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.awaits = true
}

// A write that replicas have not acknowledged in time is answered by an error, in the
// place of its reply; what only shows data is not. Nothing of it is waited for again.
func TestAWriteThatReplicasDoNotAcknowledge(t *testing.T) {
	for _, tc := range []struct {
		name, requests string
		replies        []string
	}{
		{"a write", "SET k 1\r\n", []string{uncertain}},
		{"a pipeline", "PING\r\nSET k 1\r\nGET k\r\nSET k 2\r\nGET other\r\n", []string{"PONG", uncertain, "1", uncertain, "(nil)"}},
		{"one that changes nothing", "SET k 1\r\nSET k 2 NX\r\n", []string{uncertain, "(nil)"}},
		{"a transaction", "MULTI\r\nSET k 1\r\nGET k\r\nEXEC\r\nPING\r\n", []string{"OK", "QUEUED", "QUEUED", uncertain, "PONG"}},
		{"a script", "EVAL \"return redis.call('SET', KEYS[1], 1)\" 1 k\r\nGET k\r\n", []string{uncertain, "1"}},
		{"without a reply", "CLIENT REPLY SKIP\r\nSET k 1\r\nGET k\r\n", []string{"1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := startNode(t, "--min-replicas-ack-timeout", "30")
			n.stream.awaitReplicas()
			c := n.dial()
			c.raw(tc.requests)
			for _, want := range tc.replies {
				c.wantNext(want)
			}
			if got := c.do("GET k"); got != "1" && got != "2" {
				t.Errorf("k is %s", got)
			}
		})
	}
}

// Before the time is up nothing leaves, and afterwards nothing has to be waited for.
func TestAWriteThatReplicasAcknowledge(t *testing.T) {
	n := startNode(t, "--min-replicas-ack-timeout", "60000")
	n.stream.awaitReplicas()
	c, reader := n.dial(), n.dial()
	n.sends(c, "SET k 1")
	reader.want("GET elsewhere", "(nil)")
	reader.send("GET k")
	c.silent()
	reader.silent()
	n.stream.commit(-1)
	c.wantNext("OK")
	reader.wantNext("1")
}

// A client that is served by a write of another one waits as that does.
func TestAServedClientWaitsForReplicas(t *testing.T) {
	n := startNode(t, "--min-replicas-ack-timeout", "30")
	b := n.blocks("BLPOP list 0")
	n.stream.awaitReplicas()
	c := n.dial()
	c.want("RPUSH list x", uncertain)
	b.wantNext(uncertain)
}

// A message that a unit has published is late, and not lost.
func TestAMessageWaitsForReplicas(t *testing.T) {
	n := startNode(t, "--min-replicas-ack-timeout", "30")
	s := n.dial()
	s.want("SUBSCRIBE c", "[subscribe c 1]")
	n.stream.awaitReplicas()
	c := n.dial()
	c.want("PUBLISH c m", uncertain)
	s.wantNext("[message c m]")
}

// When the node has become a replica, nobody will ever know of what waits: not even if
// the stream is committed further than that, by acknowledgements of another history.
func TestAChangeOfTheRoleIsNoAcknowledgement(t *testing.T) {
	n := startNode(t, "--min-replicas-ack-timeout", "60000")
	n.stream.awaitReplicas()
	c := n.dial()
	n.sends(c, "SET k 1")
	c.silent()
	n.stream.mu.Lock()
	n.stream.term++
	n.stream.mu.Unlock()
	n.stream.commit(-1)
	c.wantNext(uncertain)
}

// The role may change right behind the unit in which a client was served.
func TestAServedClientIsOfTheTermOfItsUnit(t *testing.T) {
	n := startNode(t, "--min-replicas-ack-timeout", "60000")
	b := n.blocks("BLPOP list 0")
	n.stream.awaitReplicas()
	n.stream.mu.Lock()
	n.stream.lasts = true
	n.stream.mu.Unlock()
	c := n.dial()
	before := n.stream.Term()
	c.send("RPUSH list x")
	for began := time.Now(); n.stream.Term() == before; time.Sleep(time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("nothing is appended")
		}
	}
	n.stream.commit(-1)
	c.wantNext(uncertain)
	b.wantNext(uncertain)
}

// Replicas are asked when a turn ends in which replies wait for them, and sent the
// stream before replies leave.
func TestReplicasAreAskedAndSentTheStream(t *testing.T) {
	f := newFakeReplication()
	f.good = 1
	n := startParts(t, func(c *Config) { c.Replication = f }, "--min-replicas-to-ack", "1")
	c := n.dial()
	before := f.ahead.Load()
	c.want("SET k 1", "OK")
	if f.ahead.Load() == before {
		t.Error("a reply has left, and replicas were not sent the stream")
	}
	if f.wanted.Load() != 0 {
		t.Error("replicas were asked, and nothing waited")
	}
	n.stream.awaitReplicas()
	c.send("SET k 2")
	deadline := time.Now().Add(10 * time.Second)
	for f.wanted.Load() == 0 {
		if time.Now().After(deadline) {
			t.Fatal("replicas are not asked")
		}
		time.Sleep(time.Millisecond)
	}
	n.stream.commit(-1)
	c.wantNext("OK")
	f.locked(func() { f.good = 0 })
	c.want("SET k 3", "error: "+string(resp.ErrNoReplicas))
	c.want("GET k", "2")
}

// The reply that is replaced may be of any length, and the ones behind it stay whole.
func TestRepliesBehindAReplacedOne(t *testing.T) {
	n := startNode(t, "--min-replicas-ack-timeout", "20")
	n.stream.awaitReplicas()
	c := n.dial()
	long := make([]byte, 3000)
	for i := range long {
		long[i] = 'v'
	}
	c.raw(fmt.Sprintf("SET k %s\r\nGETSET k short\r\nGETDEL k\r\nPING tail\r\n", long))
	for _, want := range []string{uncertain, uncertain, uncertain, "tail"} {
		c.wantNext(want)
	}
}

// What is replaced has moved in its buffer meanwhile, as what was before it has left.
func TestAReplyIsReplacedWhereItIs(t *testing.T) {
	long := strings.Repeat("v", 3*compactBytes/4)
	for _, tc := range []struct {
		name, requests string
		writes         int
		replies        []string // once the first write is committed, and nothing behind it
		last           []string // once the node is a replica
	}{
		{"behind long replies", "GET long\r\nGET long\r\nGET long\r\nSET k 1\r\nPING\r\n", 1, []string{long, long, long}, []string{uncertain, "PONG"}},
		{"without a reply", "GET short\r\nCLIENT REPLY SKIP\r\nSET k 1\r\n", 1, []string{"v"}, nil},
		{"without one, behind long replies", "GET long\r\nGET long\r\nSET k 1\r\nCLIENT REPLY SKIP\r\nSET k 2\r\nPING\r\n",
			2, []string{long, long}, []string{uncertain, "PONG"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := startNode(t, "--min-replicas-ack-timeout", "60000")
			c := n.dial()
			c.want("SET long "+long, "OK")
			c.want("SET short v", "OK")
			n.stream.awaitReplicas()
			before := len(n.stream.recorded())
			c.send("SET first 1")
			eventually(t, func() bool { return len(n.stream.recorded()) > before })
			first := n.stream.End()
			c.raw(tc.requests)
			eventually(t, func() bool { return len(n.stream.recorded()) == before+1+tc.writes })
			n.stream.commit(first)
			c.wantNext("OK")
			for _, want := range tc.replies {
				c.wantNext(want)
			}
			n.stream.mu.Lock()
			n.stream.term++
			n.stream.mu.Unlock()
			n.stream.commit(-1)
			for _, want := range tc.last {
				c.wantNext(want)
			}
			c.want("PING", "PONG")
		})
	}
}

// What shows data of the whole node, or reads keys that it has not named, asks whether this
// node still leads its shard, as a read of a key does.
func TestWhatShowsDataAsksWhetherTheNodeLeads(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("SET k 1", "OK")
	n.stream.awaitReplicas()
	n.stream.mu.Lock()
	n.stream.strict = true
	n.stream.mu.Unlock()
	rounds := &n.stream.rounds
	ctx, stop := context.WithCancel(t.Context())
	var telling sync.WaitGroup
	telling.Go(func() {
		for ctx.Err() == nil {
			n.stream.commit(-1)
			time.Sleep(5 * time.Millisecond)
		}
	})
	defer telling.Wait()
	defer stop()
	for _, request := range []string{"KEYS *", "SCAN 0", "DBSIZE", "EVAL \"return redis.call('EXISTS', 'none')\" 0"} {
		before := rounds.Load()
		c.do(request)
		if rounds.Load() == before {
			t.Errorf("%s does not ask", request)
		}
	}
	before := rounds.Load()
	c.do("PING")
	if rounds.Load() != before {
		t.Error("PING asks")
	}
}
