package storage

import "encoding/binary"

// boxes are the values of a slot's records that lie on the heap: the record
// holds the number of a box.
type boxes struct {
	values []value
	free   []uint32
}

const boxBytes = 4

func (b *boxes) put(v value) uint32 {
	if n := len(b.free); n > 0 {
		i := b.free[n-1]
		b.free = b.free[:n-1]
		b.values[i] = v
		return i
	}
	b.values = append(b.values, v)
	return uint32(len(b.values) - 1)
}

func (b *boxes) drop(i uint32) {
	b.values[i] = nil
	b.free = append(b.free, i)
}

// boxOf is the number of the record's box.
func boxOf(r record) uint32 { return binary.LittleEndian.Uint32(r.value()) }

func setBox(r record, i uint32) { binary.LittleEndian.PutUint32(r.value(), i) }
