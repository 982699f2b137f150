package chunk

import (
	"encoding/binary"

	"redoubt/storage/rdb/wire"
)

// A chunk is, little-endian:
//
//	0 live u32 | 4 dead u32 | 8 listed u32 | 12 last ID: ms u64, seq u64
//	28 fields: number, then length and bytes of each | items
//
// Numbers and lengths without a width are as binary.Uvarint reads them. listed is
// how many bytes the elements of Redis's listpack take, but for the two counts. An
// item is
//
//	head: dead:1, same:1, step:6 | what the step needs | values
//	  or, not same: head | … | number of pairs, fields and values
//
// A text is a tag and what it needs:
//
//	0–95     its bytes, so many of them
//	96–127   (tag-95) characters, five bits each: small letters and " -./:_"
//	128–191  (tag-128) characters, two in a byte: ",-./0123456789:"
//	192      it is that of the pattern
//	193–254  it begins with (tag-192) bytes of that of the pattern; a tag below 192
//	         follows, for the rest
//	255      length, bytes
const (
	headerBytes = 28

	headDead  = 1
	headSame  = 2
	headShift = 2

	// Steps from the ID before to that of an item. Those from stepMs on up to 59 are
	// so many milliseconds later, with the number 0.
	stepNext = 0  // the next number of the millisecond
	stepMost = 59 // of those that are milliseconds
	stepSeq  = 60 // a later number of the millisecond: how much more than the next one
	stepMs   = 61 // a later millisecond, with the number 0: how much later
	stepBoth = 62 // a later millisecond: how much later, and the number
	stepNone = 63 // the first item, whose ID the chunk has

	tagLetters = 95
	tagPacked  = 128
	tagSame    = 192
	tagLong    = 255
	shortest   = tagLetters // the longest text whose length is its tag
	packedMost = 63
	prefixMost = tagLong - tagSame - 1
	prefixFrom = 3 // a shorter prefix is not worth its tag
)

// Live is how many items there are, Dead how many have been deleted.
func Live(b []byte) int { return int(binary.LittleEndian.Uint32(b)) }

// Dead is how many items have been deleted and are still there.
func Dead(b []byte) int { return int(binary.LittleEndian.Uint32(b[4:])) }

// Last is the ID of the last item, deleted or not (lpGetEdgeStreamID).
func Last(b []byte) ID {
	return ID{binary.LittleEndian.Uint64(b[12:]), binary.LittleEndian.Uint64(b[20:])}
}

// ListpackBytes is how many bytes Redis's listpack of the chunk has (lpBytes).
func ListpackBytes(b []byte) int {
	const frame = 4 + 2 + 1 // its header and end
	return frame + int(binary.LittleEndian.Uint32(b[8:])) +
		wire.ListpackIntBytes(int64(Live(b))) + wire.ListpackIntBytes(int64(Dead(b)))
}

func setCounts(b []byte, live, dead int) {
	binary.LittleEndian.PutUint32(b, uint32(live))
	binary.LittleEndian.PutUint32(b[4:], uint32(dead))
}

func addListed(b []byte, n int) {
	binary.LittleEndian.PutUint32(b[8:], binary.LittleEndian.Uint32(b[8:])+uint32(n))
}

func setLast(b []byte, id ID) {
	binary.LittleEndian.PutUint64(b[12:], id.Ms)
	binary.LittleEndian.PutUint64(b[20:], id.Seq)
}

// Growth is how many bytes an item takes at most; pairs are fields and values by
// turns. A new chunk takes as many for the first item besides.
func Growth(pairs [][]byte) int {
	const most = 1 + 2*binary.MaxVarintLen64 + binary.MaxVarintLen32
	n := headerBytes + most
	for _, p := range pairs {
		n += len(p) + 1 + binary.MaxVarintLen32
	}
	return n
}

// Begin makes a chunk of an item in the memory of dst, whose bytes are lost.
func Begin(dst []byte, id ID, pairs [][]byte) []byte {
	b := append(dst[:0], make([]byte, headerBytes)...)
	n := len(pairs) / 2
	listed := wire.ListpackIntBytes(int64(n)) + wire.ListpackIntBytes(0)
	b = binary.AppendUvarint(b, uint64(n))
	for i := 0; i < len(pairs); i += 2 {
		b = binary.AppendUvarint(b, uint64(len(pairs[i])))
		b = append(b, pairs[i]...)
		listed += wire.ListpackEntryBytes(pairs[i])
	}
	addListed(b, listed+listedItem(ID{}, n, true, pairs))
	setCounts(b, 1, 0)
	setLast(b, id)
	b = append(b, headSame|stepNone<<headShift)
	for i := 1; i < len(pairs); i += 2 {
		b = appendPlain(b, pairs[i])
	}
	return b
}

