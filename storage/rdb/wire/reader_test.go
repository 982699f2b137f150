package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"math/rand"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// texts are strings of every form, and of every size that takes another path.
func texts() [][]byte {
	all := [][]byte{
		{}, []byte("-5"), []byte("300"), []byte("-70000"), []byte("12345678901"), []byte("007"),
		[]byte("hello"), bytes.Repeat([]byte("ab"), 40),
	}
	rnd := rand.New(rand.NewSource(11))
	for _, n := range []int{100, MaxNext - 1, MaxNext, MaxNext + 1, compressInPlace, compressInPlace + 1, 1 << 20} {
		random := make([]byte, n)
		rnd.Read(random)
		half := bytes.Clone(random)
		for i := 1; i < n; i += 2 {
			half[i] = 'x'
		}
		copy(half[n/2:], half[:n/3]) // from further away than a copy reaches
		all = append(all, random, half, bytes.Repeat([]byte("z"), n), bytes.Repeat([]byte("Lorem ipsum "), n/12+1))
	}
	return all
}

// readers are the ways to come by bytes.
var readers = map[string]func(p []byte) *Reader{
	"of memory": NewBytesReader,
	"of a file": func(p []byte) *Reader { return NewReader(bytes.NewReader(p)) },
	"of drops":  func(p []byte) *Reader { return NewReader(iotest.HalfReader(bytes.NewReader(p))) },
}

