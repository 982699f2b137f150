// Package slab is memory outside the Go heap: blocks of bytes that are named by
// 32-bit references instead of pointers. The keyspace keeps its records, tables
// and tree nodes here, so that the garbage collector neither scans nor counts
// them.
//
// The package knows no keys, records or protocol. It imports the standard
// library and golang.org/x/sys/unix only.
package slab
