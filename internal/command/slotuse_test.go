package command

import (
	"testing"

	"redoubt/internal/resp"
	"redoubt/slots"
)

// What a replica applies counts for the slots of its keys, as the bytes in which it came.
func TestAppliedCommandsCountForTheirSlots(t *testing.T) {
	n := newNode()
	a := NewApplier(n.table, n.exec, n)
	apply := func(lines ...string) {
		t.Helper()
		var unit []Effect
		for _, line := range lines {
			unit = append(unit, Effect{Args: args(line)})
		}
		if err := a.Apply(0, unit, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	in := func(key string) int64 { return a.Runner().SlotUse(slots.Of([]byte(key))).In }
	apply("set key value")
	if got := in("key"); got != 0 {
		t.Errorf("%d bytes without being asked to count", got)
	}
	n.table.CountSlots(true)
	apply("set key value")
	if got := in("key"); got != 33 {
		t.Errorf("%d bytes of SET, want 33", got)
	}
	apply("set key value", "set other value") // of a script, say: in two slots
	if got := in("key"); got != 33+33+15+14 {
		t.Errorf("%d bytes, want 33 and those of a transaction, 62, more", got)
	}
	if got := in("other"); got != 35 {
		t.Errorf("%d bytes in the other slot, want 35", got)
	}
	a.Uncounted = true
	apply("set key value")
	if got := in("key"); got != 95 {
		t.Errorf("%d bytes after what does not count", got)
	}
	i := n.table.Lookup([]byte("set")).index
	if took := a.Runner().Stats(i).Took; took <= 0 {
		t.Errorf("SET has taken %v", took)
	}
}

func TestArrayLen(t *testing.T) {
	for _, line := range []string{"get k", "set key 0123456789", "a b c d e f g h i j k"} {
		if got, want := resp.ArrayLen(args(line)), len(resp.AppendArray(nil, args(line)...)); got != want {
			t.Errorf("%s: %d, want %d", line, got, want)
		}
	}
}
