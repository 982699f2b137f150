package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"redoubt/replication"
)

// alwaysIn is a journal in memory at always that a power cut can hit.
func alwaysIn(t *testing.T, fs vfs.FS) (*Stream, Config) {
	cfg := testConfig(t, "/j")
	cfg.Policy, cfg.FS = Always, fs
	s := openServing(t, cfg)
	s.quick = time.Hour // how busy the machine is does not matter
	return s, cfg
}

// hold is a file system on which Pebble can be kept from writing, so that only the
// commit log can commit.
func hold() (*vfs.MemFS, *gate, vfs.FS) {
	mem, g := vfs.NewCrashableMem(), newGate()
	return mem, g, g.wrap(mem)
}

// afterPowerCut opens what a power cut leaves of mem and returns its bytes after
// the base.
func afterPowerCut(t *testing.T, mem *vfs.MemFS, cfg Config) ([]byte, *Recovered) {
	t.Helper()
	cfg.FS = mem.CrashClone(vfs.CrashCloneCfg{})
	s, rec := open(t, cfg)
	return replayAll(t, s, rec.BaseOffset), rec
}

func TestACommitNeedsNothingOfPebble(t *testing.T) {
	mem, g, fs := hold()
	defer g.open()
	s, cfg := alwaysIn(t, fs)
	g.shut()
	var want []byte
	for i := range 5 {
		want = append(want, unit(i, 100*i)...)
		if end := commit(s, unit(i, 100*i)); s.Committed() != end || s.Synced() != end {
			t.Fatalf("of %d bytes %d are committed and %d synced", end, s.Committed(), s.Synced())
		}
	}
	got, rec := afterPowerCut(t, mem, cfg)
	if !bytes.Equal(got, want) || rec.Torn != "" {
		t.Errorf("a power cut leaves %d of %d bytes (%s)", len(got), len(want), rec.Torn)
	}
}

// onDemandIn is alwaysIn with fsyncs when somebody asks for one.
func onDemandIn(t *testing.T, fs vfs.FS) (*Stream, Config) {
	cfg := testConfig(t, "/j")
	cfg.Policy, cfg.FS = OnDemand, fs
	return openServing(t, cfg), cfg
}

// TestSyncNeedsNothingOfPebble has replies wait for nothing, and asks for what a power cut leaves.
func TestSyncNeedsNothingOfPebble(t *testing.T) {
	mem, g, fs := hold()
	defer g.open()
	s, cfg := onDemandIn(t, fs)
	g.shut()
	var want []byte
	for i := range 5 {
		want = append(want, unit(i, 100*i)...)
		before := s.Synced()
		end := commit(s, unit(i, 100*i))
		if s.Committed() != end || s.Synced() != before {
			t.Fatalf("of %d bytes %d are committed and %d synced", end, s.Committed(), s.Synced())
		}
		if err := s.Sync(t.Context(), end); err != nil || s.Synced() != end {
			t.Fatalf("of %d bytes %d are synced (%v)", end, s.Synced(), err)
		}
	}
	got, rec := afterPowerCut(t, mem, cfg)
	if !bytes.Equal(got, want) || rec.Torn != "" {
		t.Errorf("a power cut leaves %d of %d bytes (%s)", len(got), len(want), rec.Torn)
	}
}

