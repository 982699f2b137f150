package server

import (
	"bytes"
	"strings"
	"testing"

	"redoubt/internal/resp"
	"redoubt/slots"
)

// violation is one reason to refuse a request, of several that stand at once.
type violation struct {
	reply string // what the request gets while the reason stands
	lift  func() // takes the reason away
}

// peel sends the same line again and again and takes away, each time, the reason
// that was answered. So it compares each reason with all that come later.
func peel(t *testing.T, c *client, line string, violations ...violation) {
	t.Helper()
	for _, v := range violations {
		if got := c.do(line); !strings.HasPrefix(got, v.reply) {
			t.Fatalf("%s gets %q, want %q", line, got, v.reply)
		}
		v.lift()
	}
}

// The order is that of Redis's processCommand. Where two gates that follow each
// other are not told apart here, no request meets both: a connection in MULTI is
// authenticated, what MULTI forbids has no keys, a node is a replica or counts its
// own, and a monitor is not paused. interop has the part of the order for which a
// real server can be brought into the state.
func TestTheFirstReasonOfManyIsAnswered(t *testing.T) {
	const line = "SET near v"
	const (
		moved     = "error: MOVED"
		misconf   = "error: MISCONF"
		few       = "error: NOREPLICAS"
		readOnly  = "error: READONLY"
		inPubSub  = "error: ERR Can't execute 'set': only (P|S)SUBSCRIBE"
		stale     = "error: MASTERDOWN"
		loading   = "error: LOADING"
		ofMonitor = "error: ERR Replica can't interact with the keyspace"
	)
	type rig struct {
		*node
		other                                       *client // of an operator, with the password
		elsewhere, disk, fewReplicas, replica, load violation
		staleData                                   violation
	}
	// start makes a server with every reason there is to refuse, but for those
	// that belong to a connection.
	start := func(t *testing.T) *rig {
		cluster, repl, disk := &fakeCluster{}, newFakeReplication(), &fakePersistence{failing: resp.ErrMisconfSnapshot}
		n := startParts(t, func(c *Config) { c.Cluster, c.Replication, c.Persistence = cluster, repl, disk },
			"--cluster-enabled", "yes", "--min-replicas-to-write", "1", "--replica-serve-stale-data", "no",
			"--requirepass", "secret", "--enable-debug-command", "no")
		r := &rig{node: n, other: n.dial()}
		r.other.want("AUTH secret", "OK")
		refreshed := func(change func()) func() {
			return func() {
				change()
				n.RoleChanged()
			}
		}
		r.elsewhere = violation{moved, func() { cluster.locked(func() { cluster.elsewhere = slots.Count }) }}
		r.disk = violation{misconf, refreshed(func() { disk.mu.Lock(); disk.failing = ""; disk.mu.Unlock() })}
		r.fewReplicas = violation{few, refreshed(func() { repl.locked(func() { repl.good = 1 }) })}
		r.replica = violation{readOnly, func() {
			if err := n.config.Record("replica-read-only", "no"); err != nil { // a loop sees it in its next turn
				t.Error(err)
			}
		}}
		r.staleData = violation{stale, refreshed(func() { repl.locked(func() { repl.up = true }) })}
		r.load = violation{loading, func() { n.SetLoading(false) }}
		cluster.locked(func() { cluster.elsewhere = slots.Of([]byte("near")) })
		repl.locked(func() { repl.host = "127.0.0.1" })
		return r
	}
	primary := func(t *testing.T) *rig {
		r := start(t)
		f := r.replication.(*fakeReplication)
		f.locked(func() { f.host = "" })
		return r
	}
	entered := func(r *rig, lines ...string) *client {
		c := r.dial()
		c.want("AUTH secret", "OK")
		for _, l := range lines {
			c.do(l)
		}
		r.SetLoading(true) // now that the connection is as it should be
		return c
	}

	t.Run("a connection that nobody knows", func(t *testing.T) {
		r := start(t)
		r.SetLoading(true)
		c := r.dial()
		for _, tc := range [][2]string{
			{"NOTHING", "error: ERR unknown command"},
			{"SET near", "error: ERR wrong number of arguments"},
			{"DEBUG SLEEP 0", "error: ERR DEBUG command not allowed"},
			{"SAVE", "error: NOAUTH"},
			{line, "error: NOAUTH"},
		} {
			if got := c.do(tc[0]); !strings.HasPrefix(got, tc[1]) {
				t.Errorf("%s gets %q, want %q", tc[0], got, tc[1])
			}
		}
	})
	t.Run("a transaction on a replica", func(t *testing.T) {
		r := start(t)
		c := entered(r, "MULTI")
		c.want("SAVE", "error: "+string(resp.ErrNotInMulti))
		peel(t, c, line, r.elsewhere, r.disk, r.replica, r.staleData, r.load)
		c.want(line, "QUEUED")
	})
	t.Run("a subscriber of a replica", func(t *testing.T) {
		r := start(t)
		c := entered(r, "SUBSCRIBE ch")
		peel(t, c, line, r.elsewhere, r.disk, r.replica, violation{inPubSub, func() { c.do("UNSUBSCRIBE ch") }}, r.staleData, r.load)
		c.want(line, "OK")
	})
	t.Run("a subscriber of a primary", func(t *testing.T) {
		r := primary(t)
		c := entered(r, "SUBSCRIBE ch")
		peel(t, c, line, r.elsewhere, r.disk, r.fewReplicas, violation{inPubSub, func() { c.do("UNSUBSCRIBE ch") }}, r.load)
		c.want(line, "OK")
	})
	t.Run("a monitor of a replica", func(t *testing.T) {
		r := start(t)
		c := entered(r, "MONITOR")
		peel(t, c, line, r.elsewhere, r.disk, r.replica, r.staleData, r.load, violation{ofMonitor, func() {}})
	})
	t.Run("a pause comes last but for the queue", func(t *testing.T) {
		r := start(t)
		c := entered(r, "MULTI")
		r.other.want("CLIENT PAUSE 100000 WRITE", "OK")
		peel(t, c, line, r.elsewhere, r.disk, r.replica, r.staleData, r.load)
		c.send(line)
		for !strings.Contains(r.other.do("INFO clients"), "blocked_clients:1\r\n") {
		}
		r.other.want("CLIENT UNPAUSE", "OK")
		c.wantNext("QUEUED")
	})
}

