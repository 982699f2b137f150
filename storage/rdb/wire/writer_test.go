package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

func TestStringInPieces(t *testing.T) {
	var file bytes.Buffer
	w := NewWriter(&file)
	s := w.OpenString(200000)
	for range 2000 {
		fmt.Fprintf(s, "%0100d", 7)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w.Byte(1)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	r := NewReader(&file)
	p, err := r.ReadString()
	if b, errB := r.Byte(); len(p) != 200000 || err != nil || b != 1 || errB != nil {
		t.Errorf("%d bytes, %v, then %d, %v", len(p), err, b, errB)
	}
}

func TestStringOfAnotherLengthThanAnnounced(t *testing.T) {
	for _, n := range []uint64{4, 6} {
		var w Writer
		s := w.OpenString(n)
		s.Write([]byte("he"))
		s.Write([]byte("llo"))
		if err := s.Close(); !errors.Is(err, ErrStringLength) || !errors.Is(w.Err(), ErrStringLength) {
			t.Errorf("%d announced: %v, %v", n, err, w.Err())
		}
	}
}

// failAfter is a disk with room for so many bytes.
type failAfter int

var errFull = errors.New("disk full")

func (f *failAfter) Write(p []byte) (int, error) {
	if len(p) > int(*f) {
		return 0, errFull
	}
	*f -= failAfter(len(p))
	return len(p), nil
}

func TestTheFirstErrorOfAWriterStays(t *testing.T) {
	disk := failAfter(100)
	w := NewWriter(&disk)
	w.String(make([]byte, 80))
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	w.String(make([]byte, 80))
	if err := w.Err(); err != nil {
		t.Errorf("before anything was passed on: %v", err)
	}
	if err := w.Flush(); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
	w.Byte(1) // there would be room for this one
	if err := w.Flush(); !errors.Is(err, errFull) || disk != 18 {
		t.Errorf("then %v, room for %d", err, disk)
	}
}

func TestResetAppends(t *testing.T) {
	w := Writer{Checksum: true}
	w.Reset([]byte("abc"))
	w.Byte('d')
	if got := w.Collected(); string(got) != "abcd" || w.Offset() != 1 || w.Sum() != Checksum(0, []byte("d")) {
		t.Errorf("%q, offset %d, sum %x", got, w.Offset(), w.Sum())
	}
	w.Reset(nil)
	if len(w.Collected()) != 0 || w.Offset() != 0 || w.Sum() != 0 {
		t.Errorf("%q, offset %d, sum %x", w.Collected(), w.Offset(), w.Sum())
	}
}

// A long string is written without a copy of it in memory, compressed or not.
func TestLongStringsAreNotCopied(t *testing.T) {
	s := bytes.Repeat([]byte("0123456789abcdef, once more; "), 1<<20)
	for _, compress := range []bool{false, true} {
		var size countWriter
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := NewWriter(&size)
		w.Compress = compress
		w.String(s)
		err := w.Flush()
		runtime.ReadMemStats(&after)
		if err != nil || compress != (int(size) < len(s)) {
			t.Errorf("compressed %v: %d bytes, %v", compress, size, err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("compressed %v: %d bytes allocated for %d", compress, got, len(s))
		}
	}
}

type countWriter int64

func (c *countWriter) Write(p []byte) (int, error) { *c += countWriter(len(p)); return len(p), nil }

// chunks notes the sizes of what it is given, and fails behind some of them.
type chunks struct {
	sizes []int
	after int
}

func (c *chunks) Write(p []byte) (int, error) {
	if len(c.sizes) == c.after {
		return 0, io.ErrClosedPipe
	}
	c.sizes = append(c.sizes, len(p))
	return len(p), nil
}

// A long string is passed on in pieces, and nothing of it after an error.
func TestLongStringsArePassedOnInPieces(t *testing.T) {
	long := make([]byte, 5*pieceBytes+17)
	to := &chunks{after: 100}
	w := NewWriter(to)
	w.Checksum = true
	w.String(long)
	sum := w.Sum()
	if err := w.Flush(); err != nil || len(to.sizes) != 7 || slices.Max(to.sizes) != pieceBytes {
		t.Errorf("%v, %v", to.sizes, err)
	}
	var whole Writer
	whole.Checksum = true
	whole.String(long)
	if whole.Sum() != sum {
		t.Error("the checksum depends on the pieces")
	}
	to = &chunks{after: 3}
	w = NewWriter(to)
	if w.String(long); w.Flush() != io.ErrClosedPipe || len(to.sizes) != 3 {
		t.Errorf("%v, %v", to.sizes, w.Err())
	}
}

// Short strings that do not compress stop the tries for most of them only, and one
// that does begins them again. Everything can be read back.
func TestVainTriesToCompress(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	good := bytes.Repeat([]byte("good "), 20)
	var all [][]byte
	add := func(n int, s func() []byte) (from, to int) {
		from = len(all)
		for range n {
			all = append(all, s())
		}
		return from, len(all)
	}
	add(1000, func() []byte { return random(64) })
	from, to := add(1000, func() []byte { return good })
	add(1000, func() []byte { return random(64) })
	long, _ := add(1, func() []byte { return bytes.Repeat([]byte("x"), shortString+1) })

	var w Writer
	w.Compress = true
	sizes := make([]int64, len(all))
	for i, s := range all {
		before := w.Offset()
		w.String(s)
		sizes[i] = w.Offset() - before
	}
	packed := 0
	for _, n := range sizes[from:to] {
		if n < int64(len(good)) {
			packed++
		}
	}
	if packed < to-from-tryAgain {
		t.Errorf("%d of %d strings are compressed", packed, to-from)
	}
	if sizes[long] > 50 {
		t.Errorf("a long string takes %d bytes", sizes[long])
	}
	w.Reset(nil)
	w.String(good)
	if n := w.Offset(); n >= int64(len(good)) {
		t.Errorf("after a Reset the first string takes %d bytes", n)
	}
	w.Reset(nil)
	for _, s := range all {
		w.String(s)
	}
	rd := NewReader(bytes.NewReader(w.Collected()))
	for i, want := range all {
		if got, err := rd.ReadString(); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("string %d: %d bytes, %v", i, len(got), err)
		}
	}
}
