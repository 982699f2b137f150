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

func TestAHungLoopShows(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	redistest.Until(t, time.Minute, "the loops turn", func() error {
		for _, l := range n.loops {
			if l.stats.beat.Load() == 0 {
				return errors.New("a loop has not begun")
			}
		}
		return nil
	})
	l := n.loops[1]
	l.turn.Lock()
	redistest.Until(t, time.Minute, "the loop that hangs shows", func() error {
		if d := n.Hung(); d < 10*cronPeriod {
			return errors.New("it looks as if it had turned " + d.String() + " ago")
		}
		return nil
	})
	l.turn.Unlock()
	redistest.Until(t, time.Minute, "the loops turn again", func() error {
		if d := n.Hung(); d > 3*cronPeriod {
			return errors.New("one of them hangs for " + d.String())
		}
		return nil
	})
}