// TestSyncOfMuch asks for more than goes to the commit log, and at once for what nobody has
// announced: the writer does both.
func TestSyncOfMuch(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s, cfg := onDemandIn(t, mem)
	var want []byte
	for i, size := range []int{commitMostBytes + 1, 10, 2 * commitMostBytes} {
		want = append(want, unit(i, size)...)
		if err := s.Sync(t.Context(), s.AppendRaw(unit(i, size))); err != nil {
			t.Fatal(err)
		}
		if got, _ := afterPowerCut(t, mem, cfg); !bytes.Equal(got, want) {
			t.Fatalf("after unit %d a power cut leaves %d of %d bytes", i, len(got), len(want))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.Sync(ctx, s.End()+1); !errors.Is(err, context.DeadlineExceeded) {
		t.Error("what was never appended is synced", err)
	}
}

// TestTheCommitLogIsWrittenInACircle writes far more than fits, so that blocks are
// used again as Pebble syncs, and cuts the power after each commit.
func TestTheCommitLogIsWrittenInACircle(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s, cfg := alwaysIn(t, mem)
	var want []byte
	rng := rand.New(rand.NewPCG(1, 2))
	inLog := 0
	for i := range 150 {
		u := unit(i, rng.IntN(20000))
		want = append(want, u...)
		end := s.AppendRaw(u)
		s.TryCommit()
		if s.logged.Load() == int64(end) {
			inLog++
		}
		s.Announce()
		waitFor(t, func() bool { return s.Committed() == end })
		if i%10 == 0 {
			if got, _ := afterPowerCut(t, mem, cfg); !bytes.Equal(got, want) {
				t.Fatalf("after unit %d a power cut leaves %d of %d bytes", i, len(got), len(want))
			}
		}
	}
	if inLog < 20 {
		t.Errorf("the log took only %d units", inLog)
	}
}

// TestACommitOfTheLogIsTold has WAITAOF wait for what only the log commits.
func TestACommitOfTheLogIsTold(t *testing.T) {
	_, g, fs := hold()
	defer g.open()
	s, _ := alwaysIn(t, fs)
	g.shut()
	var told atomic.Int64
	s.OnSync(func() { told.Store(int64(s.Synced())) })
	if end := commit(s, unit(0, 10)); told.Load() != int64(end) {
		t.Errorf("told of %d of %d bytes", told.Load(), end)
	}
}

func TestAFullCommitLogLeavesTheCommitToPebble(t *testing.T) {
	_, g, fs := hold()
	defer g.open()
	s, _ := alwaysIn(t, fs)
	g.shut()
	var end replication.Offset
	committed := 0
	for i := range 20 { // 15 blocks
		end = commit(s, unit(i, 10))
		if s.Committed() == end {
			committed++
		}
	}
	if committed != 15 || !s.commits.Load().full.Load() {
		t.Errorf("%d commits into 15 blocks", committed)
	}
	g.open()
	waitFor(t, func() bool { return s.Committed() == end && !s.commits.Load().full.Load() })
	g.shut()
	if end = commit(s, unit(99, 10)); s.Committed() != end {
		t.Error("no commit once Pebble has synced what the log holds")
	}
}

func TestASlowDiskAndALargeCommitAreTheWriters(t *testing.T) {
	_, g, fs := hold()
	defer g.open()
	s, _ := alwaysIn(t, fs)
	g.shut()
	s.quick = -1
	if end := commit(s, unit(0, 10)); s.Committed() == end {
		t.Error("whoever waits has written to a slow disk")
	}
	g.open()
	waitFor(t, func() bool { return s.Committed() == s.End() })
	g.shut()
	s.quick = time.Hour
	if end := commit(s, unit(1, commitQuickBytes)); s.Committed() == end {
		t.Error("whoever waits has written a large unit")
	}
}

// TestBytesThatWereCutStayCut commits through the log what a cut then removes, and
// other bytes at the same offsets.
func TestBytesThatWereCutStayCut(t *testing.T) {
	mem, g, fs := hold()
	defer g.open()
	s, cfg := alwaysIn(t, fs)
	want := unit(0, 50)
	at := commit(s, unit(0, 50))
	commit(s, unit(1, 50))
	commit(s, unit(2, 50))
	if err := s.Cut(at); err != nil {
		t.Fatal(err)
	}
	if got, _ := afterPowerCut(t, mem, cfg); !bytes.Equal(got, want) {
		t.Errorf("after the cut at %d a power cut leaves %d bytes", at, len(got))
	}
	g.shut()
	want = append(want, unit(7, 20)...)
	if end := commit(s, unit(7, 20)); s.Committed() != end {
		t.Fatal("not committed")
	}
	if got, _ := afterPowerCut(t, mem, cfg); !bytes.Equal(got, want) {
		t.Errorf("other bytes behind the cut: a power cut leaves\n%q", got)
	}
	g.open()
	if err := s.NewGeneration("", 10, testHistory, false); err != nil { // offsets that the old one had, too
		t.Fatal(err)
	}
	if got, rec := afterPowerCut(t, mem, cfg); len(got) != 0 || rec.End != 10 {
		t.Errorf("the new generation has %d bytes up to %d", len(got), rec.End)
	}
}

func TestTheCommitLogComesAndGoesWithThePolicy(t *testing.T) {
	fs := vfs.NewMem()
	cfg := testConfig(t, "/j")
	cfg.FS = fs
	exists := func() bool { _, err := fs.Stat("/j/commitlog"); return err == nil }
	s := openServing(t, cfg)
	commit(s, unit(0, 10))
	if exists() {
		t.Error("a commit log at everysec")
	}
	s.SetPolicy(Always)
	waitFor(t, func() bool { return s.commits.Load() != nil })
	s.quick = time.Hour
	waitFor(t, func() bool { commit(s, unit(1, 10)); return s.logged.Load() == s.end.Load() })
	s.SetPolicy(EverySec)
	commit(s, unit(2, 10))
	want := s.End()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, rec := open(t, cfg); rec.End != want || exists() {
		t.Errorf("restarted at %d of %d; the log is still there: %v", rec.End, want, exists())
	}
}

func TestAJournalThatGoesAndComesBackCommits(t *testing.T) {
	s, _ := alwaysIn(t, vfs.NewMem())
	commit(s, unit(0, 10))
	if err := s.Disable(); err != nil {
		t.Fatal(err)
	}
	commit(s, unit(1, 10))
	if s.Synced() != 0 {
		t.Errorf("%d bytes synced without a journal", s.Synced())
	}
	if err := s.Enable(testHistory, false, replication.Fitness{}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { commit(s, unit(2, 10)); return s.logged.Load() == s.end.Load() })
}

// refuse is a file system that answers operations of a kind on the commit log with an
// error while that is set.
func refuse(mem *vfs.MemFS, with *atomic.Pointer[error], kinds ...errorfs.OpKind) vfs.FS {
	return errorfs.Wrap(withoutReuse{mem}, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if err := with.Load(); err != nil && strings.HasSuffix(op.Path, commitLogName) && slices.Contains(kinds, op.Kind) {
			return *err
		}
		return nil
	}))
}

