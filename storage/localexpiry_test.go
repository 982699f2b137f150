package storage

import (
	"fmt"
	"testing"

	"redoubt/slots"
)

// TestAReplicaDeletesWhatItsOwnClientsLetExpire: and nothing else, whatever the primary
// does to the same keys meanwhile.
func TestAReplicaDeletesWhatItsOwnClientsLetExpire(t *testing.T) {
	ks := New(Config{Databases: 2})
	e, applier := ks.NewExecutor(), ks.NewExecutor()
	ks.SetRole(RoleReplica)
	set := func(e *Executor, begin func(n slots.Slot) *Tx, db int, key string, at int64) {
		tx := begin(slots.Of([]byte(key)))
		tx.Select(db)
		tx.SetString([]byte(key), []byte("v"), at, 0)
		e.End()
	}
	own := func(n slots.Slot) *Tx { return e.Begin(100, []slots.Slot{n}) }
	theirs := func(n slots.Slot) *Tx { return applier.BeginApply(100, 1, []slots.Slot{n}) }
	for i := range 10 {
		set(e, own, i%2, fmt.Sprint("own:", i), int64(200+i))
		set(applier, theirs, i%2, fmt.Sprint("theirs:", i), int64(200+i))
	}
	set(e, own, 0, "later", 200)
	set(e, own, 0, "later", 900)
	set(e, own, 0, "taken over", 200)
	set(applier, theirs, 0, "taken over", 201)
	set(e, own, 0, "not any more", 200)
	set(e, own, 0, "not any more", 0)
	if n := ks.LocalExpiries(); n != 13 {
		t.Errorf("%d keys are remembered", n)
	}
	if n, _ := e.ExpireCycle(205, 1000); n != 5 || ks.Len(0)+ks.Len(1) != 23-5 {
		t.Errorf("%d were deleted, %d keys are left", n, ks.Len(0)+ks.Len(1))
	}
	if n, _ := e.ExpireCycle(300, 3); n != 3 {
		t.Errorf("%d were deleted with a budget of 3", n)
	}
	if n, _ := e.ExpireCycle(300, 1000); n != 2 || ks.LocalExpiries() != 1 {
		t.Errorf("%d were deleted, %d are remembered", n, ks.LocalExpiries())
	}
	if ks.Len(0) != 5+3 || ks.Len(1) != 5 {
		t.Errorf("%d and %d keys are left", ks.Len(0), ks.Len(1))
	}
	ks.SetRole(RolePrimary) // now all are keys like others
	if e.ExpireCycle(1000, 1000); ks.Len(0) != 1 || ks.Len(1) != 0 || ks.LocalExpiries() != 0 {
		t.Errorf("%d and %d keys, %d are remembered", ks.Len(0), ks.Len(1), ks.LocalExpiries())
	}
}
