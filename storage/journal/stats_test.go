package journal

import (
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestStatsCountOverGenerations(t *testing.T) {
	cfg := testConfig(t, "/j")
	cfg.FS = vfs.NewMem()
	s := openServing(t, cfg)
	appended := int64(0)
	add := func(n int) {
		appended += int64(len(fill(t, s, n)))
	}
	add(10)
	if err := s.Flush(); err != nil { // Pebble's log has zeros ahead from now on
		t.Fatal(err)
	}
	before, first := s.Stats(), appended
	if err := s.NewGeneration("", 1<<40, testHistory, false); err != nil {
		t.Fatal(err)
	}
	add(20)
	if err := s.NewGeneration("", 0, testHistory, false); err != nil {
		t.Fatal(err)
	}
	add(30)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	got := s.Stats()
	if got.Appended != appended {
		t.Errorf("appended %d bytes, counted %d", appended, got.Appended)
	}
	// The ring, and Pebble's log.
	if written, of := got.Written-before.Written, appended-first; written < 2*of || written > 3*of {
		t.Errorf("%d bytes appended cost %d of writing", of, written)
	}
	if got.Syncs <= before.Syncs {
		t.Error("no fsync was counted")
	}
	s.Close()
	s, _ = open(t, cfg)
	if n := s.Stats().Appended; n != 0 {
		t.Errorf("%d bytes were appended at the start", n)
	}
	fill(t, s, 1)
	if n := s.Stats().Appended; n != int64(len(unit(0, 500))) {
		t.Errorf("%d bytes were appended after the start", n)
	}
}

// What lies in memory only is the backlog without a journal, and the bytes that
// wait for the disk with one.
func TestMemoryOfTheStream(t *testing.T) {
	const size = 1 << 20
	s, _ := open(t, memoryConfig(size))
	unit := make([]byte, 1000)
	appendMuch := func() {
		for range 10_000 {
			s.Append(-1, -1, unit)
		}
	}
	want := func(when string, pinned int64) {
		t.Helper()
		backlog, got, unsynced := s.Memory()
		if backlog < size || backlog > size+3*segmentBytes || got < pinned || got > pinned+3*segmentBytes || unsynced != 0 {
			t.Errorf("%s: a backlog of %d bytes, %d pinned, %d not synced", when, backlog, got, unsynced)
		}
	}
	if backlog, pinned, unsynced := s.Memory(); backlog+pinned+unsynced != 0 {
		t.Errorf("an empty stream takes %d, %d and %d bytes", backlog, pinned, unsynced)
	}
	appendMuch()
	want("without a reader", 0)
	slow := s.Pin(s.End())
	appendMuch()
	want("with a reader 10 MB behind", 10_000_000-size)
	slow.Release()
	want("when it has gone", 0)

	s = openServing(t, testConfig(t, t.TempDir()))
	s.Append(-1, -1, unit)
	s.Announce()
	for {
		backlog, pinned, unsynced := s.Memory()
		if backlog != 0 || pinned != 0 || unsynced > int64(len(unit)) {
			t.Fatalf("with a journal %d, %d and %d bytes", backlog, pinned, unsynced)
		}
		if unsynced == 0 {
			break
		}
		runtime.Gosched()
	}
}