// TestANodeGoesWithoutACommitLog has the log fail to be made at each step. What was
// made of it does not stay, to take space that the journal needs.
func TestANodeGoesWithoutACommitLog(t *testing.T) {
	full := error(syscall.ENOSPC)
	for _, kind := range []errorfs.OpKind{errorfs.OpOpen, errorfs.OpFileWriteAt, errorfs.OpFileSync, errorfs.OpFileSyncData} {
		for _, late := range []bool{false, true} {
			mem := vfs.NewMem()
			var with atomic.Pointer[error]
			with.Store(&full)
			cfg := testConfig(t, "/j")
			cfg.FS = refuse(mem, &with, kind)
			if !late {
				cfg.Policy = Always
			}
			s := openServing(t, cfg)
			s.SetPolicy(Always)
			end := commit(s, unit(0, 10))
			waitFor(t, func() bool { return s.Committed() == end })
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := mem.Stat("/j/" + commitLogName); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("operation %v, late %v: the log is still there (%v)", kind, late, err)
			}
		}
	}
}

// TestALogThatCannotBeMadeDoesNotStay has a log with records that a start cannot open
// again. If it stayed it would bring back what is cut off the stream afterwards.
func TestALogThatCannotBeMadeDoesNotStay(t *testing.T) {
	for _, policy := range []Policy{Always, EverySec} {
		mem := vfs.NewCrashableMem()
		s, cfg := alwaysIn(t, mem)
		at := commit(s, unit(0, 10))
		commit(s, unit(1, 10))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		var with atomic.Pointer[error]
		refused := errors.New("refused")
		with.Store(&refused)
		cfg.Policy, cfg.FS = policy, refuse(mem, &with, errorfs.OpFileSync)
		s, _ = open(t, cfg)
		if err := s.Cut(at); err != nil {
			t.Fatal(err)
		}
		if got, _ := afterPowerCut(t, mem, cfg); !bytes.Equal(got, unit(0, 10)) {
			t.Errorf("%v: a power cut leaves %q", policy, got)
		}
	}
}

