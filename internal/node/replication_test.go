package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/redistest"
	"redoubt/internal/resp"
	"redoubt/internal/server"
	"redoubt/replication"
	"redoubt/replication/psync"
	"redoubt/slots"
	"redoubt/storage"
	"redoubt/storage/rdb"
)

// startNode runs a node in dir, without a port unless args name one, which it leaves as a node does
// that is shut down.
func startNode(t *testing.T, dir string, args ...string) (n *Node, stop func()) {
	t.Helper()
	settings, err := config.Load(config.Source{Args: append([]string{"--port", "0", "--dir", dir}, args...)})
	if err != nil {
		t.Fatal(err)
	}
	if n, err = New(Config{Settings: settings, Log: zap.NewNop()}); err != nil {
		t.Fatal(err)
	}
	if n.cluster != nil {
		// The test says what the cluster would: of which role the node is.
		n.cluster.Close()
		n.cluster = nil
	}
	if settings.Current().Port != 0 {
		if err := n.server.Listen(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- n.server.Run(ctx) }()
	if err := n.begin(ctx); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-served, n.end()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return n, stop
}

// set writes a key as a client would, and returns the end of the stream.
func set(n *Node, e *storage.Executor, key, value string) replication.Offset {
	tx := e.Begin(now(), []slots.Slot{slots.Of([]byte(key))})
	tx.Command(resp.AppendArray(nil, []byte("SET"), []byte(key), []byte(value)))
	tx.SetString([]byte(key), []byte(value), 0, 0)
	tx.CommandEnd()
	e.End()
	return n.stream.End()
}

// keysOf are the node's keys of database 0.
func keysOf(n *Node) (keys []string) {
	n.keys.World(now(), func(tx *storage.Tx) {
		for s, ok := n.keys.NextSlot(0, 0); ok; s, ok = n.keys.NextSlot(0, s+1) {
			for cursor, more := uint64(0), true; more; more = cursor != 0 {
				cursor = tx.Scan(s, cursor, 100, func(e storage.Entry) { keys = append(keys, string(e.Key())) })
			}
		}
	})
	slices.Sort(keys)
	return keys
}

// nobody is an address at which nothing listens.
var nobody = role{replica: true, host: "127.0.0.1", port: 1}

var replicaOfNobody = []string{"--replicaof", "127.0.0.1 1"}

// TestStart: what a node says of its history after a start, given what it was
// before.
func TestStart(t *testing.T) {
	t.Run("an empty primary makes a history without a past", func(t *testing.T) {
		n, _ := startNode(t, t.TempDir())
		h := n.replicator.History()
		if !replication.ValidID(h.ID) || h.ID2 != replication.NoID || h.Second != -1 {
			t.Errorf("%+v", h)
		}
		if host, _ := n.replicator.Primary(); host != "" {
			t.Errorf("a replica of %s", host)
		}
	})
	t.Run("an empty replica has nothing to go on from", func(t *testing.T) {
		n, _ := startNode(t, t.TempDir(), replicaOfNobody...)
		if _, known := n.replicator.follower.Load().Position(); known {
			t.Error("it claims a position")
		}
	})
	for _, journal := range []string{"yes", "no"} {
		t.Run("after a restart, appendonly "+journal, func(t *testing.T) {
			dir := t.TempDir()
			keep := []string{"--appendonly", journal, "--save", "3600 1", "--save", "60 1"}
			n, stop := startNode(t, dir, keep...)
			first := n.replicator.History()
			end := set(n, n.keys.NewExecutor(), "k", "v")
			if journal == "no" {
				n.keys.World(now(), func(tx *storage.Tx) {
					if err := n.persistence.Save(tx); err != nil {
						t.Error(err)
					}
				})
			}
			stop()

			n, stop = startNode(t, dir, append(keep, replicaOfNobody...)...)
			if got, want := position(n), (psync.Position{History: replication.NewHistory(first.ID), End: end}); got != want {
				t.Errorf("a replica goes on from %+v, want %+v", got, want)
			}
			stop()

			n, _ = startNode(t, dir, keep...)
			if h := n.replicator.History(); h.ID == first.ID || h.ID2 != first.ID || h.Second != end+1 {
				t.Errorf("a primary goes on in %+v; it was in %+v until %d", h, first, end)
			}
			if got := keysOf(n); !slices.Equal(got, []string{"k"}) {
				t.Errorf("keys: %q", got)
			}
		})
	}
}

func position(n *Node) psync.Position {
	p, known := n.replicator.follower.Load().Position()
	if !known {
		return psync.Position{End: -1}
	}
	return p
}

func TestRoles(t *testing.T) {
	n, _ := startNode(t, t.TempDir())
	r, e := n.replicator, n.keys.NewExecutor()
	first := r.History()
	end := set(n, e, "k", "v")

	r.BecomeReplica(nobody.host, nobody.port, replication.Source{})
	if got := position(n); got.History != first || got.End != end {
		t.Errorf("a demoted primary asks to go on from %+v", got)
	}
	if set(n, e, "local", "v") != end {
		t.Error("a replica adds to the stream by itself")
	}
	r.BecomeReplica(nobody.host, nobody.port, replication.Source{})

	r.BecomePrimary()
	second := r.History()
	if second.ID2 != first.ID || second.Second != end+1 {
		t.Errorf("promoted: %+v", second)
	}
	r.BecomePrimary()
	if r.History() != second {
		t.Error("a second promotion changed the history")
	}

	r.BecomeReplica("", 0, replication.Source{})
	if host, _ := r.Primary(); host != unknownHost {
		t.Errorf("a replica of nobody says it follows %q", host)
	}
	if r.History() != first {
		t.Errorf("a promotion of which nothing came is remembered: %+v", r.History())
	}

	r.BecomePrimary()
	third := r.History()
	end = set(n, e, "k", "v")
	r.BecomeReplica(nobody.host, nobody.port, replication.Source{})
	if got := position(n); got.History != third || got.End != end {
		t.Errorf("a primary that has written asks to go on from %+v, want %+v until %d", got, third, end)
	}
}

// attach makes the test a replica of the node that has all of its stream, and returns
// what ends when the node sends it away.
func attach(t *testing.T, n *Node) (gone <-chan struct{}) {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { theirs.Close() })
	left := make(chan struct{})
	go func() {
		defer close(left)
		_, _ = io.Copy(io.Discard, theirs)
	}()
	r := n.replicator
	r.Serve(ours, nil, server.Handshake{PSYNC2: true, Psync: true, ID: r.ID(), Offset: n.stream.End() + 1})
	redistest.Until(t, 10*time.Second, "the replica is attached", func() error {
		if list := r.primary.Replicas(); len(list) != 1 || list[0].State != psync.Online {
			return fmt.Errorf("replicas: %+v", list)
		}
		return nil
	})
	return left
}

