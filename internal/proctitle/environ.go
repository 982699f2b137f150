//go:build !cgo

package proctitle

// sharedEnvironment says that somebody reads the environment where the kernel has put
// it: the C library does, in programs that have one.
const sharedEnvironment = false
