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
//   - arenas: blocks of 4 KiB to 2 MiB in units of 256 bytes; each arena is of
//     one area (arena.go);
//   - spans: the whole extents of one larger block, whose rest lies at the
//     beginning of the arena behind them (span.go).
//
// # Heaps
//
// Each goroutine that executes commands allocates and frees through a Heap of
// its own. Blocks up to 4 KiB take no lock on the ordinary path: about one in a
// thousand does when keys are overwritten at random. A heap keeps at most 64
// pages to itself, one for each size in use; every other page with room can be
// used by all heaps, and is freed when its last block is, even if the heap that
// filled it is idle. Retire gives up the 64 as well. An executor that goes idle
// should call it, as those pages cannot be emptied by others.
//
// # Memory
//
// Free pages stay in memory until Trim gives them back to the system. The caller
// runs it on a goroutine of its own, as a system call takes as long as many
// commands. When sizes shift or keys are deleted at random, pages are left with
// few blocks each; ChooseSparse then marks extents for the keyspace to move blocks
// out of.
//
// When the reserve is used up, or the system refuses memory, Alloc returns 0. The
// keyspace then answers OOM; nothing else in the space changes.
//
// # Builds
//
// Under the race detector, on systems other than Linux and with the build tag
// slabheap the memory is that of the Go heap: the race detector does not see
// foreign memory. With -race or the tag invariants each reference is checked:
// freeing a block twice and using one that is not allocated panic, and so does
// the allocation that finds a freed block written to.
package slab