// TestAReplicaLacksNothingOfAnEmptyStream: a shutdown does not wait for one that is only
// being sent its snapshot then, but does once something was written.
func TestAReplicaLacksNothingOfAnEmptyStream(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--appendonly", "no")
	r := n.replicator
	ours, theirs := net.Pipe() // of which nobody reads
	t.Cleanup(func() { theirs.Close() })
	r.Serve(ours, nil, server.Handshake{PSYNC2: true, Psync: true, ID: "?", Offset: -1})
	redistest.Until(t, 10*time.Second, "the replica is attached", func() error {
		if n := len(r.primary.Replicas()); n != 1 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	if names, all := r.Behind(n.stream.End()); len(names) != 0 || all != 1 {
		t.Errorf("behind are %v of %d", names, all)
	}
	set(n, n.keys.NewExecutor(), "k", "v")
	if names, all := r.Behind(n.stream.End()); len(names) != 1 || all != 1 {
		t.Errorf("after a write: behind are %v of %d", names, all)
	}
}

// TestAnotherPrimaryKeepsTheReplicas: a replica's own replicas stay when it is given
// another primary, and leave when its history changes.
func TestAnotherPrimaryKeepsTheReplicas(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), replicaOfNobody...)
	r := n.replicator
	history := replication.NewHistory(newID())
	if err := r.follower.Load().Continue(history); err != nil {
		t.Fatal(err)
	}
	gone := attach(t, n)
	id := r.primary.Replicas()[0].ID

	r.BecomeReplica(nobody.host, 2, replication.Source{})
	r.BecomeReplica("", 0, replication.Source{})
	r.BecomeReplica(nobody.host, 3, replication.Source{})
	if err := r.follower.Load().Continue(history); err != nil {
		t.Fatal(err)
	}
	if list := r.primary.Replicas(); len(list) != 1 || list[0].ID != id {
		t.Errorf("the replica was sent away: %+v", list)
	}
	select {
	case <-gone:
		t.Error("its connection was closed")
	default:
	}

	if err := r.follower.Load().Continue(history.Branch(newID(), n.stream.End())); err != nil {
		t.Fatal(err)
	}
	<-gone
	gone = attach(t, n)
	r.BecomePrimary()
	<-gone
	gone = attach(t, n)
	r.BecomeReplica(nobody.host, nobody.port, replication.Source{})
	<-gone
}

