//go:build !amd64 && !arm64

package slab

func prefetch(uintptr) {}