func TestALogThatCannotBeRemovedIsAnError(t *testing.T) {
	mem := vfs.NewMem()
	s, cfg := alwaysIn(t, mem)
	commit(s, unit(0, 10))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var with atomic.Pointer[error]
	refused := errors.New("refused")
	with.Store(&refused)
	cfg.Policy, cfg.FS = EverySec, refuse(mem, &with, errorfs.OpRemove)
	if _, _, err := Open(cfg); !errors.Is(err, refused) {
		t.Errorf("opened: %v", err)
	}
}

// TestALogWithoutSpaceLeavesTheCommitToPebble has the file system need space to write a
// block again, as one that copies on write does.
func TestALogWithoutSpaceLeavesTheCommitToPebble(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var with atomic.Pointer[error]
	s, cfg := alwaysIn(t, refuse(mem, &with, errorfs.OpFileWriteAt))
	want := unit(0, 10)
	commit(s, want)
	full := error(syscall.ENOSPC)
	with.Store(&full)
	want = append(want, unit(1, 10)...)
	end := commit(s, unit(1, 10))
	waitFor(t, func() bool { return s.Committed() == end })
	cut := make(chan error)
	go func() { cut <- s.Cut(end) }()
	waitFor(t, s.DiskFull)
	with.Store(nil)
	if err := <-cut; err != nil {
		t.Fatal(err)
	}
	if got, _ := afterPowerCut(t, mem, cfg); !bytes.Equal(got, want) {
		t.Errorf("a power cut leaves %q", got)
	}
}

// TestALateCommitDoesNotUseAClosedLog has a loop look at the log and come to write when
// the journal has been turned off and on.
func TestALateCommitDoesNotUseAClosedLog(t *testing.T) {
	s, _ := alwaysIn(t, vfs.NewMem())
	commit(s, unit(0, 10))
	old := s.commits.Load()
	if err := errors.Join(s.Disable(), s.Enable(testHistory, false, replication.Fitness{}), s.Flush()); err != nil {
		t.Fatal(err)
	}
	s.AppendRaw(unit(1, 10))
	if _, _, ok := s.nextCommit(old, commitQuickBytes); ok {
		t.Error("a commit into the log of the journal that was turned off")
	}
	if _, _, ok := s.nextCommit(s.commits.Load(), commitQuickBytes); !ok {
		t.Error("no commit into the present log")
	}
}

// TestTurningTheJournalOnKeepsWhatItLeft kills a node whose last commits are in the log
// only, starts it without a journal and turns the journal on. Until there is a base, a
// restart goes on from the old journal.
func TestTurningTheJournalOnKeepsWhatItLeft(t *testing.T) {
	mem, g, fs := hold()
	defer g.open()
	s, cfg := alwaysIn(t, fs)
	g.shut()
	commit(s, unit(0, 10))
	killed := mem.CrashClone(vfs.CrashCloneCfg{})
	for _, policy := range []Policy{Always, EverySec} {
		mem := killed.CrashClone(vfs.CrashCloneCfg{})
		cfg.Enabled, cfg.Policy, cfg.FS = false, policy, mem
		s, _ := open(t, cfg)
		put(s, unit(5, 10))
		if err := s.Enable(testHistory, false, replication.Fitness{}); err != nil {
			t.Fatal(err)
		}
		cfg.Enabled = true
		if got, _ := afterPowerCut(t, mem, cfg); !bytes.Equal(got, unit(0, 10)) {
			t.Errorf("%v: a restart finds %q", policy, got)
		}
	}
}

