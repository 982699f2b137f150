package driver

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
	"go.uber.org/zap/zaptest/observer"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/node/mover"
	"redoubt/internal/node/nodetest"
	"redoubt/internal/redistest"
	"redoubt/internal/tlsconf"
	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
)

// member is a cluster driver with a keyspace and without clients: commands are
// run by the test.
type member struct {
	*Driver
	*nodetest.Commands
	t     *testing.T
	port  int
	dir   string
	shell *testShell
	roles *testRoles
	said  *observer.ObservedLogs // warnings
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
	core, said := observer.New(zap.WarnLevel)
	m.said = said
	secrets := new(tlsconf.Source)
	if s := cfg.Current(); s.TLS.CertFile != "" {
		o := s.TLSOptions()
		o.Links = true
		if err := secrets.Load(o); err != nil {
			t.Fatal(err)
		}
	}
	keys := storage.New(storage.Config{})
	m.facts.Offset = 1
	mv := mover.New(mover.Parts{Keys: keys, Cluster: true})
	m.Driver, err = Open(Parts{
		Config: cfg, Keys: keys, Log: zap.New(core), TLS: secrets,
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
		Hangs: func() string { return "a command has taken long" },
		Roles: m.roles, Shell: m.shell, Mover: mv,
	})
	if err != nil {
		return nil, err
	}
	m.Commands = nodetest.New(t, keys, m.Rows(), mv.Rows())
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
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

// testShell is a server without sockets.
type testShell struct {
	mu        sync.Mutex
	published []string
	dropped   slots.Set
	paused    []int64
	use       map[slots.Slot]command.SlotUse
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

func (s *testShell) SlotUse(n slots.Slot) command.SlotUse {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.use[n]
}

func (s *testShell) ForgetSlotUse(ss *slots.Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss.Each(func(n slots.Slot) bool {
		delete(s.use, n)
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

func (m *member) id() string { m.t.Helper(); return bulk(m.t, m.Do("cluster", "myid")) }

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
		m.WantOK("cluster", "addslotsrange", i*5462, min(i*5462+5461, slots.Count-1))
		m.WantOK("cluster", "set-config-epoch", i+1)
	}
	for _, m := range members[1:] {
		m.WantOK("cluster", "meet", "127.0.0.1", members[0].port)
	}
	for _, m := range members {
		redistest.Until(t, 10*time.Second, "all see all", func() error { return m.sees(4, true) })
	}
	first, replica := members[0], members[3]

	replica.WantOK("cluster", "replicate", first.id())
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

	// A link that is being renewed loses messages, as in Redis.
	for _, m := range []*member{members[0], members[2], members[3]} {
		redistest.Until(t, 5*time.Second, "the message is heard", func() error {
			members[1].Publish([]byte("news"), []byte("of the day"), false)
			return m.shell.heard("news of the day false")
		})
	}
	redistest.Until(t, 5*time.Second, "the message is heard", func() error {
		first.Publish([]byte("news"), []byte("of the shard"), true)
		return replica.shell.heard("news of the shard true")
	})
	if members[1].shell.heard("news of the shard true") == nil {
		t.Error("a sharded message left its shard")
	}

	replica.facts.Lock()
	replica.facts.PrimaryContact = time.Now().Add(time.Hour)
	replica.facts.Unlock()
	t.Run("a manual failover pauses the primary and swaps the roles", func(t *testing.T) {
		first.roles.block()
		replica.WantOK("cluster", "failover")
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
	m.WantOK("cluster", "addslots", 1, 2, 3, 100)
	if got := m.Do("cluster", "bumpepoch"); got != "+BUMPED 1\r\n" {
		t.Fatalf("BUMPEPOCH: %q", got)
	}
	m.WantOK("cluster", "setslot", 3, "stable")
	m.WantOK("cluster", "setslot", 3, "stable", "timeout", "100")
	for end, want := range map[string]string{
		"TIMEOUT": "ERR Missing timeout value", "TIMEOUT -1": "ERR timeout is negative",
		"TIMEOUT abc": "ERR timeout is not an integer or out of range", "TIMEOUT 1 2": string(errSetSlot),
		"TIMEOUT 99999999999999999999": "ERR timeout is not an integer or out of range",
	} {
		args := []any{"cluster", "setslot", 3, "migrating", m.id()}
		for _, word := range strings.Fields(end) {
			args = append(args, word)
		}
		if got := m.Do(args...); got != "-"+want+"\r\n" {
			t.Errorf("SETSLOT … %s: %q, want %q", end, got, want)
		}
	}
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
	file, _, err := openNodesFile(filepath.Join(dir, "nodes.conf"), false, zap.NewNop())
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
	a.WantOK("cluster", "meet", "127.0.0.1", b.port)
	for _, m := range []*member{a, b} {
		redistest.Until(t, 10*time.Second, "they have met", func() error { return m.sees(2, false) })
	}
	redistest.Until(t, 5*time.Second, "the first role is taken", func() error { return b.roles.is("primary") })
	b.roles.block()
	reply := b.Ask("cluster", "replicate", a.id())
	redistest.Until(t, 5*time.Second, "the view has changed", func() error {
		if !b.View().IsReplica() {
			return fmt.Errorf("still a primary")
		}
		return nil
	})
	x := b.Call("cluster", "reset")
	x.Row.Run(x)
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
	a.WantOK("cluster", "addslotsrange", 0, slots.Count-1)
	a.WantOK("cluster", "set-config-epoch", 1)
	b.WantOK("cluster", "set-config-epoch", 2)
	a.WantOK("cluster", "meet", "127.0.0.1", b.port)
	for _, m := range []*member{a, b} {
		redistest.Until(t, 10*time.Second, "they have met", func() error { return m.sees(2, true) })
	}
	s := slots.Of([]byte("lost"))
	a.Set("lost", "1")
	a.Set("kept", "1")
	for i := range 3 * sweepSlice {
		a.Set(fmt.Sprintf("{lost}%d", i), "1")
	}
	// B takes the slot with its higher epoch, and A was not asked.
	b.WantOK("cluster", "setslot", s, "importing", a.id())
	b.WantOK("cluster", "setslot", s, "node", b.id())
	redistest.Until(t, 10*time.Second, "the keys are gone", func() error {
		if n := a.Keys.SlotLen(s, 0); n != 0 {
			return fmt.Errorf("%d keys are left", n)
		}
		return nil
	})
	if !a.Has("kept") {
		t.Error("a key of another slot is gone as well")
	}
}

func TestKeysAtStartClaimTheirSlots(t *testing.T) {
	m, err := openMember(t, t.TempDir(), redistest.Port(t))
	if err != nil {
		t.Fatal(err)
	}
	m.Set("foo", "1")
	if err := m.Start(t.Context()); err != nil {
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
	m.changer.change(&cluster.Effects{Role: &cluster.RoleChange{Flush: true}}, func() {})
	m.changer.change(&cluster.Effects{Role: &cluster.RoleChange{Replica: true, Host: "127.0.0.1", Port: 1}}, func() { close(done) })
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
// What hangs is logged once, when the node falls silent for it. A node that has just woken
// is not taken for one that hangs, and does not say so.
func TestANodeThatHangsSaysSo(t *testing.T) {
	m := startMember(t)
	hangs := func(on bool) {
		m.facts.Lock()
		m.facts.Unwell = on
		m.facts.Unlock()
	}
	told := func() int { return m.said.FilterMessageSnippet("falls silent on the bus: a command").Len() }
	tell := func(woke time.Time) {
		done := make(chan struct{})
		m.post(func() { m.woke = woke; m.tellFacts(); close(done) })
		<-done
	}
	tell(time.Now().Add(time.Hour))
	hangs(true)
	if tell(time.Now().Add(time.Hour)); told() != 0 {
		t.Error("a node that has just woken says that it hangs")
	}
	tell(time.Time{})
	if tell(time.Time{}); told() != 1 {
		t.Errorf("it is said %d times", told())
	}
	hangs(false)
	tell(time.Time{})
	hangs(true)
	if tell(time.Time{}); told() != 2 {
		t.Errorf("in all it is said %d times", told())
	}
}

func TestWhatALoadingNodeTells(t *testing.T) {
	told := []string{"help", "info", "keyslot", "links", "myid", "myshardid", "nodes", "replicas", "shards", "slaves", "slot-stats", "slots"}
	for _, row := range new(Driver).Rows()[0].Sub {
		if got, want := row.Flags&command.Loading != 0, slices.Contains(told, row.Name); got != want {
			t.Errorf("CLUSTER %s while loading: %v, want %v", row.Name, got, want)
		}
	}
}