// TestPromotionWithoutAWriteKeepsTheDatabase: after it the stream's next bytes
// may again be the former primary's, in the database it had selected.
func TestPromotionWithoutAWriteKeepsTheDatabase(t *testing.T) {
	n, _ := startNode(t, t.TempDir())
	n.keys.World(now(), func(tx *storage.Tx) {
		tx.Select(3)
		tx.Command([]byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"))
		tx.SetString([]byte("k"), []byte("v"), 0, 0)
		tx.CommandEnd()
	})
	n.replicator.BecomeReplica(nobody.host, nobody.port, replication.Source{})
	n.replicator.BecomePrimary()
	n.replicator.BecomeReplica(nobody.host, nobody.port, replication.Source{})
	if got := position(n); got.DB != 3 {
		t.Errorf("database %d is selected, want 3", got.DB)
	}
}

func TestEmptyIsInTheStream(t *testing.T) {
	dir := t.TempDir()
	n, stop := startNode(t, dir)
	end := set(n, n.keys.NewExecutor(), "k", "v")
	n.replicator.Empty()
	if n.stream.End() == end || len(keysOf(n)) != 0 {
		t.Errorf("end %d, keys %q", n.stream.End(), keysOf(n))
	}
	stop()
	n, _ = startNode(t, dir)
	if keys := keysOf(n); len(keys) != 0 {
		t.Errorf("a restart brings back %q", keys)
	}
}

// unit is what a Reader makes of a stream with one SET.
func unit(t *testing.T, stream string) *psync.Unit {
	t.Helper()
	u, err := psync.NewReader(strings.NewReader(stream), 0, 1<<20).Next()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

const setA = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"

func TestApply(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), replicaOfNobody...)
	f := linked(t, n)
	if err := f.Apply(unit(t, setA)); err != nil {
		t.Fatal(err)
	}
	if end := n.stream.End(); end != replication.Offset(len(setA)) {
		t.Errorf("the stream ends at %d, the primary's at %d", end, len(setA))
	}
	if err := f.Apply(unit(t, "*1\r\n$4\r\nPING\r\n")); err != nil {
		t.Fatal(err)
	}
	end := n.stream.End()
	if end != replication.Offset(len(setA)+14) {
		t.Errorf("PING does not count: the stream ends at %d", end)
	}
	if err := f.Apply(unit(t, "*2\r\n$7\r\nNOTHING\r\n$1\r\na\r\n")); err == nil || n.stream.End() != end {
		t.Errorf("an unknown command: %v, end %d", err, n.stream.End())
	}
	if _, known := f.Position(); known {
		t.Error("a stream that cannot be executed is asked for again")
	}

	n.replicator.BecomePrimary()
	if err := f.Apply(unit(t, strings.ReplaceAll(setA, "a", "b"))); !errors.Is(err, errCutOff) {
		t.Errorf("a unit of a former primary: %v", err)
	}
	if err := f.Continue(replication.NewHistory(idMe)); !errors.Is(err, errCutOff) {
		t.Errorf("a history of a former primary: %v", err)
	}
	if err := f.Replace(context.Background(), psync.Full{}); !errors.Is(err, errCutOff) {
		t.Errorf("a snapshot of a former primary: %v", err)
	}
	if keys := keysOf(n); !slices.Equal(keys, []string{"a"}) || n.stream.End() != end {
		t.Errorf("keys %q, end %d", keys, n.stream.End())
	}
}

// linked is the node's follower once its link has been started. The link finds
// nobody at the address, so the test has the follower for itself.
func linked(t *testing.T, n *Node) *follower {
	t.Helper()
	f := n.replicator.follower.Load()
	redistest.Until(t, 10*time.Second, "the link has been started", func() error {
		if l := n.replicator.link.Load(); l == nil || l.follower != f {
			return errors.New("not yet")
		}
		return nil
	})
	return f
}