// TestDamageToTheCommitLogIsTold damages one block of it at a time. A record that
// is not whole was promised to nobody if it is the last.
func TestDamageToTheCommitLogIsTold(t *testing.T) {
	mem, g, fs := hold()
	defer g.open()
	s, cfg := alwaysIn(t, fs)
	g.shut()
	var ends []replication.Offset
	for i := range 3 {
		ends = append(ends, commit(s, unit(i, 10)))
	}
	for _, damaged := range []struct {
		block int64
		end   replication.Offset
		torn  string
	}{
		{0, 0, "header of the commit log"},
		{1, 0, "not those after 0"},
		{2, ends[0], "not those after"},
		{3, ends[1], ""},
		{4, ends[2], ""},
	} {
		clone := mem.CrashClone(vfs.CrashCloneCfg{})
		f, err := clone.OpenReadWrite("/j/commitlog", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("x"), damaged.block*blockBytes+20); err != nil {
			t.Fatal(err)
		}
		cfg.FS = clone
		cfg.RefuseTorn = true
		if s, rec, err := Open(cfg); (err != nil) != (damaged.torn != "") || (err != nil && !strings.Contains(err.Error(), damaged.torn)) {
			t.Errorf("block %d: %+v, %v", damaged.block, rec, err)
		} else if err == nil {
			s.Close()
		}
		cfg.RefuseTorn = false
		s, rec, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if rec.End != damaged.end || (rec.Torn != "") != (damaged.torn != "") || !strings.Contains(rec.Torn, damaged.torn) {
			t.Errorf("block %d: recovered up to %d (%s)", damaged.block, rec.End, rec.Torn)
		}
		s.Close()
	}
}

