package journal

import (
	"bytes"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// TestALogHasZerosAheadOfItsEnd: so its length changes once in many fsyncs. A log
// that is used again keeps its length, and grows when it is written further.
func TestALogHasZerosAheadOfItsEnd(t *testing.T) {
	fs := vfs.NewMem()
	d := newDisk(fs, "", -1, zap.NewNop(), new(counters))
	write := func(f vfs.File, size int) (length int64) {
		t.Helper()
		if n, err := f.Write(bytes.Repeat([]byte{'x'}, size)); n != size || err != nil {
			t.Fatalf("wrote %d of %d: %v", n, size, err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	f, err := d.Create("1.log", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []struct {
		size int
		want int64
	}{{10, aheadBytes}, {1000, aheadBytes}, {aheadBytes - 1010, aheadBytes}, {1, 2 * aheadBytes}, {3 * aheadBytes, 5 * aheadBytes}} {
		if got := write(f, w.size); got != w.want {
			t.Errorf("after %d bytes more the log is %d long, want %d", w.size, got, w.want)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	content := readWhole(t, fs, "1.log")
	end := 4*aheadBytes + 1
	if !bytes.Equal(content[:end], bytes.Repeat([]byte{'x'}, end)) || !bytes.Equal(content[end:], make([]byte, aheadBytes-1)) {
		t.Error("the log is not what was written, and zeros")
	}
	f, err = d.ReuseForWrite("1.log", "2.log", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if got := write(f, 100); got != 5*aheadBytes {
		t.Errorf("a log that is used again has length %d", got)
	}
	if got := write(f, 5*aheadBytes); got != 6*aheadBytes {
		t.Errorf("written beyond its end it has length %d", got)
	}
	f.Close()
	f, err = d.Create("OPTIONS", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if got := write(f, 100); got != 100 {
		t.Errorf("another file has length %d after 100 bytes", got)
	}
	f.Close()
}

func readWhole(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
