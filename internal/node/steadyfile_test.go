package node

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A file that goes to the disk bit by bit has what was written, and nearly all of it is
// on disk before the end.
func TestASteadyFileIsWrittenBackOnTheWay(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := &steadyFile{File: f}
	var want bytes.Buffer
	for i := range 1000 {
		p := bytes.Repeat([]byte{byte(i)}, 10_000+i)
		want.Write(p)
		if n, err := s.Write(p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	if s.written != int64(want.Len()) || s.written-s.started >= steadyBytes || s.started-s.finished > 2*steadyBytes {
		t.Errorf("of %d bytes write-back is started for %d and done for %d", s.written, s.started, s.finished)
	}
	if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("the file has %d bytes of %d, %v", len(got), want.Len(), err)
	}
}

// A failure to write back is one of the write: the fsync at the end would not tell of it
// again.
func TestAFailureToWriteBackIsAnError(t *testing.T) {
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(pipe[1]), "a pipe")
	defer f.Close()
	defer unix.Close(pipe[0])
	s := &steadyFile{File: f, written: 2 * steadyBytes}
	if _, err := s.Write([]byte("x")); err == nil {
		t.Error("ESPIPE of a pipe is swallowed")
	}
}