// Every string comes back, by each way to write and to read it, and the
// checksums of both sides are that of the bytes.
func TestStringsComeBack(t *testing.T) {
	ways := map[string]func(r *Reader) ([]byte, error){
		"AppendString": func(r *Reader) ([]byte, error) {
			p, err := r.AppendString([]byte("before"))
			return p[len("before"):], err
		},
		"ReadString": (*Reader).ReadString,
		"Element": func(r *Reader) ([]byte, error) {
			e, err := r.Element()
			return e.Bytes(nil), err
		},
		"Next": func(r *Reader) (all []byte, err error) {
			s, err := r.OpenString()
			for err == nil {
				var p []byte
				p, err = s.Next()
				if len(p) > MaxNext {
					t.Errorf("a piece of %d bytes", len(p))
				}
				all = append(all, p...)
			}
			if err == io.EOF {
				err = nil
			}
			return all, err
		},
		"Read": func(r *Reader) ([]byte, error) {
			s, err := r.OpenString()
			if err != nil {
				return nil, err
			}
			return io.ReadAll(s)
		},
		"Discard": func(r *Reader) ([]byte, error) { // of the rest
			s, err := r.OpenString()
			if err != nil {
				return nil, err
			}
			want := int(s.Len())
			part := make([]byte, want/3)
			if _, err := io.ReadFull(s, part); err != nil {
				return nil, err
			}
			err = s.Discard()
			if _, end := s.Next(); end != io.EOF {
				t.Errorf("behind the discarded: %v", end)
			}
			return append(part, make([]byte, want-len(part))...), err
		},
	}
	for _, compress := range []bool{false, true} {
		var file bytes.Buffer
		toFile := NewWriter(&file)
		toFile.Compress, toFile.Checksum = compress, true
		inMemory := Writer{Compress: compress, Checksum: true}
		for _, s := range texts() {
			toFile.String(s)
			inMemory.String(s)
		}
		if err := toFile.Flush(); err != nil {
			t.Fatal(err)
		}
		wire := file.Bytes()
		if sum := Checksum(0, wire); !bytes.Equal(inMemory.Collected(), wire) || inMemory.Sum() != sum || toFile.Sum() != sum {
			t.Errorf("%d bytes in memory, %d in a file, or other sums", len(inMemory.Collected()), len(wire))
		}
		if inMemory.Offset() != int64(len(wire)) || toFile.Offset() != int64(len(wire)) {
			t.Errorf("offsets %d and %d of %d", inMemory.Offset(), toFile.Offset(), len(wire))
		}
		for source, open := range readers {
			for way, read := range ways {
				r := open(wire)
				for i, want := range texts() {
					got, err := read(r)
					if way == "Discard" {
						want = bytes.Clone(want)
						clear(want[len(want)/3:])
					}
					if err != nil || !bytes.Equal(got, want) {
						t.Fatalf("%s %s, compressed %v: text %d of %d bytes came back as %d, %v", way, source, compress, i, len(want), len(got), err)
					}
				}
				if err := r.ExpectEnd(); err != nil || r.Offset() != int64(len(wire)) || r.Sum() != Checksum(0, wire) {
					t.Errorf("%s %s: %v, at %d of %d", way, source, err, r.Offset(), len(wire))
				}
			}
			r := open(wire)
			for range texts() {
				if err := r.SkipString(); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.ExpectEnd(); err != nil {
				t.Error("skipped: ", err)
			}
		}
	}
}

func TestPrimitivesComeBack(t *testing.T) {
	var w Writer
	w.Byte(7)
	w.Uint16(0x0201)
	w.Uint64(math.MaxUint64)
	w.Millis(-1)
	w.Double(math.Copysign(0, -1))
	w.Double(1.5)
	w.Int(math.MinInt64)
	w.Int(-129)
	w.Element(Int(5))
	w.Element(Str([]byte("five")))
	w.Write([]byte("raw"))
	want := "07" + "0102" + "ffffffffffffffff" + "ffffffffffffffff" + "0000000000000080" + "000000000000f83f" +
		"14" + hex.EncodeToString([]byte("-9223372036854775808")) + "c17fff" + "c005" + "0466697665" + "726177"
	if got := hex.EncodeToString(w.Collected()); got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}

	r := NewBytesReader(w.Collected())
	check := func(got, want any, err error) {
		t.Helper()
		if got != want || err != nil {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	b, err := r.Byte()
	check(b, byte(7), err)
	check(nil, nil, r.Skip(2))
	u, err := r.Uint64()
	check(u, uint64(math.MaxUint64), err)
	ms, err := r.Millis()
	check(ms, int64(-1), err)
	f, err := r.Double()
	check(math.Signbit(f), true, err)
	f, err = r.Double()
	check(f, 1.5, err)
	s, err := r.ReadString()
	check(string(s), "-9223372036854775808", err)
	e, err := r.Element()
	check(e.IsInt(), true, err)
	check(e.String(), "-129", err)
	e, err = r.Element()
	check(e.IsInt(), true, err)
	e, err = r.Element()
	check(e.IsInt(), false, err)
	check(e.String(), "five", err)
	p, err := r.Next(3)
	check(string(p), "raw", err)
	check(nil, nil, r.ExpectEnd())
}

func TestDoubleText(t *testing.T) {
	for _, c := range []struct {
		wire string
		want float64
		ok   bool
	}{
		{"\x011", 1, true},
		{"\x042.5e", 0, false},
		{"\x053e+20", 3e20, true},
		{"\x171.00000000000000011e+000", 1.0000000000000001, true},
		{"\x061e4000", math.Inf(1), true}, // as strtod
		{"\xfe", math.Inf(1), true},
		{"\xff", math.Inf(-1), true},
		{"\x00", 0, false},
		{"\x031_0", 0, false},
		{"\x09123", 0, false},
		{"", 0, false},
	} {
		got, err := NewBytesReader([]byte(c.wire)).DoubleText()
		if got != c.want || (err == nil) != c.ok || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q is %v, %v, want %v", c.wire, got, err, c.want)
		}
	}
	if got, err := NewBytesReader([]byte("\xfd")).DoubleText(); !math.IsNaN(got) || err != nil {
		t.Errorf("NaN is %v, %v", got, err)
	}
}

// damaged are strings that are not what they claim.
var damaged = []struct{ name, wire string }{
	{"nothing", ""},
	{"a length byte that does not exist", "\x82abc"},
	{"a form that does not exist", "\xc4abc"},
	{"a length that is cut off", "\x80\x00\x00"},
	{"a length of 14 bits that is cut off", "\x41"},
	{"an integer that is cut off", "\xc1\x05"},
	{"a string that is cut off", "\x05abc"},
	{"a string of 2 to the 64 bytes", "\x81\xff\xff\xff\xff\xff\xff\xff\xffabc"},
	{"a string of 2 to the 40 bytes", "\x81\x00\x00\x01\x00\x00\x00\x00\x00abc"},
	{"compressed without lengths", "\xc3"},
	{"compressed with an integer for a length", "\xc3\xc0\x01\x01a"},
	{"compressed bytes that are cut off", "\xc3\x0a\x05\x01ab"},
	{"compressed literals that are cut off", "\xc3\x03\x05\x04ab"},
	{"a compressed copy from before the beginning", "\xc3\x04\x04\x00a\x20\x05"},
	{"a compressed string that makes less than claimed", "\xc3\x03\x03\x01ab"},
	{"a compressed string that makes more than claimed", "\xc3\x03\x01\x01ab"},
	{"a compressed string that cannot make what is claimed", "\xc3\x02\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00a"},
	{"a compressed string of 2 to the 64 bytes", "\xc3\x81\xff\xff\xff\xff\xff\xff\xff\xff\x81\xff\xff\xff\xff\xff\xff\xff\xff\x00a"},
	{"long compressed bytes that are cut off", "\xc3\x80\x00\x01\x00\x01\x80\x00\x01\x00\x00\x00a"},
}

func TestDamagedStringsAreCorrupt(t *testing.T) {
	ways := map[string]func(r *Reader) error{
		"AppendString": func(r *Reader) error { _, err := r.AppendString(nil); return err },
		"ReadString":   func(r *Reader) error { _, err := r.ReadString(); return err },
		"Element":      func(r *Reader) error { _, err := r.Element(); return err },
		"OpenString": func(r *Reader) error {
			s, err := r.OpenString()
			if err == nil {
				_, err = io.Copy(io.Discard, s)
			}
			return err
		},
	}
	for _, c := range damaged {
		t.Run(c.name, func(t *testing.T) {
			for source, open := range readers {
				for way, read := range ways {
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					err := read(open([]byte(c.wire)))
					runtime.ReadMemStats(&after)
					if !errors.Is(err, ErrCorrupt) {
						t.Errorf("%s %s: %v", way, source, err)
					}
					if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
						t.Errorf("%s %s: %d bytes allocated", way, source, got)
					}
				}
			}
		})
	}
}

