package slab

import "testing"

func TestSizesHoldWhatWasAskedFor(t *testing.T) {
	for _, a := range []Area{Records, Tables, Nodes} {
		last := 0
		for n := range 200_000 {
			size := a.SizeFor(n)
			if size < n || size < last || a.SizeFor(size) != size {
				t.Fatalf("%v: SizeFor(%d) = %d, after %d; SizeFor of that %d", a, n, size, last, a.SizeFor(size))
			}
			if a == Tables && size%line != 0 {
				t.Fatalf("a table of %d bytes has %d", n, size)
			}
			// One part in sixteen at 4 KiB, less elsewhere.
			if n >= 512 && a != Tables && size-n > n/15 {
				t.Fatalf("%v: SizeFor(%d) = %d", a, n, size)
			}
			last = size
		}
	}
}
