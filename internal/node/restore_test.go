package node

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/zap"

	"redoubt/internal/config"
	"redoubt/internal/resp"
	"redoubt/slots"
	"redoubt/storage"
	"redoubt/storage/rdb"
)

// writeDump makes a dump.rdb in dir with one key that expires at at.
func writeDump(t *testing.T, dir, key, value string, at int64) {
	t.Helper()
	var file bytes.Buffer
	w := rdb.NewWriter(&file, rdb.Options{Checksum: true})
	for _, err := range []error{
		w.Header(rdb.Header{}),
		w.SelectDB(0, 1, 1),
		w.Entry(&rdb.Entry{Key: []byte(key), Value: []byte(value), ExpireAtMs: at}),
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
	settings, err := config.Load(config.Source{Args: []string{"--port", "0", "--dir", t.TempDir(), "--dbfilename", "", "--appendonly", "no"}})
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
	settings, err := config.Load(config.Source{Args: []string{"--port", "0", "--dir", dir}})
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
