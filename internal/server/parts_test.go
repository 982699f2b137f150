package server

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redoubt/internal/admin"
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
)

// fakeCluster owns all slots but one, which is on the move.
type fakeCluster struct {
	mu        sync.Mutex
	elsewhere slots.Slot
	moving    slots.Slot
	asked     []Route
	late      bool // the slot goes away between the gate and the unit
	freezes   atomic.Uint64
	voter     atomic.Bool // it is a primary with slots
}

func (f *fakeCluster) Freezes(time.Time) uint64 { return f.freezes.Load() }

// Lines of routing, whose texts package cluster has.
const errCrossSlot resp.Error = "CROSSSLOT Keys in request don't hash to the same slot"

func errMoved(slot int, to string) resp.Error {
	return resp.Error(fmt.Sprintf("MOVED %d %s", slot, to))
}
func errAsk(slot int, to string) resp.Error { return resp.Error(fmt.Sprintf("ASK %d %s", slot, to)) }

func (f *fakeCluster) Route(r Route) resp.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r)
	missing := 0
	if r.Missing != nil {
		missing = r.Missing()
	}
	switch {
	case r.Mixed:
		return errCrossSlot
	case r.Slot == f.elsewhere && !(r.ReadOnly && !r.Write):
		return errMoved(int(r.Slot), "127.0.0.1:7001")
	case r.Slot == f.moving && !r.Shard && missing == r.Keys && !r.Asking:
		return errAsk(int(r.Slot), "127.0.0.1:7002")
	case r.Slot == f.moving && missing > 0 && !r.Asking:
		return resp.ErrTryAgain
	case f.late && r.Missing != nil:
		return errMoved(int(r.Slot), "127.0.0.1:7003")
	}
	return ""
}

func (f *fakeCluster) Votes() bool                 { return f.voter.Load() }
func (f *fakeCluster) Publish(_, _ []byte, _ bool) {}
func (f *fakeCluster) Rows() []*command.Row        { return nil }
func (f *fakeCluster) Connections() int            { return 10 }
func (f *fakeCluster) LinkBytes() int64            { return 1000 }

