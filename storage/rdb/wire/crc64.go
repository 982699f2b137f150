package wire

import "encoding/binary"

// crcPolynomial is that of Redis's CRC64, the one called "Jones", reflected.
// The initial value is 0, and nothing is inverted.
const crcPolynomial = 0x95ac9329ac4bc9b5

// crcStride is how many bytes Checksum takes at once.
const crcStride = 8

// crcTables has, for each byte and each distance of the byte from the end of a
// stride, what the byte adds to the CRC behind the stride.
var crcTables = makeCRCTables()

func makeCRCTables() *[crcStride][256]uint64 {
	t := new([crcStride][256]uint64)
	for b := range 256 {
		crc := uint64(b)
		for range 8 {
			crc = crc>>1 ^ -(crc&1)&crcPolynomial
		}
		t[0][b] = crc
	}
	for b := range 256 {
		for i := 1; i < crcStride; i++ {
			before := t[i-1][b]
			t[i][b] = before>>8 ^ t[0][byte(before)]
		}
	}
	return t
}

// Checksum adds p to a CRC, which is 0 at first. It is Redis's crc64().
//
// hash/crc64 would do, but with a polynomial that is not one of its two it goes
// by single bytes below 2 KiB, which takes ten times as long for a small payload.
func Checksum(crc uint64, p []byte) uint64 {
	t := crcTables
	for len(p) >= crcStride {
		x := crc ^ binary.LittleEndian.Uint64(p)
		crc = t[7][byte(x)] ^ t[6][byte(x>>8)] ^ t[5][byte(x>>16)] ^ t[4][byte(x>>24)] ^
			t[3][byte(x>>32)] ^ t[2][byte(x>>40)] ^ t[1][byte(x>>48)] ^ t[0][byte(x>>56)]
		p = p[crcStride:]
	}
	for _, b := range p {
		crc = t[0][byte(crc)^b] ^ crc>>8
	}
	return crc
}
