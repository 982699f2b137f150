// Package tree holds lists, sets, hashes and sorted sets in blocks of
// storage/slab, where the garbage collector does not see them. It knows no keys,
// no expiry and no RESP.
//
// # Values
//
// A collection is what its key's record holds: the value, a few bytes that the
// package makes and reads. A small collection is one packed leaf within its value,
// up to 1 KiB. A large one is a counted B+-tree of such leaves, and the value is
// its descriptor. Only the bytes decide between the two, not the number of
// elements; a large collection becomes small again at half a KiB. OBJECT ENCODING
// has thresholds of its own and knows nothing of this.
//
// # Leaves
//
// A leaf packs its texts into columns: one for elements, members or fields, a
// second one for the values of fields and of rows of a map. A column stores what
// all its texts begin with once, their length once if it is the same for all, and
// digits in half a byte each (column.go). Scores are stored without the bytes that
// all scores of the leaf have in common (leaf.go). A leaf that cannot take a text
// in its present form is written anew in the form that fits (pack.go). A text
// above 250 bytes has a block of its own, as has a shorter value of a map that is
// about to grow, and the leaf holds the reference (long.go).
//
// # Trees
//
// Inner nodes hold the number of entries under each child, so that an element is
// found by position in any of the types. The entries of
//
//   - a list are in its order;
//   - a set or hash are sorted by 64 bits of hash from leaf to leaf, and in no
//     order within one. The hashes are not stored: they are computed again when a
//     leaf is split or scanned. Equal hashes are never in two leaves;
//   - a sorted set are sorted by score and member;
//   - a map are sorted by number and name. A map is several tables in one tree, and
//     what values of more parts than one are made of.
//
// A field of a hash may be due at some time (due.go). Its leaf holds the time, and
// a large hash has an index of such fields in the order of their times, a tree of
// the same kind. A hash without them has neither.
//
// A sorted set has an index, from the hash of a member to the id of its leaf,
// which is a tree of the same kind (index.go), and a table of where the leaf of
// each id is (ids.go). So a leaf can grow, move or be copied without a change of
// the index. A small sorted set has neither.
//
// Leaves are up to 1 KiB and have blocks in steps of 64 bytes. One that is full is
// split in two halves, but at the ends of a list and at the end of a sorted set or
// of a table of a map it stays full and another begins beside it. One that is less
// than a third full joins a neighbour if both fit.
//
// # Captures
//
// Every node carries the epoch of its birth. While a capture is read, a node of an
// earlier epoch is copied before it changes, from the root down, and the old one
// goes to Env.Keep instead of the heap. So a copy of the value that a record had
// at the capture names a tree that stays as it is, and a Reader on any goroutine
// reads it. The indexes and the ids belong to the writer alone.
//
// # Limits
//
// A collection holds up to 2^32-1 elements, a text up to 1 GiB less 8 bytes. When
// the space has no room for a node, a Tree panics with ErrFull: the keyspace must
// refuse writes while there still is room for one command.
package tree