func TestLimitString(t *testing.T) {
	for _, c := range []struct {
		wire string
		want error
	}{
		{"\x05hello", nil},
		{"\x06hello!", ErrCorrupt},
		{"\xc3\x04\x05\x00a\x40\x00", nil},
		{"\xc3\x04\x06\x00a\x60\x00", ErrCorrupt},
		{"\xc2\xff\xff\xff\x00", nil}, // an integer has no length to limit
	} {
		r := NewBytesReader([]byte(c.wire))
		r.LimitString(5)
		if p, err := r.AppendString(nil); !errors.Is(err, c.want) {
			t.Errorf("%q: %q, %v, want %v", c.wire, p, err, c.want)
		}
		r = NewBytesReader([]byte(c.wire))
		r.LimitString(5)
		if _, err := r.OpenString(); !errors.Is(err, c.want) {
			t.Errorf("%q opened: %v, want %v", c.wire, err, c.want)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	r := NewReader(strings.NewReader("\x05hello\x82"))
	if _, err := r.ReadString(); err != nil {
		t.Fatal(err)
	}
	_, err := r.Length()
	if err == nil || err.Error() != "rdb: corrupt: length byte 0x82 at 6" {
		t.Error(err)
	}
	if err := r.Corruptf("no %s", "luck"); err.Error() != "rdb: corrupt: no luck, at 7" {
		t.Error(err)
	}
}

func TestErrorsOfTheSourceArePassedOn(t *testing.T) {
	broken := errors.New("broken disk")
	r := NewReader(io.MultiReader(strings.NewReader("\x05he"), iotest.ErrReader(broken)))
	if _, err := r.ReadString(); !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

func TestExpectEnd(t *testing.T) {
	broken := errors.New("broken disk")
	for _, c := range []struct {
		name string
		r    *Reader
		want error
	}{
		{"of memory", NewBytesReader([]byte("\x01")), nil},
		{"of memory with more", NewBytesReader([]byte("\x01\x02")), ErrCorrupt},
		{"of a file", NewReader(strings.NewReader("\x01")), nil},
		{"of a file with more", NewReader(strings.NewReader("\x01\x02")), ErrCorrupt},
		{"of drops with more", NewReader(iotest.OneByteReader(strings.NewReader("\x01\x02"))), ErrCorrupt},
		{"of a broken file", NewReader(io.MultiReader(strings.NewReader("\x01"), iotest.ErrReader(broken))), broken},
	} {
		if _, err := c.r.Byte(); err != nil {
			t.Fatal(err)
		}
		if err := c.r.ExpectEnd(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// Memory for a compressed string that is read in pieces does not grow with it.
func TestPiecesOfACompressedStringTakeAWindow(t *testing.T) {
	var w Writer
	w.Compress = true
	w.String(bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16*16))
	packed := w.Collected()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s, err := NewReader(bytes.NewReader(packed)).OpenString()
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, onlyReader{s})
	runtime.ReadMemStats(&after)
	if n != 64<<20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes allocated for %d", got, n)
	}
}

type onlyReader struct{ io.Reader }

// FuzzReader reads the bytes as strings, three times: whole, in pieces, and
// from a source that gives a byte at a time. All have to agree.
func FuzzReader(f *testing.F) {
	for _, c := range damaged {
		f.Add([]byte(c.wire))
	}
	w := Writer{Compress: true}
	for _, s := range texts()[:12] {
		w.String(s)
	}
	f.Add(w.Collected())
	f.Fuzz(func(t *testing.T, p []byte) {
		whole, pieces := NewBytesReader(p), NewReader(iotest.OneByteReader(bytes.NewReader(p)))
		// The sum of what compression can make of a fuzzer's input is small,
		// but not what it claims.
		for {
			a, errA := whole.AppendString(nil)
			s, errB := pieces.OpenString()
			var b []byte
			if errB == nil {
				b, errB = io.ReadAll(s)
			}
			if (errA == nil) != (errB == nil) || errA == nil && !bytes.Equal(a, b) {
				t.Fatalf("whole %q, %v; in pieces %q, %v", a, errA, b, errB)
			}
			if errA != nil {
				if !errors.Is(errA, ErrCorrupt) || !errors.Is(errB, ErrCorrupt) {
					t.Fatalf("%v, %v", errA, errB)
				}
				return
			}
			if whole.Offset() != pieces.Offset() || whole.Sum() != pieces.Sum() {
				t.Fatalf("at %d and %d", whole.Offset(), pieces.Offset())
			}
		}
	})
}

func TestRawStringIsReadLater(t *testing.T) {
	strings := append(texts(), bytes.Repeat([]byte("y"), MaxNext+1))
	for _, compress := range []bool{false, true} {
		var file bytes.Buffer
		w := NewWriter(&file)
		w.Compress = compress
		for _, s := range strings {
			w.String(s)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		r, later := NewReader(iotest.OneByteReader(&file)), NewBytesReader(nil)
		for _, s := range strings {
			raw, ok, err := r.RawString(10_000)
			if err != nil {
				t.Fatal(err)
			}
			from := r
			if ok {
				from = later
				later.Reset(raw)
			} else if len(s) < 10_000 {
				t.Errorf("a string of %d bytes is too long", len(s))
			}
			if got, err := from.ReadString(); err != nil || !bytes.Equal(got, s) {
				t.Errorf("%d bytes, compress %v: %d bytes, %v", len(s), compress, len(got), err)
			}
			if err := later.ExpectEnd(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestRawStringOfACutFile(t *testing.T) {
	for _, file := range []string{"", "\x05abc", "\x80\x00", "\xC3", "\xC3\x05", "\xC1\x01", "\x83", "\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"} {
		r := NewReader(strings.NewReader(file))
		raw, ok, err := r.RawString(MaxNext)
		if err == nil && !ok {
			_, err = r.ReadString()
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %q, %v", file, raw, err)
		}
	}
}
