package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"redoubt/replication"
)

// stage writes a file that stands for an RDB.
func stage(t *testing.T, dir, content string) string {
	t.Helper()
	path := filepath.Join(dir, "temp-"+content+".rdb")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func bases(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "base-*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func fill(t *testing.T, s *Stream, n int) (bytes []byte) {
	t.Helper()
	for i := range n {
		bytes = append(bytes, unit(i, 500)...)
		put(s, unit(i, 500))
	}
	return bytes
}

func TestANewerBaseLetsTheJournalBelowItGo(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	s := openServing(t, cfg)
	want := fill(t, s, 300)
	at := s.End()
	if err := s.SetBase(stage(t, cfg.Dir, "one"), at); err != nil {
		t.Fatal(err)
	}
	if s.First() == 0 {
		t.Error("nothing was trimmed")
	}
	if s.SizeSinceBase() != 0 {
		t.Errorf("%d bytes since the base", s.SizeSinceBase())
	}
	if s.First() > at {
		t.Errorf("trimmed up to %d, beyond the base at %d", s.First(), at)
	}
	want = append(want, fill(t, s, 20)...)
	pin := s.Pin(at)
	end := s.End()
	if err := s.SetBase(stage(t, cfg.Dir, "two"), end); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, s, at, 4096); !bytes.Equal(got, want[at:]) {
		t.Error("what is pinned cannot be read")
	}
	if s.First() > at {
		t.Errorf("trimmed up to %d, a reader is at %d", s.First(), at)
	}
	pin.Release()
	if got := bases(t, cfg.Dir); len(got) != 1 {
		t.Errorf("bases on disk: %v", got)
	}
	if err := s.SetBase(stage(t, cfg.Dir, "three"), end+1); err == nil {
		t.Error("a base beyond the end is accepted")
	}
	want = append(want, fill(t, s, 5)...)
	s.Close()
	s, rec := open(t, cfg)
	if b, err := os.ReadFile(rec.Base); err != nil || string(b) != "two" || rec.BaseOffset != end {
		t.Errorf("recovered base %q at %d (%v)", b, rec.BaseOffset, err)
	}
	if !bytes.Equal(replayAll(t, s, end), want[end:]) {
		t.Error("the replay from the base differs")
	}
}

func TestTrimmingWaitsForItsStep(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	cfg.TrimBytes = 1 << 20
	s := openServing(t, cfg)
	fill(t, s, 300)
	if err := s.SetBase(stage(t, cfg.Dir, "one"), s.End()); err != nil {
		t.Fatal(err)
	}
	if s.First() != 0 {
		t.Errorf("%d bytes were trimmed, the step is %d", s.First(), cfg.TrimBytes)
	}
}

// TestAPinGrantedDuringATrimHolds stops a trim after it has removed what is
// below its floor. A reader that pins and looks at First then is either told
// that the bytes are gone or finds them there.
func TestAPinGrantedDuringATrimHolds(t *testing.T) {
	var armed atomic.Bool
	arrived, goOn := make(chan struct{}), make(chan struct{})
	cfg := testConfig(t, "/j")
	cfg.FS = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		// A trim ends with a flush, which begins a new log.
		if op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpReuseForWrite {
			if strings.HasSuffix(op.Path, ".log") && armed.CompareAndSwap(true, false) {
				close(arrived)
				<-goOn
			}
		}
		return nil
	}))
	s := openServing(t, cfg)
	fill(t, s, 300)
	f, err := cfg.FS.Create("/j/temp-one.rdb", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	armed.Store(true)
	set := make(chan error)
	go func() { set <- s.SetBase("/j/temp-one.rdb", s.End()) }()
	<-arrived
	const at = 1000
	pin := s.Pin(at)
	defer pin.Release()
	granted := s.First() <= at
	close(goOn)
	if err := <-set; err != nil {
		t.Fatal(err)
	}
	if s.First() == 0 {
		t.Fatal("nothing was trimmed")
	}
	if _, err := s.ReadAt(make([]byte, 1), at); granted && err != nil {
		t.Errorf("the pin was granted, and the read says %v", err)
	}
}

