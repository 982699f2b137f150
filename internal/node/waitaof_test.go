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
// for that as well, and with nobody else on the node: without the housekeeping, which
// would find it, too.
func TestWaitAOFIsAnsweredByTheFsync(t *testing.T) {
	n, c := startServing(t, t.TempDir(), "--appendfsync", "everysec")
	answers(t, c, "OK", "DEBUG", "PAUSE-CRON", "1")
	for _, policy := range []string{"everysec", "always", "everysec"} {
		answers(t, c, "OK", "CONFIG", "SET", "appendfsync", policy)
		answers(t, c, "OK", "SET", "k", policy)
		answers(t, c, "[1 0]", "WAITAOF", "1", "0", "0")
		if t.Failed() {
			return // each of the next ones would be waited for as long
		}
	}
	answers(t, c, "OK", "CONFIG", "SET", "appendfsync", "no")
	answers(t, c, "OK", "SET", "k", "v")
	answers(t, c, "[0 0]", "WAITAOF", "1", "0", "10")
	if synced, ok := n.replicator.onDisk(); !ok || synced >= n.stream.End() {
		t.Errorf("without an fsync all up to %d of %d is on disk", synced, n.stream.End())
	}
}

// waitForDisk has another client write and wait until that is on the node's disk. It
// returns when that client waits.
func waitForDisk(t *testing.T, n *Node, c *redistest.Client) (answer <-chan string) {
	t.Helper()
	waits, err := redistest.Dial(n.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(waits.Close)
	answers(t, waits, "OK", "SET", "k", "of who waits")
	done := make(chan string, 1)
	go func() {
		reply, err := waits.Do("WAITAOF", "1", "0", "0")
		done <- fmt.Sprint(reply, err)
	}()
	redistest.Until(t, 20*time.Second, "a client waits", func() error {
		if info, err := c.Do("INFO", "clients"); err != nil || !strings.Contains(fmt.Sprint(info), "blocked_clients:1") {
			return errors.New("none does")
		}
		return nil
	})
	return done
}

// Nobody waits for the disk of a journal that is switched off.
func TestWaitAOFEndsWithTheJournal(t *testing.T) {
	n, c := startServing(t, t.TempDir(), "--appendfsync", "no")
	answer := waitForDisk(t, n, c)
	answers(t, c, "OK", "CONFIG", "SET", "appendonly", "no")
	if got := <-answer; !strings.Contains(got, "WAITAOF cannot be used when numlocal is set but appendonly is disabled") {
		t.Errorf("the wait ends with %s", got)
	}
}

// What a journal has on disk before its first base is not what a restart would find.
func TestWaitAOFWaitsForTheFirstBase(t *testing.T) {
	n, c := startServing(t, t.TempDir(), "--appendonly", "no")
	answers(t, c, "OK", "SET", "k", "v")
	answers(t, c, "OK", "CONFIG", "SET", "rdb-key-save-delay", "10000000")
	answers(t, c, "OK", "CONFIG", "SET", "appendfsync", "always", "appendonly", "yes")
	answers(t, c, "OK", "SET", "k", "w")
	answers(t, c, "[0 0]", "WAITAOF", "1", "0", "50")
	answers(t, c, "OK", "DEBUG", "PAUSE-CRON", "1") // it would find the base
	answer := waitForDisk(t, n, c)
	answers(t, c, "OK", "CONFIG", "SET", "rdb-key-save-delay", "0")
	if got := <-answer; !strings.HasPrefix(got, "[1 0]") {
		t.Errorf("with the base WAITAOF answers %s", got)
	}
}
