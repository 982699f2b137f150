package wire

import (
	"encoding/binary"
	"math"
)

// A listpack is a header of six bytes (total bytes, uint32, and number of
// elements, uint16, both little endian), the entries, and an end mark. An entry
// is an encoding byte with its data, and behind them their length ("backlen"),
// by which Redis walks backwards.
const (
	listpackHeaderBytes = 6
	listpackEnd         = 0xFF
	listpackManyEntries = math.MaxUint16 // the header says "count them yourself"
)

// Encoding bytes of listpack entries. The first four share the byte with data.
const (
	lpUint7 = 0x00 // 0xxxxxxx, the integer
	lpStr6  = 0x80 // 10xxxxxx, the length
	lpInt13 = 0xC0 // 110xxxxx, and a byte more
	lpStr12 = 0xE0 // 1110xxxx, the length, and a byte more of it
	lpStr32 = 0xF0
	lpInt16 = 0xF1
	lpInt24 = 0xF2
	lpInt32 = 0xF3
	lpInt64 = 0xF4
)

// The ranges of the two integer forms that are not whole bytes.
const (
	lpMaxUint7 = 1<<7 - 1
	lpMinInt13 = -1 << 12
	lpMaxInt13 = 1<<12 - 1
)

// ParseListpack checks all of b, as lpValidateIntegrity does with deep set, and
// returns the elements. It keeps b.
func ParseListpack(b []byte) (Packed, error) {
	if len(b) < listpackHeaderBytes+1 {
		return Packed{}, Corruptf("listpack of %d bytes", len(b))
	}
	if total := binary.LittleEndian.Uint32(b); uint64(total) != uint64(len(b)) {
		return Packed{}, Corruptf("listpack of %d bytes says it has %d", len(b), total)
	}
	if b[len(b)-1] != listpackEnd {
		return Packed{}, Corruptf("listpack ends with 0x%02x", b[len(b)-1])
	}
	p := Packed{entries: b[listpackHeaderBytes : len(b)-1], format: formatListpack}
	for pos := 0; pos < len(p.entries); p.n++ {
		_, size := listpackEntry(p.entries[pos:])
		if size == 0 {
			return Packed{}, Corruptf("listpack entry %d at %d: encoding 0x%02x, or cut off", p.n, listpackHeaderBytes+pos, p.entries[pos])
		}
		pos += size
		n := backlenBytes(size)
		if len(p.entries)-pos < n || !isBacklen(p.entries[pos:pos+n], size) {
			return Packed{}, Corruptf("listpack entry %d of %d bytes has another length behind it, at %d", p.n, size, listpackHeaderBytes+pos)
		}
		pos += n
	}
	if count := int(binary.LittleEndian.Uint16(b[4:])); count != p.n && count != listpackManyEntries {
		return Packed{}, Corruptf("listpack of %d elements says it has %d", p.n, count)
	}
	return p, nil
}

// listpackEntry reads the entry at the beginning of b. size is that of its
// encoding and data, or 0 if there is no complete entry.
func listpackEntry(b []byte) (e Element, size int) {
	if len(b) == 0 {
		return Element{}, 0
	}
	switch first := b[0]; {
	case first < lpStr6:
		return Int(int64(first)), 1
	case first < lpInt13:
		return stringEntry(b, 1, uint64(first&0x3F))
	case first < lpStr12:
		if len(b) < 2 {
			return Element{}, 0
		}
		// The 13 bits move to the top, to come down again with their sign.
		return Int(int64(int16(uint16(first)<<11|uint16(b[1])<<3) >> 3)), 2
	case first < lpStr32:
		if len(b) < 2 {
			return Element{}, 0
		}
		return stringEntry(b, 2, uint64(first&0x0F)<<8|uint64(b[1]))
	case first == lpStr32:
		if len(b) < 5 {
			return Element{}, 0
		}
		return stringEntry(b, 5, uint64(binary.LittleEndian.Uint32(b[1:])))
	case first <= lpInt32:
		return intEntry(b, int(first-lpInt16)+2)
	case first == lpInt64:
		return intEntry(b, 8)
	}
	return Element{}, 0
}

// stringEntry returns the string of n bytes that follows a head.
func stringEntry(b []byte, head int, n uint64) (e Element, size int) {
	if n > uint64(len(b)-head) {
		return Element{}, 0
	}
	end := head + int(n)
	return Element{str: b[head:end:end]}, end
}

// intEntry returns the integer of width bytes, little endian, that follows an
// encoding byte.
func intEntry(b []byte, width int) (e Element, size int) {
	if len(b) < 1+width {
		return Element{}, 0
	}
	return Int(littleEndian(b[1 : 1+width])), 1 + width
}

// littleEndian reads a signed integer of 1, 2, 3, 4 or 8 bytes.
func littleEndian(p []byte) int64 {
	switch len(p) {
	case 1:
		return int64(int8(p[0]))
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(p)))
	case 3:
		return int64(int32(uint32(p[0])<<8|uint32(p[1])<<16|uint32(p[2])<<24) >> 8)
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(p)))
	default:
		return int64(binary.LittleEndian.Uint64(p))
	}
}

// backlenBytes returns how many bytes the length of an entry takes behind it.
// Lengths of all ones, but for 127, take a byte more than they need: so does
// lpEncodeBacklen.
func backlenBytes(size int) int {
	switch {
	case size <= 1<<7-1:
		return 1
	case size < 1<<14-1:
		return 2
	case size < 1<<21-1:
		return 3
	case size < 1<<28-1:
		return 4
	default:
		return 5
	}
}

// appendBacklen appends the length of an entry: groups of seven bits, the most
// significant first, each but the first with its top bit set. Read backwards, a
// top bit says that another group follows.
func appendBacklen(dst []byte, size int) []byte {
	more := byte(0)
	for shift := 7 * (backlenBytes(size) - 1); shift >= 0; shift -= 7 {
		dst = append(dst, byte(size>>shift)&0x7F|more)
		more = 0x80
	}
	return dst
}

func isBacklen(p []byte, size int) bool {
	if len(p) == 1 {
		return p[0] == byte(size)
	}
	var want [5]byte
	return string(appendBacklen(want[:0], size)) == string(p)
}
