package rdb

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand"
	"strings"
	"testing"
)

func TestStringForms(t *testing.T) {
	cases := []struct {
		name, value, want string // want in hexadecimal
	}{
		{"zero is an int8", "0", "c000"},
		{"the smallest int8", "-128", "c080"},
		{"one above int8 is an int16", "128", "c18000"},
		{"one above int16 is an int32", "32768", "c200800000"},
		{"the smallest int32", "-2147483648", "c200000080"},
		{"one above int32 is plain", "2147483648", "0a32313437343833363438"},
		{"a leading zero is plain", "007", "03303037"},
		{"minus zero is plain", "-0", "022d30"},
		{"a plus sign is plain", "+1", "022b31"},
		{"a lone minus is plain", "-", "012d"},
		{"an underscore is plain", "1_0", "03315f30"},
		{"the empty string", "", "00"},
		{"64 bytes take a 14-bit length", strings.Repeat("x", 64), "4040" + strings.Repeat("78", 64)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := new(Encoder).appendString(nil, []byte(c.value))
			if hex.EncodeToString(got) != c.want {
				t.Errorf("%q is %x, want %s", c.value, got, c.want)
			}
			back, err := (&source{buf: got, end: len(got)}).appendString(nil)
			if err != nil || string(back) != c.value {
				t.Errorf("read back: %q, %v", back, err)
			}
		})
	}
}

func TestLengths(t *testing.T) {
	cases := []struct {
		n    uint64
		want string
	}{
		{0, "00"}, {63, "3f"}, {64, "4040"}, {16383, "7fff"}, {16384, "8000004000"},
		{1<<32 - 1, "80ffffffff"}, {1 << 32, "810000000100000000"}, {1<<64 - 1, "81ffffffffffffffff"},
	}
	for _, c := range cases {
		got := appendLength(nil, c.n)
		if hex.EncodeToString(got) != c.want {
			t.Errorf("%d is %x, want %s", c.n, got, c.want)
		}
		if back, err := (&source{buf: got, end: len(got)}).length(); err != nil || back != c.n {
			t.Errorf("%d read back: %d, %v", c.n, back, err)
		}
	}
}

// Payloads as a real redis-server 7.0.15 answers DUMP.
func TestPayloadsOfRealRedis(t *testing.T) {
	cases := []struct{ payload, value string }{
		{"\x00\x05hello\n\x00cr\xdfve4 \n", "hello"},
		{"\x00\xc2\x90\xee\xfe\xff\n\x00(u\xde{\x13\xeb(\x00", "-70000"},
		{"\x00\xc3\t*\x01aa\xe0\x1d\x00\x01aa\n\x00\xf2`\x95\xdcM\\\xa9X", strings.Repeat("a", 42)},
	}
	for _, c := range cases {
		var e Entry
		if err := DecodePayload([]byte(c.payload), &e); err != nil || string(e.Value) != c.value {
			t.Errorf("%q: %q, %v", c.payload, e.Value, err)
		}
		// Compressors may differ, so the third is compared by what it means.
		enc := Encoder{Compress: true}
		ours, err := enc.AppendPayload(nil, &Entry{Value: []byte(c.value)})
		if err != nil || len(c.value) <= compressAbove && string(ours) != c.payload {
			t.Errorf("ours %q, %v", ours, err)
		}
		if err := DecodePayload(ours, &e); err != nil || string(e.Value) != c.value {
			t.Errorf("ours %q read back: %q, %v", ours, e.Value, err)
		}
	}
}

func TestPayloadRefusals(t *testing.T) {
	sign := func(body string, version byte) []byte {
		p := append([]byte(body), version, 0)
		crc := checksum(0, p)
		for range 8 {
			p = append(p, byte(crc))
			crc >>= 8
		}
		return p
	}
	flipped := sign("\x00\x01a", 10)
	flipped[2] ^= 1
	cases := []struct {
		name    string
		payload []byte
		want    error
	}{
		{"version 12 is read", sign("\x00\x01a", 12), nil},
		{"version 80 is read", sign("\x00\x01a", 80), nil},
		{"version 13 is refused", sign("\x00\x01a", 13), ErrPayload},
		{"version 0 is refused", sign("\x00\x01a", 0), ErrPayload},
		{"a flipped bit is refused", flipped, ErrPayload},
		{"a trailer alone holds no value", sign("", 10), ErrCorrupt},
		{"nothing is refused", nil, ErrPayload},
		{"a string that is cut off is bad data", sign("\x00\x05a", 10), ErrCorrupt},
		{"a type without value is bad data", sign("\x00", 10), ErrCorrupt},
		{"bytes behind the value are bad data", sign("\x00\x01ab", 10), ErrCorrupt},
		{"an unknown type is bad data", sign("\x3f\x01a", 10), ErrCorrupt},
		{"an opcode is bad data", sign("\xff\x01a", 10), ErrCorrupt},
		{"a list is not supported yet", sign("\x01\x01\x01a", 10), ErrUnsupportedType},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := bytes.Clone(c.payload)
			if err := DecodePayload(c.payload, new(Entry)); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if !bytes.Equal(before, c.payload) {
				t.Error("the payload was changed")
			}
		})
	}
}