func TestRequestsAreRouted(t *testing.T) {
	f := &fakeCluster{elsewhere: slots.Of([]byte("far")), moving: slots.Of([]byte("{m}"))}
	n := startParts(t, func(c *Config) { c.Cluster = f }, "--cluster-enabled", "yes")
	c := n.dial()
	moved := "error: MOVED " + strings.TrimPrefix(string(errMoved(int(f.elsewhere), "127.0.0.1:7001")), "MOVED ")
	ask := "error: " + string(errAsk(int(f.moving), "127.0.0.1:7002"))
	for _, step := range []struct{ line, reply string }{
		{"SET near 1", "OK"},
		{"GET far", moved},
		{"READONLY", "OK"},
		{"GET far", "(nil)"},
		{"SET far 1", moved},
		{"READWRITE", "OK"},
		{"GET far", moved},
		{"MGET near other", "error: " + string(errCrossSlot)},
		{"GET {m}1", ask},
		{"ASKING", "OK"},
		{"SET {m}1 v", "OK"},
		{"GET {m}1", "v"},
		{"MGET {m}1 {m}2", "error: " + string(resp.ErrTryAgain)},
		{"ASKING", "OK"},
		{"MULTI", "OK"},
		{"GET {m}1", "QUEUED"},
		{"GET {m}2", "QUEUED"},
		{"EXEC", "[v (nil)]"},
		{"GET {m}2", ask},
		{"MULTI", "OK"},
		{"ASKING", "QUEUED"},
		{"EXEC", "[OK]"},
		{"GET {m}2", ask},
		{"MULTI", "OK"},
		{"GET {m}1", "QUEUED"},
		{"GET {m}2", ask},
		{"EXEC", "error: " + string(resp.ErrExecAbort)},
		// A channel is no key that may have gone.
		{"MULTI", "OK"},
		{"SPUBLISH {m}channel x", "QUEUED"},
		{"GET {m}1", "QUEUED"},
		{"EXEC", "[0 v]"},
		{"MULTI", "OK"},
		{"SPUBLISH {m}channel x", "QUEUED"},
		{"EXEC", "[0]"},
		{"MGET {m}2 {m}2 {m}1", "error: " + string(resp.ErrTryAgain)},
		{"MGET {m}2 {m}2", ask},
		{"ASKING", "OK"},
		{"PING", "PONG"},
		{"MGET {m}1 {m}2", "error: " + string(resp.ErrTryAgain)},
		{"PING", "PONG"},
		{"SELECT 1", "error: " + string(resp.ErrSelectCluster)},
		{"COPY {n}1 {n}2 DB 1", "error: " + string(resp.ErrCopyCluster)},
		{"COPY {n}1 {n}2 DB 1 DB x", "error: " + string(resp.ErrNotInteger)},
		{"COPY {n}1 {n}2 DB -1", "error: " + string(resp.ErrDBIndex)},
		{"COPY {n}1 {n}2 DB 0", "0"},
		{"MOVE near 1", "error: " + string(resp.ErrMoveCluster)},
		{"SSUBSCRIBE far", moved},
		// An error while queueing spoils the transaction; one at EXEC is its reply.
		{"MULTI", "OK"},
		{"GET far", moved},
		{"EXEC", "error: " + string(resp.ErrExecAbort)},
		{"MULTI", "OK"},
		{"GET near", "QUEUED"},
		{"GET other", "QUEUED"},
		{"EXEC", "error: " + string(errCrossSlot)},
		{"EXEC", "error: " + string(resp.ErrExecWithoutMulti)},
	} {
		c.want(step.line, step.reply)
	}
	f.mu.Lock()
	f.late = true
	f.mu.Unlock()
	c.want("SET near 2", "error: "+string(errMoved(int(slots.Of([]byte("near"))), "127.0.0.1:7003")))
	f.mu.Lock()
	f.late = false
	f.mu.Unlock()
	c.want("GET near", "1")
}

func TestInfoOfACluster(t *testing.T) {
	n := startParts(t, func(c *Config) { c.Cluster = &fakeCluster{} }, "--cluster-enabled", "yes")
	c := n.dial()
	c.want("INFO cluster", "# Cluster\r\ncluster_enabled:1\r\n")
	if info := c.do("INFO clients"); !strings.Contains(info, "cluster_connections:10\r\n") {
		t.Error(info)
	}
}

// fakeReplication is a primary or a replica without any wire.
type fakeReplication struct {
	mu       sync.Mutex
	host     string
	up       bool
	good     int
	acked    int
	attached int
	behind   []string
	state    string // of the link
	stays    bool   // replicas stay until they are closed
	onAck    func()
	served   chan Handshake
	rest     []byte
	asked    chan struct{} // closed by the first AskAcks
	once     sync.Once

	unconfirmed   atomic.Bool
	wanted, ahead atomic.Int64 // calls of WantAcks and SendAhead

	handovers chan handoverCall // calls of HandOver
}

// handoverCall is what HandOver was called with.
type handoverCall struct {
	ctx  context.Context
	done func(over bool)
}

func (f *fakeReplication) HandOver(ctx context.Context, done func(over bool)) {
	f.handovers <- handoverCall{ctx, done}
}

func newFakeReplication() *fakeReplication {
	return &fakeReplication{served: make(chan Handshake, 1), asked: make(chan struct{}), handovers: make(chan handoverCall, 1)}
}

