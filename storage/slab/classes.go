package slab

// An Area separates blocks by how their owner moves them during compaction. A
// page holds blocks of one area only.
type Area uint8

const (
	Records Area = iota // records of keys
	Tables              // hash tables; their blocks begin at a cache line
	Nodes               // nodes of trees
	areas
)

// String returns the name of the area.
func (a Area) String() string {
	switch a {
	case Records:
		return "records"
	case Tables:
		return "tables"
	case Nodes:
		return "nodes"
	}
	return "no area"
}

// Sizes of blocks. Up to maxStepped they are multiples of step. From there to
// maxSmall they are the quotients of a page: dividing it by 127, 126 … 16
// leaves no rest at its end, which steps of a fixed ratio do, and that rest is
// as large as the rounding itself for blocks of a few KiB. Larger blocks are
// multiples of granule and do not live in pages of one size.
const (
	// MaxBlock is the largest block, in bytes: a key and a string of 4 GiB each, and
	// what a record has besides.
	MaxBlock = 8<<30 + 4<<10

	minBlock   = 16
	step       = 4
	maxStepped = 512
	maxSmall   = 4096
	granule    = 256
	line       = 64 // bytes in a cache line

	// quotientOf is what the sizes above maxStepped are quotients of: the
	// smallest page. Larger ones are multiples of it.
	quotientOf = 64 << 10
)

// SizeFor returns how many bytes a block of Records or Nodes has that was
// allocated for n bytes: what Size says of it.
func SizeFor(n int) int { return Records.SizeFor(n) }

// SizeFor returns how many bytes a block of the area has that was allocated for
// n bytes. In Tables it is a multiple of 64.
func (a Area) SizeFor(n int) int {
	switch {
	case n > maxSmall:
		return (n + granule - 1) &^ (granule - 1)
	case a == Tables:
		return (max(n, 1) + line - 1) &^ (line - 1)
	case n <= maxStepped:
		return (max(n, minBlock) + step - 1) &^ (step - 1)
	}
	return sizeOfQuotient(quotient(n))
}

// quotient returns how many blocks of n bytes, between maxStepped and maxSmall,
// the smallest page holds. n is rounded up first: sizes are multiples of step.
func quotient(n int) int { return int(quotientOf / (uint32(n+step-1) &^ (step - 1))) }

func sizeOfQuotient(q int) int { return quotientOf / q &^ (step - 1) }

// A class is a size of small blocks in one area: the steps and quotients of
// Records, those of Nodes, the multiples of a line of Tables. 0 is none.
type class uint16

const (
	steps      = maxStepped / step              // classes up to maxStepped, with 0
	quotients  = quotientOf/maxStepped - 1      // the first quotient above it
	perArea    = steps + 1 + quotients - 16 + 1 // 16 blocks of maxSmall
	firstNode  = class(perArea)
	firstTable = 2 * firstNode
	classes    = firstTable + maxSmall/line + 1
)

// classFor returns the class of n bytes, at most maxSmall, in an area.
func classFor(a Area, n int) class {
	var c class
	switch {
	case a == Tables:
		return firstTable + class((max(n, 1)+line-1)/line)
	case n <= maxStepped:
		c = class((max(n, minBlock) + step - 1) / step)
	default:
		c = class(steps + 1 + quotients - quotient(n))
	}
	if a == Nodes {
		c += firstNode
	}
	return c
}

func (c class) area() Area {
	switch {
	case c >= firstTable:
		return Tables
	case c >= firstNode:
		return Nodes
	}
	return Records
}

// size returns the bytes of a block. It is what classSizes is made of.
func (c class) size() int {
	switch c.area() {
	case Tables:
		return int(c-firstTable) * line
	case Nodes:
		c -= firstNode
	}
	if c <= steps {
		return int(c) * step
	}
	return sizeOfQuotient(steps + 1 + quotients - int(c))
}

var classSizes = func() (sizes [classes]uint16) {
	for c := range class(classes) {
		sizes[c] = uint16(c.size())
	}
	return sizes
}()
