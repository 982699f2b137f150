package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redoubt/internal/config"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/replication/psync"
	"redoubt/storage"
	"redoubt/storage/snapshot"
)

// A journal that was just switched on is not what a restart finds before it has
// its first base, so a base that failed is tried again.
func TestABaseThatFailedIsTriedAgain(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--auto-aof-rewrite-percentage", "0")
	p := n.persistence
	p.mu.Lock()
	p.baseErr, p.baseTried = errors.New("no space left"), time.Now()
	p.mu.Unlock()
	p.orderDue(time.Now())
	p.mu.Lock()
	early := p.base
	p.mu.Unlock()
	if early != nil {
		t.Error("it is tried again at once")
	}
	p.orderDue(time.Now().Add(retryAfter + time.Second))
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		err := p.baseErr
		p.mu.Unlock()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no base was made")
		}
	}
	if path, _ := n.stream.Base(); path == "" {
		t.Error("the journal has no base")
	}
	for _, line := range []string{"aof_rewrites:1\r\n", "aof_rewrite_in_progress:0\r\n", "aof_current_rewrite_time_sec:-1\r\n", "rdb_saves:0\r\n"} {
		if !strings.Contains(p.Info(), line) {
			t.Errorf("INFO persistence lacks %q", line)
		}
	}
}