func (f *fakeReplication) locked(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// Confirmed and Vouched are those of a node whose Sentinels say "word".
func (f *fakeReplication) Confirmed() bool             { return !f.unconfirmed.Load() }
func (f *fakeReplication) Vouched(message []byte) bool { return string(message) == "word" }

func (f *fakeReplication) Serve(nc net.Conn, rest []byte, hello Handshake) {
	f.locked(func() { f.rest = rest })
	go func() {
		io.WriteString(nc, "+FULLRESYNC\r\n")
		if f.stays {
			_, _ = io.Copy(io.Discard, nc) // until somebody closes it
		}
		nc.Close()
		f.served <- hello
	}()
}

func (f *fakeReplication) Follow(_ *storage.Tx, host string, _ int, _ string) {
	f.locked(func() { f.host = host })
}

func (f *fakeReplication) Primary() (host string, port int) {
	f.locked(func() { host = f.host })
	return host, 6379
}

func (f *fakeReplication) LinkUp() (up bool) {
	f.locked(func() { up = f.up })
	return up
}

func (f *fakeReplication) LinkState() (state string) {
	f.locked(func() { state = cmp.Or(f.state, "connect") })
	return state
}

func (f *fakeReplication) GoodReplicas() (n int) {
	f.locked(func() { n = f.good })
	return n
}

func (f *fakeReplication) OnlineReplicas() (n int) {
	f.locked(func() { n = f.good })
	return n
}

func (f *fakeReplication) Attached() (n int) {
	f.locked(func() { n = f.attached })
	return n
}

func (f *fakeReplication) WantAcks(*storage.Executor) { f.wanted.Add(1) }
func (f *fakeReplication) SendAhead()                 { f.ahead.Add(1) }

func (f *fakeReplication) Acked(replication.Offset) (n int) {
	f.locked(func() { n = f.acked })
	return n
}

func (f *fakeReplication) Synced(replication.Offset) (bool, int) { return true, 0 }
func (*fakeReplication) SayOwed(*storage.Tx)                     {}
func (f *fakeReplication) ID() string                            { return strings.Repeat("a", 40) }
func (f *fakeReplication) AskAcks()                              { f.once.Do(func() { close(f.asked) }) }
func (f *fakeReplication) OnAck(g func())                        { f.onAck = g }
func (f *fakeReplication) Replicas() []admin.Replica             { return nil }

func (f *fakeReplication) Behind(replication.Offset) (names []string, all int) {
	f.locked(func() { names = slices.Clone(f.behind) })
	return names, 1
}

func (f *fakeReplication) Info() string { return "role:master\r\n" }

func TestWaitAOF(t *testing.T) {
	f := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication = f })
	c := n.dial()
	c.want("SET k v", "OK")
	c.want("WAITAOF 1 0 0", "[1 0]")
	c.want("WAITAOF 1 1 1", "[1 0]")
	c.want("WAITAOF 2 0 0", "error: ERR value is out of range, value must between 0 and 1")
	c.want("WAITAOF 0 -1 0", "error: ERR value is out of range, must be positive")
	c.want("WAITAOF 0 0 -1", "error: ERR timeout is negative")
	c.want("CONFIG SET appendonly no", "OK")
	c.want("WAITAOF 1 0 0", "error: ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.")
	c.want("WAITAOF 0 0 0", "[1 0]")
	f.locked(func() { f.host = "127.0.0.1" })
	n.Server.RoleChanged()
	c.want("WAITAOF 0 0 0", "error: ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated.")
}

func TestADemotionEndsWaits(t *testing.T) {
	f := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication = f })
	c := n.dial()
	c.send("WAIT 1 0")
	<-f.asked
	f.locked(func() { f.host = "127.0.0.1" })
	n.Server.RoleChanged()
	c.wantNext("error: UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)")
}

// demotingCluster takes the node's role away when a gate asks for the way, so that
// the request has passed all gates and is yet to lock its slots.
type demotingCluster struct {
	fakeCluster
	keys    *storage.Keyspace
	demotes atomic.Bool
}

func (d *demotingCluster) Route(r Route) resp.Error {
	if r.Missing == nil && d.demotes.Load() {
		d.keys.SetRole(storage.RoleReplica)
	}
	return ""
}

