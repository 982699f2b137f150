package rdb

import (
	"errors"
	"fmt"

	"redoubt/storage"
	"redoubt/storage/rdb/wire"
)

// Value is a value that can be written: *storage.Frozen, or Text.
type Value interface {
	// Encoding is the type byte under which Save writes the value.
	Encoding() byte
	// Save writes the value without type byte and key.
	Save(w *wire.Writer)
}

// Text is a string as a Value.
type Text []byte

// Encoding implements Value.
func (t Text) Encoding() byte { return 0 }

// Save implements Value.
func (t Text) Save(w *wire.Writer) { w.String(t) }

// unread names the types of values that files of Redis and Valkey may hold and
// that cannot be loaded here, by their type byte. A byte that is neither here nor
// known to storage.LoadedType is corruption.
var unread = map[byte]string{
	6: "module", 7: "module",
	26: "stream", 27: "stream",
	28: "array", 29: "gcra",
}

// typeOf returns the type of the values under a type byte. valkey says that they
// are in a form that only Valkey writes: candidates of Redis 7.4 had another one
// under the byte of hashes whose fields expire.
func typeOf(encoding byte, valkey bool, key []byte) (storage.Type, error) {
	if storage.EncodingHasDue(encoding) && !valkey {
		return 0, unsupported("hash of a release candidate", key)
	}
	if t, ok := storage.LoadedType(encoding); ok {
		return t, nil
	}
	if name, ok := unread[encoding]; ok {
		return 0, unsupported(name, key)
	}
	return 0, wire.Corruptf("unknown type %d", encoding)
}

// packedNames are the words of Redis's log for the type bytes of packed values.
var packedNames = map[byte]string{
	9: "Zipmap", 10: "List ziplist", 11: "Intset", 12: "Zset ziplist", 13: "Hash ziplist", 14: "Ziplist",
	15: "Stream listpack", 16: "Hash listpack", 17: "Zset listpack", 18: "Listpack", 19: "Stream listpack", 20: "Set listpack", 21: "Stream listpack",
}

// damaged adds to an error what the value was to be, by its type byte, in words that
// people search Redis's log for. It leaves errors alone that are not about a value.
func damaged(encoding byte, err error) error {
	what := packedNames[encoding]
	if what == "" {
		what = "Value"
	}
	switch {
	case !errors.Is(err, ErrCorrupt):
		return err
	case errors.Is(err, storage.ErrTwice):
		return fmt.Errorf("%s with dup elements, integrity check failed: %w", what, err)
	}
	return fmt.Errorf("%s integrity check failed: %w", what, err)
}

const shownKeyBytes = 128

// unsupported returns the error for a value of a type not built yet. A key
// names it, unless it comes from a DUMP payload, which has none.
func unsupported(name string, key []byte) error {
	if len(key) == 0 {
		return fmt.Errorf("%w: %s", ErrUnsupportedType, name)
	}
	if len(key) > shownKeyBytes {
		return fmt.Errorf("%w: %s at key %q...", ErrUnsupportedType, name, key[:shownKeyBytes])
	}
	return fmt.Errorf("%w: %s at key %q", ErrUnsupportedType, name, key)
}
