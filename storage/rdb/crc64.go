package rdb

import "hash/crc64"

// crcTable is for Redis's CRC64 ("Jones": reflected polynomial below, initial
// value 0, no final xor).
var crcTable = crc64.MakeTable(0x95ac9329ac4bc9b5)

// checksum adds p to a CRC. The standard library inverts the value before and
// after, which Redis does not, so it is inverted here too; it works on eight
// bytes at a time from 2 KiB on, so callers should bring large pieces.
func checksum(crc uint64, p []byte) uint64 {
	return ^crc64.Update(^crc, crcTable, p)
}
