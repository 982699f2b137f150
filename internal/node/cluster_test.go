package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/redistest"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
)

// member is a cluster driver with a keyspace and without clients: commands are
// run by the test.
type member struct {
	*clusterDriver
	t     *testing.T
	port  int
	dir   string
	table *command.Table
	exec  *storage.Executor
	shell *testShell
	roles *testRoles
	facts struct {
		sync.Mutex
		cluster.Facts
	}
}

// openMember makes a member whose data are in dir, on a port; it is not
// started.
func openMember(t *testing.T, dir string, port int, args ...string) (*member, error) {
	t.Helper()
	args = append([]string{"--port", strconv.Itoa(port), "--dir", dir, "--bind", "127.0.0.1",
		"--cluster-enabled", "yes", "--cluster-node-timeout", "1000"}, args...)
	cfg, err := config.Load(config.Source{Args: args})
	if err != nil {
		t.Fatal(err)
	}
	m := &member{t: t, port: port, dir: dir, shell: newTestShell(), roles: newTestRoles()}
	keys := storage.New(storage.Config{})
	m.exec = keys.NewExecutor()
	m.facts.Offset = 1
	mv := newMover(moverParts{Keys: keys, Cluster: true})
	m.clusterDriver, err = openClusterDriver(clusterParts{
		Config: cfg, Keys: keys, Log: zap.NewNop(),
		Fatal: func(err error) { t.Errorf("fatal: %v", err) },
		Facts: func() cluster.Facts {
			m.facts.Lock()
			defer m.facts.Unlock()
			m.roles.mu.Lock()
			defer m.roles.mu.Unlock()
			m.facts.Replica = strings.HasPrefix(m.roles.role, "replica")
			m.facts.Primary = bus.NodeID(m.roles.primary)
			return m.facts.Facts
		},
		Roles: m.roles, Shell: m.shell, Mover: mv,
	})
	if err != nil {
		return nil, err
	}
	m.table = command.NewTable(m.Rows(), mv.Rows())
	t.Cleanup(func() {
		m.roles.unblock()
		m.Close()
		mv.Close()
	})
	return m, nil
}