func TestAWriteThatPassedItsGatesMeetsADemotion(t *testing.T) {
	d := new(demotingCluster)
	n := startParts(t, func(c *Config) { c.Cluster, d.keys = d, c.Keyspace }, "--cluster-enabled", "yes")
	c := n.dial()
	c.want("MULTI", "OK")
	c.want("SET k v", "QUEUED")
	d.demotes.Store(true)
	c.want("EXEC", "error: EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.")
	n.keyspace.SetRole(storage.RolePrimary)
	c.want("SET k v", "error: "+string(resp.ErrReadOnly))
	c.want("GET k", "(nil)")
	if end := n.stream.End(); end != 0 {
		t.Errorf("the stream ends at %d", end)
	}
}

func TestWaitEndsWithAnAcknowledgement(t *testing.T) {
	f := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication = f })
	c, other := n.dial(), n.dial()
	c.want("SET k v", "OK")
	c.want("WAIT 0 0", "0")
	c.send("WAIT 1 0")
	c.send("PING") // nothing of the connection runs meanwhile
	<-f.asked
	other.want("PING", "PONG")
	if info := other.do("INFO clients"); !strings.Contains(info, "blocked_clients:1\r\n") {
		t.Errorf("a waiting client is not counted: %s", info)
	}
	f.locked(func() { f.acked = 1 })
	f.onAck()
	c.wantNext("1")
	c.wantNext("PONG")
	c.want("WAIT 2 1", "1") // times out
	c.want("MULTI", "OK")
	c.want("WAIT 5 0", "QUEUED")
	c.want("EXEC", "[1]")
}

func TestUnblockEndsAWait(t *testing.T) {
	f := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication = f }, "--event-loops", "2")
	c, other := n.dial(), n.dial()
	id := c.do("CLIENT ID")
	c.send("WAIT 1 0")
	<-f.asked
	for other.do("CLIENT UNBLOCK "+id+" ERROR") != "1" {
	}
	c.wantNext("error: " + string(resp.ErrUnblocked))
	other.want("CLIENT UNBLOCK "+id, "0")
}

// late is a command that waits for something outside of the loops and is then
// answered with an error.
func late(_ *command.Ctx, c command.Suspender) {
	resume := c.Suspend()
	go resume(0, func(w *resp.Writer) { w.Error("LATE too late") })
}

func TestErrorsAfterAWaitAreCounted(t *testing.T) {
	f := newFakeReplication()
	n := startParts(t, func(c *Config) {
		c.Replication = f
		c.Rows = []*command.Row{{Name: "late", Arity: 1, Lock: command.LockNone, Run: command.For(late)}}
	})
	c, other := n.dial(), n.dial()
	c.want("LATE", "error: LATE too late")
	id := c.do("CLIENT ID")
	c.send("WAIT 1 0")
	<-f.asked
	for other.do("CLIENT UNBLOCK "+id+" ERROR") != "1" {
	}
	c.wantNext("error: " + string(resp.ErrUnblocked))
	info := other.do("INFO everything")
	for _, want := range []string{"errorstat_LATE:count=1", "errorstat_UNBLOCKED:count=1", "total_error_replies:2"} {
		if !strings.Contains(info, want+"\r\n") {
			t.Errorf("%s is missing in\n%s", want, info)
		}
	}
	for _, name := range []string{"late", "wait"} {
		_, line, _ := strings.Cut(info, "cmdstat_"+name+":")
		if line, _, _ = strings.Cut(line, "\r\n"); !strings.HasSuffix(line, "failed_calls=1") {
			t.Errorf("%s: %s", name, line)
		}
	}
}

func TestAWaitWithoutReplyIsNotAnswered(t *testing.T) {
	f := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication = f })
	c := n.dial()
	c.send("CLIENT REPLY SKIP")
	c.send("WAIT 1 1")
	c.want("ECHO x", "x")
	c.send("CLIENT REPLY OFF")
	c.send("WAIT 1 1")
	c.want("CLIENT REPLY ON", "OK")
}

