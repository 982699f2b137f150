package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"redoubt/replication"
)

// image copies the files of a running journal to a new directory: what the
// kernel has at this moment is what kill -9 would leave. Copying is not one
// moment, so it is done again if Pebble wrote meanwhile, in the background.
func image(t *testing.T, dir string) string {
	t.Helper()
	for {
		to := t.TempDir()
		before := listing(t, dir)
		err := os.CopyFS(to, os.DirFS(dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err == nil && listing(t, dir) == before {
			return to
		}
	}
}

// listing is the names, sizes and times of all files below dir.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var list strings.Builder
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&list, path, info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return list.String()
}

// patch overwrites bytes of a file.
func patch(t *testing.T, path string, off int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

func TestACleanRestartFindsEverything(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	s := openServing(t, cfg)
	var want []byte
	for i := range 300 {
		want = append(want, unit(i, 500)...)
		put(s, unit(i, 500))
	}
	h := replication.History{ID: strings.Repeat("b", 40), ID2: strings.Repeat("c", 40), Second: 77}
	if err := s.SaveHistory(h, true); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, rec := open(t, cfg)
	wantRec := Recovered{Found: true, End: replication.Offset(len(want)), History: h, Replica: true}
	if *rec != wantRec {
		t.Errorf("recovered %+v\nwant      %+v", *rec, wantRec)
	}
	if !bytes.Equal(replayAll(t, s, 0), want) || !bytes.Equal(readAll(t, s, 100, 4096), want[100:]) {
		t.Error("the bytes are not those appended")
	}
	if s.First() != 0 || s.SizeSinceBase() != int64(len(want)) {
		t.Errorf("first %d, size since base %d", s.First(), s.SizeSinceBase())
	}
}

// TestAfterKillEverythingAppendedIsThere takes images between appends; the disk
// gets nothing meanwhile, so that only the ring can have kept the bytes.
func TestAfterKillEverythingAppendedIsThere(t *testing.T) {
	g := newGate()
	cfg := testConfig(t, t.TempDir())
	cfg.FS = g.wrap(vfs.Default)
	s := openServing(t, cfg)
	put(s, unit(0, 1000))
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	g.shut()
	defer g.open()
	want := unit(0, 1000)
	for i := 1; i < 30; i++ {
		want = append(want, unit(i, i*50)...)
		put(s, unit(i, i*50))
		if i%7 != 0 {
			continue
		}
		again := testConfig(t, image(t, cfg.Dir))
		s2, rec := open(t, again)
		if int(rec.End) != len(want) || rec.Torn != "" {
			t.Fatalf("after unit %d: recovered up to %d (%q), appended %d", i, rec.End, rec.Torn, len(want))
		}
		if !bytes.Equal(replayAll(t, s2, 0), want) {
			t.Fatalf("after unit %d: the bytes are not those appended", i)
		}
		// It goes on from there, and a second kill finds the same.
		s2.AppendRaw(unit(99, 10))
		s3, rec := open(t, testConfig(t, image(t, again.Dir)))
		if got := replayAll(t, s3, 0); int(rec.End) != len(got) || !bytes.Equal(got, append(want[:len(want):len(want)], unit(99, 10)...)) {
			t.Fatalf("after unit %d and a second kill: the bytes are not those appended", i)
		}
	}
}

// TestAFullRingKeepsWhatARecordNeeds fills the ring to the last byte it takes
// while the disk has only the beginning of its first record.
func TestAFullRingKeepsWhatARecordNeeds(t *testing.T) {
	g := newGate()
	cfg := testConfig(t, t.TempDir())
	cfg.FS = g.wrap(vfs.Default)
	s := openServing(t, cfg)
	var want []byte
	for i := range 20 { // another place in the ring every time
		want = append(want, unit(i, 1000+i)...)
		put(s, unit(i, 1000+i))
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	g.shut()
	defer g.open()
	for i := 0; s.Committed() == s.End(); i++ {
		want = append(want, unit(i, 300)...)
		put(s, unit(i, 300))
	}
	committed := s.Committed()
	s2, rec := open(t, testConfig(t, image(t, cfg.Dir)))
	if rec.End != committed || rec.Torn != "" {
		t.Errorf("recovered up to %d (%q), committed were %d", rec.End, rec.Torn, committed)
	}
	if !bytes.Equal(replayAll(t, s2, 0), want[:rec.End]) {
		t.Error("the bytes are not those appended")
	}
}

// TestADamagedRingIsUsedUpToTheDamage damages an image of a ring that holds
// three records the journal has not got.
func TestADamagedRingIsUsedUpToTheDamage(t *testing.T) {
	g := newGate()
	cfg := testConfig(t, t.TempDir())
	cfg.FS = g.wrap(vfs.Default)
	s := openServing(t, cfg)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	g.shut()
	defer g.open()
	var ends []int
	total := 0
	for i := range 3 {
		total += len(unit(i, recordBytes))
		ends = append(ends, total)
		put(s, unit(i, recordBytes))
	}
	_, table, slots := ringFileBytes(cfg.RingBytes)
	data := int64(pageBytes + table)
	for _, tc := range []struct {
		name   string
		damage func(t *testing.T, ring string)
		end    int
		torn   string
	}{
		{"an untouched ring gives all three", func(*testing.T, string) {}, ends[2], ""},
		{"a flipped byte ends it before its record", func(t *testing.T, r string) { patch(t, r, data+int64(ends[0])+500, []byte{0xff}) }, ends[0], "bad checksum"},
		{"a torn word ends it before its record", func(t *testing.T, r string) { patch(t, r, pageBytes+slotBytes+16, make([]byte, 8)) }, ends[0], "not those after"},
		{"another boot voids it", func(t *testing.T, r string) { patch(t, r, 24, []byte("another boot")) }, 0, ""},
		{"a size that cannot be voids it", func(t *testing.T, r string) { patch(t, r, 8, []byte{1}) }, 0, ""},
		{"a size that is not its own voids it", func(t *testing.T, r string) { patch(t, r, 8, []byte{0, 0, 2}) }, 0, ""},
		{"another generation's records are not ours", func(t *testing.T, r string) {
			for i := range slots {
				patch(t, r, pageBytes+int64(i)*slotBytes+8, []byte{9})
			}
		}, 0, ""},
		{"junk all over is no ring", func(t *testing.T, r string) { patch(t, r, 0, bytes.Repeat([]byte{0xa5}, int(data))) }, 0, ""},
		{"an absurd length is no record", func(t *testing.T, r string) {
			patch(t, r, pageBytes+2*slotBytes+16, bytes.Repeat([]byte{0xff}, 8))
		}, ends[1], ""},
		{"a shorter file is made whole", func(t *testing.T, r string) {
			if err := os.Truncate(r, 100); err != nil {
				t.Fatal(err)
			}
		}, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := image(t, cfg.Dir)
			tc.damage(t, filepath.Join(dir, "ring"))
			s, rec := open(t, testConfig(t, dir))
			if int(rec.End) != tc.end || !strings.Contains(rec.Torn, tc.torn) || (tc.torn == "") != (rec.Torn == "") {
				t.Errorf("recovered up to %d (%q), want %d (%q)", rec.End, rec.Torn, tc.end, tc.torn)
			}
			if got := replayAll(t, s, 0); len(got) != tc.end {
				t.Errorf("replayed %d bytes", len(got))
			}
		})
	}
}

// TestADamagedLogEndsTheJournalAtAWholeUnit damages Pebble's log in an image.
func TestADamagedLogEndsTheJournalAtAWholeUnit(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	cfg.Policy = Always
	s := openServing(t, cfg)
	var ends []replication.Offset
	for i := range 50 {
		ends = append(ends, put(s, unit(i, 900)))
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	dir := image(t, cfg.Dir)
	logs, err := filepath.Glob(filepath.Join(dir, "pebble", "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatal("no log", err)
	}
	last := logs[len(logs)-1]
	content, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	written := len(bytes.TrimRight(content, "\x00")) // zeros are ahead
	if err := os.Truncate(last, int64(written/2)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "ring")); err != nil {
		t.Fatal(err)
	}
	s2, rec := open(t, testConfig(t, dir))
	whole := false
	for _, e := range ends {
		whole = whole || e == rec.End
	}
	if !whole || rec.End == s.End() || rec.End == 0 {
		t.Errorf("recovered up to %d, which is not the end of a unit before %d", rec.End, s.End())
	}
	if got := replayAll(t, s2, 0); len(got) != int(rec.End) {
		t.Errorf("replayed %d bytes of %d", len(got), rec.End)
	}
}

// TestReplayStopsWhereTheJournalIsNotWhole removes a chunk from the middle.
func TestReplayStopsWhereTheJournalIsNotWhole(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	cfg.Policy = Always
	s := openServing(t, cfg)
	var ends []replication.Offset
	for i := range 10 {
		ends = append(ends, put(s, unit(i, 100)))
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.onWriter(func(w *writer) error {
		return w.store.db.Delete(key(1, ends[4]), nil)
	}); err != nil {
		t.Fatal(err)
	}
	var ce *CorruptError
	var at replication.Offset
	err := s.Replay(0, func(_ []byte, end replication.Offset) error { at = end; return nil })
	if !errors.As(err, &ce) || !errors.Is(err, ErrCorrupt) || ce.At != ends[4] || at != ends[4] {
		t.Fatalf("Replay says %v and came to %d, want a corruption after %d", err, at, ends[4])
	}
	if err := s.Cut(ce.At); err != nil {
		t.Fatal(err)
	}
	if s.End() != ends[4] || len(replayAll(t, s, 0)) != int(ends[4]) {
		t.Errorf("after Cut the stream ends at %d", s.End())
	}
	if err := s.Replay(0, func([]byte, replication.Offset) error { return errStop }); !errors.Is(err, errStop) {
		t.Errorf("the callback's error comes back as %v", err)
	}
}

var errStop = errors.New("stop")

// TestAnUnfinishedLargeUnitIsDropped: its chunks are in the journal but for the
// last.
func TestAnUnfinishedLargeUnitIsDropped(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	s := openServing(t, cfg)
	end := put(s, unit(0, 100))
	put(s, unit(1, 4*minRingBytes))
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.onWriter(func(w *writer) error {
		c, err := w.store.cursor(1)
		if err != nil {
			return err
		}
		defer c.close()
		c.it.Last()
		return w.store.db.Delete(bytes.Clone(c.it.Key()), nil)
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	strict := cfg
	strict.RefuseTorn = true
	for range 2 { // the first time changes nothing
		if s, _, err := Open(strict); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "aof-load-truncated") {
			if err == nil {
				s.Close()
			}
			t.Errorf("where a torn journal is refused, Open says %v", err)
		}
	}
	s, rec := open(t, cfg)
	if rec.End != end || !strings.Contains(rec.Torn, "not written to its end") {
		t.Errorf("recovered up to %d (%q), want %d", rec.End, rec.Torn, end)
	}
	want := append(unit(0, 100), fill(t, s, 600)...) // beyond where the dropped chunks lay
	if got := replayAll(t, s, 0); !bytes.Equal(got, want) {
		t.Error("what was appended after the recovery does not follow the last whole unit")
	}
}

// TestARingOfAnotherSizeIsStillRecovered changes the setting between a kill and
// the start.
func TestARingOfAnotherSizeIsStillRecovered(t *testing.T) {
	g := newGate()
	cfg := testConfig(t, t.TempDir())
	cfg.FS, cfg.RingBytes = g.wrap(vfs.Default), 4*minRingBytes
	s := openServing(t, cfg)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	g.shut()
	defer g.open()
	want := fill(t, s, 150) // more than the smaller ring holds
	for _, size := range []int{minRingBytes, 8 * minRingBytes} {
		again := testConfig(t, image(t, cfg.Dir))
		again.RingBytes = size
		s2, rec := open(t, again)
		if int(rec.End) != len(want) || !bytes.Equal(replayAll(t, s2, 0), want) {
			t.Errorf("with a ring of %d bytes: recovered up to %d of %d", size, rec.End, len(want))
		}
	}
}

func TestTwoProcessesCannotShareADirectory(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	open(t, cfg)
	if s, _, err := Open(cfg); err == nil {
		s.Close()
		t.Error("a second Open of the same directory succeeded")
	}
}

func FuzzRingSurvivors(f *testing.F) {
	r := memoryRing(minRingBytes)
	r.reset(3, "boot")
	for i := range 5 {
		r.append(replication.Offset(100+i*len(unit(i, 9000))), nil, unit(i, 9000))
	}
	_, table, _ := ringFileBytes(minRingBytes)
	f.Add(r.mapped[:pageBytes+table], uint64(3), int64(100))
	f.Add([]byte(ringMagic), uint64(0), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, generation uint64, from int64) {
		r := memoryRing(minRingBytes)
		copy(r.mapped, b)
		at := replication.Offset(max(from, 0))
		spans, _ := r.survivors(generation, at, "boot")
		for _, sp := range spans {
			if sp.after != at || sp.end <= sp.after || sp.end-sp.after > r.size {
				t.Fatalf("span %+v does not follow %d", sp, at)
			}
			at = sp.end
		}
	})
}
