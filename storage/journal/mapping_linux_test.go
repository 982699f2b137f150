package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

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
