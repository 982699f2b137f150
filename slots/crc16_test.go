package slots

import (
	"math/rand/v2"
	"testing"
)

// bitwise is the definition of the checksum, a bit at a time.
func bitwise(b []byte) uint16 {
	var c uint16
	for _, x := range b {
		c ^= uint16(x) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ 0x1021
			} else {
				c <<= 1
			}
		}
	}
	return c
}

func TestCRC16IsThatOfTheSpecification(t *testing.T) {
	if got := crc16([]byte("123456789")); got != 0x31c3 {
		t.Errorf("the check value is %#x, not 0x31c3", got)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for length := range 70 {
		for range 50 {
			b := make([]byte, length)
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			if got, want := crc16(b), bitwise(b); got != want {
				t.Fatalf("crc16(%x) is %#x, not %#x", b, got, want)
			}
		}
	}
}

func BenchmarkOf(b *testing.B) {
	key := []byte("key:000000012345")
	for b.Loop() {
		Of(key)
	}
}