// CONFIG SET appendonly yes may come while the data are still being loaded.
func TestABaseMayBeOrderedBeforeTheStart(t *testing.T) {
	settings, err := config.Load(config.Source{Args: []string{"--port", "0", "--dir", t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	n, err := New(Config{Settings: settings, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ordered := n.persistence.askBase() // would wait for ever
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- n.server.Run(ctx) }()
	if err := n.begin(ctx); err != nil {
		t.Fatal(err)
	}
	if err := ordered.wait(context.Background()); err != nil {
		t.Error(err)
	}
	cancel()
	if err := errors.Join(<-served, n.end()); err != nil {
		t.Error(err)
	}
}

// failingWriter is a file on a disk without space.
type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// A snapshot that cannot be written ends its capture of the keyspace, or no
// other could ever begin.
func TestASnapshotThatCouldNotBeWrittenMakesWayForTheNext(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--save", "")
	e := n.keys.NewExecutor()
	for i := range 100_000 {
		set(n, e, fmt.Sprint(i), strings.Repeat("v", 100))
	}
	for range 20 {
		if _, err := n.persistence.walk(t.Context(), failingWriter{}, &order{purpose: forSave}); err == nil || errors.Is(err, storage.ErrTooManyCaptures) {
			t.Fatalf("a disk without space: %v", err)
		}
	}
	if _, err := n.persistence.walk(t.Context(), io.Discard, &order{purpose: forSave}); err != nil {
		t.Errorf("once there is space: %v", err)
	}
}

// Without a journal the dump is what a restart loads. A BGSAVE that began before
// a full resync must not put the old data there after it.
func TestASaveOfReplacedDataLeavesTheReceivedDump(t *testing.T) {
	dir := t.TempDir()
	n, _ := startNode(t, dir, append([]string{"--appendonly", "no", "--save", ""}, replicaOfNobody...)...)
	f, p := linked(t, n), n.persistence
	if err := f.Apply(unit(t, setA)); err != nil {
		t.Fatal(err)
	}
	full := psync.Full{Path: snapshotFile(t, dir, "x", "y"), History: replication.NewHistory(idOther), At: 500, DB: 2, Keys: 2, Databases: 1}
	received, err := os.ReadFile(full.Path)
	if err != nil {
		t.Fatal(err)
	}
	kick, replaced := p.kick, false
	p.kick = func() { // the snapshot has just begun
		if !replaced {
			replaced = true
			if err := f.Replace(t.Context(), full); err != nil {
				t.Error(err)
			}
		}
		kick()
	}
	o := &order{purpose: forSave, done: make(chan struct{})}
	p.carryOut(t.Context(), o)
	if !replaced || !errors.Is(o.err, errReplaced) {
		t.Errorf("the save ended with %v", o.err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "dump.rdb")); err != nil || !bytes.Equal(b, received) {
		t.Errorf("the dump is not the received snapshot: %d bytes, %v", len(b), err)
	}
	if !strings.Contains(p.Info(), "rdb_last_bgsave_status:ok\r\n") {
		t.Error("a save that was given up counts as a failure of the disk")
	}
}

// What FLUSHALL has deleted must not come back by a BGSAVE that began before.
func TestASaveOfFlushedDataDoesNotBecomeTheDump(t *testing.T) {
	for _, points := range []string{"", "3600 1"} {
		dir := t.TempDir()
		n, _ := startNode(t, dir, "--appendonly", "no", "--save", points)
		p, e := n.persistence, n.keys.NewExecutor()
		set(n, e, "k", "v")
		kick, flushed := p.kick, false
		p.kick = func() { // the snapshot has just begun
			if !flushed {
				flushed = true
				n.keys.World(time.Now().UnixMilli(), func(tx *storage.Tx) {
					tx.FlushAll()
					if err := p.Flushed(tx, points != ""); err != nil {
						t.Error(err)
					}
				})
			}
			kick()
		}
		o := &order{purpose: forSave, done: make(chan struct{})}
		p.mu.Lock()
		p.saving = true
		p.mu.Unlock()
		p.carryOut(t.Context(), o)
		if !flushed || !errors.Is(o.err, errOvertaken) {
			t.Errorf("save %q: the BGSAVE ended with %v", points, o.err)
		}
		if info := p.Info(); !strings.Contains(info, "rdb_last_bgsave_status:ok\r\n") || !strings.Contains(info, "rdb_bgsave_in_progress:0\r\n") {
			t.Errorf("save %q: %s", points, info)
		}
		dump, err := os.ReadFile(filepath.Join(dir, "dump.rdb"))
		if exists := err == nil; exists != (points != "") || bytes.Contains(dump, []byte("\x01k\x01v")) {
			t.Errorf("save %q: the dump is %q, %v", points, dump, err)
		}
	}
}

// A snapshot for replicas, and a base, of data that have been flushed would keep them in
// memory: they are given up, which is no failure. Another base follows.
func TestSnapshotsOfFlushedDataAreGivenUp(t *testing.T) {
	for _, why := range []purpose{forTransfer, forBase} {
		// The snapshot does not end by itself before the flush.
		n, _ := startNode(t, t.TempDir(), "--appendonly", "no", "--rdb-key-save-delay", "1000000000")
		p, e := n.persistence, n.keys.NewExecutor()
		set(n, e, "k", "v")
		kept := &order{purpose: forTransfer, path: filepath.Join(t.TempDir(), "sent.rdb")}
		if err := os.WriteFile(kept.path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		p.keepTransfer(kept)
		var once sync.Once
		kick := p.kick
		p.kick = func() { // the snapshot has just begun
			once.Do(func() {
				n.keys.World(time.Now().UnixMilli(), func(tx *storage.Tx) {
					tx.FlushAll()
					if err := p.Flushed(tx, false); err != nil {
						t.Error(err)
					}
				})
			})
			kick()
		}
		o := &order{purpose: why, done: make(chan struct{}), waiting: 1}
		if why == forBase {
			p.mu.Lock()
			p.base = o
			p.mu.Unlock()
		}
		p.carryOut(t.Context(), o)
		if !errors.Is(o.err, errOvertaken) {
			t.Errorf("%v ended with %v", why, o.err)
		}
		if _, err := os.Stat(kept.path); !errors.Is(err, fs.ErrNotExist) || p.lastTransfer() != nil {
			t.Errorf("the next replica would still be sent what was flushed: %v", err)
		}
		if why == forBase {
			hasInfo(t, n, "aof_rewrites:1", "aof_last_bgrewrite_status:ok", "aof_rewrite_in_progress:0")
		}
	}
}

// A shutdown does not wait for the BGSAVE under way, and is not refused because of
// it: it saves. Without a journal, whatever was written since the last dump would
// be gone otherwise.
func TestAShutdownDuringABackgroundSaveSaves(t *testing.T) {
	dir := t.TempDir()
	n, _ := startNode(t, dir, "--appendonly", "no", "--save", "3600 1000000")
	p, e := n.persistence, n.keys.NewExecutor()
	const keys = 20_000 // more than the loops walk over in a turn
	for i := range keys {
		set(n, e, fmt.Sprint(i), strings.Repeat("v", 100))
	}
	ctx, cancel := context.WithCancel(t.Context())
	kick, begun := p.kick, false
	p.kick = func() { // the BGSAVE has just begun
		if !begun {
			begun = true
			set(n, e, "later", "v")
			if err := n.server.Shutdown(false); err != nil {
				t.Errorf("the shutdown is refused: %v", err)
			}
			cancel()
		}
		kick()
	}
	p.mu.Lock()
	p.saving = true
	p.mu.Unlock()
	p.carryOut(ctx, &order{purpose: forSave, done: make(chan struct{})})
	if !strings.Contains(p.Info(), "rdb_last_bgsave_status:ok\r\n") {
		t.Error("a BGSAVE that was given up counts as a failure of the disk")
	}
	if left, err := filepath.Glob(filepath.Join(dir, "temp-*")); err != nil || left != nil {
		t.Errorf("the BGSAVE leaves %q behind, %v", left, err)
	}
	again, _ := startNode(t, dir, "--appendonly", "no", "--save", "")
	if got := count(again.keys); !begun || got != keys+1 {
		t.Errorf("a restart finds %d keys of %d", got, keys+1)
	}
}

// A BGSAVE that reaches its end after the save of a shutdown is older than that
// one, and does not replace it.
func TestASaveAtShutdownOvertakesABackgroundSave(t *testing.T) {
	dir := t.TempDir()
	n, _ := startNode(t, dir, "--appendonly", "no", "--save", "")
	p, e := n.persistence, n.keys.NewExecutor()
	set(n, e, "k", "old")
	kick, saved := p.kick, false
	p.kick = func() {
		if !saved {
			saved = true
			set(n, e, "k", "new")
			temporary, err := filepath.Glob(filepath.Join(dir, "temp-*"))
			if err != nil || len(temporary) != 1 {
				t.Fatalf("the BGSAVE writes to %q, %v", temporary, err)
			}
			const much = 1 << 20
			if err := os.Truncate(temporary[0], much); err != nil {
				t.Fatal(err)
			}
			n.keys.World(now(), func(tx *storage.Tx) {
				if err := p.Save(tx); !errors.Is(err, resp.ErrSaveInProgress) {
					t.Errorf("SAVE during a BGSAVE: %v", err)
				}
				if err := p.SaveAtEnd(tx); err != nil {
					t.Error(err)
				}
			})
			if info, err := os.Stat(temporary[0]); err != nil || info.Size() >= much {
				t.Errorf("its file keeps the disk space: %v, %v", info, err)
			}
		}
		kick()
	}
	o := &order{purpose: forSave, done: make(chan struct{})}
	p.mu.Lock()
	p.saving = true
	p.mu.Unlock()
	if p.carryOut(t.Context(), o); !saved || !errors.Is(o.err, errOvertaken) {
		t.Errorf("the BGSAVE ended with %v", o.err)
	}
	if dump, err := os.ReadFile(filepath.Join(dir, "dump.rdb")); err != nil || !bytes.Contains(dump, []byte("\x01k\x03new")) {
		t.Errorf("the dump is %q, %v", dump, err)
	}
}

// A failure is not tried again every tenth of a second: each try walks over all
// keys.
func TestAfterAFailureAutomaticSavingWaits(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--save", "1 1", "--auto-aof-rewrite-min-size", "1")
	p := n.persistence
	set(n, n.keys.NewExecutor(), "k", "v")
	ordered := func(at time.Time) (save, base bool) {
		p.orderDue(at)
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.saving, p.base != nil
	}
	p.stop() // the orders stay where they are
	<-p.stopped
	failed := time.Now().Add(time.Hour)
	p.mu.Lock()
	p.saving, p.base = false, nil
	p.saveErr, p.lastTry = errors.New("no space left"), failed
	p.baseErr, p.baseTried = errors.New("no space left"), failed
	p.mu.Unlock()
	if save, base := ordered(failed.Add(time.Second)); save || base {
		t.Errorf("a second later a save is ordered: %v, a base: %v", save, base)
	}
	if save, base := ordered(failed.Add(retryAfter + time.Second)); !save || !base {
		t.Errorf("after the wait a save is ordered: %v, a base: %v", save, base)
	}
}

func TestASmallBacklogIsRaised(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--save", "", "--appendonly", "no", "--repl-backlog-size", "1")
	if got := n.journalConfig(n.config.Current()).BacklogBytes; got != 16384 {
		t.Errorf("the stream keeps %d bytes", got)
	}
}

// halted is a node's persistence with its goroutine stopped, for a test that takes its
// place, and what it logs.
func halted(n *Node) (*persistence, *observer.ObservedLogs) {
	p := n.persistence
	p.stop()
	<-p.stopped
	core, lines := observer.New(zap.InfoLevel)
	p.log = zap.New(core)
	return p, lines
}

// A BGSAVE that the end of the node finds before it has begun is none that failed, as
// one that had begun.
func TestASaveThatTheEndGivesUpHasNotFailed(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--save", "")
	p, lines := halted(n)
	ended, end := context.WithCancel(t.Context())
	end()
	o := &order{purpose: forSave, done: make(chan struct{})}
	if p.carryOut(ended, o); !errors.Is(o.err, snapshot.ErrAborted) || p.saveErr != nil {
		t.Errorf("it ends with %v, and the node remembers %v", o.err, p.saveErr)
	}
	if lines.FilterMessage("Background saving error").Len() > 0 {
		t.Errorf("the log: %v", lines.All())
	}
}

// Scripts wait for this line.
func TestTheLogTellsOfEachDump(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--save", "")
	p, lines := halted(n)
	saved := func() int { return lines.FilterMessage("DB saved on disk").Len() }
	n.keys.World(now(), func(tx *storage.Tx) {
		if err := p.Save(tx); err != nil || saved() != 1 {
			t.Errorf("SAVE: %v, %d lines", err, saved())
		}
	})
	for _, why := range []purpose{forSave, forBase} {
		o := &order{purpose: why, journal: true, done: make(chan struct{})}
		if p.carryOut(t.Context(), o); o.err != nil {
			t.Error(o.err)
		}
	}
	if saved() != 2 {
		t.Errorf("after a BGSAVE and a base %d lines, want 2 in all", saved())
	}
}

// A save within a unit has what the unit did before it.
func TestASaveCountsItsOwnUnit(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--save", "3600 1")
	set(n, n.keys.NewExecutor(), "k", "v")
	n.keys.World(now(), func(tx *storage.Tx) {
		tx.Command([]byte("*1\r\n$8\r\nFLUSHALL\r\n"))
		tx.FlushAll()
		if err := n.persistence.Save(tx); err != nil {
			t.Error(err)
		}
		tx.CommandEnd()
	})
	if info := n.persistence.Info(); !strings.Contains(info, "rdb_changes_since_last_save:0\r\n") {
		t.Errorf("after a save stands\n%s", info)
	}
}

// Who asked for a save that failed has heard of it; writes go on, unlike after a
// BGSAVE.
func TestASaveThatFailsStopsNoWrites(t *testing.T) {
	dir := t.TempDir()
	n, _ := startNode(t, dir, "--save", "3600 1", "--dbfilename", "dump.rdb")
	if err := os.Mkdir(filepath.Join(dir, "dump.rdb"), 0o755); err != nil {
		t.Fatal(err)
	}
	n.keys.World(now(), func(tx *storage.Tx) {
		if err := n.persistence.Save(tx); err == nil {
			t.Error("a directory has been replaced")
		}
	})
	if why := n.persistence.Failing(); why != "" {
		t.Errorf("writes are refused: %s", why)
	}
}