func TestGatesOfAReplica(t *testing.T) {
	f := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication = f }, "--replica-serve-stale-data", "no")
	c := n.dial()
	c.want("REPLICAOF 127.0.0.1 6379", "OK")
	c.want("SET k v", "error: "+string(resp.ErrReadOnly))
	c.want("GET k", "error: "+string(resp.ErrMasterDown))
	c.want("MULTI", "OK")
	c.want("SET k v", "error: "+string(resp.ErrReadOnly))
	c.want("EXEC", "error: "+string(resp.ErrExecAbort))
	c.want("CONFIG SET replica-serve-stale-data yes", "OK")
	c.want("WAIT 1 1", "error: "+string(resp.ErrWaitReplica))
	c.want("PSYNC ? -1", "error: "+string(resp.ErrNoMasterLink))
	c.want("GET k", "(nil)")
	c.want("CONFIG SET replica-serve-stale-data no", "OK")
	f.locked(func() { f.up = true })
	n.RoleChanged()
	c.want("GET k", "(nil)")
	c.want("ROLE", "[slave 127.0.0.1 6379 connect 0]")
	c.want("REPLICAOF NO ONE", "OK")
	c.want("SET k v", "OK")
	c.want("CONFIG SET min-replicas-to-write 1 min-replicas-max-lag 10", "OK")
	c.want("SET k v", "error: "+string(resp.ErrNoReplicas))
	c.want("MULTI", "OK")
	c.want("GET k", "QUEUED")
	c.want("EXEC", "[v]")
	f.locked(func() { f.good = 1 })
	c.want("SET k v", "OK")
}

// TestAsyncLoading: a full resync during which the old data are served.
func TestAsyncLoading(t *testing.T) {
	f := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication = f })
	c := n.dial()
	want := func(loading, async int) {
		t.Helper()
		if got := c.do("INFO persistence"); !strings.Contains(got, fmt.Sprintf("\r\nloading:%d\r\nasync_loading:%d\r\n", loading, async)) {
			t.Errorf("want %d and %d: %s", loading, async, got)
		}
	}
	c.want("REPLICAOF 127.0.0.1 6379", "OK")
	c.want("CONFIG SET repl-diskless-load swapdb", "OK")
	want(0, 0)
	f.locked(func() { f.state = "sync" })
	want(0, 1)
	n.SetLoading(true)
	want(1, 0)
	n.SetLoading(false)
	want(0, 1)
	c.want("CONFIG SET repl-diskless-load on-empty-db", "OK")
	want(0, 0)
	c.want("CONFIG SET repl-diskless-load swapdb", "OK")
	f.locked(func() { f.state = "connected" })
	want(0, 0)
}

func TestAWrongOffsetOfAReplicaIsLogged(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	n := startParts(t, func(c *Config) { c.Replication, c.Log = newFakeReplication(), zap.New(core) })
	n.dial().want("PSYNC ? word", "error: "+string(resp.ErrNotInteger))
	if logged.FilterMessageSnippet(" asks for synchronization but with a wrong offset").Len() != 1 {
		t.Errorf("the log: %v", logged.All())
	}
}

