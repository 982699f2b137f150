package wire

import "iter"

// Packed is a collection in one of the packed encodings, checked: one of the
// parsers returned it. It keeps the bytes that were parsed. The zero value is
// empty.
type Packed struct {
	entries []byte // without header and end mark
	format  format
	n       int
}

// format is the encoding of a Packed's entries.
type format uint8

const (
	formatListpack format = iota
	formatZiplist
	formatZipmap
	formatIntset16
	formatIntset32
	formatIntset64
)

// Len returns the number of elements. A field and its value are two.
func (p Packed) Len() int { return p.n }

// Cursor returns a Cursor before the first element.
func (p Packed) Cursor() Cursor { return Cursor{entries: p.entries, format: p.format} }

// All iterates over the elements in order. They are valid as long as the bytes
// that were parsed.
func (p Packed) All() iter.Seq[Element] {
	return func(yield func(Element) bool) {
		c := p.Cursor()
		for e, ok := c.Next(); ok && yield(e); e, ok = c.Next() {
		}
	}
}

// Pairs iterates over the elements two by two: the fields of a hash with their
// values, the members of a sorted set with their scores. A last element without
// a partner is left out; CheckHash and CheckZSet refuse it.
func (p Packed) Pairs() iter.Seq2[Element, Element] {
	return func(yield func(_, _ Element) bool) {
		c := p.Cursor()
		for {
			first, _ := c.Next()
			second, ok := c.Next()
			if !ok || !yield(first, second) {
				return
			}
		}
	}
}

// Cursor reads the elements of a Packed one after the other, for readers whose
// next step depends on what they have read, as in a node of a stream.
type Cursor struct {
	entries []byte
	pos     int
	format  format
	isValue bool // the next element of a zipmap is a value
}

// Next returns the next element. ok is false behind the last one.
func (c *Cursor) Next() (e Element, ok bool) {
	if c.pos >= len(c.entries) {
		return Element{}, false
	}
	var size int // of the entry, with all that surrounds it
	switch c.format {
	case formatListpack:
		e, size = listpackEntry(c.entries[c.pos:])
		size += backlenBytes(size)
	case formatZiplist:
		skip := prevlenBytes(c.entries[c.pos])
		e, size = ziplistEntry(c.entries[c.pos+skip:])
		size += skip
	case formatZipmap:
		e, size = zipmapEntry(c.entries[c.pos:], c.isValue)
		c.isValue = !c.isValue
	default:
		e, size = intsetEntry(c.entries[c.pos:], c.format)
	}
	c.pos += size
	return e, true
}
