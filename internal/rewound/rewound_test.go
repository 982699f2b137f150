package rewound

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"redoubt/replication"
)

var id = strings.Repeat("0123456789", 4)

func header(first replication.Offset, bytes int, second int) Header {
	return Header{ID: id, First: first, Last: first + replication.Offset(bytes) - 1, At: time.UnixMilli(1_790_000_000_123).Add(time.Duration(second) * time.Second), DB: 3}
}

func write(t *testing.T, dir string, h Header, text string) string {
	t.Helper()
	w, err := Create(dir, h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	path, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

const stream = "*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*1\r\n$4\r\nping\r\n"

func TestAFileHasWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	for _, db := range []int{3, 0, -1, 15} {
		h := header(101, len(stream), db+1)
		h.DB = db
		path := write(t, dir, h, stream)
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || string(got) != stream || f.Header != h {
			t.Errorf("%q (%v), %+v", got, err, f.Header)
		}
		f.Close()
		if !Recognise(path) {
			t.Error("it is not recognised")
		}
	}
	if got, all := Find(dir, header(101, len(stream), 0)), mustList(t, dir); got != all[len(all)-1] {
		t.Errorf("found is %q", got)
	}
	if want := "rewound-20260921T141321Z-01234567-101-135.aof"; filepath.Base(mustList(t, dir)[1]) != want {
		t.Errorf("the files are %q, want %q second", mustList(t, dir), want)
	}
	if other := header(102, len(stream)-1, 0); Find(dir, other) != "" {
		t.Error("one with other bytes is found")
	}
}

func mustList(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// TestAFileIsCompleteOrNotThere: what is given up, or lacks bytes, leaves nothing.
func TestAFileIsCompleteOrNotThere(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", stream[1:], stream + "x"} {
		w, err := Create(dir, header(1, len(stream), 0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if path, err := w.Commit(); err == nil {
			t.Errorf("%d of %d bytes are a file: %s", len(text), len(stream), path)
		}
	}
	w, err := Create(dir, header(1, len(stream), 0))
	if err != nil {
		t.Fatal(err)
	}
	w.Abort()
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
	if _, err := Create(filepath.Join(dir, "nowhere"), header(1, 1, 0)); err == nil {
		t.Error("a file in no directory")
	}
}

// TestDamageIsFound changes each byte of a file, and cuts it at each. The names of the
// numbers have no checksum; a change there that makes another header is none of the bytes.
func TestDamageIsFound(t *testing.T) {
	dir := t.TempDir()
	h := header(1, len(stream), 0)
	whole, err := os.ReadFile(write(t, dir, h, stream))
	if err != nil {
		t.Fatal(err)
	}
	body := len(whole) - len(stream)
	try := func(b []byte) error {
		path := filepath.Join(dir, "bad")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err == nil {
			f.Close()
		}
		return err
	}
	for i := range whole {
		if err := try(whole[:i]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut at %d: %v", i, err)
		}
		b := bytes.Clone(whole)
		b[i] ^= 0x80
		if err := try(b); i >= body && !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d is changed: %v", i, err)
		}
	}
	if err := try(append(bytes.Clone(whole), '\n')); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestPruneKeepsTheNewest(t *testing.T) {
	dir := t.TempDir()
	var all []string
	for i := range 5 {
		all = append(all, write(t, dir, header(replication.Offset(100-i), len(stream), i), stream))
	}
	for _, name := range []string{"rewound-x.aof.part", "dump.rdb", "appendonly.aof"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	removed, err := Prune(dir, 2, all[4])
	if err != nil || strings.Join(removed, " ") != strings.Join(all[:3], " ") {
		t.Errorf("removed: %q (%v)", removed, err)
	}
	if got := mustList(t, dir); strings.Join(got, " ") != strings.Join(all[3:], " ") {
		t.Errorf("kept: %q", got)
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 4 {
		t.Errorf("left are %v", left)
	}
	if removed, err := Prune(dir, 0, ""); err != nil || len(removed) != 2 {
		t.Errorf("to keep none: %q (%v)", removed, err)
	}
}

// The clock was set back: what has just been written has the oldest name.
func TestPruneKeepsWhatHasJustBeenWritten(t *testing.T) {
	dir := t.TempDir()
	var all []string
	for i := range 3 {
		all = append(all, write(t, dir, header(replication.Offset(100-i), len(stream), i), stream))
	}
	if removed, err := Prune(dir, 2, all[0]); err != nil || len(removed) != 1 || removed[0] != all[1] {
		t.Errorf("removed: %q (%v), want %q", removed, err, all[1])
	}
}

func FuzzDecode(f *testing.F) {
	h := header(1, len(stream), 0)
	f.Add(append(h.encode(7), stream...))
	f.Add([]byte("#REWOUND:1\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := Open(path)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		defer file.Close()
		if n, err := io.Copy(io.Discard, file); err != nil || n != file.Bytes() {
			t.Fatalf("%d bytes of %d (%v)", n, file.Bytes(), err)
		}
	})
}
