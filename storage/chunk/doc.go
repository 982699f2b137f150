// Package chunk packs items of a log, the value that Redis calls a stream: an item
// is an ID and pairs of a field and a value, and IDs only ascend. It knows neither
// keys nor groups.
//
// A chunk holds the items that Redis has in one node of a stream, deleted ones too,
// because the approximate trimming of XADD and XTRIM goes by nodes. It knows how
// many bytes Redis's node would take, and so when the next one begins. It takes
// fewer bytes itself:
//
//   - an ID is stored as what it is more than the one before, mostly in no byte of
//     its own;
//   - the fields of the first item are stored once. An item with the same fields in
//     the same order stores its values only;
//   - the values of the first item are a pattern: another value of the same field
//     stores how many bytes it begins with in common;
//   - digits and the characters between them in dates, addresses and decimal numbers
//     take half a byte each;
//   - small letters and the characters between them in words and names take five bits
//     each.
//
// The bytes of a chunk are trusted: whoever reads them made them (the package
// storage/rdb/wire reads what comes from outside).
package chunk
