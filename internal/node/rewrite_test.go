package node

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
	"redoubt/storage"
)

// startServing starts a node with a port and returns a connection to it.
func startServing(t *testing.T, dir string, args ...string) (*Node, *redistest.Client) {
	t.Helper()
	port := redistest.Port(t)
	n, _ := startNode(t, dir, append([]string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes"}, args...)...)
	n.server.SetLoading(false) // as Run does
	c, err := redistest.Dial(fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return n, c
}

// answers sends a command and wants a reply that contains a text; errors count as
// well.
func answers(t *testing.T, c *redistest.Client, want string, args ...any) {
	t.Helper()
	reply, err := c.Do(args...)
	if err != nil {
		reply = err.Error()
	}
	if got := fmt.Sprint(reply); !strings.Contains(got, want) {
		t.Errorf("%v is answered %q, want %q", args, got, want)
	}
}

// hasInfo waits until INFO persistence has all of these lines.
func hasInfo(t *testing.T, n *Node, lines ...string) {
	t.Helper()
	redistest.Until(t, 20*time.Second, fmt.Sprint("INFO has ", lines), func() error {
		info := n.persistence.Info()
		for _, line := range lines {
			if !strings.Contains(info, line+"\r\n") {
				return errors.New("no line " + line)
			}
		}
		return nil
	})
}

func TestARewriteMakesANewBase(t *testing.T) {
	n, c := startServing(t, t.TempDir())
	answers(t, c, "OK", "SET", "k", "v")
	end := n.stream.End()
	hasInfo(t, n, "aof_rewrites:0", "aof_last_rewrite_time_sec:-1")
	answers(t, c, "Background append only file rewriting started", "BGREWRITEAOF")
	hasInfo(t, n, "aof_rewrites:1", "aof_rewrite_in_progress:0", "aof_last_bgrewrite_status:ok", "aof_last_rewrite_time_sec:0", "aof_current_rewrite_time_sec:-1")
	if path, at := n.stream.Base(); path == "" || at != end {
		t.Errorf("the base is %q, as of %d, want %d", path, at, end)
	}
	answers(t, c, "OK", "MULTI")
	answers(t, c, "QUEUED", "SET", "k", "v2")
	answers(t, c, "QUEUED", "BGREWRITEAOF")
	answers(t, c, "rewriting scheduled", "EXEC")
	hasInfo(t, n, "aof_rewrites:2", "aof_rewrite_scheduled:0")
	if _, at := n.stream.Base(); at <= end {
		t.Errorf("the base is still as of %d", at)
	}
}

func TestARewriteWaitsForABackgroundSave(t *testing.T) {
	n, c := startServing(t, t.TempDir())
	answers(t, c, "OK", "SET", "k", "v")
	answers(t, c, "OK", "CONFIG", "SET", "rdb-key-save-delay", "10000000")
	answers(t, c, "Background saving started", "BGSAVE")
	for range 2 {
		answers(t, c, "rewriting scheduled", "BGREWRITEAOF")
	}
	hasInfo(t, n, "rdb_bgsave_in_progress:1", "aof_rewrite_scheduled:1", "aof_rewrite_in_progress:0")
	answers(t, c, "OK", "CONFIG", "SET", "rdb-key-save-delay", "0")
	hasInfo(t, n, "rdb_bgsave_in_progress:0", "rdb_last_bgsave_status:ok", "aof_rewrite_scheduled:0", "aof_rewrites:1")
}

func TestOneRewriteAtATime(t *testing.T) {
	n, c := startServing(t, t.TempDir())
	answers(t, c, "OK", "SET", "k", "v")
	answers(t, c, "OK", "CONFIG", "SET", "rdb-key-save-delay", "10000000")
	answers(t, c, "started", "BGREWRITEAOF")
	answers(t, c, "ERR Background append only file rewriting already in progress", "BGREWRITEAOF")
	hasInfo(t, n, "aof_rewrite_in_progress:1")
	// Switching the journal off gives it up, which is no failure.
	answers(t, c, "OK", "CONFIG", "SET", "appendonly", "no")
	hasInfo(t, n, "aof_rewrite_in_progress:0", "aof_rewrites:0", "aof_last_bgrewrite_status:ok")
	answers(t, c, "OK", "CONFIG", "SET", "rdb-key-save-delay", "-1000")
	answers(t, c, "OK", "CONFIG", "SET", "appendonly", "yes")
	hasInfo(t, n, "aof_rewrite_in_progress:0", "aof_rewrites:1", "aof_enabled:1")
}

// A base that was ordered is given up with the journal even if nobody has begun it yet.
func TestARewriteThatHasNotBegunIsGivenUp(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--save", "")
	p := n.persistence
	before, _ := n.stream.Base()
	o := &order{purpose: forBase, journal: true, done: make(chan struct{})}
	p.mu.Lock()
	p.base = o
	p.mu.Unlock()
	p.giveUpBase()
	p.carryOut(t.Context(), o)
	if after, _ := n.stream.Base(); !errors.Is(o.err, errSwitchedOff) || after != before {
		t.Errorf("it ended with %v, and the base is %q after %q", o.err, after, before)
	}
	hasInfo(t, n, "aof_rewrite_in_progress:0", "aof_rewrites:0", "aof_last_bgrewrite_status:ok")
}

// A journal that was switched on counts for nothing without its first base. The keys
// would be gone if the node ended before.
func TestAShutdownWaitsForTheFirstBase(t *testing.T) {
	dir := t.TempDir()
	n, c := startServing(t, dir, "--appendonly", "no")
	answers(t, c, "OK", "SET", "k", "v")
	answers(t, c, "OK", "CONFIG", "SET", "rdb-key-save-delay", "10000000")
	answers(t, c, "OK", "CONFIG", "SET", "appendonly", "yes")
	answers(t, c, "ERR Errors trying to SHUTDOWN", "SHUTDOWN")
	answers(t, c, "ERR Errors trying to SHUTDOWN", "SHUTDOWN", "NOSAVE", "NOW")
	if err := n.server.Shutdown(false); err == nil {
		t.Error("SIGTERM ends the node")
	}
	answers(t, c, "v", "GET", "k")
	answers(t, c, "OK", "CONFIG", "SET", "rdb-key-save-delay", "0")
	hasInfo(t, n, "aof_rewrites:1", "aof_rewrite_in_progress:0")
	if err := n.server.Shutdown(false); err != nil {
		t.Errorf("with its base: %v", err)
	}
	got, err := begins(t, dirCopy(t, dir), n.log)
	if err != nil || got["0:k"] != "v" {
		t.Errorf("a start finds %v, %v", got, err)
	}
}

// FORCE ends a node without the first base of its journal.
func TestAForcedShutdownDoesNotWaitForTheFirstBase(t *testing.T) {
	n, c := startServing(t, t.TempDir(), "--appendonly", "no", "--shutdown-on-sigterm", "force")
	answers(t, c, "OK", "SET", "k", "v")
	answers(t, c, "OK", "CONFIG", "SET", "rdb-key-save-delay", "10000000")
	answers(t, c, "OK", "CONFIG", "SET", "appendonly", "yes")
	if err := n.server.Shutdown(false); err != nil {
		t.Error(err)
	}
}

// Without a journal the command leaves append-only files that redis-server, and a
// later start with a journal, go on from; and DEBUG LOADAOF comes back to them.
func TestARewriteWithoutAJournal(t *testing.T) {
	dir := t.TempDir()
	n, c := startServing(t, dir, "--appendonly", "no")
	for _, value := range []string{"v1", "v2"} {
		answers(t, c, "OK", "SET", "k", value)
		answers(t, c, "started", "BGREWRITEAOF")
		hasInfo(t, n, "aof_rewrite_in_progress:0", fmt.Sprint("aof_rewrites:", value[1:]))
	}
	answers(t, c, "OK", "SET", "k", "v3")
	got, err := begins(t, dirCopy(t, dir), n.log)
	if err != nil || got["0:k"] != "v2" {
		t.Errorf("a start with a journal finds %v, %v", got, err)
	}
	files := listing(t, dir)
	for name := range files {
		if strings.Contains(name, ".1.base") || strings.Contains(name, "temp-") {
			t.Errorf("%s is left over", name)
		}
	}
	answers(t, c, "OK", "DEBUG", "LOADAOF")
	answers(t, c, "v2", "GET", "k")
}

func TestDebugLoadAOFKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	_, c := startServing(t, dir)
	answers(t, c, "OK", "SET", "k", "v")
	answers(t, c, "1", "RPUSH", "l", "a")
	answers(t, c, "OK", "DEBUG", "LOADAOF")
	answers(t, c, "v", "GET", "k")
	answers(t, c, "[a]", "LRANGE", "l", "0", "-1")
	for name := range listing(t, dir) {
		if strings.HasSuffix(name, "dump.rdb") || strings.Contains(name, "temp-") {
			t.Errorf("%s is left over", name)
		}
	}
}

// Scripts wait for what the log tells of a load, whatever the file is loaded for.
func TestTheLogTellsOfAReload(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--save", "")
	p, lines := halted(n)
	set(n, n.keys.NewExecutor(), "k", "v")
	told := func(what string, want int, err error) {
		t.Helper()
		got := lines.FilterMessage("Done loading RDB, keys loaded: 1, keys expired: 0.").Len()
		if err != nil || got != want {
			t.Errorf("DEBUG %s: %v, the log: %v", what, err, lines.All())
		}
	}
	n.keys.World(now(), func(tx *storage.Tx) {
		told("RELOAD", 1, p.Reload(tx, false, false, false))
		told("LOADAOF", 2, p.LoadAgain(tx))
	})
}

// A journal that is switched on while a base is being made for another one, or for
// redis-server, gets one of its own.
func TestAJournalGetsItsFirstBaseWhateverIsUnderWay(t *testing.T) {
	for _, begins := range []string{"yes", "no"} {
		dir := t.TempDir()
		n, c := startServing(t, dir, "--appendonly", begins)
		answers(t, c, "OK", "SET", "k", "v")
		answers(t, c, "OK", "CONFIG", "SET", "rdb-key-save-delay", "10000000")
		answers(t, c, "started", "BGREWRITEAOF")
		hasInfo(t, n, "aof_rewrite_in_progress:1")
		if begins == "yes" {
			answers(t, c, "OK", "CONFIG", "SET", "appendonly", "no")
		}
		answers(t, c, "OK", "CONFIG", "SET", "appendonly", "yes")
		answers(t, c, "OK", "CONFIG", "SET", "rdb-key-save-delay", "0")
		hasInfo(t, n, "aof_rewrite_in_progress:0", "aof_last_bgrewrite_status:ok", "aof_rewrites:1")
		if _, _, ok := n.stream.Restart(); !ok {
			t.Errorf("begun with appendonly %s, a restart would not find the journal", begins)
		}
	}
}

// FLUSHALL gives a BGSAVE up at once: what it would write is gone.
func TestAFlushEndsABackgroundSave(t *testing.T) {
	n, c := startServing(t, t.TempDir(), "--appendonly", "no")
	answers(t, c, "OK", "DEBUG", "POPULATE", "100")
	answers(t, c, "OK", "CONFIG", "SET", "rdb-key-save-delay", "1000000")
	answers(t, c, "started", "BGSAVE")
	hasInfo(t, n, "rdb_bgsave_in_progress:1", "current_save_keys_total:100")
	redistest.Until(t, 20*time.Second, "some keys are written", func() error {
		if written, _ := n.persistence.progress(); written == 0 {
			return errors.New("none is")
		}
		return nil
	})
	answers(t, c, "OK", "FLUSHALL")
	hasInfo(t, n, "rdb_bgsave_in_progress:0", "rdb_last_bgsave_status:ok", "current_save_keys_total:0", "rdb_saves:0")
}

// What DEBUG POPULATE makes is in the stream like anything else: a replica gets it, and a
// restart finds it. It takes more units than one, which hold no key that was there before.
func TestPopulatedKeysAreInTheStream(t *testing.T) {
	dir, port := t.TempDir(), redistest.Port(t)
	args := []string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes"}
	n, stop := startNode(t, dir, args...)
	n.server.SetLoading(false) // as Run does
	c, err := redistest.Dial(fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	replica, _ := startNode(t, t.TempDir(), "--save", "", "--replicaof", fmt.Sprint("127.0.0.1 ", port))
	answers(t, c, "OK", "SET", "key:7", "mine")
	answers(t, c, "OK", "DEBUG", "POPULATE", "2500")
	answers(t, c, "OK", "DEBUG", "POPULATE", "3", "long", "800000")
	want := contents(n)
	if got := count(n.keys); got != 2503 {
		t.Fatalf("%d keys", got)
	}
	redistest.Until(t, 20*time.Second, "the replica has the keys", func() error {
		if got := contents(replica); !maps.Equal(got, want) {
			return fmt.Errorf("%d keys", count(replica.keys))
		}
		return nil
	})
	stop()
	if again, _ := startNode(t, dir, args...); !maps.Equal(contents(again), want) {
		t.Errorf("after a restart there are %d keys", count(again.keys))
	}
}