// snapshotFile is an RDB file with keys in database 0; it may hold one twice.
func snapshotFile(t *testing.T, dir string, keys ...string) string {
	t.Helper()
	path := filepath.Join(dir, "received.rdb")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := rdb.NewWriter(out, rdb.Options{Checksum: true})
	err = errors.Join(w.Header(rdb.Header{ServerVersion: "7.0.15", ReplID: idOther, ReplOffset: 500, ReplStreamDB: 2}), w.SelectDB(0, len(keys), 0))
	for _, k := range keys {
		err = errors.Join(err, w.Entry(&rdb.Entry{Key: []byte(k)}, rdb.Text("v")))
	}
	if err = errors.Join(err, w.Finish()); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReplace(t *testing.T) {
	for _, journal := range []string{"yes", "no"} {
		t.Run("appendonly "+journal, func(t *testing.T) {
			dir := t.TempDir()
			args := append([]string{"--appendonly", journal}, replicaOfNobody...)
			n, stop := startNode(t, dir, args...)
			f := linked(t, n)
			if err := f.Apply(unit(t, setA)); err != nil {
				t.Fatal(err)
			}
			full := psync.Full{
				Path: snapshotFile(t, dir, "x", "y"), History: replication.NewHistory(idOther), At: 500, DB: 2, Keys: 2, Databases: 1,
			}
			if err := f.Replace(context.Background(), full); err != nil {
				t.Fatal(err)
			}
			want := psync.Position{History: full.History, End: 500, DB: 2}
			check := func(when string) {
				t.Helper()
				if got := position(n); got != want {
					t.Errorf("%s the node stands at %+v, want %+v", when, got, want)
				}
				if keys := keysOf(n); !slices.Equal(keys, []string{"x", "y"}) {
					t.Errorf("%s the keys are %q", when, keys)
				}
			}
			check("after the snapshot")
			stop()
			n, _ = startNode(t, dir, args...)
			check("after a restart")
			if err := linked(t, n).Apply(unit(t, setA)); err != nil {
				t.Fatal(err)
			}
			if end := n.stream.End(); end != 500+replication.Offset(len(setA)) {
				t.Errorf("the stream goes on to %d", end)
			}
		})
	}
}

// What repl-diskless-load says of a node without keys, with one, and with a function.
func TestWhatIsLoadedWhileItArrives(t *testing.T) {
	const library = "#!lua name=l\nredis.register_function('f', function() end)"
	for setting, want := range map[string][3]bool{
		"disabled": {}, "on-empty-db": {true}, "swapdb": {true}, "flush-before-load": {true, true, true},
	} {
		n, _ := startNode(t, t.TempDir(), append([]string{"--repl-diskless-load", setting}, replicaOfNobody...)...)
		f := linked(t, n)
		got := [3]bool{f.Direct()}
		if err := f.Apply(unit(t, setA)); err != nil {
			t.Fatal(err)
		}
		got[1] = f.Direct()
		n.keys.World(now(), func(tx *storage.Tx) { tx.FlushAll() })
		if err := n.server.LoadLibrary(library, false); err != nil {
			t.Fatal(err)
		}
		if got[2] = f.Direct(); got != want {
			t.Errorf("%s: %v, want %v", setting, got, want)
		}
	}
}

func TestReplaceWhileItArrives(t *testing.T) {
	for _, journal := range []string{"yes", "no"} {
		t.Run("appendonly "+journal, func(t *testing.T) {
			dir := t.TempDir()
			args := append([]string{"--appendonly", journal}, replicaOfNobody...)
			n, stop := startNode(t, dir, args...)
			f := linked(t, n)
			full := psync.Full{Path: snapshotFile(t, dir, "x", "y"), History: replication.NewHistory(idOther), At: 500}
			file, err := os.ReadFile(full.Path)
			if err != nil {
				t.Fatal(err)
			}
			replace := func(in io.Reader) error {
				full.In = in
				return f.Replace(context.Background(), full)
			}
			before := position(n)
			for what, in := range map[string]io.Reader{
				"one that breaks off":    io.MultiReader(strings.NewReader(string(file[:len(file)-12])), iotest.ErrReader(io.ErrUnexpectedEOF)),
				"one with more behind":   strings.NewReader(string(file) + "x"),
				"one that is no good":    strings.NewReader(strings.Replace(string(file), "x", "z", 1)),
				"one that has not begun": iotest.ErrReader(io.ErrUnexpectedEOF),
			} {
				if err := replace(in); err == nil {
					t.Errorf("%s is taken", what)
				}
				if keys := keysOf(n); len(keys) != 0 || n.server.Loading() {
					t.Errorf("%s leaves %q, loading: %v", what, keys, n.server.Loading())
				}
				if _, known := f.Position(); journal == "yes" && position(n) != before || journal == "no" && known {
					t.Errorf("%s leaves the node at %+v, known: %v", what, position(n), known)
				}
			}
			in, out := io.Pipe()
			done := make(chan error, 1)
			go func() { done <- replace(in) }()
			if _, err := out.Write(file[:len(file)-5]); err != nil {
				t.Fatal(err)
			}
			if !n.server.Loading() {
				t.Error("the node is not loading while it loads")
			}
			out.Write(file[len(file)-5:])
			out.Close()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			want := psync.Position{History: full.History, End: 500, DB: 2}
			for _, when := range []string{"after the snapshot", "after a restart"} {
				if keys := keysOf(n); !slices.Equal(keys, []string{"x", "y"}) || position(n) != want {
					t.Errorf("%s there is %q at %+v, want %+v", when, keys, position(n), want)
				}
				stop()
				n, stop = startNode(t, dir, args...)
			}
		})
	}
}

func TestReplaceFails(t *testing.T) {
	dir := t.TempDir()
	n, stop := startNode(t, dir, replicaOfNobody...)
	f := linked(t, n)
	if err := f.Apply(unit(t, setA)); err != nil {
		t.Fatal(err)
	}
	full := psync.Full{Path: filepath.Join(dir, "missing"), History: replication.NewHistory(idOther), At: 500, Databases: 17}
	if err := f.Replace(context.Background(), full); err == nil || !strings.Contains(err.Error(), "only 16 databases") {
		t.Errorf("a snapshot with too many databases: %v", err)
	}
	if keys := keysOf(n); !slices.Equal(keys, []string{"a"}) {
		t.Errorf("it cost the node its data: %q", keys)
	}
	before := position(n)
	full.Databases = 1
	check := func(what string) {
		t.Helper()
		if keys := keysOf(n); !slices.Equal(keys, []string{"a"}) || position(n) != before {
			t.Errorf("%s leaves %q at %+v, want what was there before at %+v", what, keys, position(n), before)
		}
	}
	if err := f.Replace(context.Background(), full); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that cannot be read: %v", err)
	}
	check("a file that cannot be read")
	full.Path = snapshotFile(t, dir, "x", "x")
	if err := f.Replace(context.Background(), full); !errors.Is(err, rdb.ErrCorrupt) {
		t.Errorf("a key that is there twice: %v", err)
	}
	check("a key that is there twice")

	// What is there goes on, behind a base, too.
	if err := n.persistence.askBase().wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.Apply(unit(t, strings.ReplaceAll(setA, "a", "b"))); err != nil {
		t.Fatal(err)
	}
	if err := f.Replace(context.Background(), full); err == nil {
		t.Error("a key that is there twice is taken")
	}
	if keys := keysOf(n); !slices.Equal(keys, []string{"a", "b"}) {
		t.Errorf("behind a base there is %q", keys)
	}
	full.Path = snapshotFile(t, dir, "x", "y")
	if err := f.Replace(context.Background(), full); err != nil {
		t.Errorf("a good snapshot afterwards: %v", err)
	}
	stop()
	n, _ = startNode(t, dir, replicaOfNobody...)
	if keys := keysOf(n); !slices.Equal(keys, []string{"x", "y"}) {
		t.Errorf("a restart brings %q", keys)
	}
}

