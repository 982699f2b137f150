package journal

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"redoubt/replication"
)

// ringResident is how many KiB of the ring in dir are resident in this process.
func ringResident(t *testing.T, dir string) (kib int) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := false
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		if strings.Contains(line, "-") && strings.Contains(line, " rw-s ") {
			found = strings.HasSuffix(line, filepath.Join(dir, "ring"))
		}
		var n int
		if _, err := fmt.Sscanf(line, "Rss: %d kB", &n); err == nil && found {
			kib += n
			found = false
		}
	}
	return kib
}

// TestSyncedPagesOfTheRingLeaveResidentMemory: they stay readable, and what is
// not yet on the disk stays where it is.
func TestSyncedPagesOfTheRingLeaveResidentMemory(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	cfg.RingBytes = 1 << 20
	s := openServing(t, cfg)
	want := fill(t, s, 4000) // the ring wraps
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	look := func(before replication.Offset) (again bool, kib int) {
		if err := s.onWriter(func(w *writer) error {
			w.lastHeld, w.lastLook = before, time.Time{}
			again = w.unload()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return again, ringResident(t, cfg.Dir)
	}
	if again, kib := look(0); !again || kib < 900 {
		t.Errorf("a ring that is overwritten all the time: again %v, %d KiB resident", again, kib)
	}
	if again, kib := look(s.held); again || kib > 100 {
		t.Errorf("a ring at rest: again %v, %d KiB resident", again, kib)
	}
	want = append(want, fill(t, s, 100)...)
	from := len(want) - 900_000
	if got := readAll(t, s, replication.Offset(from), 5000); !bytes.Equal(got, want[from:]) {
		t.Error("the bytes are not those appended")
	}
}

// A file system that cannot reserve space (NFS) gets zeros; what is there stays.
func TestExtendWritesZerosBehindWhatIsThere(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "ring"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("content"); err != nil {
		t.Fatal(err)
	}
	const size = 3<<20 + 5
	for range 2 {
		if err := extend(f, size); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(f.Name())
		if err != nil || len(b) != size || !bytes.HasPrefix(b, []byte("content")) || bytes.Count(b, []byte{0}) != size-7 {
			t.Fatalf("%d bytes, %d of them zero, %v", len(b), bytes.Count(b, []byte{0}), err)
		}
	}
}
