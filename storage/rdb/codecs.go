package rdb

import (
	"fmt"

	"redoubt/storage/rdb/wire"
)

// codec is one encoding of a value type: a type byte of the file. decode is
// nil as long as nobody has built it; it appends to the Entry's own buffers.
type codec struct {
	typ    Type
	decode func(r *wire.Reader, e *Entry) error
}

// codecs lists the encodings by their type byte. What is missing is
// unknown to all servers, or refused by all of them.
var codecs = [256]*codec{
	0:  {String, decodeString},
	1:  {List, nil},
	2:  {Set, nil},
	3:  {ZSet, nil},
	4:  {Hash, nil},
	5:  {ZSet, nil},
	7:  {Module, nil},
	9:  {Hash, nil}, // zipmap
	10: {List, nil}, // ziplist
	11: {Set, nil},  // intset
	12: {ZSet, nil}, // ziplist
	13: {Hash, nil}, // ziplist
	14: {List, nil}, // quicklist
	15: {Stream, nil},
	16: {Hash, nil}, // listpack
	17: {ZSet, nil}, // listpack
	18: {List, nil}, // quicklist of listpacks
	19: {Stream, nil},
	20: {Set, nil}, // listpack
	21: {Stream, nil},
	22: {Hash, nil}, // field TTLs, Valkey 9
	24: {Hash, nil}, // field TTLs, Redis 7.4
	25: {Hash, nil}, // the same as a listpack
	26: {Stream, nil},
	27: {Stream, nil},
	28: {Array, nil},
	29: {GCRA, nil},
}

// encodingOf returns the type byte under which the value of e is written.
func encodingOf(e *Entry) (byte, error) {
	if e.Type != String {
		return 0, unsupported(e.Type, e.Key)
	}
	return 0, nil
}

// writeValue writes the value of e, which encodingOf has accepted.
func writeValue(w *wire.Writer, e *Entry) { w.String(e.Value) }

func decodeString(r *wire.Reader, e *Entry) (err error) {
	e.Value, err = r.AppendString(e.Value[:0])
	return err
}

const shownKeyBytes = 128

// unsupported returns the error for a value of a type not built yet. A key
// names it, unless it comes from a DUMP payload, which has none.
func unsupported(t Type, key []byte) error {
	if len(key) == 0 {
		return fmt.Errorf("%w: %s", ErrUnsupportedType, t)
	}
	if len(key) > shownKeyBytes {
		return fmt.Errorf("%w: %s at key %q...", ErrUnsupportedType, t, key[:shownKeyBytes])
	}
	return fmt.Errorf("%w: %s at key %q", ErrUnsupportedType, t, key)
}
