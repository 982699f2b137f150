package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/config"
	"redoubt/internal/redistest"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
	"redoubt/storage/rdb"
)

// writeDump makes a dump.rdb in dir with one key that expires at at.
func writeDump(t *testing.T, dir, key, value string, at int64) {
	t.Helper()
	writeDumpOf(t, dir, rdb.Header{}, key, value, at)
}

func writeDumpOf(t *testing.T, dir string, h rdb.Header, key, value string, at int64) {
	t.Helper()
	var file bytes.Buffer
	w := rdb.NewWriter(&file, rdb.Options{Checksum: true})
	for _, err := range []error{
		w.Header(h),
		w.SelectDB(0, 1, 1),
		w.Entry(&rdb.Entry{Key: []byte(key), ExpireAtMs: at}, rdb.Text(value)),
		w.Finish(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// setNX is SETNX as a client's, and reports whether it stored the value.
func setNX(n *Node, e *storage.Executor, key, value string) bool {
	tx := e.Begin(now(), []slots.Slot{slots.Of([]byte(key))})
	defer e.End()
	tx.Command(resp.AppendArray(nil, []byte("SETNX"), []byte(key), []byte(value)))
	defer tx.CommandEnd()
	if _, found := tx.Peek([]byte(key)); found {
		return false
	}
	tx.SetString([]byte(key), []byte(value), 0, 0)
	return true
}

func TestAnExpiredKeyOfAnAdoptedDumpDoesNotReturn(t *testing.T) {
	dir := t.TempDir()
	writeDump(t, dir, "k", "old", 1)
	n, stop := startNode(t, dir)
	if !setNX(n, n.keys.NewExecutor(), "k", "new") {
		t.Fatal("an expired key is found")
	}
	stop()

	n, _ = startNode(t, dir)
	got := "no value"
	n.keys.World(now(), func(tx *storage.Tx) {
		if e, found := tx.Peek([]byte("k")); found {
			got = string(e.Bytes())
		}
	})
	if got != "new" {
		t.Errorf("after a restart the key holds %q", got)
	}
}

func TestANodeWithoutANameForItsDumpStartsEmpty(t *testing.T) {
	settings, err := config.Load(config.Source{Args: []string{"--port", "0", "--unixsocket", filepath.Join(t.TempDir(), "s"), "--dir", t.TempDir(), "--dbfilename", "", "--appendonly", "no"}})
	if err != nil {
		t.Fatal(err)
	}
	n, err := New(Config{Settings: settings, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := n.Run(ctx); err != nil {
		t.Errorf("the node ends with %v", err)
	}
}

func TestAFailedRestoreEndsTheNode(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), []byte("no dump"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(config.Source{Args: []string{"--port", "0", "--unixsocket", filepath.Join(dir, "s"), "--dir", dir}})
	if err != nil {
		t.Fatal(err)
	}
	n, err := New(Config{Settings: settings, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(t.Context()); !errors.Is(err, rdb.ErrCorrupt) {
		t.Errorf("the node ends with %v", err)
	}
}

// A unit without its end is not passed over as if there were nothing to apply.
func TestAReplayRefusesAUnitThatIsCutOff(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), replicaOfNobody...)
	linked(t, n)
	n.stream.AppendRaw([]byte("*1\r\n$5\r\nMULTI\r\n" + setA))
	if _, err := n.replay(t.Context(), 0, n.stream.End(), 0); !errors.Is(err, errCutUnit) {
		t.Errorf("the replay says %v", err)
	}
}

// A replica that goes on from where the dump was taken has the keys that have
// expired since: it must be told.
func TestAnExpiredKeyOfADumpWithAHistoryIsInTheStream(t *testing.T) {
	dir := t.TempDir()
	writeDumpOf(t, dir, rdb.Header{ReplID: idOther, ReplOffset: 500}, "k", "old", 1)
	n, _ := startNode(t, dir, "--appendonly", "no")
	if first := n.stream.First(); first != 500 {
		t.Fatalf("the stream begins after %d", first)
	}
	redistest.Until(t, 20*time.Second, "the key's DEL is in the stream", func() error {
		b := make([]byte, 1000)
		m, err := n.stream.ReadAt(b, 500)
		if err == nil && !bytes.Contains(b[:m], []byte("DEL\r\n$1\r\nk\r\n")) {
			err = fmt.Errorf("it has %q", b[:m])
		}
		return err
	})
}

// What a crash left of a snapshot for the journal is removed at the next start.
func TestAStartRemovesUnfinishedSnapshots(t *testing.T) {
	dir := t.TempDir()
	_, stop := startNode(t, dir)
	stop()
	left := filepath.Join(dir, "appendonlydir", "temp-1-1.rdb")
	if err := os.WriteFile(left, []byte("half a snap"), 0o666); err != nil {
		t.Fatal(err)
	}
	startNode(t, dir)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// Backups are often made by another user, as whom the umask lets read.
func TestTheDumpHasTheModeOfOtherFiles(t *testing.T) {
	dir := t.TempDir()
	n, _ := startNode(t, dir)
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	want, err := os.Stat(other)
	if err != nil {
		t.Fatal(err)
	}
	n.keys.World(now(), func(tx *storage.Tx) { err = n.persistence.Save(tx) })
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.Stat(filepath.Join(dir, "dump.rdb"))
	if err != nil || got.Mode() != want.Mode() {
		t.Errorf("mode %v, want %v, %v", got.Mode(), want.Mode(), err)
	}
}

// How large the base is decides when the next one is due and whether a replica gets it,
// so a node that has just started knows it, whatever the base was made of.
func TestAStartKnowsHowLargeTheBaseIs(t *testing.T) {
	dir := t.TempDir()
	writeDump(t, dir, "k", strings.Repeat("random0123456789", 1000), 0)
	for _, what := range []string{"the dump", "the journal"} {
		n, stop := startNode(t, dir, "--save", "")
		base, _ := n.stream.Base()
		info, err := os.Stat(base)
		if err != nil {
			t.Fatal(err)
		}
		if got := infoNumber(t, n, "aof_base_size"); got != info.Size() {
			t.Errorf("after a start from %s the base of %d bytes counts as one of %d", what, info.Size(), got)
		}
		stop()
	}
}

// Loads may overlap (several nodes in one process): the last one out restores
// what was set before the first.
func TestLoadingRestoresTheCollector(t *testing.T) {
	before := debug.SetGCPercent(123)
	defer debug.SetGCPercent(before)
	first := calmCollector()
	second := calmCollector()
	first()
	if got := debug.SetGCPercent(loadingPercent); got != loadingPercent {
		t.Errorf("while one loads it is %d", got)
	}
	second()
	if got := debug.SetGCPercent(123); got != 123 {
		t.Errorf("afterwards it is %d", got)
	}
	debug.SetGCPercent(-1)
	end := calmCollector()
	if got := debug.SetGCPercent(-1); got != -1 {
		t.Errorf("a collector that is off goes on while loading, with %d", got)
	}
	end()
}

// CONFIG SET dir moves the dump, perhaps to another file system; the journal
// stays, and so do the snapshots that are to be its bases.
func TestTheJournalStaysWhereDirWas(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--enable-protected-configs", "yes")
	set(n, n.keys.NewExecutor(), "k", "v")
	moved := t.TempDir()
	if err := n.config.Set(config.Caller{Local: true}, config.Pair{Name: "dir", Value: moved}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(moved); err != nil {
		t.Fatal(err)
	}
	if err := n.persistence.askBase().wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if path, _ := n.stream.Base(); filepath.Dir(path) != n.stream.Dir() {
		t.Errorf("the base is %q", path)
	}
	n.replicator.BecomeReplica(nobody.host, nobody.port, replication.Source{})
	f := linked(t, n)
	if got := n.replicator.linkConfig(f).Dir(); got != n.stream.Dir() {
		t.Errorf("snapshots are received in %q, the journal is in %q", got, n.stream.Dir())
	}
}
