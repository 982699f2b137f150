package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// spaceLog is a logger that says when the disk became full and when it was no
// longer. If not nil, atFull is called while the first is being logged.
func spaceLog(atFull func()) (log *zap.Logger, full, again chan struct{}) {
	full, again = make(chan struct{}, 10), make(chan struct{}, 10)
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(discard{}), zapcore.InfoLevel)
	return zap.New(core, zap.Hooks(func(e zapcore.Entry) error {
		switch {
		case strings.Contains(e.Message, "no space left"):
			if atFull != nil {
				atFull()
			}
			full <- struct{}{}
		case strings.Contains(e.Message, "space on the disk again"):
			again <- struct{}{}
		}
		return nil
	})), full, again
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// TestAFullDiskHoldsWritesBackAndLosesNothing lets every write fail for want of
// space for a while.
func TestAFullDiskHoldsWritesBackAndLosesNothing(t *testing.T) {
	for _, policy := range []Policy{Always, EverySec} {
		t.Run(policy.String(), func(t *testing.T) {
			var noRoom atomic.Bool
			mem := vfs.NewMem()
			cfg := testConfig(t, "/j")
			cfg.Policy, cfg.BallastBytes = policy, 1<<20
			var full, again chan struct{}
			cfg.Log, full, again = spaceLog(func() {
				if _, err := mem.Stat("/j/ballast"); err == nil {
					t.Error("the ballast is still there when the log says that the disk is full")
				}
			})
			cfg.FS = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				switch op.Kind {
				case errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpReuseForWrite:
					if noRoom.Load() {
						return &os.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
					}
				}
				return nil
			}))
			s := openServing(t, cfg)
			want := fill(t, s, 3)
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			noRoom.Store(true)
			want = append(want, fill(t, s, 20)...)
			go s.Flush() // makes everysec write too; its answer depends on when the disk is seen to be full
			<-full
			if !s.DiskFull() {
				t.Error("DiskFull is false")
			}
			if d := s.Stalled(time.Now().Add(time.Hour)); d != 0 {
				t.Errorf("a wait for space is a stall of %v", d)
			}
			if got := readAll(t, s, 0, 512); !bytes.Equal(got, want) {
				t.Error("reads do not go on")
			}
			if policy == Always && s.Committed() == s.End() {
				t.Error("committed without the disk")
			}
			if err := s.SetBase("/j/x", 0); !errors.Is(err, ErrDiskFull) {
				t.Errorf("SetBase says %v", err)
			}
			noRoom.Store(false)
			<-again
			if s.DiskFull() {
				t.Error("DiskFull is still true")
			}
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			if st, err := mem.Stat("/j/ballast"); err != nil || st.Size() != 1<<20 {
				t.Errorf("the ballast was not put back: %v", err)
			}
			want = append(want, fill(t, s, 3)...)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s, rec := open(t, cfg)
			if int(rec.End) != len(want) || !bytes.Equal(replayAll(t, s, 0), want) {
				t.Errorf("recovered up to %d of %d", rec.End, len(want))
			}
		})
	}
}

// TestAStartOnAFullDisk: the ballast was given up and there is no room for it, or
// it takes the last room, which Pebble needs to open.
func TestAStartOnAFullDisk(t *testing.T) {
	for _, kept := range []bool{false, true} {
		var noRoom atomic.Bool
		mem := vfs.NewMem()
		cfg := testConfig(t, "/j")
		cfg.BallastBytes = 1 << 20
		cfg.FS = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			switch op.Kind {
			case errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpReuseForWrite:
				_, err := mem.Stat("/j/ballast")
				if noRoom.Load() && (err == nil || strings.HasSuffix(op.Path, "ballast")) {
					return &os.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
				}
			}
			return nil
		}))
		s := openServing(t, cfg)
		want := fill(t, s, 20)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if !kept {
			if err := mem.Remove("/j/ballast"); err != nil {
				t.Fatal(err)
			}
		}
		noRoom.Store(true)
		var again chan struct{}
		cfg.Log, _, again = spaceLog(nil)
		s, rec := open(t, cfg)
		if int(rec.End) != len(want) || !bytes.Equal(replayAll(t, s, 0), want) {
			t.Errorf("ballast %v: recovered up to %d of %d", kept, rec.End, len(want))
		}
		if !s.DiskFull() {
			t.Errorf("ballast %v: writes are let in", kept)
		}
		noRoom.Store(false)
		<-again
		if _, err := mem.Stat("/j/ballast"); err != nil || s.DiskFull() {
			t.Errorf("ballast %v: after there is space: %v", kept, err)
		}
	}
}

// TestASmallFileSystemFillsUpAndRecovers is the same with a real file system of
// 32 MiB. It needs root to mount it.
func TestASmallFileSystemFillsUpAndRecovers(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32m"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("cannot mount a tmpfs, which needs root: ", err)
		}
		t.Skip("cannot mount a tmpfs, which needs root: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) }) // runs after the stream's Close
	cfg := testConfig(t, filepath.Join(dir, "j"))
	cfg.Policy, cfg.BallastBytes = Always, 4<<20
	var full, again chan struct{}
	cfg.Log, full, again = spaceLog(nil)
	s := openServing(t, cfg)
	want := fill(t, s, 10)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(zeros)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	f.Close()
	for i, isFull := 0, false; !isFull; i++ {
		want = append(want, unit(i, 1000)...)
		put(s, unit(i, 1000))
		select {
		case <-full:
			isFull = true
		default:
		}
	}
	if got := readAll(t, s, 0, 60000); !bytes.Equal(got, want) {
		t.Error("reads do not go on while the disk is full")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	<-again
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if s.Committed() != s.End() {
		t.Errorf("committed %d of %d after space returned", s.Committed(), s.End())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, rec := open(t, cfg)
	if int(rec.End) != len(want) || !bytes.Equal(replayAll(t, s, 0), want) {
		t.Errorf("recovered up to %d of %d", rec.End, len(want))
	}
	s.Close()
}

func TestOpenOnAFullDiskFailsAtOnce(t *testing.T) {
	cfg := testConfig(t, "/j")
	cfg.BallastBytes = 1 << 20
	cfg.FS = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, "ballast") {
			return syscall.ENOSPC
		}
		return nil
	}))
	if s, _, err := Open(cfg); !errors.Is(err, syscall.ENOSPC) {
		if err == nil {
			s.Close()
		}
		t.Errorf("Open says %v", err)
	}
}

// TestAFailedFsyncIsFatal: nothing is committed after it, and the words are
// Redis's.
func TestAFailedFsyncIsFatal(t *testing.T) {
	var broken atomic.Bool
	died := make(chan error, 10)
	cfg := testConfig(t, "/j")
	cfg.Policy = Always
	cfg.Fatal = func(err error) { died <- err; select {} }
	cfg.FS = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			return syscall.EIO
		}
		return nil
	}))
	s, _, err := Open(cfg) // never closed: its writer hangs where the process would have ended
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SaveHistory(testHistory, false); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	before := s.Committed()
	put(s, unit(0, 10))
	got := (<-died).Error()
	if !strings.HasPrefix(got, "Can't persist AOF for fsync error when the AOF fsync policy is 'always': ") || !strings.HasSuffix(got, ". Exiting...") {
		t.Errorf("the last words are %q", got)
	}
	if s.Committed() != before {
		t.Error("a unit is committed though its fsync failed")
	}
}
