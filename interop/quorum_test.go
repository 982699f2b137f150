package interop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"redoubt/internal/redistest"
	"redoubt/internal/redistest/promtext"
)

// quorumShard is a shard with durability quorum, as processes: a primary with all slots,
// and replicas.
type quorumShard struct {
	t     *testing.T
	nodes []*redistest.Server
}

var quorumArgs = []string{"--cluster-enabled", "yes", "--appendonly", "yes", "--durability", "quorum", "--save", ""}

func startQuorum(t *testing.T, nodes int) *quorumShard {
	t.Helper()
	oursOnly(t)
	q := &quorumShard{t: t}
	for range nodes {
		q.nodes = append(q.nodes, start(t, ours(), quorumArgs...))
	}
	q.nodes[0].Do("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
	for _, n := range q.nodes[1:] {
		q.join(n)
	}
	q.untilVoting(nodes)
	return q
}

// join makes a node a replica of the first.
func (q *quorumShard) join(n *redistest.Server) {
	q.t.Helper()
	first := q.nodes[0]
	n.Do("CLUSTER", "MEET", "127.0.0.1", first.Port)
	id := first.Do("CLUSTER", "MYID")
	c := n.Client()
	redistest.Until(q.t, settle, "the node is a replica", func() error {
		_, err := c.Do("CLUSTER", "REPLICATE", id)
		return err
	})
}

// ask runs a command on a connection of its own; a node that is stopped fails it.
func ask(n *redistest.Server, args ...any) (reply any, err error) {
	c, err := redistest.DialWithin(n.Addr(), time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Do(args...)
}

// about is a field of INFO replication, "" if the node does not answer.
func about(n *redistest.Server, field string) string {
	text, err := ask(n, "INFO", "replication")
	if err != nil {
		return ""
	}
	for line := range strings.SplitSeq(text.(string), "\r\n") {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return value
		}
	}
	return ""
}

// leader is a node, not the one that is named, that says that it is the primary.
func (q *quorumShard) leader(not *redistest.Server) (leader *redistest.Server) {
	q.t.Helper()
	redistest.Until(q.t, settle, "a primary is elected", func() error {
		for _, n := range q.nodes {
			if n != not && about(n, "quorum_leading") == "1" {
				leader = n
				return nil
			}
		}
		return errors.New("none is")
	})
	return leader
}

func (q *quorumShard) untilVoting(voters int) {
	q.t.Helper()
	redistest.Until(q.t, settle, "all vote", func() error {
		if n := about(q.leader(nil), "quorum_voters"); n != strconv.Itoa(voters) {
			return fmt.Errorf("%s do", n)
		}
		return nil
	})
}

// pushes appends numbers to a list, by whoever is the primary, and knows which of them
// were acknowledged.
type pushes struct {
	key        string
	stop, done chan struct{}
	mu         sync.Mutex
	acked      []int
}

func (q *quorumShard) push(key string) *pushes {
	p := &pushes{key: key, stop: make(chan struct{}), done: make(chan struct{})}
	nodes := slices.Clone(q.nodes)
	go func() {
		defer close(p.done)
		var c *redistest.Client
		for i, at := 0, 0; ; i++ {
			select {
			case <-p.stop:
				return
			default:
			}
			var err error
			if c == nil {
				c, err = redistest.DialWithin(nodes[at%len(nodes)].Addr(), time.Second)
			}
			if err == nil {
				_, err = c.Do("RPUSH", key, i)
			}
			if err != nil {
				if c != nil {
					c.Close()
					c = nil
				}
				at++
				time.Sleep(5 * time.Millisecond)
				continue
			}
			p.mu.Lock()
			p.acked = append(p.acked, i)
			p.mu.Unlock()
		}
	}()
	return p
}

// until waits for more to be acknowledged.
func (p *pushes) until(t *testing.T, more int) {
	t.Helper()
	count := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.acked)
	}
	want := count() + more
	redistest.Until(t, settle, "writes are acknowledged", func() error {
		if n := count(); n < want {
			return fmt.Errorf("%d of %d", n, want)
		}
		return nil
	})
}

