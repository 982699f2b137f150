package storage

import (
	"math"
	"slices"
	"strconv"

	"redoubt/storage/rdb/wire"
	"redoubt/storage/tree"
)

// Type bytes of an RDB file that are written here. Redis 7.0 reads all but rdbHashDue,
// which Valkey has since 9.0.
const (
	rdbString        = 0
	rdbList          = 1
	rdbSet           = 2
	rdbHash          = 4
	rdbZSet2         = 5
	rdbSetIntset     = 11
	rdbHashListpack  = 16
	rdbZSetListpack  = 17
	rdbListQuicklist = 18
	rdbHashDue       = 22
)

// quicklistPacked says that a node of a quicklist is a listpack.
const quicklistPacked = 2

// Encoding is the type byte of an RDB file under which Save writes the value.
func (f *Frozen) Encoding() byte {
	return kinds[f.Type].form(f)
}

// Save writes the value as an RDB file has it, without type byte and key. A value
// of any size is written piece by piece.
func (f *Frozen) Save(w *wire.Writer) {
	kinds[f.Type].save(f, w)
}

// each calls f for all elements of a collection.
func (f *Frozen) each(each func(e tree.Element)) {
	r := f.reader()
	r.Each(func(e tree.Element) bool {
		each(e)
		return true
	})
}

func (f *Frozen) reader() *tree.Reader {
	r := new(tree.Reader)
	r.Open(f.space, f.Type.tree(), treeOf(f.Type, f.value))
	return r
}

func (f *Frozen) length() uint64 { return uint64(f.reader().Len()) }

func stringForm(*Frozen) byte { return rdbString }

func saveString(f *Frozen, w *wire.Writer) { w.String(f.value) }

// listForm: a small list is a quicklist of one node, and a large one has the oldest
// form, a count and the elements, which needs no look ahead.
func listForm(f *Frozen) byte {
	if f.coding == codingListpackList && !tree.IsLarge(f.value) {
		return rdbListQuicklist
	}
	return rdbList
}

func saveList(f *Frozen, w *wire.Writer) {
	if listForm(f) == rdbListQuicklist {
		w.Length(1)
		w.Length(quicklistPacked)
		w.String(f.listpack(func(l *wire.ListpackBuilder, e tree.Element) { l.Append(e.Text) }))
		return
	}
	w.Length(f.length())
	f.each(func(e tree.Element) { w.String(e.Text) })
}

func setForm(f *Frozen) byte {
	if f.packed(codingIntset) {
		return rdbSetIntset
	}
	return rdbSet
}

func saveSet(f *Frozen, w *wire.Writer) {
	if setForm(f) == rdbSetIntset {
		var ints []int64
		f.each(func(e tree.Element) {
			n, _ := integerOf(e.Text)
			ints = append(ints, n)
		})
		slices.Sort(ints)
		w.String(wire.AppendIntset(nil, ints))
		return
	}
	w.Length(f.length())
	f.each(func(e tree.Element) { w.String(e.Text) })
}

// EncodingHasDue reports whether a type byte stands for hashes with fields that
// expire, in the form that Valkey has had since RDB version 80.
func EncodingHasDue(encoding byte) bool { return encoding == rdbHashDue }

// noDue stands in a file for a field that does not expire.
const noDue = -1

// saveHashDue matches Valkey's RDB_TYPE_HASH_2.
func saveHashDue(f *Frozen, w *wire.Writer) {
	w.Length(f.length())
	f.each(func(e tree.Element) {
		w.String(e.Text)
		w.String(e.Value)
		if e.Due == 0 {
			e.Due = noDue
		}
		w.Millis(e.Due)
	})
}

func hashForm(f *Frozen) byte {
	if f.coding == codingHashDue {
		return rdbHashDue
	}
	if f.packed(codingListpackHash) {
		return rdbHashListpack
	}
	return rdbHash
}

func saveHash(f *Frozen, w *wire.Writer) {
	switch hashForm(f) {
	case rdbHashDue:
		saveHashDue(f, w)
		return
	case rdbHashListpack:
		w.String(f.listpack(func(l *wire.ListpackBuilder, e tree.Element) {
			l.Append(e.Text)
			l.Append(e.Value)
		}))
		return
	}
	w.Length(f.length())
	f.each(func(e tree.Element) {
		w.String(e.Text)
		w.String(e.Value)
	})
}

func zsetForm(f *Frozen) byte {
	if f.packed(codingListpackZSet) {
		return rdbZSetListpack
	}
	return rdbZSet2
}

func saveZSet(f *Frozen, w *wire.Writer) {
	if zsetForm(f) == rdbZSetListpack {
		w.String(f.listpack(func(l *wire.ListpackBuilder, e tree.Element) {
			l.Append(e.Text)
			l.Append(appendScore(nil, e.Score))
		}))
		return
	}
	w.Length(f.length())
	f.each(func(e tree.Element) {
		w.String(e.Text)
		w.Double(e.Score)
	})
}

// packedBytes is how much a collection may take that is written as one block, and
// made in memory for that. The directives that name encodings have no bound.
const packedBytes = 64 << 10

// packed reports whether the collection is to be written as one block.
func (f *Frozen) packed(coding byte) bool {
	return f.coding == coding && len(f.value)+tree.Outside(f.space, f.Type.tree(), treeOf(f.Type, f.value)) <= packedBytes
}

// listpack returns a listpack of the collection, which is small.
func (f *Frozen) listpack(add func(l *wire.ListpackBuilder, e tree.Element)) []byte {
	var l wire.ListpackBuilder
	f.each(func(e tree.Element) { add(&l, e) })
	return l.Finish()
}

// appendScore writes a score as text that reads back as the same number.
func appendScore(b []byte, score float64) []byte {
	switch {
	case math.IsInf(score, 1):
		return append(b, "inf"...)
	case math.IsInf(score, -1):
		return append(b, "-inf"...)
	}
	return strconv.AppendFloat(b, score, 'g', 17, 64)
}
