package wire

import (
	"encoding/hex"
	"hash/crc64"
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
			var w Writer
			w.String([]byte(c.value))
			got := w.Collected()
			if hex.EncodeToString(got) != c.want {
				t.Errorf("%q is %x, want %s", c.value, got, c.want)
			}
			back, err := NewBytesReader(got).AppendString(nil)
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
		var w Writer
		w.Length(c.n)
		got := w.Collected()
		if hex.EncodeToString(got) != c.want {
			t.Errorf("%d is %x, want %s", c.n, got, c.want)
		}
		if back, err := NewBytesReader(got).Length(); err != nil || back != c.n {
			t.Errorf("%d read back: %d, %v", c.n, back, err)
		}
	}
}

func TestChecksum(t *testing.T) {
	if got := Checksum(0, []byte("123456789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("check value %x", got)
	}
	// The standard library inverts the value before and after.
	std := crc64.MakeTable(crcPolynomial)
	p := make([]byte, 300)
	rand.New(rand.NewSource(1)).Read(p)
	for n := range p {
		for _, before := range []uint64{0, 1, ^uint64(0), 0x0123456789abcdef} {
			if got, want := Checksum(before, p[:n]), ^crc64.Update(^before, std, p[:n]); got != want {
				t.Fatalf("%d bytes behind %x: %x, want %x", n, before, got, want)
			}
		}
	}
}