func startMember(t *testing.T, args ...string) *member {
	t.Helper()
	m, err := openMember(t, t.TempDir(), redistest.Port(t), args...)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

// testConn is a connection of which nobody sees anything.
type testConn struct {
	reply chan<- string // of a command that waits; nil: within a transaction
}

func (testConn) DB() int       { return 0 }
func (testConn) Proto() int    { return resp.Proto2 }
func (testConn) NoTouch() bool { return false }
func (testConn) Redact(...int) {}

func (testConn) Block(*command.Ctx, *command.Wait) bool { return false }

func (c testConn) Suspend() command.Resume {
	if c.reply == nil {
		return nil
	}
	return func(_ replication.Offset, write func(*resp.Writer)) {
		w := resp.NewWriter(nil, resp.Proto2)
		write(w)
		c.reply <- string(w.Bytes())
	}
}

// do runs a command as a connection would and returns the reply.
func (m *member) do(args ...any) string {
	m.t.Helper()
	reply := m.ask(args...)
	select {
	case r := <-reply:
		return r
	case <-time.After(20 * time.Second):
		m.t.Fatalf("no answer to %v", args)
		return ""
	}
}

// ask runs a command and returns where its reply will come.
func (m *member) ask(args ...any) <-chan string {
	m.t.Helper()
	x, row := m.call(args...)
	reply := make(chan string, 1)
	x.Caller = testConn{reply}
	switch row.Lock {
	case command.LockNone, command.LockSelf:
		row.Run(x)
	default:
		at, ok := row.AppendKeys(nil, x.Args)
		if !ok {
			m.t.Fatalf("where are the keys of %v?", args)
		}
		var ss []slots.Slot
		for _, i := range at {
			ss = append(ss, slots.Of(x.Args[i]))
		}
		x.Tx = m.exec.Begin(time.Now().UnixMilli(), ss)
		x.Tx.Command(nil)
		row.Run(x)
		x.Tx.CommandEnd()
		m.exec.End()
	}
	if x.Out.Len() > 0 {
		reply <- string(x.Out.Bytes())
	}
	return reply
}

func (m *member) call(args ...any) (*command.Ctx, *command.Row) {
	m.t.Helper()
	x := &command.Ctx{Out: resp.NewWriter(nil, resp.Proto2), Exec: m.exec, Caller: testConn{}, Host: testHost{m}}
	for _, a := range args {
		x.Args = append(x.Args, []byte(fmt.Sprint(a)))
	}
	row, _ := m.table.Resolve(x.Args)
	if row == nil || !row.Takes(len(args)) {
		m.t.Fatalf("%v is no command", args)
	}
	x.Row = row
	return x, row
}

func (m *member) wantOK(args ...any) {
	m.t.Helper()
	if got := m.do(args...); got != "+OK\r\n" {
		m.t.Fatalf("%v: %q", args, got)
	}
}

func (m *member) world(f func(tx *storage.Tx)) {
	m.Keys.World(time.Now().UnixMilli(), func(tx *storage.Tx) {
		tx.Command(nil)
		f(tx)
		tx.CommandEnd()
	})
}

func (m *member) set(key, value string) {
	m.world(func(tx *storage.Tx) { tx.SetString([]byte(key), []byte(value), 0, 0) })
}

func (m *member) delete(key string) {
	m.world(func(tx *storage.Tx) { tx.Delete([]byte(key)) })
}

func (m *member) has(key string) (found bool) {
	m.world(func(tx *storage.Tx) { _, found = tx.Peek([]byte(key)) })
	return found
}

func slotOf(key string) slots.Slot { return slots.Of([]byte(key)) }

type testHost struct{ m *member }

func (h testHost) Keyspace() *storage.Keyspace { return h.m.Keys }
func (h testHost) ClusterEnabled() bool        { return true }
func (h testHost) Now() int64                  { return time.Now().UnixMilli() }
func (h testHost) LFU() bool                   { return false }
func (h testHost) SharedIntegers() bool        { return true }
func (h testHost) MaxBulk() int64              { return 1 << 29 }
func (h testHost) LazyServerDel() bool         { return false }
func (h testHost) Table() *command.Table       { return h.m.table }

// testShell is a server without sockets.
type testShell struct {
	mu        sync.Mutex
	published []string
	dropped   slots.Set
	paused    []int64
}

func newTestShell() *testShell { return &testShell{} }

func (s *testShell) Publish(channel, payload []byte, sharded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published = append(s.published, fmt.Sprintf("%s %s %v", channel, payload, sharded))
}

func (s *testShell) heard(what string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.published {
		if p == what {
			return nil
		}
	}
	return fmt.Errorf("heard %q, not %q", s.published, what)
}

func (s *testShell) DropShardChannels(ss *slots.Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss.Each(func(n slots.Slot) bool {
		s.dropped.Add(n)
		return true
	})
}

func (s *testShell) Pause(until int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = append(s.paused, until)
}

func (s *testShell) Resume() { s.Pause(0) }

// testRoles remembers the role; it can be made to hang in a change.
type testRoles struct {
	mu      sync.Mutex
	role    string
	primary string
	emptied int           // how often
	gate    chan struct{} // closed: changes go through
}

func newTestRoles() *testRoles {
	r := &testRoles{gate: make(chan struct{})}
	close(r.gate)
	return r
}

func (r *testRoles) become(role, primary string) {
	r.mu.Lock()
	gate := r.gate
	r.mu.Unlock()
	<-gate
	r.mu.Lock()
	defer r.mu.Unlock()
	r.role, r.primary = role, primary
}

func (r *testRoles) block() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gate = make(chan struct{})
}

func (r *testRoles) unblock() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.gate:
	default:
		close(r.gate)
	}
}

func (r *testRoles) is(role string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.role != role {
		return fmt.Errorf("the role is %q, not %q", r.role, role)
	}
	return nil
}

func (r *testRoles) BecomeReplica(host string, port int, source replication.Source) {
	r.become(fmt.Sprintf("replica of %s:%d", host, port), source.Primary)
}
func (r *testRoles) BecomePrimary() { r.become("primary", "") }
func (r *testRoles) Empty() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.emptied++
}

// bulk is the content of a bulk string.
func bulk(t *testing.T, reply string) string {
	t.Helper()
	head, rest, _ := strings.Cut(reply, "\r\n")
	n, err := strconv.Atoi(strings.TrimPrefix(head, "$"))
	if err != nil || len(rest) < n {
		t.Fatalf("not a bulk string: %q", reply)
	}
	return rest[:n]
}

func (m *member) id() string { m.t.Helper(); return bulk(m.t, m.do("cluster", "myid")) }

// sees reports what a member does not see yet.
func (m *member) sees(nodes int, ok bool) error {
	v := m.View()
	if len(v.Nodes) != nodes || v.OK != ok {
		return fmt.Errorf("%d nodes, ok %v:\n%s", len(v.Nodes), v.OK, v.NodesText(cluster.Client{}))
	}
	for _, n := range v.Nodes {
		if !n.Connected || strings.Contains(n.Flags.String(), "handshake") {
			return fmt.Errorf("not connected:\n%s", v.NodesText(cluster.Client{}))
		}
	}
	return nil
}