// verify ends the pushes and looks for what was acknowledged on all nodes: each once, and
// in order.
func (q *quorumShard) verify(p *pushes) {
	q.t.Helper()
	close(p.stop)
	<-p.done
	q.t.Logf("%d writes were acknowledged", len(p.acked))
	for _, n := range q.nodes {
		c := n.Client()
		if _, err := c.Do("READONLY"); err != nil {
			q.t.Fatal(err)
		}
		redistest.Until(q.t, settle, "all that was acknowledged is there", func() error {
			list, err := c.Do("LRANGE", p.key, 0, -1)
			if err != nil {
				return err
			}
			var have []int
			for _, v := range list.([]any) {
				i, _ := strconv.Atoi(v.(string))
				have = append(have, i)
			}
			if !slices.IsSorted(have) || len(slices.Compact(slices.Clone(have))) != len(have) {
				return fmt.Errorf("%s has it out of order or twice", n.Addr())
			}
			for _, i := range p.acked {
				if _, found := slices.BinarySearch(have, i); !found {
					return fmt.Errorf("%s lacks %d of %d", n.Addr(), i, len(p.acked))
				}
			}
			return nil
		})
	}
}

// A primary is killed, or stopped for a while, again and again; another is elected and
// has all that was acknowledged, and the old one comes back as a replica.
func TestQuorumLosesNothingWithItsPrimary(t *testing.T) {
	q := startQuorum(t, 3)
	p := q.push("list")
	for round := range 4 {
		p.until(t, 50)
		old := q.leader(nil)
		if round%2 == 0 {
			old.Kill()
		} else {
			old.Pause()
		}
		q.leader(old)
		p.until(t, 50)
		if round%2 == 0 {
			old.Restart()
		} else {
			old.Resume()
		}
		redistest.Until(t, settle, "it has come back", func() error {
			if link, leads := about(old, "master_link_status"), about(old, "quorum_leading"); link != "up" && leads != "1" {
				return fmt.Errorf("its link is %q", link)
			}
			return nil
		})
	}
	q.verify(p)
}

// All nodes are killed at once.
func TestQuorumComesBackAsAWhole(t *testing.T) {
	q := startQuorum(t, 3)
	p := q.push("list")
	for range 2 {
		p.until(t, 50)
		for _, n := range q.nodes {
			n.Kill()
		}
		for _, n := range q.nodes {
			n.Restart()
		}
	}
	p.until(t, 50)
	q.verify(p)
}

// Without a majority nothing is acknowledged and nothing is read, and nobody waits for ever.
func TestQuorumRefusesWithoutAMajority(t *testing.T) {
	q := startQuorum(t, 3)
	old := q.leader(nil)
	old.Do("SET", "key", "1")
	for _, n := range q.nodes {
		if n != old {
			n.Pause()
		}
	}
	c := old.Client()
	for _, args := range [][]any{{"SET", "key", "2"}, {"GET", "key"}, {"SET", "key", "3"}} {
		v, err := c.Do(args...)
		if err == nil || !strings.HasPrefix(err.Error(), "UNCERTAIN") && !strings.HasPrefix(err.Error(), "CLUSTERDOWN") {
			t.Errorf("%v: %v, %v", args, v, err)
		}
	}
	// Nor does it give or take slots, of which the others would not know.
	if v, err := c.Do("CLUSTER", "SETSLOT", 0, "STABLE"); err == nil || !strings.HasPrefix(err.Error(), "CLUSTERDOWN") {
		t.Errorf("SETSLOT: %v, %v", v, err)
	}
	for _, n := range q.nodes {
		if n != old {
			n.Resume()
		}
	}
	redistest.Until(t, settle, "it serves again", func() error {
		_, err := ask(q.leader(nil), "SET", "key", "4")
		return err
	})
}

