package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"redoubt/replication"
)

// baseNames are the bases on disk, without their directory.
func baseNames(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	for _, path := range bases(t, dir) {
		names = append(names, filepath.Base(path))
	}
	return strings.Join(names, " ")
}

// TestAnOlderBaseStaysWhileItIsNeeded: with the journal behind it, over a restart, and no
// longer than that.
func TestAnOlderBaseStaysWhileItIsNeeded(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	s := openServing(t, cfg)
	rebase := func(name string) (at replication.Offset) {
		t.Helper()
		fill(t, s, 300)
		at = s.End()
		if err := s.SetBase(stage(t, cfg.Dir, name), at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	wants := func(when string, oldest replication.Offset, bases ...replication.Offset) {
		t.Helper()
		var names []string
		for _, at := range bases {
			names = append(names, fmt.Sprintf("base-1-%d.rdb", at))
		}
		if got, want := baseNames(t, cfg.Dir), strings.Join(names, " "); got != want {
			t.Errorf("%s: bases %q, want %q", when, got, want)
		}
		if at, ok := s.Oldest(); !ok || at != oldest || s.First() > oldest {
			t.Errorf("%s: the oldest base is at %d (%t), want %d; the journal begins after %d", when, at, ok, oldest, s.First())
		}
	}

	s.KeepBase(7)
	a := rebase("a")
	wants("that of no data", 0, a)
	if base, from, ok := s.RestartAt(a - 1); base != "" || from != 0 || !ok {
		t.Errorf("before the first base: %q, %d, %t", base, from, ok)
	}
	s.KeepBase(a)
	waitFor(t, func() bool { at, _ := s.Oldest(); return at == a })
	wants("what was needed has risen", a, a)
	b := rebase("b")
	wants("one before the present one", a, a, b)
	c := rebase("c")
	wants("not the one between", a, a, c)
	for at, want := range map[replication.Offset]replication.Offset{a: a, c - 1: a, c: c, c + 9: c} {
		if base, from, ok := s.RestartAt(at); !ok || from != want || filepath.Base(base) != fmt.Sprintf("base-1-%d.rdb", want) {
			t.Errorf("up to %d: %q, %d, %t", at, base, from, ok)
		}
	}
	if base, from, ok := s.RestartAt(a - 1); ok {
		t.Errorf("before all bases: %q, %d", base, from)
	}

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = open(t, cfg)
	wants("a restart", a, a, c)
	d := rebase("d")
	wants("nobody has said yet what is needed", a, a, d)
	s.KeepBase(c + 1)
	e := rebase("e")
	wants("none of those there is old enough, and the oldest is", a, a, e)
	s.KeepBase(d)
	f := rebase("f")
	wants("the same", a, a, f)
	s.KeepBase(math.MaxInt64)
	waitFor(t, func() bool { return len(bases(t, cfg.Dir)) == 1 })
	fill(t, s, 1) // and the journal is trimmed with the next fsync
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	wants("no more", f, f)
	if s.First() <= e {
		t.Errorf("the journal begins after %d", s.First())
	}
	_ = b
}

// TestAnOlderBaseThatIsGoneIsNotMissed: no start needs it.
func TestAnOlderBaseThatIsGoneIsNotMissed(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	s := openServing(t, cfg)
	s.KeepBase(1)
	for _, name := range []string{"a", "b"} {
		fill(t, s, 10)
		if err := s.SetBase(stage(t, cfg.Dir, name), s.End()); err != nil {
			t.Fatal(err)
		}
		s.KeepBase(s.End())
	}
	older, _, ok := s.RestartAt(s.End() - 1)
	s.Close()
	if !ok {
		t.Fatalf("bases: %v", bases(t, cfg.Dir))
	}
	if err := os.Remove(older); err != nil {
		t.Fatal(err)
	}
	s, rec := open(t, cfg)
	if oldest, _ := s.Oldest(); oldest != rec.BaseOffset {
		t.Errorf("the oldest base is at %d, and the base at %d", oldest, rec.BaseOffset)
	}
	if err := s.Rewind(rec.BaseOffset-1, testHistory); err == nil {
		t.Error("the journal goes back to a base that is gone")
	}
}

// rewound is a journal with two bases that goes back to an offset between them.
type rewound struct {
	s       *Stream
	bytes   []byte // of the stream
	old, at replication.Offset
}

func beforeRewind(t *testing.T, cfg Config) *rewound {
	r := &rewound{s: openServing(t, cfg)}
	add := func(from, n int) {
		for i := range n {
			u := unit(from+i, 50)
			r.bytes = append(r.bytes, u...)
			put(r.s, u)
		}
	}
	rebase := func() {
		path := fmt.Sprintf("%s/temp-%d.rdb", cfg.Dir, r.s.End())
		f, err := cfg.FS.Create(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, "base at %d", r.s.End())
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := r.s.SetBase(path, r.s.End()); err != nil {
			t.Fatal(err)
		}
	}
	add(0, 5)
	rebase()
	r.old = r.s.End()
	add(10, 5)
	r.at = r.s.End()
	r.s.KeepBase(r.at)
	add(20, 5)
	rebase()
	add(30, 5)
	if err := r.s.Flush(); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAPowerCutFindsAJournalThatWentBackOrDidNot cuts the power at every operation of a
// rewind to before the base.
func TestAPowerCutFindsAJournalThatWentBackOrDidNot(t *testing.T) {
	for _, percent := range []int{0, 50} {
		c := &cutter{mem: vfs.NewCrashableMem(), percent: percent}
		cfg := testConfig(t, "/j")
		cfg.Policy, cfg.FS = Always, c.wrap()
		cfg.TrimBytes = 1 << 30 // a trim would begin another log of Pebble, in a file that is not watched
		r := beforeRewind(t, cfg)
		shared := replication.NewHistory(strings.Repeat("7", 40))
		c.watch(r.s)
		if err := r.s.Rewind(r.at, shared); err != nil {
			t.Fatal(err)
		}
		during := len(c.cuts)
		if r.s.End() != r.at || r.s.SizeSinceBase() != int64(r.at-r.old) {
			t.Errorf("the stream ends at %d, %d bytes behind the base", r.s.End(), r.s.SizeSinceBase())
		}
		after := append(bytes.Clone(r.bytes[:r.at]), unit(90, 33)...)
		put(r.s, unit(90, 33))
		if err := r.s.Flush(); err != nil {
			t.Fatal(err)
		}
		c.watch(nil)
		if during < 5 {
			t.Fatalf("only %d operations were cut at", during)
		}
		seen := map[string]int{}
		for i, cut := range c.cuts {
			again := testConfig(t, "/j")
			again.FS = cut.fs
			s, rec, err := Open(again)
			if err != nil {
				t.Fatalf("%s: %v", cut.at, err)
			}
			got := replayAll(t, s, rec.BaseOffset)
			if b := readFile(t, cut.fs, rec.Base); b != fmt.Sprintf("base at %d", rec.BaseOffset) {
				t.Errorf("%s: the base as of %d is %q", cut.at, rec.BaseOffset, b)
			}
			state := ""
			switch {
			case bytes.Equal(got, r.bytes[rec.BaseOffset:]):
				state = "not gone back"
				if rec.History != testHistory || rec.Replica {
					t.Errorf("%s: nothing is cut, and the history is %+v", cut.at, rec.History)
				}
			case bytes.Equal(got, r.bytes[rec.BaseOffset:r.at]), i >= during && bytes.Equal(got, after[rec.BaseOffset:]):
				state = "gone back"
				if rec.History == shared && rec.Replica {
					state = "in the shared history"
				}
			default:
				t.Errorf("%s: %d bytes from %d are neither", cut.at, len(got), rec.BaseOffset)
			}
			if i >= during && state != "in the shared history" {
				t.Errorf("%s: it had gone back, and is found %s", cut.at, state)
			}
			seen[state]++
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if len(seen) != 3 {
			t.Errorf("of the steps only these were found: %v", seen)
		}
	}
}

// TestRewindRefuses: what it could not do leaves everything as it was.
func TestRewindRefuses(t *testing.T) {
	cfg := testConfig(t, "/j")
	cfg.FS = vfs.NewCrashableMem()
	r := beforeRewind(t, cfg)
	end := r.s.End()
	for _, at := range []replication.Offset{0, r.old - 1, end + 1} {
		if err := r.s.Rewind(at, testHistory); err == nil {
			t.Errorf("it goes back to %d", at)
		}
	}
	if got := replayAll(t, r.s, r.old); !bytes.Equal(got, r.bytes[r.old:]) || r.s.End() != end {
		t.Error("the stream has changed")
	}
}

// TestACutWhoseHistoryIsNotSaved: the stream is cut, and whoever wanted that learns what
// is left to do.
func TestACutWhoseHistoryIsNotSaved(t *testing.T) {
	var broken atomic.Bool
	cfg := testConfig(t, "/j")
	cfg.FS = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind == errorfs.OpRename {
			return syscall.EMFILE
		}
		return nil
	}))
	s := openServing(t, cfg)
	fill(t, s, 100)
	at := s.End()
	fill(t, s, 100)
	h := replication.NewHistory(strings.Repeat("e", 40))
	broken.Store(true)
	if err := s.Rewind(at, h); !errors.Is(err, ErrHistoryNotSaved) || !errors.Is(err, syscall.EMFILE) {
		t.Errorf("the error is %v", err)
	}
	if s.End() != at {
		t.Errorf("the stream ends at %d, want %d", s.End(), at)
	}
	broken.Store(false)
	if err := s.SaveHistory(h, true); err != nil {
		t.Error(err)
	}
}

// TestReplayToEndsWhereItIsTold: within a record of the journal, too.
func TestReplayToEndsWhereItIsTold(t *testing.T) {
	s := openServing(t, testConfig(t, t.TempDir()))
	var want []byte
	var ends []replication.Offset
	for i := range 40 {
		n := 500
		if i == 20 {
			n = 3 * minRingBytes // in several chunks
		}
		want = append(want, unit(i, n)...)
		ends = append(ends, put(s, unit(i, n)))
	}
	for _, to := range ends {
		var got []byte
		err := s.ReplayTo(ends[3], max(to, ends[3]), func(u []byte, end replication.Offset) error {
			got = append(got, u...)
			return nil
		})
		if err != nil || !bytes.Equal(got, want[ends[3]:max(to, ends[3])]) {
			t.Fatalf("up to %d: %d bytes, %v", to, len(got), err)
		}
	}
}

// TestAnArchiveHasWhatAStartWouldFind: also what only the commit log and the ring have,
// after a kill, and it changes nothing.
func TestAnArchiveHasWhatAStartWouldFind(t *testing.T) {
	for _, policy := range []Policy{EverySec, Always} {
		cfg := testConfig(t, t.TempDir())
		cfg.Policy = policy
		s := openServing(t, cfg)
		s.quick = 1 << 62
		s.KeepBase(1)
		want := fill(t, s, 40)
		if err := s.SetBase(stage(t, cfg.Dir, "one"), s.End()); err != nil {
			t.Fatal(err)
		}
		base := s.End()
		for i := range 30 {
			want = append(want, unit(i, 700)...)
			s.AppendRaw(unit(i, 700))
			s.TryCommit()
		}
		dir := t.TempDir() // as a kill would leave it
		if err := os.CopyFS(dir, os.DirFS(cfg.Dir)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			a, err := OpenArchive(dir)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			n, err := a.WriteTo(&got)
			if err != nil || n != int64(len(want)) || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%v: %d bytes (%v), want %d", policy, n, err, len(want))
			}
			if a.Oldest() != 0 || a.BaseAt != base || int(a.End) != len(want) || a.History != testHistory || a.Replica || a.Torn != "" {
				t.Errorf("%v: %+v", policy, a)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
		}
		cfg.Dir = dir
		again, rec := open(t, cfg)
		if int(rec.End) != len(want) || rec.Torn != "" {
			t.Errorf("%v: a start finds %+v", policy, rec)
		}
		if _, err := OpenArchive(dir); err == nil {
			t.Error("the journal of a running node is opened")
		}
		again.Close()
		if _, err := OpenArchive(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("an empty directory: %v", err)
		}
	}
}
