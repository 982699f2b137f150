//go:build !race && !invariants

package rdb

// checked says that memory is slow in this build.
const checked = false