// Without a journal there is nothing to go back to, nor if the journal cannot
// be read: the node is empty and says so.
func TestReplaceFailsForGood(t *testing.T) {
	for _, journal := range []string{"yes", "no"} {
		dir := t.TempDir()
		args := append([]string{"--appendonly", journal}, replicaOfNobody...)
		n, stop := startNode(t, dir, args...)
		f := linked(t, n)
		if err := f.Apply(unit(t, setA)); err != nil {
			t.Fatal(err)
		}
		if journal == "yes" {
			if err := n.persistence.askBase().wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			path, _ := n.stream.Base()
			if err := os.Truncate(path, 20); err != nil {
				t.Fatal(err)
			}
		}
		full := psync.Full{Path: snapshotFile(t, dir, "x", "x"), History: replication.NewHistory(idOther), At: 500, Databases: 1}
		if err := f.Replace(context.Background(), full); !errors.Is(err, rdb.ErrCorrupt) {
			t.Errorf("a key that is there twice: %v", err)
		}
		if _, known := f.Position(); known || len(keysOf(n)) != 0 || n.stream.End() != 0 {
			t.Errorf("appendonly %s: it leaves %q, end %d, position known: %v", journal, keysOf(n), n.stream.End(), known)
		}
		stop()
		n, _ = startNode(t, dir, args...)
		if keys := keysOf(n); len(keys) != 0 {
			t.Errorf("appendonly %s: a restart brings back %q", journal, keys)
		}
	}
}

