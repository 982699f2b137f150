package wire

import (
	"bytes"
	"errors"
	"math/rand"
	"testing"
)

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
		if n, ok := c.measure(in, len(in)-compressSavings); n != len(packed) || !ok {
			t.Errorf("%d bytes become %d, measured are %d, %v", len(in), len(packed), n, ok)
		}
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
	if _, ok := c.measure(random, len(random)-compressSavings); ok {
		t.Error("random bytes were measured as worth compressing")
	}
}

// Positions run on over inputs; when they would overflow, the table starts anew.
func TestLZFPositionsWrap(t *testing.T) {
	var c compressor
	in := bytes.Repeat([]byte("wrap around "), 50)
	for _, base := range []uint32{1<<32 - 10, 1<<32 - 1} {
		c.appendLZF(nil, in, len(in))
		c.next = base
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
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := appendUnLZF(nil, []byte(c.packed), c.size); !errors.Is(err, ErrCorrupt) {
				t.Errorf("got %v", err)
			}
		})
	}
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
