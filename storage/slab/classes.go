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
	// MaxBlock is the largest block, in bytes.
	MaxBlock = 1 << 30

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
func quotient(n int) int { return quotientOf / ((n + step - 1) &^ (step - 1)) }

func sizeOfQuotient(q int) int { return quotientOf / q &^ (step - 1) }