// A shard grows from one node to three while it serves, and CLUSTER FAILOVER gives its
// lead to the replica that is asked. A replica of Redis has what is committed.
func TestQuorumGrowsAndHandsOver(t *testing.T) {
	q := startQuorum(t, 1)
	p := q.push("before")
	p.until(t, 20)
	for range 2 {
		n := start(t, ours(), quorumArgs...)
		q.join(n)
		q.nodes = append(q.nodes, n)
		q.untilVoting(len(q.nodes))
		p.until(t, 20)
	}
	q.verify(p)

	p = q.push("after")
	p.until(t, 20)
	next := q.nodes[1]
	next.Do("CLUSTER", "FAILOVER")
	redistest.Until(t, settle, "it is the primary", func() error {
		if about(next, "quorum_leading") != "1" {
			return errors.New("it is not")
		}
		return nil
	})
	p.until(t, 20)
	for _, mode := range []string{"FORCE", "TAKEOVER"} {
		if _, err := ask(q.nodes[2], "CLUSTER", "FAILOVER", mode); err == nil {
			t.Errorf("CLUSTER FAILOVER %s is accepted", mode)
		}
	}
	q.verify(p)
}

// A replica of Redis gets what is committed, and never what may still be taken back.
func TestAReplicaOfRedisHasOnlyWhatIsCommitted(t *testing.T) {
	q := startQuorum(t, 3)
	foreign := start(t, redistest.Redis, "--cluster-enabled", "yes", "--cluster-replica-no-failover", "yes", "--save", "")
	q.join(foreign)
	leader := q.leader(nil)
	leader.Do("SET", "committed", "1")
	has := func(key string) bool {
		c := foreign.Client()
		if _, err := c.Do("READONLY"); err != nil {
			t.Fatal(err)
		}
		n, err := c.Do("EXISTS", key)
		return err == nil && n == int64(1)
	}
	redistest.Until(t, settle, "the replica has what is committed", func() error {
		if !has("committed") {
			return errors.New("it has not")
		}
		return nil
	})
	for _, n := range q.nodes {
		if n != leader {
			n.Pause()
		}
	}
	if _, err := leader.Client().Do("SET", "lone", "1"); err == nil {
		t.Fatal("one node of three has acknowledged a write")
	}
	time.Sleep(time.Second) // it would be there by now
	if has("lone") {
		t.Error("the replica has a write that nobody has confirmed")
	}
	for _, n := range q.nodes {
		if n != leader {
			n.Resume()
		}
	}
	redistest.Until(t, settle, "the replica goes on", func() error {
		if _, err := ask(q.leader(nil), "SET", "later", "1"); err != nil {
			return err
		}
		if !has("later") {
			return errors.New("it does not")
		}
		return nil
	})
}

// leave has a replica leave its shard by CLUSTER RESET and come back as a replica of the
// same primary, which it is told of by a node that is there.
func (q *quorumShard) leave(n, by *redistest.Server, primary any, how ...any) {
	q.t.Helper()
	n.Do(append([]any{"CLUSTER", "RESET"}, how...)...)
	n.Do("CLUSTER", "MEET", "127.0.0.1", by.Port)
	redistest.Until(q.t, settle, "it is a replica again", func() error {
		_, err := ask(n, "CLUSTER", "REPLICATE", primary)
		return err
	})
}

// A replica whose word counted for a write leaves the shard, which empties it, and comes back
// at once. Its vote must not make a primary without the write.
func TestQuorumMemberThatWasReset(t *testing.T) {
	for _, how := range []string{"SOFT", "HARD"} {
		t.Run(how, func(t *testing.T) {
			q := startQuorum(t, 3)
			a, b, c := q.nodes[0], q.nodes[1], q.nodes[2]
			id := a.Do("CLUSTER", "MYID")
			c.Pause()
			a.Do("SET", "key", "acknowledged")
			a.Kill()
			c.Resume()
			q.leave(b, c, id, how)
			for range 60 {
				for _, n := range []*redistest.Server{b, c} {
					if about(n, "quorum_leading") == "1" {
						t.Fatal("a node without the write leads")
					}
				}
				time.Sleep(50 * time.Millisecond)
			}
			a.Restart()
			if how == "HARD" { // its former id is of nobody
				return
			}
			q.untilVoting(3)
			if v := q.leader(nil).Do("GET", "key"); v != "acknowledged" {
				t.Errorf("the write is %v", v)
			}
		})
	}
}

