package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// fuzzPacked parses what the fuzzer brings. Damage is ErrCorrupt; what passes
// can be iterated over to its end, and its elements, packed anew, are the same.
func fuzzPacked(t *testing.T, b []byte, parse func([]byte) (Packed, error)) {
	before := bytes.Clone(b)
	p, err := parse(b)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		return
	}
	var l ListpackBuilder
	var all []string
	for e := range p.All() {
		all = append(all, e.String())
		l.AppendElement(e)
	}
	if len(all) != p.Len() {
		t.Fatalf("%d elements, Len %d", len(all), p.Len())
	}
	again, err := ParseListpack(l.Finish())
	if err != nil || !slices.Equal(elementsOf(again), all) {
		t.Fatalf("%q came back as %q, %v", all, elementsOf(again), err)
	}
	checkAgainstMap(t, p, all)
	if !bytes.Equal(b, before) {
		t.Fatal("the bytes were changed")
	}
}

// checkAgainstMap compares the checks with a table of what is there.
func checkAgainstMap(t *testing.T, p Packed, all []string) {
	distinct := func(step int) bool {
		seen := map[string]bool{}
		for i := 0; i < len(all); i += step {
			if seen[all[i]] {
				return false
			}
			seen[all[i]] = true
		}
		return true
	}
	isHash := len(all)%2 == 0 && distinct(2)
	if (p.CheckHash() == nil) != isHash {
		t.Fatalf("%q: hash %v, %v", all, isHash, p.CheckHash())
	}
	if p.format != formatZipmap && (p.CheckSet() == nil) != distinct(1) {
		t.Fatalf("%q: set %v, %v", all, distinct(1), p.CheckSet())
	}
	if err := p.CheckZSet(); err == nil && !isHash {
		t.Fatalf("%q passes as a sorted set", all)
	}
}

// A fuzzer seldom gets the header right that says how long all is, so each
// target also tries what it brings as entries alone, with a right header.

func FuzzListpack(f *testing.F) {
	for _, payload := range goldenDumps(f) {
		if len(payload) < 4096 && payload[0] != typeSetIntset {
			_, blobs := parseValue(f, payload[:len(payload)-trailerBytes])
			f.Add(blobs[0])
			f.Add(blobs[0][listpackHeaderBytes : len(blobs[0])-1])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzPacked(t, b, ParseListpack)
		framed := append(make([]byte, listpackHeaderBytes), b...)
		framed = append(framed, listpackEnd)
		binary.LittleEndian.PutUint32(framed, uint32(len(framed)))
		binary.LittleEndian.PutUint16(framed[4:], listpackManyEntries)
		fuzzPacked(t, framed, ParseListpack)
	})
}

func FuzzZiplist(f *testing.F) {
	for _, b := range [][]byte{ziplistOf(), ziplistOf(edges...), ziplistOf("a", "1", strings.Repeat("b", 300), "2")} {
		f.Add(b)
		f.Add(b[ziplistHeaderBytes : len(b)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzPacked(t, b, ParseZiplist)
		framed := endZiplist(append(make([]byte, ziplistHeaderBytes), b...), 0, ziplistManyEntries)
		for at := range len(b) + 1 { // one of these is where the last entry begins
			binary.LittleEndian.PutUint32(framed[4:], uint32(ziplistHeaderBytes+at))
			fuzzPacked(t, framed, ParseZiplist)
		}
	})
}

func FuzzZipmap(f *testing.F) {
	for _, b := range [][]byte{zipmapOf(), zipmapOf("a", "1", "b", "2", "c", "3"), zipmapOf(strings.Repeat("f", 300), "v")} {
		f.Add(b)
		f.Add(b[1 : len(b)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzPacked(t, b, ParseZipmap)
		fuzzPacked(t, append(append([]byte{zipmapManyPairs}, b...), zipmapEnd), ParseZipmap)
	})
}

func FuzzIntset(f *testing.F) {
	for _, b := range [][]byte{intsetOf(), intsetOf(-5, 0, 7), intsetOf(-5, 0, 70000), intsetOf(-5, 0, 1<<40)} {
		f.Add(b)
		f.Add(b[intsetHeaderBytes:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzPacked(t, b, ParseIntset)
		for _, width := range []int{2, 4, 8} {
			framed := binary.LittleEndian.AppendUint32(nil, uint32(width))
			framed = binary.LittleEndian.AppendUint32(framed, uint32(len(b)/width))
			fuzzPacked(t, append(framed, b...), ParseIntset)
		}
	})
}

// FuzzBuilder packs strings that the fuzzer separates with a byte of its own.
func FuzzBuilder(f *testing.F) {
	f.Add([]byte("1,-2,three,007,9223372036854775807"), byte(','))
	f.Fuzz(func(t *testing.T, text []byte, separator byte) {
		var l ListpackBuilder
		size := l.Size()
		var want []string
		for s := range bytes.SplitSeq(text, []byte{separator}) {
			l.Append(s)
			want = append(want, string(s))
			if size += ListpackEntryBytes(s); size != l.Size() {
				t.Fatalf("%q takes other than %d bytes", s, ListpackEntryBytes(s))
			}
		}
		b := l.Finish()
		p, err := ParseListpack(b)
		if err != nil || !slices.Equal(elementsOf(p), want) || len(b) != size {
			t.Fatalf("%q came back as %q, %v", want, elementsOf(p), err)
		}
	})
}

// Nothing that a parser or check is given makes it allocate more than a few
// times as much.
func TestDamageAllocatesLittle(t *testing.T) {
	parsers := []func([]byte) (Packed, error){ParseListpack, ParseZiplist, ParseZipmap, ParseIntset}
	huge := unhex(t, "ffffffff ffffffff ffff f0ffffffff 80ffffffff feffffffff ff")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, parse := range parsers {
		for n := range huge {
			parse(huge[n:])
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes allocated", got)
	}
}
