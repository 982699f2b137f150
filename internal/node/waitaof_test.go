package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// A WAITAOF for this node's disk is answered by the fsync, whether or not replies wait
// for that as well, and with nobody else on the node.
func TestWaitAOFIsAnsweredByTheFsync(t *testing.T) {
	n, c := startServing(t, t.TempDir(), "--appendfsync", "everysec")
	for _, policy := range []string{"everysec", "always", "everysec"} {
		answers(t, c, "OK", "CONFIG", "SET", "appendfsync", policy)
		answers(t, c, "OK", "SET", "k", policy)
		answers(t, c, "[1 0]", "WAITAOF", "1", "0", "20000")
	}
	answers(t, c, "OK", "CONFIG", "SET", "appendfsync", "no")
	answers(t, c, "OK", "SET", "k", "v")
	answers(t, c, "[0 0]", "WAITAOF", "1", "0", "10")
	if synced, ok := n.replicator.onDisk(); !ok || synced >= n.stream.End() {
		t.Errorf("without an fsync all up to %d of %d is on disk", synced, n.stream.End())
	}
}

// Nobody waits for the disk of a journal that is switched off.
func TestWaitAOFEndsWithTheJournal(t *testing.T) {
	n, c := startServing(t, t.TempDir(), "--appendfsync", "no")
	waits, err := redistest.Dial(n.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer waits.Close()
	answers(t, waits, "OK", "SET", "k", "v")
	done := make(chan error)
	go func() {
		_, err := waits.Do("WAITAOF", "1", "0", "20000")
		done <- err
	}()
	redistest.Until(t, 20*time.Second, "a client waits", func() error {
		if info, err := c.Do("INFO", "clients"); err != nil || !strings.Contains(fmt.Sprint(info), "blocked_clients:1") {
			return errors.New("none does")
		}
		return nil
	})
	answers(t, c, "OK", "CONFIG", "SET", "appendonly", "no")
	if err := <-done; err == nil || !strings.Contains(err.Error(), "WAITAOF cannot be used when numlocal is set but appendonly is disabled") {
		t.Errorf("the wait ends with %v", err)
	}
}

// What a journal has on disk before its first base is not what a restart would find.
func TestWaitAOFWaitsForTheFirstBase(t *testing.T) {
	_, c := startServing(t, t.TempDir(), "--appendonly", "no")
	answers(t, c, "OK", "SET", "k", "v")
	answers(t, c, "OK", "CONFIG", "SET", "rdb-key-save-delay", "10000000")
	answers(t, c, "OK", "CONFIG", "SET", "appendfsync", "always", "appendonly", "yes")
	answers(t, c, "OK", "SET", "k", "w")
	answers(t, c, "[0 0]", "WAITAOF", "1", "0", "50")
	answers(t, c, "OK", "CONFIG", "SET", "rdb-key-save-delay", "0")
	answers(t, c, "[1 0]", "WAITAOF", "1", "0", "20000")
}