func TestPsyncHandsTheConnectionOver(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			f := newFakeReplication()
			path := t.TempDir() + "/s"
			n := startParts(t, func(c *Config) { c.Replication = f }, "--unixsocket", path)
			addr := path
			if network == "tcp" {
				addr = n.Addr()
			}
			c := n.dialBy(network, addr)
			c.want("REPLCONF listening-port 7777 ip-address 10.0.0.1", "OK")
			c.want("REPLCONF capa eof capa psync2", "OK")
			c.want("REPLCONF set-cluster-node-id 7777", "error: "+string(resp.ErrReplicaNodeID))
			c.want("REPLCONF set-cluster-node-id 0123456789012345678901234567890123456789", "OK")
			c.raw("*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\nREPLCONF ACK 0\r\n")
			c.wantNext("FULLRESYNC")
			hello := <-f.served
			want := Handshake{ListeningPort: 7777, IP: "10.0.0.1", EOF: true, PSYNC2: true, Psync: true, ID: "?", Offset: -1, User: "default", NodeID: "0123456789012345678901234567890123456789"}
			hello.Stray = nil // TestACommandOfAReplicaEndsItsConnection
			if !reflect.DeepEqual(hello, want) {
				t.Errorf("handed over %+v, want %+v", hello, want)
			}
			f.locked(func() {
				if string(f.rest) != "REPLCONF ACK 0\r\n" {
					t.Errorf("the rest is %q", f.rest)
				}
			})
			if got := n.dial().do("INFO clients"); !strings.Contains(got, "connected_clients:1\r\n") {
				t.Errorf("the replica is still a client: %s", got)
			}
		})
	}
}

// TestACommandOfAReplicaEndsItsConnection: what is told apart, and what the log says, as
// in Redis.
func TestACommandOfAReplicaEndsItsConnection(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	f := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication, c.Log = f, zap.New(core) })
	replica := n.dial()
	replica.want("PSYNC ? -1", "FULLRESYNC")
	hello := <-f.served

	const critical = "== CRITICAL == This master is sending an error to its replica: '"
	errs := 0
	for _, c := range []struct{ line, name, failure string }{
		{"PING", "ping", ""},
		{"select 1", "select", ""},
		{"MULTI", "multi", ""},
		{"xinfo help", "xinfo|help", ""},
		{"slowlog get", "slowlog|get", ""},
		{"GET foo", "get", string(resp.ErrReplicaKeyspace)},
		{"FLUSHALL", "flushall", string(resp.ErrReplicaKeyspace)},
		{"PUBLISH c m", "publish", string(resp.ErrReplicaKeyspace)},
		{"ECHO", "echo", "ERR wrong number of arguments for 'echo' command"},
		{"NOSUCH a", "<unknown>", "ERR unknown command 'NOSUCH', with args beginning with: 'a' "},
		{"CONFIG NOSUCH", "<unknown>", "ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP."},
		{"REPLCONF capa eof", "replconf", ""},
		{"REPLCONF ACK", "replconf", ""}, // a syntax error, told as any reply
	} {
		logged.TakeAll()
		if err := hello.Stray(words(c.line)); err == nil {
			t.Errorf("%s: the connection goes on", c.line)
		}
		lines := logged.TakeAll()
		last := lines[len(lines)-1].Message
		if want := "Replica generated a reply to command '" + c.name + "', disconnecting it: id="; !strings.HasPrefix(last, want) {
			t.Errorf("%s: the log says %q", c.line, last)
		}
		if c.failure == "" {
			if len(lines) != 1 {
				t.Errorf("%s: the log says %v", c.line, lines)
			}
			continue
		}
		errs++
		if want := critical + c.failure + "' after processing the command '" + c.name + "'"; len(lines) != 2 || lines[0].Message != want {
			t.Errorf("%s: the log says %v", c.line, lines)
		}
	}
	for _, line := range []string{"REPLCONF ACK junk", "replconf GetAck *"} {
		if err := hello.Stray(words(line)); err != nil || logged.Len() != 0 {
			t.Errorf("%s has no reply: %v, %v", line, err, logged.All())
		}
	}
	want := fmt.Sprintf("unexpected_error_replies:%d\r\n", errs)
	c := n.dial()
	if got := c.do("INFO stats"); !strings.Contains(got, want) {
		t.Errorf("INFO does not say %s", want)
	}
	c.want("CONFIG RESETSTAT", "OK")
	if got := c.do("INFO stats"); !strings.Contains(got, "unexpected_error_replies:0\r\n") {
		t.Error("CONFIG RESETSTAT leaves unexpected_error_replies")
	}
}

