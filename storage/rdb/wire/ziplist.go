package wire

import (
	"encoding/binary"
	"math"
)

// A ziplist, which Redis wrote until 6.2, is a header of ten bytes (total
// bytes, uint32, offset of the last entry, uint32, and number of entries,
// uint16, all little endian), the entries, and an end mark. An entry is the
// length of the one before it ("prevlen"), an encoding, and the data.
const (
	ziplistHeaderBytes = 10
	ziplistEnd         = 0xFF
	ziplistManyEntries = math.MaxUint16 // the header says "count them yourself"
	ziplistLongPrevlen = 0xFE           // a uint32 follows
)

// Encoding bytes of ziplist entries.
const (
	zlStr6   = 0x00 // 00xxxxxx, the length
	zlStr14  = 0x40 // 01xxxxxx, the length, and a byte more of it
	zlStr32  = 0x80 // 10------, four bytes of length, big endian
	zlInt16  = 0xC0
	zlInt32  = 0xD0
	zlInt64  = 0xE0
	zlInt24  = 0xF0
	zlMinImm = 0xF1 // 0
	zlMaxImm = 0xFD // 12
	zlInt8   = 0xFE
)

// ParseZiplist checks all of b, as ziplistValidateIntegrity does with deep set,
// and returns the elements. It keeps b.
func ParseZiplist(b []byte) (Packed, error) {
	if len(b) < ziplistHeaderBytes+1 {
		return Packed{}, Corruptf("ziplist of %d bytes", len(b))
	}
	if total := binary.LittleEndian.Uint32(b); uint64(total) != uint64(len(b)) {
		return Packed{}, Corruptf("ziplist of %d bytes says it has %d", len(b), total)
	}
	if b[len(b)-1] != ziplistEnd {
		return Packed{}, Corruptf("ziplist ends with 0x%02x", b[len(b)-1])
	}
	p := Packed{entries: b[ziplistHeaderBytes : len(b)-1], format: formatZiplist}
	last, before := 0, 0 // where the last entry begins, and its length
	for pos := 0; pos < len(p.entries); p.n++ {
		prevlen, skip := ziplistPrevlen(p.entries[pos:])
		if skip == 0 || prevlen != uint64(before) {
			return Packed{}, Corruptf("ziplist entry %d at %d: the one before has %d bytes, not %d", p.n, ziplistHeaderBytes+pos, before, prevlen)
		}
		_, size := ziplistEntry(p.entries[pos+skip:])
		if size == 0 {
			return Packed{}, Corruptf("ziplist entry %d at %d: no such encoding, or cut off", p.n, ziplistHeaderBytes+pos)
		}
		last, before = pos, skip+size
		pos += skip + size
	}
	if tail := binary.LittleEndian.Uint32(b[4:]); uint64(tail) != uint64(ziplistHeaderBytes+last) {
		return Packed{}, Corruptf("ziplist has its last entry at %d, says at %d", ziplistHeaderBytes+last, tail)
	}
	if count := int(binary.LittleEndian.Uint16(b[8:])); count != p.n && count != ziplistManyEntries {
		return Packed{}, Corruptf("ziplist of %d elements says it has %d", p.n, count)
	}
	return p, nil
}

// prevlenBytes returns how many bytes a prevlen takes that begins with first.
func prevlenBytes(first byte) int {
	if first < ziplistLongPrevlen {
		return 1
	}
	return 5
}

// ziplistPrevlen reads the prevlen at the beginning of b; size is 0 if there is
// none. Ziplists that shrank have long forms of small lengths.
func ziplistPrevlen(b []byte) (prevlen uint64, size int) {
	switch {
	case len(b) == 0 || b[0] == ziplistEnd:
		return 0, 0
	case b[0] < ziplistLongPrevlen:
		return uint64(b[0]), 1
	case len(b) < 5:
		return 0, 0
	}
	return uint64(binary.LittleEndian.Uint32(b[1:])), 5
}

// ziplistEntry reads the encoding and data at the beginning of b, behind the
// prevlen. size is 0 if they are not complete.
func ziplistEntry(b []byte) (e Element, size int) {
	if len(b) == 0 {
		return Element{}, 0
	}
	switch first := b[0]; {
	case first < zlStr14:
		return stringEntry(b, 1, uint64(first))
	case first < zlStr32:
		if len(b) < 2 {
			return Element{}, 0
		}
		return stringEntry(b, 2, uint64(first&0x3F)<<8|uint64(b[1]))
	case first < zlInt16: // Redis ignores the low bits too
		if len(b) < 5 {
			return Element{}, 0
		}
		return stringEntry(b, 5, uint64(binary.BigEndian.Uint32(b[1:])))
	case first == zlInt16:
		return intEntry(b, 2)
	case first == zlInt32:
		return intEntry(b, 4)
	case first == zlInt64:
		return intEntry(b, 8)
	case first == zlInt24:
		return intEntry(b, 3)
	case first == zlInt8:
		return intEntry(b, 1)
	case first >= zlMinImm && first <= zlMaxImm:
		return Int(int64(first - zlMinImm)), 1
	}
	return Element{}, 0
}