// Messages that were published once are not published again by a replay, and
// INFO does not count its commands.
func TestAReplayPublishesNothing(t *testing.T) {
	dir := t.TempDir()
	n, stop := startNode(t, dir, replicaOfNobody...)
	published := 0
	counted := func() (calls int64) {
		for i := range n.server.Table().All() {
			calls += n.applier.Runner().Stats(i).Calls
		}
		return calls
	}
	n.applier.Side = func(*command.Row, [][]byte) { published++ }
	f := linked(t, n)
	publish := unit(t, "*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$1\r\nm\r\n")
	if err := f.Apply(publish); err != nil || published != 1 || counted() != 1 {
		t.Fatalf("a message of the primary is published %d times and counted %d times, %v", published, counted(), err)
	}
	if err := f.Apply(unit(t, setA)); err != nil || counted() != 2 {
		t.Fatalf("after a SET %d commands are counted, %v", counted(), err)
	}
	stop()
	settings, err := config.Load(config.Source{Args: append([]string{"--port", "0", "--dir", dir}, replicaOfNobody...)})
	if err != nil {
		t.Fatal(err)
	}
	if n, err = New(Config{Settings: settings, Log: zap.NewNop()}); err != nil {
		t.Fatal(err)
	}
	n.applier.Side = func(*command.Row, [][]byte) { t.Error("the replay publishes") }
	if _, err := n.restore(); err != nil {
		t.Error(err)
	}
	if counted() != 0 {
		t.Error("the replay is counted")
	}
	if err := n.stream.Close(); err != nil {
		t.Error(err)
	}
}

// TestWhileLoading: between two batches of a snapshot clients and the cluster
// find a node that is neither this nor that.
func TestWhileLoading(t *testing.T) {
	dir := t.TempDir()
	n, _ := startNode(t, dir, replicaOfNobody...)
	f, r := linked(t, n), n.replicator
	n.keys.World(now(), func(tx *storage.Tx) {
		r.loading = make(chan struct{})
		n.persistence.replacing = true
		r.Follow(tx, "", 0, "a test")
		if err := n.persistence.Save(tx); !errors.Is(err, errReplaced) {
			t.Errorf("SAVE: %v", err)
		}
	})
	if err := n.persistence.askBase().wait(context.Background()); !errors.Is(err, errReplaced) {
		t.Errorf("a base: %v", err)
	}
	if host, _ := r.Primary(); host != nobody.host {
		t.Errorf("REPLICAOF NO ONE took effect at once: the primary is %q", host)
	}
	full := psync.Full{Path: snapshotFile(t, dir, "x"), History: replication.NewHistory(idOther), At: 500, Databases: 1}
	if err := f.Replace(context.Background(), full); err != nil {
		t.Fatal(err)
	}
	if h := r.History(); h.ID2 != idOther || h.Second != 501 {
		t.Errorf("REPLICAOF NO ONE did not take effect afterwards: %+v", h)
	}
}

