// Package pieces copies long runs of bytes in such a way that the process stays alive.
//
// The runtime cannot interrupt a copy, nor begin a garbage collection while one is under
// way: all goroutines wait until it has ended. For a gigabyte, whose pages are touched for
// the first time on a busy machine, that may take so long that the other nodes of a
// cluster miss the heartbeats of this one and replace it.
package pieces

// size is what is copied at once, in bytes: some hundred microseconds.
const size = 1 << 20

// Copy is the built-in copy.
func Copy(dst, src []byte) int {
	if len(src) <= size || len(dst) <= size {
		return copy(dst, src)
	}
	return copyLong(dst, src)
}

func copyLong(dst, src []byte) (n int) {
	for len(src) > size && len(dst) > size {
		one(dst[:size], src[:size])
		dst, src, n = dst[size:], src[size:], n+size
	}
	return n + copy(dst, src)
}

// one is a function of its own because the runtime can stop a goroutine where it calls one.
//
//go:noinline
func one(dst, src []byte) { copy(dst, src) }

// Append is the built-in append of all of src.
func Append(dst, src []byte) []byte {
	if len(src) <= size && len(dst) <= size {
		return append(dst, src...)
	}
	return appendLong(dst, src)
}

func appendLong(dst, src []byte) []byte {
	at := len(dst)
	if n := at + len(src); n > cap(dst) {
		grown := make([]byte, at, n+n/4)
		Copy(grown[:at], dst)
		dst = grown
	}
	dst = dst[:at+len(src)]
	Copy(dst[at:], src)
	return dst
}
