package sentinel

import (
	"errors"
	"testing"

	"redoubt/internal/redistest"
)

// A Sentinel that serves clients and does not watch its masters any more gives no sign of
// life.
func TestASentinelIsAliveWhileItWatches(t *testing.T) {
	s := startSentinel(t)
	alive := func() error {
		if !s.Alive() {
			return errors.New("it gives no sign of life")
		}
		return nil
	}
	redistest.Until(t, patience, "it watches", alive)
	hangs, goesOn := make(chan struct{}), make(chan struct{})
	s.driver.post(func() { close(hangs); <-goesOn })
	<-hangs
	s.Alive() // what it has answered before
	for range 3 {
		if s.Alive() {
			t.Error("it is alive, and hangs")
		}
	}
	close(goesOn)
	redistest.Until(t, patience, "it watches again", alive)
}