// TestDriversMakeACluster takes four drivers through the life of a cluster.
func TestDriversMakeACluster(t *testing.T) {
	t.Parallel()
	var members []*member
	for range 4 {
		members = append(members, startMember(t))
	}
	for i, m := range members[:3] {
		m.wantOK("cluster", "addslotsrange", i*5462, min(i*5462+5461, slots.Count-1))
		m.wantOK("cluster", "set-config-epoch", i+1)
	}
	for _, m := range members[1:] {
		m.wantOK("cluster", "meet", "127.0.0.1", members[0].port)
	}
	for _, m := range members {
		redistest.Until(t, 10*time.Second, "all see all", func() error { return m.sees(4, true) })
	}
	first, replica := members[0], members[3]

	replica.wantOK("cluster", "replicate", first.id())
	if err := replica.roles.is(fmt.Sprintf("replica of 127.0.0.1:%d", first.port)); err != nil {
		t.Fatal("REPLICATE was answered before the role had changed: ", err)
	}
	for _, m := range members[:2] {
		redistest.Until(t, 10*time.Second, "the replica is known", func() error {
			if lines, err := m.View().ReplicaLines(first.View().Me().ID, cluster.Client{}); err != nil || len(lines) != 1 {
				return fmt.Errorf("%q, %v", lines, err)
			}
			return nil
		})
	}

	members[1].Publish([]byte("news"), []byte("of the day"), false)
	for _, m := range []*member{members[0], members[2], members[3]} {
		redistest.Until(t, 5*time.Second, "the message is heard", func() error { return m.shell.heard("news of the day false") })
	}
	first.Publish([]byte("news"), []byte("of the shard"), true)
	redistest.Until(t, 5*time.Second, "the message is heard", func() error { return replica.shell.heard("news of the shard true") })
	if members[1].shell.heard("news of the shard true") == nil {
		t.Error("a sharded message left its shard")
	}

	replica.facts.Lock()
	replica.facts.PrimaryContact = time.Now().Add(time.Hour)
	replica.facts.Unlock()
	t.Run("a manual failover pauses the primary and swaps the roles", func(t *testing.T) {
		first.roles.block()
		replica.wantOK("cluster", "failover")
		redistest.Until(t, 10*time.Second, "the replica is a primary", func() error { return replica.roles.is("primary") })
		redistest.Until(t, 10*time.Second, "the primary has lost its slots", func() error {
			if first.View().Mine(0) {
				return errors.New("it has them")
			}
			return nil
		})
		// A write that went on before the role has changed would be lost.
		for range 20 {
			asked := make(chan struct{})
			first.post(func() { close(asked) })
			<-asked
			first.shell.mu.Lock()
			p := first.shell.paused
			first.shell.mu.Unlock()
			if len(p) == 0 || p[len(p)-1] == 0 {
				t.Fatalf("the pause ended before the primary was a replica: %v", p)
			}
			time.Sleep(5 * time.Millisecond)
		}
		first.roles.unblock()
		redistest.Until(t, 10*time.Second, "the primary is a replica", func() error {
			return first.roles.is(fmt.Sprintf("replica of 127.0.0.1:%d", replica.port))
		})
		redistest.Until(t, 10*time.Second, "the pause has ended", func() error {
			first.shell.mu.Lock()
			defer first.shell.mu.Unlock()
			if p := first.shell.paused; len(p) < 2 || p[len(p)-2] == 0 || p[len(p)-1] != 0 {
				return fmt.Errorf("pauses: %v", p)
			}
			return nil
		})
	})

	t.Run("a primary that falls silent is replaced", func(t *testing.T) {
		first.facts.Lock()
		first.facts.PrimaryContact = time.Now().Add(time.Hour)
		first.facts.Unlock()
		redistest.Until(t, 10*time.Second, "the swap is known", func() error {
			if !members[1].View().Node(first.View().Me().ID).Flags.Has(replicaFlag) {
				return fmt.Errorf("%s", members[1].View().NodesText(cluster.Client{}))
			}
			return nil
		})
		replica.Close()
		redistest.Until(t, 20*time.Second, "the replica is a primary", func() error { return first.roles.is("primary") })
		redistest.Until(t, 10*time.Second, "the cluster is well", func() error {
			if v := members[2].View(); !v.OK || v.Owner(0).ID != first.View().Me().ID {
				return fmt.Errorf("%s", v.NodesText(cluster.Client{}))
			}
			return nil
		})
	})
}

