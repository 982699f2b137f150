package sentinel

import (
	"math/rand/v2"
	"testing"
	"time"
)

// epoch0 is when tests begin.
var epoch0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newNode(t *testing.T, s Settings, state *State) *Node {
	t.Helper()
	n, err := New(epoch0, Config{Settings: s, State: state, Rand: rand.New(rand.NewPCG(1, 1))})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
