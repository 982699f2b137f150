package command

import (
	"fmt"
	"testing"

	"redoubt/internal/resp"
	"redoubt/storage/rdb/wire"
)

// A payload whose check cannot remember all members is refused when it is loaded,
// and nothing of it stays: not here, and not on a replica.
func TestRestoreOfALateDuplicateLeavesNothing(t *testing.T) {
	const members = 700_000 // a few more than are remembered
	var w wire.Writer
	w.Checksum = true
	w.Byte(2) // a set
	w.Length(members + 1)
	for i := range members {
		w.String(fmt.Appendf(nil, "%07d", i))
	}
	w.String(fmt.Appendf(nil, "%07d", members-1))
	w.Uint16(10)
	w.Uint64(w.Sum())
	payload := string(w.Collected())
	n := newNode()
	n.do("set", "k", "old")
	if reply, effect := n.do("restore", "k", "0", payload, "replace"); reply != "-"+string(resp.ErrRestoreFormat) || effect != "DEL k" {
		t.Errorf("it answers %q and goes out as %.60q", reply, effect)
	}
	if reply, _ := n.do("exists", "k"); reply != ":0" {
		t.Errorf("the key exists: %s", reply)
	}
}