func TestAMemberKeepsWhatItKnowsOverARestart(t *testing.T) {
	m := startMember(t)
	m.wantOK("cluster", "addslots", 1, 2, 3, 100)
	if got := m.do("cluster", "bumpepoch"); got != "+BUMPED 1\r\n" {
		t.Fatalf("BUMPEPOCH: %q", got)
	}
	m.wantOK("cluster", "setslot", 3, "stable")
	id := m.id()
	before := m.View().NodesText(cluster.Client{})

	if _, err := openMember(t, m.dir, m.port); err == nil || !strings.Contains(err.Error(), "already used by a different Redis Cluster node") {
		t.Fatalf("a second node took the file: %v", err)
	}
	m.Close()
	again, err := openMember(t, m.dir, m.port)
	if err != nil {
		t.Fatal(err)
	}
	if again.id() != id || again.View().NodesText(cluster.Client{}) != before {
		t.Errorf("before:\n%safter:\n%s", before, again.View().NodesText(cluster.Client{}))
	}
	if left, _ := filepath.Glob(filepath.Join(m.dir, "*.tmp-*")); len(left) != 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

// As in Redis, what arrives is counted whatever it is worth.
func TestMessagesThatAreDroppedAreCounted(t *testing.T) {
	t.Parallel()
	m := startMember(t)
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(m.busPort)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	message := bus.Append(nil, &bus.Message{Header: bus.Header{Type: bus.TypePing, Sender: bus.NodeID(idOther)}})
	const version = 8
	message[version] = 0xff
	if _, err := conn.Write(message); err != nil {
		t.Fatal(err)
	}
	redistest.Until(t, 5*time.Second, "the message is counted", func() error {
		if info := m.View().InfoText(); !strings.Contains(info, "cluster_stats_messages_ping_received:1\r\n") {
			return errors.New(info)
		}
		return nil
	})
}

// A node that could not save its vote might vote twice.
func TestAStateThatCannotBeSavedIsFatal(t *testing.T) {
	dir := t.TempDir()
	file, _, err := openNodesFile(filepath.Join(dir, "nodes.conf"), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer file.close()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	s := newSaver(file, zap.NewNop())
	end := make(chan struct{})
	s.save(&cluster.State{Version: 1})
	var failure error
	s.run(end, func(version uint64) { t.Errorf("version %d is said to be saved", version) }, func(err error) { failure = err })
	if !errors.Is(failure, os.ErrNotExist) {
		t.Errorf("got %v", failure)
	}
}

func TestABadNodesFileIsRefused(t *testing.T) {
	id := strings.Repeat("a", 40)
	for name, text := range map[string]string{
		"not a nodes file":  "hello\n",
		"a line is cut off": id + " 127.0.0.1:1@2 myself,master - 0 0",
		"no myself":         id + " 127.0.0.1:1@2 master - 0 0 1 connected\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "nodes.conf"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := openMember(t, dir, 10007)
			if err == nil || !strings.Contains(err.Error(), "corrupted cluster config file") {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestAnEmptyNodesFileIsAFirstStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nodes.conf"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openMember(t, dir, 10007); err != nil {
		t.Fatal(err)
	}
}

// A transaction holds locks that a role change needs, so there the answer must
// not wait for it; elsewhere it must.
func TestOnlyATransactionIsAnsweredBeforeTheRoleHasChanged(t *testing.T) {
	t.Parallel()
	a, b := startMember(t), startMember(t)
	a.wantOK("cluster", "meet", "127.0.0.1", b.port)
	for _, m := range []*member{a, b} {
		redistest.Until(t, 10*time.Second, "they have met", func() error { return m.sees(2, false) })
	}
	redistest.Until(t, 5*time.Second, "the first role is taken", func() error { return b.roles.is("primary") })
	b.roles.block()
	reply := b.ask("cluster", "replicate", a.id())
	redistest.Until(t, 5*time.Second, "the view has changed", func() error {
		if !b.View().IsReplica() {
			return fmt.Errorf("still a primary")
		}
		return nil
	})
	x, row := b.call("cluster", "reset")
	row.Run(x)
	if got := string(x.Out.Bytes()); got != "+OK\r\n" {
		t.Fatalf("RESET within a transaction: %q", got)
	}
	select {
	case got := <-reply:
		t.Fatalf("REPLICATE was answered while the role had not changed: %q", got)
	default:
	}
	b.roles.unblock()
	if got := <-reply; got != "+OK\r\n" {
		t.Fatalf("REPLICATE: %q", got)
	}
	redistest.Until(t, 5*time.Second, "the newest role is taken", func() error { return b.roles.is("primary") })
}

func TestKeysOfALostSlotAreDeleted(t *testing.T) {
	t.Parallel()
	a, b := startMember(t), startMember(t)
	a.wantOK("cluster", "addslotsrange", 0, slots.Count-1)
	a.wantOK("cluster", "set-config-epoch", 1)
	b.wantOK("cluster", "set-config-epoch", 2)
	a.wantOK("cluster", "meet", "127.0.0.1", b.port)
	for _, m := range []*member{a, b} {
		redistest.Until(t, 10*time.Second, "they have met", func() error { return m.sees(2, true) })
	}
	s := slots.Of([]byte("lost"))
	a.set("lost", "1")
	a.set("kept", "1")
	for i := range 3 * sweepSlice {
		a.set(fmt.Sprintf("{lost}%d", i), "1")
	}
	// B takes the slot with its higher epoch, and A was not asked.
	b.wantOK("cluster", "setslot", s, "importing", a.id())
	b.wantOK("cluster", "setslot", s, "node", b.id())
	redistest.Until(t, 10*time.Second, "the keys are gone", func() error {
		if n := a.Keys.SlotLen(s, 0); n != 0 {
			return fmt.Errorf("%d keys are left", n)
		}
		return nil
	})
	if !a.has("kept") {
		t.Error("a key of another slot is gone as well")
	}
}

func TestKeysAtStartClaimTheirSlots(t *testing.T) {
	m, err := openMember(t, t.TempDir(), redistest.Port(t))
	if err != nil {
		t.Fatal(err)
	}
	m.set("foo", "1")
	if err := m.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	redistest.Until(t, 5*time.Second, "the slot is ours", func() error {
		if !m.View().Mine(slots.Of([]byte("foo"))) {
			return fmt.Errorf("%s", m.View().NodesText(cluster.Client{}))
		}
		return nil
	})
}

func TestConfigSetReachesTheCluster(t *testing.T) {
	m := startMember(t)
	if err := m.Config.Set(config.Caller{}, config.Pair{Name: "cluster-announce-hostname", Value: "here.example"}); err != nil {
		t.Fatal(err)
	}
	if got := m.View().Me().Hostname; got != "here.example" {
		t.Errorf("the name is %q once CONFIG SET has returned", got)
	}
}

// A role that was replaced before it began leaves its flush to the one that
// replaced it. If that is a replica's, the history must go with the keys, or the
// primary would add to data that are not there.
func TestAFlushOfAReplicaIsTheReplicatorsToDo(t *testing.T) {
	m := startMember(t)
	done := make(chan struct{})
	m.roles.block()
	m.changer.change(&cluster.RoleChange{Flush: true}, func() {})
	m.changer.change(&cluster.RoleChange{Replica: true, Host: "127.0.0.1", Port: 1}, func() { close(done) })
	m.roles.unblock()
	<-done
	m.roles.mu.Lock()
	defer m.roles.mu.Unlock()
	if m.roles.emptied != 1 {
		t.Errorf("the replicator has been told %d times to empty itself", m.roles.emptied)
	}
}

// TestWhatALoadingNodeTells: only what needs the keys or changes the cluster
// waits for the end of loading.
// Outside of cluster mode CLUSTER has all of its sub-commands: tools read COMMAND.
func TestClusterCommandsOutsideOfClusterMode(t *testing.T) {
	n, stop := startNode(t, t.TempDir(), "--port", fmt.Sprint(redistest.Port(t)))
	defer stop()
	d, err := redistest.Dial(n.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, c := range []struct{ line, want string }{
		{"CLUSTER INFO", "ERR This instance has cluster support disabled"},
		{"CLUSTER HELP", "ERR This instance has cluster support disabled"},
		{"CLUSTER FOO", "ERR unknown subcommand 'FOO'. Try CLUSTER HELP."},
		{"CLUSTER KEYSLOT", "ERR wrong number of arguments for 'cluster|keyslot' command"},
		{"COMMAND LIST FILTERBY PATTERN cl*er|h*", "[cluster|help]"},
	} {
		var args []any
		for word := range strings.FieldsSeq(c.line) {
			args = append(args, word)
		}
		got, err := d.Do(args...)
		if err != nil {
			got = err
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", c.line, got, c.want)
		}
	}
}

func TestWhatALoadingNodeTells(t *testing.T) {
	told := []string{"help", "info", "keyslot", "links", "myid", "myshardid", "nodes", "replicas", "shards", "slaves", "slots"}
	for _, row := range new(clusterDriver).Rows()[0].Sub {
		if got, want := row.Flags&command.Loading != 0, slices.Contains(told, row.Name); got != want {
			t.Errorf("CLUSTER %s while loading: %v, want %v", row.Name, got, want)
		}
	}
}
