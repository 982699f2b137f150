package server

import (
	"errors"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// A server whose loops do not turn gives no sign of life, and gives one again when they do.
func TestAServerIsAliveWhileItsLoopsTurn(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	alive := func() error {
		if !n.Alive() {
			return errors.New("it gives no sign of life")
		}
		return nil
	}
	redistest.Until(t, time.Minute, "the loops turn", alive)
	l := n.loops[1] // one that hangs is enough
	l.turn.Lock()
	n.Alive() // what it has answered before
	for range 3 {
		if n.Alive() {
			t.Error("it is alive with a loop that hangs")
		}
	}
	l.turn.Unlock()
	redistest.Until(t, time.Minute, "the loops turn again", alive)
}
