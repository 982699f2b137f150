package node

import (
	"fmt"
	"math"
	"runtime/debug"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

func TestMemoryOfDeletedKeysReturnsToTheSystem(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--event-loops", "2")
	empty := n.keys.Memory().Committed
	e := n.keys.NewExecutor()
	for i := range 150_000 {
		set(n, e, fmt.Sprint("key:", i), "0123456789012345678901234567890123456789")
	}
	full := n.keys.Memory().Committed - empty
	n.replicator.Empty()
	e.Retire()
	redistest.Until(t, 10*time.Second, "nearly all memory has been given back", func() error {
		if left := n.keys.Memory().Committed - empty; left > full/2 {
			return fmt.Errorf("%d of %d bytes are left", left, full)
		}
		return nil
	})
}

func TestTheGoHeapGetsWhatKeysLeave(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	k := &memoryKeeper{machine: 10 << 30}
	for _, c := range []struct{ committed, limit int64 }{
		{0, 9 << 30},
		{1 << 30, 9 << 30}, // a small change
		{4 << 30, 5 << 30},
		{20 << 30, leastGo},
		{0, 9 << 30},
	} {
		k.adjust(c.committed)
		if got := debug.SetMemoryLimit(-1); got != c.limit {
			t.Errorf("with %d bytes of keys the limit is %d, want %d", c.committed, got, c.limit)
		}
	}
	k = &memoryKeeper{} // of a user who has chosen a limit
	debug.SetMemoryLimit(1 << 40)
	if k.adjust(1); debug.SetMemoryLimit(-1) != 1<<40 {
		t.Error("the user's limit is replaced")
	}
}

func TestTheLimitOfAControlGroup(t *testing.T) {
	for text, want := range map[string]int64{"max\n": math.MaxInt64, "": math.MaxInt64, "1048576\n": 1 << 20} {
		if got := groupLimit(text); got != want {
			t.Errorf("%q is %d", text, got)
		}
	}
}
