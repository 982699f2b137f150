// Package slab is memory outside the Go heap: blocks of bytes that are named by
// 32-bit references instead of pointers. The keyspace keeps its records, tables
// and tree nodes here, so that the garbage collector neither scans nor counts
// them.
//
// # Space, extents, pages, blocks
//
// A Space reserves one range of addresses at start and never gives that range
// up. It is cut into extents of 32 pages each; a page has 64 KiB, or more on
// machines with more than 48 GiB of memory. There are three kinds of extents in
// use:
//
//   - extents of pages: each page has blocks of one size, up to 4 KiB, and of
//     one Area (page.go);
//   - arenas: blocks of 4 KiB to 2 MiB in units of 256 bytes, of one area an
//     extent, found by bitmaps beside them (arena.go);
//   - spans: the whole extents of one larger block, whose rest lies at the
//     beginning of the arena behind them (span.go).
//
// # Heaps
//
// Each goroutine that executes commands allocates and frees through a Heap of
// its own. Blocks up to 4 KiB take no lock on the ordinary path, see heap.go for
// whom a page belongs to. A heap keeps at most a few MiB of pages with room and
// hands the rest to the others by itself; Retire hands over all, and an executor
// that goes idle should call it: pages of an idle heap are not emptied.
//
// # Memory
//
// Free pages stay in memory until Trim gives them back to the system. The caller
// runs it on a goroutine of its own, as a system call takes as long as many
// commands. When sizes shift, pages are left with few blocks each; ChooseSparse
// marks extents for the keyspace to move blocks out of.
//
// When the reserve is used up, or the system refuses memory, Alloc returns 0. The
// keyspace then answers OOM; nothing else in the space changes.
//
// # Builds
//
// Under the race detector, on systems other than Linux and with the build tag
// slabheap the memory is that of the Go heap: the race detector does not see
// foreign memory. With -race or the tag invariants each reference is checked:
// freeing a block twice, using one that is not allocated and writing to a freed
// block panic.
package slab
