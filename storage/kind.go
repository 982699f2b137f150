package storage

import (
	"redoubt/storage/rdb/wire"
)

// A kind is everything that the keyspace must know of a type to carry its values
// elsewhere: the names of its encodings, its digest, its form in an RDB file. What
// commands do with values is in the file of the type. A type whose row is missing
// cannot be made.
type kind struct {
	// encoding is what OBJECT ENCODING says.
	encoding func(r record) string
	// digest mixes the value in as Redis's DEBUG DIGEST does.
	digest func(d *digester, e Entry)
	// form is the type byte of an RDB file under which save writes the value.
	form func(f *Frozen) byte
	save func(f *Frozen, w *wire.Writer)
}

var kinds = [...]kind{
	TypeString: {stringEncoding, digestString, stringForm, saveString},
	TypeList:   {codings("listpack", "quicklist"), digestList, listForm, saveList},
	TypeSet:    {codings("intset", "listpack", "hashtable"), digestSet, setForm, saveSet},
	TypeZSet:   {codings("listpack", "skiplist"), digestZSet, zsetForm, saveZSet},
	TypeHash:   {codings("listpack", "hashtable", "hashtable"), digestHash, hashForm, saveHash},
	TypeStream: {codings("stream"), digestLog, logForm, saveLog},
}

// codings names the encodings of a type by the number that records have.
func codings(names ...string) func(record) string {
	return func(r record) string { return names[r.coding()] }
}

func digestString(d *digester, e Entry) { d.mix(e.rec.value()) }

func digestList(d *digester, e Entry) {
	l := e.List()
	l.Ascend(0, func(element []byte) bool {
		d.mix(element)
		return true
	})
}

func digestSet(d *digester, e Entry) {
	s := e.Set()
	s.Each(func(member []byte) bool {
		d.xor(member)
		return true
	})
}

func digestZSet(d *digester, e Entry) {
	z := e.ZSet()
	z.Ascend(0, func(member []byte, score float64) bool {
		var one digester
		one.mix(member)
		one.mix(appendDigestScore(nil, score))
		d.xor(one.sum[:])
		return true
	})
}

func digestHash(d *digester, e Entry) {
	h := e.Hash()
	h.now = 0 // fields that are due are there until they are deleted, as keys are
	h.EachDue(func(name, value []byte, due int64) bool {
		var one digester
		one.mix(name)
		one.mix(value)
		if due != 0 {
			one.xor([]byte("!!hexpire!!"))
		}
		d.xor(one.sum[:])
		return true
	})
}