// TestACommitLogOfAnotherLength has the file shorter than it was made, and longer.
func TestACommitLogOfAnotherLength(t *testing.T) {
	mem, g, fs := hold()
	defer g.open()
	s, cfg := alwaysIn(t, fs)
	g.shut()
	first := unit(0, 10)
	both := append(bytes.Clone(first), unit(1, 10)...)
	commit(s, unit(0, 10))
	commit(s, unit(1, 10))
	log := readWhole(t, mem, "/j/"+commitLogName)
	for _, c := range []struct {
		what string
		log  []byte
		want []byte
		torn string
	}{
		{"empty", nil, nil, ""},
		{"zeros", make([]byte, 3*blockBytes), nil, ""},
		{"a part of the header", log[:20], nil, "header"},
		{"the header", log[:commitLogHeader], nil, "shorter"},
		{"the header's block", log[:blockBytes], nil, "shorter"},
		{"a part of a record", log[:blockBytes+50], nil, "shorter"},
		{"one record", log[:2*blockBytes], first, "shorter"},
		{"two records", log[:3*blockBytes], both, "shorter"},
		{"all", log, both, ""},
		{"more", append(bytes.Clone(log), log...), both, ""},
		{"something else", []byte("REDIS0011 and so on, which is no commit log"), nil, "header"},
	} {
		cfg.FS = mem.CrashClone(vfs.CrashCloneCfg{})
		f, err := cfg.FS.Create("/j/"+commitLogName, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(bytes.Clone(c.log)); err != nil { // a race build writes over what was given
			t.Fatal(err)
		}
		f.Close()
		s, rec := open(t, cfg)
		if got := replayAll(t, s, 0); !bytes.Equal(got, c.want) || (rec.Torn != "") != (c.torn != "") || !strings.Contains(rec.Torn, c.torn) {
			t.Errorf("%s: recovered %d of %d bytes (%s)", c.what, len(got), len(both), rec.Torn)
		}
	}
}

// TestAHugeCommitLogIsNotRead has a file that no memory could hold.
func TestAHugeCommitLogIsNotRead(t *testing.T) {
	dir := t.TempDir()
	l, err := openCommitLog(vfs.Default, dir, 2*blockBytes)
	if err != nil {
		t.Fatal(err)
	}
	l.fill(1, 0, unit(0, 10), nil)
	if ok, err := l.write(0, replication.Offset(len(unit(0, 10)))); !ok || err != nil {
		t.Fatal(ok, err)
	}
	l.close()
	if err := os.Truncate(filepath.Join(dir, commitLogName), 1<<42); err != nil {
		t.Skip(err) // the file system has no files of that length
	}
	found, torn, err := readCommitLog(vfs.Default, dir, 1, 0)
	if err != nil || torn != "" || len(found) != 1 {
		t.Errorf("%d records (%s), %v", len(found), torn, err)
	}
}

// TestCommitsBesideEverything has two goroutines append and commit while the
// journal is cut, renewed, turned off and on and closed, for the race detector.
func TestCommitsBesideEverything(t *testing.T) {
	s, _ := alwaysIn(t, vfs.NewMem())
	var appending sync.RWMutex // nobody appends while the stream is cut; TryCommit may come late
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				appending.RLock()
				s.AppendRaw(unit(i, 30))
				appending.RUnlock()
				s.TryCommit()
				s.Announce()
			}
		})
	}
	for i := range 30 {
		appending.Lock()
		var err error
		switch i % 3 {
		case 0:
			err = s.Cut(s.End())
		case 1:
			err = s.NewGeneration("", replication.Offset(100*i), testHistory, false)
		case 2:
			err = errors.Join(s.Disable(), s.Enable(testHistory, false, replication.Fitness{}))
		}
		appending.Unlock()
		if err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
	}
	close(stop)
	wg.Wait()
	if s.Synced() > s.End() || s.Committed() > s.End() {
		t.Errorf("synced %d, committed %d of %d", s.Synced(), s.Committed(), s.End())
	}
}

func FuzzCommitLog(f *testing.F) {
	l := &commitLog{id: 5, blocks: 15}
	var log []byte
	header := make([]byte, blockBytes)
	copy(header, commitLogMagic)
	binary.LittleEndian.PutUint64(header[16:], 5)
	binary.LittleEndian.PutUint64(header[24:], 15)
	binary.LittleEndian.PutUint32(header[8:], crc32.Checksum(header[16:commitLogHeader], castagnoli))
	log = append(log, header...)
	for i := range 3 {
		l.fill(3, replication.Offset(100+i*len(unit(i, 5000))), unit(i, 5000), nil)
		log = append(log, l.buf...)
	}
	f.Add(log, uint64(3), int64(100), 6000, uint32(7))
	f.Add(log[:blockBytes], uint64(3), int64(0), 30, uint32(0))
	f.Fuzz(func(t *testing.T, b []byte, generation uint64, from int64, at int, to uint32) {
		if at >= 0 && at+4 <= len(b) {
			b = bytes.Clone(b)
			binary.LittleEndian.PutUint32(b[at:], to) // the fuzzer rarely hits a field by itself
		}
		fs := vfs.NewMem()
		w, err := fs.Create(commitLogName, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(b)
		w.Close()
		offset := replication.Offset(max(from, 0))
		found, _, err := readCommitLog(fs, "", generation, offset)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range found {
			if c.after != offset || len(c.a) == 0 {
				t.Fatalf("a chunk after %d does not follow %d", c.after, offset)
			}
			offset += replication.Offset(len(c.a))
		}
	})
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for range 30000 {
		if cond() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it does not become true")
}