// words are the arguments of a line without quotes.
func words(line string) (args [][]byte) {
	for _, w := range strings.Fields(line) {
		args = append(args, []byte(w))
	}
	return args
}

func TestReplicasAreClientsToo(t *testing.T) {
	f := newFakeReplication()
	f.stays = true
	n := startParts(t, func(c *Config) { c.Replication = f })
	c, replica := n.dial(), n.dial()
	id := replica.do("CLIENT ID")
	replica.want("CLIENT SETNAME follows", "OK")
	replica.want("PSYNC ? -1", "FULLRESYNC")
	local := replica.nc.LocalAddr().String()
	want := fmt.Sprintf("id=%s addr=%s laddr=%s fd=-1 name=follows ", id, local, n.Addr())
	for _, line := range []string{"CLIENT LIST", "CLIENT LIST TYPE replica", "CLIENT LIST TYPE slave", "CLIENT LIST ID " + id} {
		if got := c.do(line); !strings.Contains(got, want) || !strings.Contains(got, " flags=S ") {
			t.Errorf("%s: %s", line, got)
		}
	}
	if got := c.do("CLIENT LIST TYPE normal"); strings.Contains(got, "follows") {
		t.Errorf("a replica is a normal client: %s", got)
	}
	c.want("CLIENT KILL TYPE normal LADDR "+n.Addr(), "0")
	c.want("CLIENT KILL TYPE replica ADDR "+local, "1")
	replica.closed()
	<-f.served
	c.want("CLIENT LIST TYPE replica", "")
	c.want("CLIENT KILL ID "+id, "0")
}

// fakePersistence refuses when told to.
type fakePersistence struct {
	mu      sync.Mutex
	failing resp.Error
	saves   int
	failure error
	room    func(bool)
}

func (f *fakePersistence) Save(*storage.Tx) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.saves++
	return f.failure
}

func (f *fakePersistence) SaveAtEnd(tx *storage.Tx) error { return f.Save(tx) }

func (f *fakePersistence) AwaitsFirstBase() bool { return false }

func (f *fakePersistence) Flushed(tx *storage.Tx, save bool) error {
	if save {
		return f.Save(tx)
	}
	return nil
}

func (f *fakePersistence) Background() error           { return nil }
func (f *fakePersistence) Load() admin.LoadProgress    { return admin.LoadProgress{} }
func (f *fakePersistence) Rewrite(bool) (bool, error)  { return false, nil }
func (f *fakePersistence) LoadAgain(*storage.Tx) error { return nil }
func (f *fakePersistence) OnRoom(tell func(room bool)) { f.room = tell }

func (f *fakePersistence) Step(*storage.Executor, int64, time.Duration) bool { return false }

func (f *fakePersistence) Reload(_ *storage.Tx, _, _, _ bool) error { return nil }
func (f *fakePersistence) LastSave() time.Time                      { return time.Unix(7, 0) }
func (f *fakePersistence) Saving() bool                             { return false }
func (f *fakePersistence) Info() string                             { return "" }

func (f *fakePersistence) Failing() resp.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failing
}

func TestADiskThatRefusesStopsWritesOnly(t *testing.T) {
	f := &fakePersistence{}
	n := startParts(t, func(c *Config) { c.Persistence = f })
	c := n.dial()
	c.want("SET k v", "OK")
	full := resp.ErrMisconfJournal("No space left on device")
	f.mu.Lock()
	f.failing = full
	f.mu.Unlock()
	n.RoleChanged() // takes conditions afresh, as the housekeeping does
	c.want("SET k w", "error: "+string(full))
	c.want("PING", "error: "+string(full))
	c.want("GET k", "v")
	c.want("LASTSAVE", "7")
	f.mu.Lock()
	f.failing = ""
	f.mu.Unlock()
	c.want("SET k w", "OK")
}

