//go:build !race && !invariants

package slab

// checked turns on checks that are too dear for production: that each reference
// is of a block in use, and that nobody writes to a free block. They run under
// -race and with the build tag invariants.
const checked = false