// TestInfo holds the fields to Redis's order (genRedisInfoString).
func TestInfo(t *testing.T) {
	names := func(info string) (list []string) {
		for line := range strings.Lines(info) {
			name, _, _ := strings.Cut(line, ":")
			list = append(list, name)
		}
		return list
	}
	common := []string{"connected_slaves", "min_slaves_good_slaves", "master_failover_state", "sentinel_confirmed", "master_replid", "master_replid2",
		"master_repl_offset", "second_repl_offset", "repl_backlog_active", "repl_backlog_size",
		"repl_backlog_first_byte_offset", "repl_backlog_histlen",
		"rewinds", "rewinds_refused", "rewound_bytes", "rewound_writes", "rewound_last_file"}
	n, _ := startNode(t, t.TempDir(), "--min-replicas-to-write", "1")
	for _, c := range []struct {
		name string
		be   func()
		want []string
	}{
		{"a primary", n.replicator.BecomePrimary, append([]string{"role"}, common...)},
		{"a replica whose link is down", func() { n.replicator.BecomeReplica(nobody.host, nobody.port, replication.Source{}) },
			append([]string{"role", "master_host", "master_port", "master_link_status", "master_last_io_seconds_ago",
				"master_sync_in_progress", "slave_read_repl_offset", "slave_repl_offset", "master_link_down_since_seconds",
				"slave_priority", "slave_read_only", "replica_announced"}, common...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.be()
			if got := names(n.replicator.Info()); !slices.Equal(got, c.want) {
				t.Errorf("fields\n%s\nwant\n%s", strings.Join(got, " "), strings.Join(c.want, " "))
			}
		})
	}
}

// A base that was begun before the data were replaced may become the journal's while
// the node goes back to them. It is then the one to go back to.
func TestTheBaseMayChangeWhileTheNodeGoesBack(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--save", "")
	e := n.keys.NewExecutor()
	set(n, e, "k", "v")
	if err := n.persistence.askBase().wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	base, _ := n.stream.Base()
	next := filepath.Join(n.stream.Dir(), "temp-next.rdb")
	if err := copyFile(base, next); err != nil {
		t.Fatal(err)
	}
	set(n, e, "k", "v") // the next one is as of another offset
	change := sync.OnceFunc(func() {
		if err := n.stream.SetBase(next, n.stream.End()); err != nil {
			t.Error(err)
		}
	})
	run := func(f func(tx *storage.Tx) error) error {
		change()
		return n.unitsAt(0)(f)
	}
	f := newFollower(n.replicator, nobody)
	if back := f.fallBack(t.Context(), run, "a test", errors.New("damaged")); !back || !slices.Equal(keysOf(n), []string{"k"}) {
		t.Errorf("back: %v, with %q", back, keysOf(n))
	}
}

// A received snapshot is moved to where it is to stay, which another file system would
// not let.
func TestASnapshotIsReceivedWhereItIsToStay(t *testing.T) {
	dir := t.TempDir()
	n, _ := startNode(t, dir, append([]string{"--appendonly", "no", "--save", ""}, replicaOfNobody...)...)
	link := n.replicator.linkConfig(n.replicator.follower.Load())
	for _, c := range []struct{ journal, want string }{{"no", dir}, {"yes", n.stream.Dir()}, {"no", dir}} {
		if err := n.config.Set(config.Caller{}, config.Pair{Name: "appendonly", Value: c.journal}); err != nil {
			t.Fatal(err)
		}
		if got := link.Dir(); got != c.want {
			t.Errorf("appendonly %s: a snapshot is received in %s, and is to stay in %s", c.journal, got, c.want)
		}
	}
}

// A journal that is switched on again goes on from what the node is by then. The history
// of the earlier one would let a restart go on where it never was.
func TestAJournalThatIsSwitchedOnAgainHasTheHistoryOfTheNode(t *testing.T) {
	dir := t.TempDir()
	n, stop := startNode(t, dir, "--save", "")
	switchJournal := func(to string) {
		t.Helper()
		if err := n.config.Set(config.Caller{}, config.Pair{Name: "appendonly", Value: to}); err != nil {
			t.Fatal(err)
		}
	}
	before := n.replicator.History()
	switchJournal("no")
	n.replicator.BecomeReplica("", 0, replication.Source{})
	n.replicator.BecomePrimary()
	set(n, n.keys.NewExecutor(), "k", "written in another history")
	n.replicator.BecomeReplica("", 0, replication.Source{})
	switchJournal("yes")
	hasInfo(t, n, "aof_rewrites:1", "aof_rewrite_in_progress:0", "aof_last_bgrewrite_status:ok")
	want, end := n.replicator.History(), n.stream.End()
	if want == before {
		t.Fatal("the history is the one before")
	}
	stop()

	n, _ = startNode(t, dir, append([]string{"--save", ""}, replicaOfNobody...)...)
	if r := n.recovered; r.History != want || !r.Replica || r.End != end {
		t.Errorf("a restart finds %+v, replica %v, at %d, want %+v at %d", r.History, r.Replica, r.End, want, end)
	}
}
