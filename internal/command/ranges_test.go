package command

import (
	"testing"

	"redoubt/storage"
)

// The table of LCS is bounded for strings of any length, also where its size is no
// integer of 64 bits.
func TestLCSBoundsItsTable(t *testing.T) {
	const most = 512 << 20
	for _, c := range []struct {
		a, b, most int64
		tooLong    bool
	}{
		{0, 0, most, false},
		{0, most/4 - 1, most, false},
		{most/4 - 1, 0, most, false},
		{0, most / 4, most, true},
		{1<<13 - 1, 1<<14 - 1, most, false},
		{1<<13 - 1, 1 << 14, most, true},
		{1 << 13, 1<<14 - 1, most, true},
		{1<<31 - 1, 1<<31 - 1, 4 << 30, true},
		{storage.MaxString, storage.MaxString, 4 << 30, true},
		{0, 0, 3, true},
	} {
		if got := lcsTooLong(c.a, c.b, c.most); got != c.tooLong {
			t.Errorf("%d and %d bytes are too long for %d: %v", c.a, c.b, c.most, got)
		}
	}
}
