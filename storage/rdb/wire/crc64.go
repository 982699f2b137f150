package wire

import "hash/crc64"

// crcTable is for Redis's CRC64, the one called "Jones": the reflected
// polynomial below, initial value 0, no final xor.
var crcTable = crc64.MakeTable(0x95ac9329ac4bc9b5)

// Checksum adds p to a CRC, which is 0 at first. It is Redis's crc64().
//
// The standard library inverts the value before and after, which Redis does
// not, so it is inverted here too. It works on eight bytes at a time from
// 2 KiB on: callers should bring large pieces.
func Checksum(crc uint64, p []byte) uint64 {
	return ^crc64.Update(^crc, crcTable, p)
}
