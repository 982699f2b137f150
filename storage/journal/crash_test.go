package journal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"redoubt/replication"
)

// powerCut is what a power cut would leave at one moment: the files with what
// was not synced dropped, and what the stream had promised just before.
type powerCut struct {
	fs                *vfs.MemFS
	committed, synced replication.Offset
	at                string
}

// cutter takes a powerCut before every operation that changes a file.
type cutter struct {
	mem     *vfs.MemFS
	percent int // of the unsynced data that survives all the same

	mu   sync.Mutex
	s    *Stream
	cuts []powerCut
}

func (c *cutter) wrap() vfs.FS {
	return errorfs.Wrap(withoutReuse{c.mem}, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.s == nil {
			return nil
		}
		cut := powerCut{committed: c.s.Committed(), synced: c.s.Synced(), at: fmt.Sprintf("operation %d, %v of %s", len(c.cuts), op.Kind, op.Path)}
		cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: c.percent}
		if c.percent > 0 {
			cfg.RNG = rand.New(rand.NewPCG(7, uint64(len(c.cuts))))
		}
		cut.fs = c.mem.CrashClone(cfg)
		c.cuts = append(c.cuts, cut)
		return nil
	}))
}

// withoutReuse is a file system in memory that makes a new file where an old one is to be
// used again: vfs.MemFS takes a lock for reading twice then, and hangs if CrashClone waits
// for it in between.
type withoutReuse struct{ vfs.FS }

// ReuseForWrite implements vfs.FS.
func (fs withoutReuse) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.Remove(oldname); err != nil {
		return nil, err
	}
	return fs.Create(newname, category)
}

func (c *cutter) watch(s *Stream) {
	c.mu.Lock()
	c.s = s
	c.mu.Unlock()
}

// TestAPowerCutCostsNoMoreThanThePolicyAllows cuts the power at every operation
// of a run with bases, trimming and units larger than the ring. Always loses
// nothing committed; the others nothing that was synced. What is recovered is
// always a whole number of units.
func TestAPowerCutCostsNoMoreThanThePolicyAllows(t *testing.T) {
	for _, policy := range []Policy{Always, EverySec, OnDemand} {
		for _, percent := range []int{0, 50} {
			t.Run(fmt.Sprintf("%v, %d%% of the unsynced data survives", policy, percent), func(t *testing.T) {
				put := put
				switch {
				case policy == Always && percent > 0:
					put = commit
				case policy == OnDemand:
					put = func(s *Stream, unit []byte) replication.Offset {
						end := s.AppendRaw(unit)
						if err := s.Sync(t.Context(), end); err != nil || s.Synced() < end {
							t.Error("not synced", err)
						}
						return end
					}
				}
				c := &cutter{mem: vfs.NewCrashableMem(), percent: percent}
				cfg := testConfig(t, "/j")
				cfg.Policy, cfg.FS = policy, c.wrap()
				s := openServing(t, cfg)
				c.watch(s)
				var want []byte
				ends := map[replication.Offset]bool{0: true}
				for i := range 25 {
					n := i * 20
					if i == 17 {
						n = 2 * minRingBytes
					}
					want = append(want, unit(i, n)...)
					ends[put(s, unit(i, n))] = true
					for j := 0; i == 12 && j < 200; j++ { // more small units than the ring holds
						want = append(want, unit(j, 500)...)
						ends[put(s, unit(j, 500))] = true
					}
					if i%5 == 4 || (policy == Always && percent == 0) {
						if err := s.Flush(); err != nil {
							t.Fatal(err)
						}
					}
					if i%9 == 8 {
						path := fmt.Sprintf("/j/temp-%d", i)
						f, err := cfg.FS.Create(path, vfs.WriteCategoryUnspecified)
						if err != nil {
							t.Fatal(err)
						}
						fmt.Fprintf(f, "base at %d", s.End())
						if err := f.Close(); err != nil {
							t.Fatal(err)
						}
						if err := s.SetBase(path, s.End()); err != nil {
							t.Fatal(err)
						}
					}
				}
				c.watch(nil)
				if len(c.cuts) < 50 {
					t.Fatalf("only %d operations were cut at", len(c.cuts))
				}
				for _, cut := range c.cuts {
					again := testConfig(t, "/j")
					again.FS = cut.fs
					s, rec, err := Open(again)
					if err != nil {
						t.Fatalf("%s: %v", cut.at, err)
					}
					promised := cut.synced
					if policy == Always {
						promised = cut.committed
					}
					if rec.End < promised || !ends[rec.End] || !rec.Found {
						t.Errorf("%s: recovered up to %d, promised %d", cut.at, rec.End, promised)
					}
					if rec.Base != "" {
						if got, want := readFile(t, cut.fs, rec.Base), fmt.Sprintf("base at %d", rec.BaseOffset); got != want {
							t.Errorf("%s: the base is %q, want %q", cut.at, got, want)
						}
					}
					if !bytes.Equal(replayAll(t, s, rec.BaseOffset), want[rec.BaseOffset:rec.End]) {
						t.Errorf("%s: what is replayed is not what was appended", cut.at)
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

func readFile(t *testing.T, fs vfs.FS, name string) string {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1000)
	n, _ := f.Read(b)
	return string(b[:n])
}

// TestAPowerCutFindsOneGenerationOrTheOther cuts the power at every operation of
// a full resync and of a cut.
func TestAPowerCutFindsOneGenerationOrTheOther(t *testing.T) {
	c := &cutter{mem: vfs.NewCrashableMem()}
	cfg := testConfig(t, "/j")
	cfg.Policy, cfg.FS = Always, c.wrap()
	s := openServing(t, cfg)
	var old, kept []byte
	for i := range 5 {
		kept = append(kept, unit(i, 50)...)
		put(s, unit(i, 50))
	}
	at := s.End()
	old = append(old, kept...)
	for i := range 5 {
		old = append(old, unit(50+i, 40)...)
		put(s, unit(50+i, 40))
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	c.watch(s)
	if err := s.Cut(at); err != nil {
		t.Fatal(err)
	}
	afterCut := len(c.cuts)
	kept = append(kept, unit(70, 30)...)
	put(s, unit(70, 30))
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	beforeResync := len(c.cuts)
	theirs := replication.History{ID: strings.Repeat("9", 40), ID2: replication.NoID, Second: -1}
	if err := s.NewGeneration("", 100000, theirs, true); err != nil {
		t.Fatal(err)
	}
	afterResync := len(c.cuts)
	put(s, unit(80, 30))
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	c.watch(nil)
	for i, cut := range c.cuts {
		again := testConfig(t, "/j")
		again.FS = cut.fs
		s, rec, err := Open(again)
		if err != nil {
			t.Fatalf("%s: %v", cut.at, err)
		}
		got := replayAll(t, s, rec.BaseOffset)
		switch {
		case rec.History == theirs:
			if i < beforeResync || rec.BaseOffset != 100000 || !rec.Replica || !bytes.HasPrefix(unit(80, 30), got) {
				t.Errorf("%s: the new generation holds %d bytes from %d", cut.at, len(got), rec.BaseOffset)
			}
		case i >= afterResync:
			t.Errorf("%s: the old generation after the full resync", cut.at)
		case i >= afterCut:
			if !bytes.HasPrefix(kept, got) || len(got) < int(at) || (i >= beforeResync && len(got) < len(kept)) {
				t.Errorf("%s: %d bytes after the cut at %d", cut.at, len(got), at)
			}
		default:
			if !bytes.HasPrefix(old, got) || len(got) < int(at) {
				t.Errorf("%s: %d bytes before the cut at %d", cut.at, len(got), at)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