// Append appends an item behind those of a chunk, whose first ID is first. It
// returns the chunk in the same memory if that has room. id is above that of the
// last item.
func Append(b []byte, first, id ID, pairs [][]byte) []byte {
	same := sameFields(b, pairs)
	b = appendHead(b, Last(b), id, same)
	n := len(pairs) / 2
	addListed(b, listedItem(ID{id.Ms - first.Ms, id.Seq - first.Seq}, n, same, pairs))
	setCounts(b, Live(b)+1, Dead(b))
	setLast(b, id)
	if !same {
		b = binary.AppendUvarint(b, uint64(n))
		for _, p := range pairs {
			b = appendText(b, p, nil)
		}
		return b
	}
	at := patternAt(b)
	for i := 1; i < len(pairs); i += 2 {
		var pattern []byte
		pattern, at = plainText(b, at)
		b = appendText(b, pairs[i], pattern)
	}
	return b
}

// listedItem is how many bytes the elements of an item take in Redis's listpack.
// diff is its ID less that of the chunk, wrapping.
func listedItem(diff ID, n int, same bool, pairs [][]byte) int {
	const flagBytes = 2
	size := flagBytes + wire.ListpackIntBytes(int64(diff.Ms)) + wire.ListpackIntBytes(int64(diff.Seq))
	count, from, step := n+3, 1, 2
	if !same {
		count, from, step = 2*n+4, 0, 1
		size += wire.ListpackIntBytes(int64(n))
	}
	size += wire.ListpackIntBytes(int64(count))
	for i := from; i < len(pairs); i += step {
		size += wire.ListpackEntryBytes(pairs[i])
	}
	return size
}

// sameFields reports whether an item has the fields of the chunk.
func sameFields(b []byte, pairs [][]byte) bool {
	at := headerBytes
	n, at := number(b, at)
	if int(n) != len(pairs)/2 {
		return false
	}
	for i := 0; i < len(pairs); i += 2 {
		n, at = number(b, at)
		if string(b[at:at+int(n)]) != string(pairs[i]) {
			return false
		}
		at += int(n)
	}
	return true
}

// patternAt is where the values of the first item are.
func patternAt(b []byte) int {
	n, at := number(b, headerBytes)
	for ; n > 0; n-- {
		size, next := number(b, at)
		at = next + int(size)
	}
	return at + 1
}

// number reads a number and returns where the next part is.
func number(b []byte, at int) (uint64, int) {
	if x := b[at]; x < 0x80 {
		return uint64(x), at + 1
	}
	x, n := binary.Uvarint(b[at:])
	return x, at + n
}

// appendHead appends the head of an item and the step to its ID.
func appendHead(b []byte, last, id ID, same bool) []byte {
	head := byte(0)
	if same {
		head = headSame
	}
	ms := id.Ms - last.Ms
	switch {
	case ms == 0 && id.Seq == last.Seq+1:
		return append(b, head|stepNext<<headShift)
	case ms == 0:
		return binary.AppendUvarint(append(b, head|stepSeq<<headShift), id.Seq-last.Seq-1)
	case id.Seq == 0 && ms <= stepMost:
		return append(b, head|byte(ms)<<headShift)
	case id.Seq == 0:
		return binary.AppendUvarint(append(b, head|stepMs<<headShift), ms)
	}
	b = binary.AppendUvarint(append(b, head|stepBoth<<headShift), ms)
	return binary.AppendUvarint(b, id.Seq)
}

// appendPlain appends a text so that it can be a pattern: its bytes are in one
// piece.
func appendPlain(b, text []byte) []byte {
	if len(text) <= shortest {
		b = append(b, byte(len(text)))
	} else {
		b = binary.AppendUvarint(append(b, tagLong), uint64(len(text)))
	}
	return append(b, text...)
}

// plainText reads what appendPlain wrote.
func plainText(b []byte, at int) (text []byte, next int) {
	n := uint64(b[at])
	at++
	if n == tagLong {
		n, at = number(b, at)
	}
	next = at + int(n)
	return b[at:next:next], next
}

// appendText appends a text in its shortest form, a value with the pattern of its
// field.
func appendText(b, text, pattern []byte) []byte {
	common := 0
	if len(pattern) > 0 {
		common = commonPrefix(text, pattern)
		if common == len(text) && common == len(pattern) {
			return append(b, tagSame)
		}
		common = min(common, prefixMost)
	}
	size, tag := restBytes(text)
	if common >= prefixFrom {
		if rest, restTag := restBytes(text[common:]); rest > 0 && 1+rest < size || size == 0 && rest > 0 {
			b = append(b, tagSame+byte(common))
			text, tag, size = text[common:], restTag, rest
		}
	}
	if size == 0 {
		return appendPlain(b, text)
	}
	b = append(b, tag)
	switch {
	case tag > tagPacked:
		return appendPacked(b, text)
	case tag > tagLetters:
		return appendLetters(b, text)
	}
	return append(b, text...)
}

// restBytes is how many bytes a text takes in its shortest form without a pattern, and
// the tag of that; 0 if it is too long for a tag alone.
func restBytes(text []byte) (size int, tag byte) {
	n := len(text)
	switch {
	case n <= packedMost && n > 1 && packable(text):
		return 1 + (n+1)/2, tagPacked + byte(n)
	case n <= lettersMost && n >= lettersFrom && areLetters(text):
		return 1 + lettersBytes(n), tagLetters + byte(n)
	case n > shortest:
		return 0, 0
	}
	return 1 + n, byte(n)
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}
