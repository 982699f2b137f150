package wire

import "encoding/binary"

// A zipmap, in which Redis wrote small hashes until 2.4, is a byte with the
// number of pairs, the pairs, and an end mark. A field is a length and its
// bytes; a value is a length, a byte that says how many bytes are free behind
// it, and its bytes. All elements are strings.
const (
	zipmapEnd       = 0xFF
	zipmapManyPairs = 0xFE // as their number: "count them yourself"
	zipmapLong      = 0xFE // a length of four bytes follows, little endian
)

// ParseZipmap checks all of b, as zipmapValidateIntegrity does with deep set,
// and returns fields and values in turn. It keeps b.
func ParseZipmap(b []byte) (Packed, error) {
	if len(b) < 2 {
		return Packed{}, Corruptf("zipmap of %d bytes", len(b))
	}
	if b[len(b)-1] != zipmapEnd {
		return Packed{}, Corruptf("zipmap ends with 0x%02x", b[len(b)-1])
	}
	p := Packed{entries: b[1 : len(b)-1], format: formatZipmap}
	for pos := 0; pos < len(p.entries); p.n++ {
		_, size := zipmapEntry(p.entries[pos:], p.n%2 == 1)
		if size == 0 {
			return Packed{}, Corruptf("zipmap entry %d at %d is cut off", p.n, 1+pos)
		}
		pos += size
	}
	if p.n%2 == 1 {
		return Packed{}, Corruptf("zipmap ends with a field that has no value")
	}
	if count := int(b[0]); count != p.n/2 && count != zipmapManyPairs {
		return Packed{}, Corruptf("zipmap of %d pairs says it has %d", p.n/2, count)
	}
	return p, nil
}

// zipmapEntry reads the field or value at the beginning of b. size includes
// what is free behind a value, and is 0 if the entry is not complete.
func zipmapEntry(b []byte, isValue bool) (e Element, size int) {
	if len(b) == 0 || b[0] == zipmapEnd {
		return Element{}, 0
	}
	head, n := 1, uint64(b[0])
	if b[0] == zipmapLong {
		if len(b) < 5 {
			return Element{}, 0
		}
		head, n = 5, uint64(binary.LittleEndian.Uint32(b[1:]))
	}
	free := 0
	if isValue {
		if len(b) <= head {
			return Element{}, 0
		}
		free = int(b[head])
		head++
	}
	if e, size = stringEntry(b, head, n); size == 0 || len(b)-size < free {
		return Element{}, 0
	}
	return e, size + free
}