// A primary that comes back without its journal, or with an older one, takes nothing from the
// others, however long they have nobody else to follow.
func TestQuorumPrimaryThatLostItsJournal(t *testing.T) {
	for _, how := range []string{"all of it", "its end"} {
		t.Run(how, func(t *testing.T) {
			q := startQuorum(t, 3)
			journal := func(n *redistest.Server) string { return filepath.Join(n.Dir, "appendonlydir") }
			for _, n := range q.nodes {
				n.Kill()
			}
			for _, n := range q.nodes {
				if err := os.CopyFS(filepath.Join(n.Dir, "before"), os.DirFS(journal(n))); err != nil {
					t.Fatal(err)
				}
			}
			for _, n := range q.nodes {
				n.Restart()
			}
			q.untilVoting(3)
			primary := q.leader(nil)
			others := slices.DeleteFunc(slices.Clone(q.nodes), func(n *redistest.Server) bool { return n == primary })
			b, c := others[0], others[1]
			c.Kill()
			primary.Do("SET", "key", "acknowledged")
			primary.Kill()
			b.Kill()
			if err := os.RemoveAll(journal(primary)); err != nil {
				t.Fatal(err)
			}
			if how == "its end" {
				if err := os.Rename(filepath.Join(primary.Dir, "before"), journal(primary)); err != nil {
					t.Fatal(err)
				}
			}
			primary.Restart()
			// It has the slots in nodes.conf, and gives none away.
			if v, err := ask(primary, "CLUSTER", "SETSLOT", 0, "STABLE"); err == nil || !strings.HasPrefix(err.Error(), "CLUSTERDOWN") {
				t.Errorf("SETSLOT: %v, %v", v, err)
			}
			b.Restart()
			time.Sleep(5 * time.Second) // longer than a primary looks for a better one
			c.Restart()
			if v := q.leader(nil).Do("GET", "key"); v != "acknowledged" {
				t.Errorf("the write is %v", v)
			}
		})
	}
}

// A replica tells how late it is at most: what was acknowledged longer ago it shows. It says
// so by its primary's word, and is later and later without it.
func TestQuorumReplicaTellsHowLateItIs(t *testing.T) {
	q := startQuorum(t, 3)
	leader := q.leader(nil)
	replica := q.nodes[1]
	if replica == leader {
		replica = q.nodes[2]
	}
	late := func() time.Duration {
		ms, err := strconv.Atoi(about(replica, "quorum_staleness_ms"))
		if err != nil || ms < 0 {
			return time.Hour
		}
		return time.Duration(ms) * time.Millisecond
	}
	c := replica.Client()
	if _, err := c.Do("READONLY"); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		leader.Do("SET", "key", i)
		acknowledged := time.Now()
		redistest.Until(t, settle, "the replica is late by less than the age of the write", func() error {
			asked := time.Now()
			if by := late(); by >= asked.Sub(acknowledged) {
				return fmt.Errorf("it is late by %v", by)
			}
			return nil
		})
		if v, err := c.Do("GET", "key"); err != nil || v != strconv.Itoa(i) {
			t.Errorf("it shows %v (%v), not %d", v, err, i)
		}
	}
	if ms := about(leader, "quorum_staleness_ms"); ms != "0" {
		t.Errorf("the primary says %s", ms)
	}
	for _, n := range q.nodes {
		if n != replica {
			n.Pause()
		}
	}
	redistest.Until(t, settle, "it is late", func() error {
		if by := late(); by < 3*time.Second {
			return fmt.Errorf("by %v", by)
		}
		return nil
	})
	for _, n := range q.nodes {
		if n != replica {
			n.Resume()
		}
	}
}