// TestATrimStopsForAPinThatCameAfterItsFloorWasChosen: the trim is given up,
// and the next one takes the pin into account.
func TestATrimStopsForAPinThatCameAfterItsFloorWasChosen(t *testing.T) {
	s := openServing(t, testConfig(t, t.TempDir()))
	fill(t, s, 30)
	pin := s.Pin(1000)
	if s.raiseFirst(2000) || s.First() != 0 {
		t.Errorf("a trim up to 2000 goes over a pin at 1000; First is %d", s.First())
	}
	pin.Move(2000)
	if !s.raiseFirst(2000) || s.First() != 2000 {
		t.Errorf("a trim up to a pin is refused; First is %d", s.First())
	}
}

func TestAFullResyncReplacesTheStream(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	s := openServing(t, cfg)
	fill(t, s, 300)
	s.SetSelectedDB(4)
	h := replication.History{ID: strings.Repeat("d", 40), ID2: replication.NoID, Second: -1}
	if err := s.NewGeneration(stage(t, cfg.Dir, "theirs"), 5000, h, true); err != nil {
		t.Fatal(err)
	}
	if s.End() != 5000 || s.First() != 5000 || s.Committed() != 5000 || s.SelectedDB() != -1 {
		t.Errorf("end %d first %d committed %d db %d", s.End(), s.First(), s.Committed(), s.SelectedDB())
	}
	if _, err := s.ReadAt(make([]byte, 1), 10); !errors.Is(err, ErrTrimmed) {
		t.Errorf("the old generation is still read: %v", err)
	}
	want := fill(t, s, 7)
	// Killed here: the ring holds the new generation, and bytes of the old one.
	s2, rec := open(t, testConfig(t, image(t, cfg.Dir)))
	if rec.End != s.End() || rec.BaseOffset != 5000 || rec.History != h || !rec.Replica {
		t.Errorf("recovered %+v", *rec)
	}
	if b, err := os.ReadFile(rec.Base); err != nil || string(b) != "theirs" {
		t.Errorf("base %q (%v)", b, err)
	}
	if !bytes.Equal(replayAll(t, s2, 5000), want) {
		t.Error("the replay differs")
	}
}

// TestAStreamIsCommittedBeforeItIsReplaced: replies may wait for offsets that the
// new stream does not reach.
func TestAStreamIsCommittedBeforeItIsReplaced(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	cfg.Policy = Always
	s := openServing(t, cfg)
	var told replication.Offset
	s.OnCommit(func(o replication.Offset) { told = max(told, o) })
	var end replication.Offset
	err := s.onWriter(func(w *writer) error { // so it cannot write what is appended here by itself
		end = put(s, unit(1, 100))
		return w.replace("", manifest{history: testHistory})
	})
	if err != nil || s.End() != 0 || s.Committed() != 0 {
		t.Fatalf("replaced: end %d committed %d, %v", s.End(), s.Committed(), err)
	}
	if told != end {
		t.Errorf("committed up to %d of %d before the stream was replaced", told, end)
	}
}

func TestCutForgetsForGood(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	s := openServing(t, cfg)
	want := fill(t, s, 50)
	at := s.End()
	fill(t, s, 70)
	if err := s.Cut(at); err != nil {
		t.Fatal(err)
	}
	if s.End() != at || s.Committed() != at || s.SelectedDB() != -1 {
		t.Errorf("after Cut: end %d committed %d db %d", s.End(), s.Committed(), s.SelectedDB())
	}
	s2, rec := open(t, testConfig(t, image(t, cfg.Dir)))
	if rec.End != at || rec.Torn != "" || !bytes.Equal(replayAll(t, s2, 0), want) {
		t.Errorf("killed after Cut: recovered up to %d (%q), want %d", rec.End, rec.Torn, at)
	}
	want = append(want, unit(7, 7)...)
	put(s, unit(7, 7))
	if !bytes.Equal(readAll(t, s, 0, 4096), want) {
		t.Error("what is appended after Cut does not follow")
	}
	if err := s.Cut(s.End() + 1); err == nil {
		t.Error("a cut beyond the end is accepted")
	}
	if err := s.SetBase(stage(t, cfg.Dir, "b"), s.End()); err != nil {
		t.Fatal(err)
	}
	if err := s.Cut(at); err == nil {
		t.Error("a cut below the base is accepted")
	}
}

