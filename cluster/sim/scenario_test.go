package sim

import (
	"testing"
	"time"
)

// mustHold ends the test with the trace if err is not nil.
func mustHold(t *testing.T, w *World, err error) {
	t.Helper()
	if err == nil {
		err = w.Err()
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, w.Trace())
	}
}

// create makes a cluster of the given shape.
func create(t *testing.T, seed uint64, primaries, replicas int, opt Options) *World {
	t.Helper()
	w := New(seed, primaries+replicas, opt)
	mustHold(t, w, w.Create(primaries))
	return w
}

func TestSixNodesMeetAndBecomeACluster(t *testing.T) {
	w := create(t, 1, 3, 3, DefaultOptions())
	t.Logf("whole after %v\n%s", w.Now(), w.Members[0].View().NodesText(false))
	w.Run(10 * time.Second)
	mustHold(t, w, w.Verdict())
}