func TestAFlushIsSavedWhereSavePointsAre(t *testing.T) {
	for _, tc := range []struct {
		points string
		lines  []string
		saves  int
	}{
		{"", []string{"FLUSHALL"}, 0},
		{"3600 1", []string{"FLUSHDB"}, 0},
		{"3600 1", []string{"FLUSHALL", "FLUSHALL ASYNC"}, 2},
	} {
		f := &fakePersistence{}
		n := startParts(t, func(c *Config) { c.Persistence = f }, "--save", tc.points)
		c := n.dial()
		for _, line := range tc.lines {
			c.want(line, "OK")
		}
		f.mu.Lock()
		if f.saves != tc.saves {
			t.Errorf("save %q, %q: %d snapshots, want %d", tc.points, tc.lines, f.saves, tc.saves)
		}
		f.mu.Unlock()
	}
}

// Messages reach the subscribers of other nodes by the bus or by the stream, not
// by both.
func TestMessagesGoOneWay(t *testing.T) {
	for _, tc := range []struct {
		name  string
		parts func(*Config)
		args  []string
		units int
	}{
		{"to replicas by the stream", func(*Config) {}, nil, 3},
		{"in a cluster by the bus", func(c *Config) { c.Cluster = &fakeCluster{} }, []string{"--cluster-enabled", "yes"}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := startParts(t, tc.parts, tc.args...)
			c := n.dial()
			c.want("PUBLISH ch x", "0")
			c.want("SPUBLISH ch x", "0")
			c.raw("MULTI\r\nSPUBLISH ch y\r\nEXEC\r\n")
			for range 3 {
				c.read()
			}
			if units := n.stream.recorded(); len(units) != tc.units {
				t.Errorf("%d units in the stream, want %d: %q", len(units), tc.units, units)
			}
		})
	}
}

// What a transaction has published counts as memory of the links until it is on
// its way.
func TestPublishedMessagesAreMemoryOfTheLinks(t *testing.T) {
	n := startParts(t, func(c *Config) { c.Cluster = &fakeCluster{} }, "--cluster-enabled", "yes")
	c := n.dial()
	memory := func(info string) int {
		_, rest, _ := strings.Cut(info, "mem_cluster_links:")
		value, _, _ := strings.Cut(rest, "\r\n")
		bytes, err := strconv.Atoi(value)
		if err != nil {
			t.Fatalf("%q: %v", info, err)
		}
		return bytes
	}
	c.do("MULTI")
	c.do("INFO memory")
	c.do("PUBLISH channel " + strings.Repeat("x", 10000))
	c.do("INFO memory")
	reply := c.do("EXEC")
	before := memory(reply)
	_, second, _ := strings.Cut(reply, "mem_cluster_links:")
	if after := memory(second); before != 1000 || after < before+10000 {
		t.Errorf("%d bytes before, %d after a message of 10000", before, after)
	}
	if got := memory(c.do("INFO memory")); got != before {
		t.Errorf("%d bytes when it is sent", got)
	}
}

// leavingCluster gives its slots away once a gate has asked for the way.
type leavingCluster struct {
	fakeCluster
	asked atomic.Int32
}

func (x *leavingCluster) Route(r Route) resp.Error {
	if x.asked.Add(1) > 1 {
		return errMoved(int(r.Slot), "127.0.0.1:7001")
	}
	return ""
}

// A subscription that comes while the slot of its channel goes is ended like those
// before it.
func TestASubscriptionThatPassedItsGateMeetsAMove(t *testing.T) {
	n := startParts(t, func(c *Config) { c.Cluster = &leavingCluster{} }, "--cluster-enabled", "yes")
	c, other := n.dial(), n.dial()
	c.want("SSUBSCRIBE ch", "[ssubscribe ch 1]")
	c.wantNext("[sunsubscribe ch 0]")
	other.want("PUBSUB SHARDCHANNELS", "[]")
}