// Two of three nodes are gone for good. The third serves when its operator says so, and only
// then; one that comes back joins it when its operator says so.
func TestQuorumUnsafeRecover(t *testing.T) {
	q := startQuorum(t, 3)
	a, b, c := q.nodes[0], q.nodes[1], q.nodes[2]
	a.Do("SET", "key", "value")
	redistest.Until(t, settle, "the last has it", func() error {
		if has, want := about(c, "slave_repl_offset"), about(a, "master_repl_offset"); has != want {
			return fmt.Errorf("it is at %s of %s", has, want)
		}
		return nil
	})
	if _, err := ask(c, "CLUSTER", "FAILOVER", "TAKEOVER"); err == nil || !strings.Contains(err.Error(), "quorum-unsafe-recover") {
		t.Errorf("TAKEOVER is refused with %v", err)
	}
	c.Do("CONFIG", "SET", "quorum-unsafe-recover", "yes")
	if _, err := ask(c, "CLUSTER", "FAILOVER", "TAKEOVER"); err == nil {
		t.Error("a node makes itself the primary while most of the shard is there")
	}
	a.Kill()
	b.Kill()
	redistest.Until(t, settle, "it is the primary", func() error {
		_, err := ask(c, "CLUSTER", "FAILOVER", "TAKEOVER")
		if about(c, "quorum_leading") != "1" {
			return fmt.Errorf("it is not: %v", err)
		}
		return nil
	})
	redistest.Until(t, settle, "it serves", func() error {
		_, err := ask(c, "SET", "key", "later")
		return err
	})
	if !strings.Contains(c.Log(), "quorum-unsafe-recover: this node makes itself") {
		t.Error("the log does not say so")
	}
	b.Restart()
	b.Do("CONFIG", "SET", "quorum-unsafe-recover", "yes")
	q.untilVoting(2)
	if v := q.leader(nil).Do("GET", "key"); v != "later" {
		t.Errorf("the key is %v", v)
	}
}

// restartWith restarts a node with another durability.
func restartWith(n *redistest.Server, durability string) {
	n.Terminate()
	n.RestartWith("--durability", durability)
}

