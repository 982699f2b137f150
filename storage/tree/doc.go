// Package tree holds lists, sets, hashes and sorted sets in blocks of
// storage/slab, where the garbage collector does not see them.
package tree