func TestWithoutAJournalTheStreamCanBeCutAndReplaced(t *testing.T) {
	s, _ := open(t, memoryConfig(1<<20))
	end := put(s, unit(0, 100))
	put(s, unit(1, 100))
	if err := s.Cut(end); err != nil {
		t.Fatal(err)
	}
	put(s, unit(2, 50))
	if got := readAll(t, s, 0, 64); !bytes.Equal(got, append(unit(0, 100), unit(2, 50)...)) {
		t.Errorf("after Cut: %q", got)
	}
	if err := s.NewGeneration("", 900, testHistory, true); err != nil {
		t.Fatal(err)
	}
	put(s, []byte("x"))
	if s.First() != 900 || s.End() != 901 || s.Committed() != 901 {
		t.Errorf("first %d end %d committed %d", s.First(), s.End(), s.Committed())
	}
	if err := s.Cut(899); !errors.Is(err, ErrTrimmed) {
		t.Errorf("a cut below what memory holds says %v", err)
	}
	if err := s.SetBase("x", 901); !errors.Is(err, ErrDisabled) {
		t.Errorf("SetBase says %v", err)
	}
	if err := s.SaveHistory(testHistory, false); err != nil || s.Flush() != nil || s.SizeSinceBase() != 0 || !s.Room() {
		t.Error("what has nothing to do without a journal does something")
	}
}

// TestTheJournalGoesOnAndOffAtRuntime also checks that a journal just turned on
// is not what a restart finds before it has a base.
func TestTheJournalGoesOnAndOffAtRuntime(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	s := openServing(t, cfg)
	old := fill(t, s, 100)
	if err := s.Disable(); err != nil {
		t.Fatal(err)
	}
	if s.Committed() != s.End() || s.First() == s.End() {
		t.Errorf("off: committed %d of %d, memory from %d", s.Committed(), s.End(), s.First())
	}
	from := s.First()
	want := append(old[from:len(old):len(old)], fill(t, s, 30)...)
	h := replication.History{ID: strings.Repeat("e", 40), ID2: replication.NoID, Second: -1}
	if err := s.Enable(h, true, testFitness); err != nil {
		t.Fatal(err)
	}
	if err := s.Enable(h, true, testFitness); err != nil {
		t.Fatalf("a second Enable: %v", err)
	}
	want = append(want, fill(t, s, 30)...)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, s, from, 999); !bytes.Equal(got, want) {
		t.Error("a feeder cannot read on across off and on")
	}
	_, rec := open(t, testConfig(t, image(t, cfg.Dir)))
	if !rec.Found || int(rec.End) != len(old) || rec.Base != "" {
		t.Errorf("killed before the first base: %+v, want the old journal up to %d", *rec, len(old))
	}
	base := s.End()
	if err := s.SetBase(stage(t, cfg.Dir, "on"), base); err != nil {
		t.Fatal(err)
	}
	tail := fill(t, s, 10)
	s2, rec := open(t, testConfig(t, image(t, cfg.Dir)))
	if rec.BaseOffset != base || rec.End != s.End() || rec.History != h || !rec.Replica || rec.Fitness != testFitness {
		t.Errorf("killed after the first base: %+v", *rec)
	}
	if !bytes.Equal(replayAll(t, s2, base), tail) {
		t.Error("the replay differs")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"Flush": s.Flush(), "Close": s.Close(), "Enable": s.Enable(h, true, testFitness), "Disable": s.Disable(), "Cut": s.Cut(0), "SaveHistory": s.SaveHistory(h, true),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close says %v", name, err)
		}
	}
}