// A shard gets durability quorum, and loses it, by a restart of its nodes, replicas first,
// and loses no write by that.
func TestQuorumByRollingRestart(t *testing.T) {
	q := &quorumShard{t: t}
	oursOnly(t)
	for range 3 {
		q.nodes = append(q.nodes, start(t, ours(), slices.Concat(quorumArgs, []string{"--durability", "async"})...))
	}
	first := q.nodes[0]
	first.Do("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
	for _, n := range q.nodes[1:] {
		q.join(n)
	}
	if _, err := ask(first, "CONFIG", "SET", "durability", "quorum"); err == nil || !strings.Contains(err.Error(), "restarting") {
		t.Errorf("CONFIG SET durability: %v", err)
	}
	inStep := func() {
		for _, n := range q.nodes[1:] {
			redistest.Until(t, settle, "the replicas are in step", func() error {
				if has, want := about(n, "slave_repl_offset"), about(first, "master_repl_offset"); has != want || about(n, "master_link_status") != "up" {
					return fmt.Errorf("%s of %s", has, want)
				}
				return nil
			})
		}
	}
	for round, durability := range []string{"quorum", "async", "quorum"} {
		key := fmt.Sprint("before ", round)
		redistest.Until(t, settle, "a write is taken", func() error {
			_, err := ask(first, "SET", key, "1")
			return err
		})
		for _, n := range q.nodes[1:] {
			inStep()
			restartWith(n, durability)
		}
		inStep()
		restartWith(first, durability)
		if durability == "quorum" {
			q.untilVoting(3)
			first = q.leader(nil)
			for i, n := range q.nodes {
				if n == first {
					q.nodes[0], q.nodes[i] = n, q.nodes[0]
				}
			}
		}
		redistest.Until(t, settle, "it serves, and has what was written", func() error {
			v, err := ask(first, "GET", key)
			if err == nil && v != "1" {
				err = fmt.Errorf("the key is %v", v)
			}
			return err
		})
	}
}

// redoubt cluster create --durability quorum refuses nodes that would lose acknowledged
// writes, and makes a cluster of others.
func TestQuorumClusterIsCreated(t *testing.T) {
	oursOnly(t)
	var addrs []string
	var nodes []*redistest.Server
	for range 2 {
		n := start(t, ours(), quorumArgs...)
		nodes, addrs = append(nodes, n), append(addrs, n.Addr())
	}
	plain := start(t, ours(), "--cluster-enabled", "yes", "--appendonly", "yes")
	create := func(last string) (string, error) {
		args := append([]string{"cluster", "create"}, append(slices.Clone(addrs), last)...)
		return run(t, "", redistest.Binary(t), append(args, "--cluster-yes", "--durability", "quorum")...)
	}
	if out, err := create(plain.Addr()); err == nil || !strings.Contains(out, plain.Addr()+" has not durability quorum") {
		t.Errorf("%v\n%s", err, out)
	}
	last := start(t, ours(), quorumArgs...)
	if out, err := create(last.Addr()); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	redistest.Until(t, settle, "the last shard is led", func() error {
		if about(last, "quorum_leading") != "1" {
			return errors.New("it is not")
		}
		return nil
	})
	testReshardOfQuorumShards(t, append(nodes, last))
}

// Slots go from one quorum shard to another and back, with all of their keys.
func testReshardOfQuorumShards(t *testing.T, nodes []*redistest.Server) {
	byOwner := func(args ...any) (reply any, err error) {
		for _, n := range nodes {
			if reply, err = ask(n, args...); err == nil || !strings.HasPrefix(err.Error(), "MOVED") {
				return reply, err
			}
		}
		return nil, err
	}
	redistest.Until(t, settle, "all slots are served", func() error {
		for i := range 300 {
			if _, err := byOwner("SET", fmt.Sprint("key:", i), i); err != nil {
				return err
			}
		}
		return nil
	})
	first, last := nodes[0], nodes[len(nodes)-1]
	for _, way := range [][2]*redistest.Server{{first, last}, {last, first}} {
		from, to := way[0], way[1]
		out, err := run(t, "", redistest.Binary(t), "cluster", "reshard", first.Addr(), "--cluster-from", from.Do("CLUSTER", "MYID").(string),
			"--cluster-to", to.Do("CLUSTER", "MYID").(string), "--cluster-slots", "1000", "--cluster-yes")
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for i := range 300 {
			if v, err := byOwner("GET", fmt.Sprint("key:", i)); err != nil || v != fmt.Sprint(i) {
				t.Fatalf("key %d is %v, %v", i, v, err)
			}
		}
	}
}

// Who monitors a shard sees which node leads it, who votes, and what commits take.
func TestQuorumIsMeasured(t *testing.T) {
	oursOnly(t)
	port := redistest.Port(t)
	n := start(t, ours(), append(slices.Clone(quorumArgs), "--metrics-port", strconv.Itoa(port))...)
	if got := value(scrape(t, port), "redoubt_quorum_leading"); got != 0 {
		t.Errorf("before it has slots it leads: %v", got)
	}
	n.Do("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
	redistest.Until(t, settle, "it serves", func() error {
		_, err := ask(n, "SET", "key", "1")
		return err
	})
	page := scrape(t, port)
	for name, want := range map[string]float64{
		"redoubt_quorum_leading": 1, "redoubt_quorum_voters": 1, "redoubt_quorum_members": 1, "redoubt_quorum_owes": 0,
		"redoubt_quorum_elected_total": 1, "redoubt_quorum_uncommitted_bytes": 0, "redoubt_quorum_staleness_seconds": 0,
	} {
		if got := value(page, name); got != want {
			t.Errorf("%s is %v, not %v", name, got, want)
		}
	}
	if got := page["redoubt_quorum_commit_seconds"].Find("redoubt_quorum_commit_seconds_count"); !(got >= 1) {
		t.Errorf("%v commits were measured", got)
	}
	documented(t, []map[string]*promtext.Family{page})
}