// lzfInputs are texts of all kinds: repeating, random, short, long.
func lzfInputs() [][]byte {
	rnd := rand.New(rand.NewSource(7))
	inputs := [][]byte{
		[]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
		[]byte("abcabcabcabcabcabcabcabcabcabcabcabcabcab"),
		bytes.Repeat([]byte("x"), 100000),
		bytes.Repeat([]byte("0123456789abcdef"), 2000),
	}
	for range 200 {
		p := make([]byte, 21+rnd.Intn(30000))
		for i := range p {
			if i > 8 && rnd.Intn(4) > 0 {
				p[i] = p[i-1-rnd.Intn(8)]
			} else {
				p[i] = byte(rnd.Intn(6))
			}
		}
		inputs = append(inputs, p)
	}
	return inputs
}

func TestLZFRoundTrip(t *testing.T) {
	var c compressor
	for _, in := range lzfInputs() {
		packed, ok := c.appendLZF([]byte("before"), in, len(in)-compressSavings)
		if !ok {
			continue
		}
		packed = packed[len("before"):]
		if len(packed) > len(in)-compressSavings {
			t.Errorf("%d bytes became %d", len(in), len(packed))
		}
		out, err := appendUnLZF([]byte("x"), packed, uint64(len(in)))
		if err != nil || !bytes.Equal(out[1:], in) {
			t.Fatalf("%d bytes do not come back: %v", len(in), err)
		}
	}
	random := make([]byte, 1000)
	rand.New(rand.NewSource(3)).Read(random)
	if _, ok := c.appendLZF(nil, random, len(random)-compressSavings); ok {
		t.Error("random bytes were compressed")
	}
}

// Positions run on over inputs; when they would overflow, the table starts anew.
func TestLZFPositionsWrap(t *testing.T) {
	var c compressor
	in := bytes.Repeat([]byte("wrap around "), 50)
	for _, base := range []uint32{1<<32 - 10, 1<<32 - 1} {
		c.appendLZF(nil, in, len(in))
		c.base = base
		packed, ok := c.appendLZF(nil, in, len(in))
		out, err := appendUnLZF(nil, packed, uint64(len(in)))
		if !ok || err != nil || !bytes.Equal(out, in) {
			t.Errorf("base %d: %v %v", base, ok, err)
		}
	}
}

func TestLZFDamage(t *testing.T) {
	cases := []struct {
		name, packed string
		size         uint64
	}{
		{"literals are cut off", "\x05ab", 6},
		{"a copy is cut off", "\x00a\x20", 4},
		{"the length of a copy is cut off", "\x00a\xe0", 20},
		{"a copy from before the beginning", "\x00a\x20\x05", 4},
		{"fewer bytes than claimed", "\x01ab", 3},
		{"more bytes than claimed", "\x01ab", 1},
		{"more bytes than can be", "\x01ab", 1000},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := appendUnLZF(nil, []byte(c.packed), c.size); !errors.Is(err, ErrCorrupt) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	for _, name := range []string{"strings.rdb", "idle.rdb", "freq.rdb", "hash.rdb", "function.rdb", "empty.rdb"} {
		f.Add(golden(f, name))
	}
	f.Add(writeGolden(f, Options{Compress: true}))
	f.Fuzz(func(t *testing.T, file []byte) {
		Check(bytes.NewReader(file))
		// The checksum stops most changed files at their end only, but a
		// changed file without one must do no harm either.
		if len(file) > 8 {
			file = bytes.Clone(file) // it is the fuzzer's
			clear(file[len(file)-8:])
			Check(bytes.NewReader(file))
		}
	})
}

func FuzzPayload(f *testing.F) {
	for _, value := range []string{"", "1", "-70000", "hello", strings.Repeat("ab", 100)} {
		p, err := (&Encoder{Compress: true}).AppendPayload(nil, &Entry{Value: []byte(value)})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p[:len(p)-payloadTrailerBytes])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		DecodePayload(body, new(Entry))
		p := append(bytes.Clone(body), Version, 0)
		crc := checksum(0, p)
		for range 8 {
			p = append(p, byte(crc))
			crc >>= 8
		}
		var e Entry
		if DecodePayload(p, &e) != nil {
			return
		}
		again, err := (&Encoder{Compress: true}).AppendPayload(nil, &e)
		var back Entry
		if err != nil || DecodePayload(again, &back) != nil || !bytes.Equal(back.Value, e.Value) {
			t.Errorf("%q does not come back: %v", e.Value, err)
		}
	})
}

func FuzzLZF(f *testing.F) {
	f.Add([]byte("abcabcabcabcabcabcabcabcabc"), uint32(30))
	f.Add([]byte("\x00a\xe0\xff\x00"), uint32(265))
	f.Fuzz(func(t *testing.T, in []byte, size uint32) {
		appendUnLZF(nil, in, uint64(size))
		var c compressor
		packed, ok := c.appendLZF(nil, in, 2*len(in)+8)
		out, err := appendUnLZF(nil, packed, uint64(len(in)))
		if !ok || err != nil || !bytes.Equal(out, in) {
			t.Errorf("%q does not come back: %v", in, err)
		}
	})
}