func TestAMissingBaseIsAnErrorThatSaysWhatToDo(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	s := openServing(t, cfg)
	fill(t, s, 3)
	if err := s.SetBase(stage(t, cfg.Dir, "gone"), s.End()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, b := range bases(t, cfg.Dir) {
		os.Remove(b)
	}
	if s, _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "restore it") {
		if err == nil {
			s.Close()
		}
		t.Errorf("Open says %v", err)
	}
}

var testFitness = replication.Fitness{
	Shard: strings.Repeat("5", 40), Primary: strings.Repeat("9", 40), Contact: time.UnixMilli(1_800_000_000_123),
}

func TestFitnessIsSavedForItsHistory(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	s := openServing(t, cfg)
	recovered := func() replication.Fitness {
		_, rec := open(t, testConfig(t, image(t, cfg.Dir)))
		return rec.Fitness
	}
	none := replication.Fitness{}
	do := func(what string, want replication.Fitness, err error) {
		t.Helper()
		if got := recovered(); err != nil || got != want {
			t.Errorf("%s: a restart finds %+v (%v), want %+v", what, got, err, want)
		}
	}
	do("on a primary", none, s.SaveFitness(testHistory.ID, testFitness))
	if err := s.SaveHistory(testHistory, true); err != nil {
		t.Fatal(err)
	}
	do("of a history that is another's", none, s.SaveFitness(strings.Repeat("7", 40), testFitness))
	do("of the node's history", testFitness, s.SaveFitness(testHistory.ID, testFitness))
	do("when the primary goes on in a new history", testFitness, s.SaveHistory(testHistory.Branch(strings.Repeat("e", 40), 9), true))
	do("after a promotion", none, s.SaveHistory(testHistory, false))
	do("and a demotion", none, s.SaveHistory(testHistory, true))
	do("once more", testFitness, s.SaveFitness(testHistory.ID, testFitness))
	do("of data that are nobody's", none, s.SaveFitness(testHistory.ID, none))
	do("and of a shard's again", testFitness, s.SaveFitness(testHistory.ID, testFitness))
	do("with a new generation", none, s.NewGeneration("", 900, testHistory, true))
}

func TestManifestRoundTrip(t *testing.T) {
	for _, m := range []manifest{
		{generation: 1, history: testHistory},
		{generation: 9, base: "base-9-1.rdb", baseOffset: 1, replica: true, history: replication.History{ID: strings.Repeat("f", 40), ID2: strings.Repeat("0", 40), Second: 12}},
		{generation: 3, history: testHistory, replica: true, fitness: testFitness},
		{generation: 9, base: "base-9-70.rdb", baseOffset: 70, previous: olderBase{kept: true, name: "base-9-1.rdb", at: 1}, history: testHistory, replica: true, fitness: testFitness},
		{generation: 9, base: "base-9-70.rdb", baseOffset: 70, previous: olderBase{kept: true}, history: testHistory},
		{generation: 3, history: testHistory, replica: true, fitness: replication.Fitness{Shard: "s", Contact: time.UnixMilli(1)}},
	} {
		got, err := decodeManifest(m.encode())
		if err != nil || got != m {
			t.Errorf("%+v comes back as %+v (%v)", m, got, err)
		}
	}
}

func FuzzManifest(f *testing.F) {
	m := manifest{generation: 2, base: "base-2-7.rdb", baseOffset: 7, history: testHistory}
	f.Add(m.encode())
	m.replica, m.fitness = true, testFitness
	f.Add(m.encode())
	m.previous = olderBase{kept: true, name: "base-2-3.rdb", at: 3}
	f.Add(m.encode())
	f.Add([]byte("crc 00000000\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeManifest(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v is not ErrCorrupt", err)
			}
			return
		}
		if again, err := decodeManifest(m.encode()); err != nil || again != m {
			t.Fatalf("%+v comes back as %+v (%v)", m, again, err)
		}
	})
}
