package driver

import (
	"errors"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// The state machine of a cluster that hangs gives no sign of life, nor does one that
// others ask for more than it can do.
func TestADriverIsAliveWhileItGoesRound(t *testing.T) {
	m, err := openMember(t, t.TempDir(), redistest.Port(t))
	if err != nil {
		t.Fatal(err)
	}
	if !m.Alive() {
		t.Error("one that has not begun cannot hang")
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	alive := func() error {
		if !m.Alive() {
			return errors.New("it gives no sign of life")
		}
		return nil
	}
	redistest.Until(t, time.Minute, "it goes round", alive)
	hangs, goesOn := make(chan struct{}), make(chan struct{})
	m.post(func() { close(hangs); <-goesOn })
	<-hangs
	m.Alive() // what it has answered before
	for range 3 {
		if m.Alive() {
			t.Error("it is alive, and hangs")
		}
	}
	for full := false; !full; {
		select {
		case m.inbox <- func() {}:
		default:
			full = true
		}
	}
	for range 3 {
		if m.Alive() {
			t.Error("it is alive with a full inbox")
		}
	}
	close(goesOn)
	redistest.Until(t, time.Minute, "it goes round again", alive)
}