// A command that another one calls has no connection. It passes the gates about
// commands, in the same order, and no others.
func TestACallPassesTheGatesOfItsCommand(t *testing.T) {
	repl, disk := newFakeReplication(), &fakePersistence{failing: resp.ErrMisconfSnapshot}
	n := startParts(t, func(c *Config) { c.Replication, c.Persistence = repl, disk },
		"--min-replicas-to-write", "1", "--replica-serve-stale-data", "no", "--requirepass", "secret")
	operator := n.dial()
	operator.want("AUTH secret", "OK")
	operator.want("CLIENT PAUSE 100000 WRITE", "OK")
	l := n.loops[0]
	call := func(line string) resp.Error {
		n.stopLoops(nil)
		defer n.resumeLoops(nil)
		l.beginTurn()
		l.runner.Ctx.Tx = l.exec.Begin(l.unix, nil)
		defer l.endUnit()
		args := bytes.Fields([]byte(line))
		row, _ := n.table.Resolve(args)
		return l.admitCall(row, args)
	}
	change := func(f func()) func() {
		return func() {
			repl.locked(f)
			n.RoleChanged()
		}
	}
	change(func() { repl.host = "127.0.0.1" })()
	n.SetLoading(true)
	for _, step := range []struct {
		line string
		want resp.Error
		then func()
	}{
		{"GET k", resp.ErrMasterDown, nil},
		{"PING", resp.ErrMisconfSnapshot, nil},
		{"SET k v", resp.ErrMisconfSnapshot, func() { disk.mu.Lock(); disk.failing = ""; disk.mu.Unlock(); n.RoleChanged() }},
		{"SET k v", resp.ErrReadOnly, nil},
		{"GET k", resp.ErrMasterDown, change(func() { repl.up = true })},
		{"GET k", resp.ErrLoading, func() { n.SetLoading(false) }},
		{"GET k", "", nil},
		{"SET k v", resp.ErrReadOnly, change(func() { repl.host, repl.good = "", 0 })},
		{"SET k v", resp.ErrNoReplicas, change(func() { repl.good = 1 })},
		{"SET k v", "", nil},
	} {
		if got := call(step.line); got != step.want {
			t.Fatalf("%s gets %q, want %q", step.line, got, step.want)
		}
		if step.then != nil {
			step.then()
		}
	}
}

// Within a unit nothing can be evicted, as that is a unit of its own.
func TestACallEvictsNothing(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("SET k v", "OK")
	n.keepNoHouse()
	if err := n.config.Record("maxmemory", "1"); err != nil {
		t.Fatal(err)
	}
	if err := n.config.Record("maxmemory-policy", "allkeys-lru"); err != nil {
		t.Fatal(err)
	}
	n.RoleChanged()
	n.stopLoops(nil)
	defer n.resumeLoops(nil)
	l := n.loops[0]
	l.beginTurn()
	l.runner.Ctx.Tx = l.exec.Begin(l.unix, nil)
	defer l.endUnit()
	for line, want := range map[string]resp.Error{"SET k v": resp.ErrOOM, "GET k": "", "DEL k": ""} {
		args := bytes.Fields([]byte(line))
		row, _ := n.table.Resolve(args)
		if got := l.admitCall(row, args); got != want {
			t.Errorf("%s gets %q, want %q", line, got, want)
		}
	}
	if evicted := n.keyspace.Stats().Evicted; evicted != 0 {
		t.Errorf("%d keys were evicted", evicted)
	}
}

// locked changes the cluster.
func (f *fakeCluster) locked(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}
