package storage

import (
	"testing"

	"redoubt/storage/slab"
)

// A value that may be as long as the settings allow, under a key as long, must not be
// what ends the process.
func TestTheLongestRecordHasRoom(t *testing.T) {
	if n := layoutOf(MaxString, MaxString, true).end; n > slab.MaxBlock {
		t.Errorf("a record may have %d bytes, and a block has no more than %d", n, slab.MaxBlock)
	}
}
