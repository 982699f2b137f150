//go:build amd64 || arm64

package slab

// prefetch brings the cache line at an address near. It cannot fault.
//
//go:noescape
func prefetch(address uintptr)
