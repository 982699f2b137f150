package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/config"
	"redoubt/storage"
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
		if _, err := n.persistence.walk(t.Context(), failingWriter{}, forSave); err == nil || errors.Is(err, storage.ErrCaptureOpen) {
			t.Fatalf("a disk without space: %v", err)
		}
	}
	if _, err := n.persistence.walk(t.Context(), io.Discard, forSave); err != nil {
		t.Errorf("once there is space: %v", err)
	}
}
