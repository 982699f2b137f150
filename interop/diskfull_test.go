package interop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// tmpfsSize holds the journal's fixed files (the ring of 64 MiB and the
// ballast of 16 MiB) and leaves some room.
const (
	tmpfsSize = "160m"
	filler    = 40 << 20
)

// A full disk refuses new writes and nothing else; what was acknowledged is
// there after space has returned, and after kill -9 with the disk full.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	oursOnly(t)
	for _, policy := range []string{"always", "everysec"} {
		t.Run("appendfsync "+policy, func(t *testing.T) { fullDisk(t, policy) })
	}
}

func fullDisk(t *testing.T, policy string) {
	dir := smallDisk(t)
	taken := filepath.Join(dir, "taken by somebody else")
	if err := os.WriteFile(taken, make([]byte, filler), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, ours(), "--dir", dir, "--appendonly", "yes", "--appendfsync", policy)
	w := &writer{t: t, s: s, c: s.Client(), value: strings.Repeat("v", 64<<10)}

	w.untilRefused()
	t.Logf("%d writes of 64 KiB were acknowledged", w.acked)
	if got := s.Do("GET", w.key(w.acked-1)); got != w.value {
		t.Error("a read of the last acknowledged write fails on a full disk")
	}
	// PING is refused by Redis too: it tells a balancer that the node is unwell.
	if _, err := w.c.Do("PING"); err == nil || !strings.HasPrefix(err.Error(), "MISCONF") {
		t.Errorf("PING on a full disk: %v", err)
	}
	if _, err := w.c.Do("SET", "another", "x"); err == nil || !strings.HasPrefix(err.Error(), "MISCONF") {
		t.Errorf("another write on a full disk: %v", err)
	}

	if err := os.Remove(taken); err != nil {
		t.Fatal(err)
	}
	redistest.Until(t, settle, "writes go on once there is space", func() error {
		_, err := w.c.Do("SET", "resumed", "yes")
		return err
	})
	w.check("after space returned")

	// Once more, and now the process is killed while the disk is full. Old
	// bytes are deleted behind it, so this takes a file again.
	w.fill(dir)
	w.untilRefused()
	s.Kill()
	w.free(dir)
	s.Restart()
	w.c = s.Client()
	w.check("after kill -9 with the disk full")
	if _, err := w.c.Do("SET", "alive", "yes"); err != nil {
		t.Errorf("a write after the restart: %v", err)
	}
}

// smallDisk mounts a tmpfs for the test.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+tmpfsSize); err != nil {
		lacking(t, "a small tmpfs cannot be mounted (that needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// writer writes values that are all the same to keys that count up.
type writer struct {
	t     *testing.T
	s     *redistest.Server
	c     *redistest.Client
	value string
	acked int // keys below are acknowledged
}

func (w *writer) key(i int) string { return fmt.Sprintf("full:%d", i) }

// untilRefused writes until a write is answered by MISCONF.
func (w *writer) untilRefused() {
	w.t.Helper()
	deadline := time.Now().Add(settle)
	for time.Now().Before(deadline) {
		_, err := w.c.Do("SET", w.key(w.acked), w.value)
		var refusal redistest.Error
		switch {
		case err == nil:
			w.acked++
		case errors.As(err, &refusal) && strings.HasPrefix(string(refusal), "MISCONF Errors writing to the AOF file"):
			return
		default:
			w.t.Fatalf("write %d: %v", w.acked, err)
		}
	}
	w.t.Fatalf("%d writes, and the disk is not full", w.acked)
}

// check reads all that was acknowledged.
func (w *writer) check(when string) {
	w.t.Helper()
	gone := 0
	for i := range w.acked {
		if got, err := w.c.Do("GET", w.key(i)); got != w.value {
			gone++
			if gone < 5 {
				w.t.Logf("%s %s: %.20v, %v", when, w.key(i), got, err)
			}
		}
	}
	if gone > 0 {
		w.t.Errorf("%s %d of %d acknowledged writes are gone", when, gone, w.acked)
	}
}

// fill takes what space is left, but for a little; free gives it back.
func (w *writer) fill(dir string) {
	w.t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		w.t.Fatal(err)
	}
	const left = 4 << 20
	if free := int(st.Bavail) * int(st.Bsize); free > left {
		if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, free-left), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
			w.t.Fatal(err)
		}
	}
}

func (w *writer) free(dir string) {
	w.t.Helper()
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
}
