package chunk

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
)

// ID is the ID of an item: Unix milliseconds, mostly, and a number among those of
// the same millisecond.
type ID struct{ Ms, Seq uint64 }

// MaxID is the last ID there can be.
var MaxID = ID{math.MaxUint64, math.MaxUint64}

// Compare orders IDs (streamCompareID).
func (id ID) Compare(o ID) int {
	if c := cmp.Compare(id.Ms, o.Ms); c != 0 {
		return c
	}
	return cmp.Compare(id.Seq, o.Seq)
}

// Less reports whether id comes before o.
func (id ID) Less(o ID) bool { return id.Ms < o.Ms || id.Ms == o.Ms && id.Seq < o.Seq }

// IsZero reports whether it is 0-0, which no item has.
func (id ID) IsZero() bool { return id == ID{} }

// Next is the ID behind id; ok is false for the last one, whose next is 0-0
// (streamIncrID).
func (id ID) Next() (next ID, ok bool) {
	if id.Seq++; id.Seq == 0 {
		id.Ms++
	}
	return id, !id.IsZero()
}

// Previous is the ID before id; ok is false for 0-0, before which the last one
// comes (streamDecrID).
func (id ID) Previous() (previous ID, ok bool) {
	ok = !id.IsZero()
	if id.Seq--; id.Seq == math.MaxUint64 {
		id.Ms--
	}
	return id, ok
}

// Append appends the ID as text, "1700000000000-0".
func (id ID) Append(dst []byte) []byte {
	dst = append(strconv.AppendUint(dst, id.Ms, 10), '-')
	return strconv.AppendUint(dst, id.Seq, 10)
}

// String is the ID as text.
func (id ID) String() string { return string(id.Append(nil)) }

// MaxText is the length of the longest text of an ID.
const MaxText = 20 + 1 + 20

// MaxName is the length of the longest name of an ID.
const MaxName = 8 + 1 + 8

// AppendName appends the ID as a name of a row, in whose order of bytes IDs are: the
// milliseconds, how many bytes the number has, and these.
func (id ID) AppendName(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, id.Ms)
	n := (bits.Len64(id.Seq) + 7) / 8
	dst = append(dst, byte(n))
	for n--; n >= 0; n-- {
		dst = append(dst, byte(id.Seq>>(8*n)))
	}
	return dst
}

// FromName is the ID of a name.
func FromName(name []byte) (id ID) {
	id.Ms = binary.BigEndian.Uint64(name)
	for _, b := range name[9:] {
		id.Seq = id.Seq<<8 | uint64(b)
	}
	return id
}
