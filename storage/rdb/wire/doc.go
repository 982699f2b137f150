// Package wire has the primitives of Redis's RDB format, in both directions:
// lengths, strings, doubles, the CRC64, and the packed encodings that small
// collections are stored in. It is pure and knows no type of value, no key and
// no file: package rdb has the frame of a file and of a DUMP payload, and the
// loaders of values are with the values.
//
// # Reading
//
// A [Reader] reads from an io.Reader or from bytes in memory and keeps the
// offset and the CRC of what it has delivered. Nothing that it reads is
// believed: a length makes it allocate no more than has arrived, and damage is
// an error that wraps [ErrCorrupt] and says what is wrong and where. A string
// comes as a whole ([Reader.ReadString], [Reader.AppendString]), as an
// [Element] if an integer should stay one, or in pieces ([Reader.OpenString])
// so that a long value need not be in memory twice.
//
// # Writing
//
// A [Writer] is the reverse. Its methods return no error: the first error of
// the underlying io.Writer stays, and [Writer.Err] and [Writer.Flush] return
// it. Without an io.Writer it collects in memory, as DUMP needs it.
//
// # Packed encodings
//
// A small collection is one string that holds its elements: a listpack, or in
// older files a ziplist or zipmap, or an intset if all are integers. Each has a
// parser ([ParseListpack], [ParseZiplist], [ParseZipmap], [ParseIntset]), which
// checks every byte of the encoding once and returns a [Packed]. A loader then
// treats them alike:
//
//	blob, err := r.ReadString()
//	…
//	p, err := wire.ParseListpack(blob)
//	…
//	for field, value := range p.Pairs() { … }
//
// Whether the elements make a valid hash, set or sorted set is a further
// question, which [Packed.CheckHash] and its neighbours answer. Redis asks it
// under sanitize-dump-payload. Empty collections are valid here; what an empty
// one means is for the loader.
//
// [ListpackBuilder] and [AppendIntset] write what Redis 7.0 and later read.
// Ziplists and zipmaps are not written any more.
package wire

import (
	"errors"
	"fmt"
)

// ErrCorrupt is wrapped by every error about bytes that are not what the format
// says. It has the prefix of package rdb because that is what users know.
var ErrCorrupt = errors.New("rdb: corrupt")

// ErrStringLength is the error of a Writer of which a string was announced with
// another length than its pieces have.
var ErrStringLength = errors.New("rdb: a string has another length than announced")

// ErrEnd is the ErrCorrupt of a file or payload that ends too soon.
var ErrEnd = fmt.Errorf("%w: ends", ErrCorrupt)

// endsAfter is the error of what ends too soon.
func endsAfter(bytes int64) error { return fmt.Errorf("%w after %d bytes", ErrEnd, bytes) }

// Corruptf returns an error that wraps ErrCorrupt and says what is wrong.
func Corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}
