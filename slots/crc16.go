package slots

// crc16Table is for CRC16-CCITT as XMODEM uses it: polynomial 0x1021, initial
// value 0, nothing reflected, no final xor (Redis Cluster specification).
//
// Row 0 is the classic table by the byte. Row k is what a byte does to the
// remainder when k more bytes follow, so that four bytes are taken in at once
// by look-ups that do not wait for each other ("slicing by four"). The hash of
// the key is on the path of every command.
var crc16Table = func() (t [4][256]uint16) {
	for i := range t[0] {
		c := uint16(i) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ 0x1021
			} else {
				c <<= 1
			}
		}
		t[0][i] = c
	}
	for k := 1; k < len(t); k++ {
		for i, c := range t[k-1] {
			t[k][i] = c<<8 ^ t[0][c>>8]
		}
	}
	return t
}()

func crc16(b []byte) uint16 {
	var c uint16
	for ; len(b) >= 4; b = b[4:] {
		c = crc16Table[3][b[0]^byte(c>>8)] ^ crc16Table[2][b[1]^byte(c)] ^ crc16Table[1][b[2]] ^ crc16Table[0][b[3]]
	}
	for _, x := range b {
		c = c<<8 ^ crc16Table[0][byte(c>>8)^x]
	}
	return c
}
