package node

import (
	"errors"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// A primary one of whose loops hangs leaves its clients without an answer, so the
// cluster has to hear of it.
func TestANodeWithAHungLoopIsUnwell(t *testing.T) {
	n, c := startServing(t, t.TempDir(), "--cluster-node-timeout", "100", "--enable-debug-command", "yes")
	unwell := func(want bool) func() error {
		return func() error {
			if n.facts().Unwell != want {
				return errors.New("it is not, or is")
			}
			return nil
		}
	}
	redistest.Until(t, time.Minute, "the node is well", unwell(false))
	go c.Do("debug", "sleep", "2")
	redistest.Until(t, time.Minute, "the node is unwell", unwell(true))
	redistest.Until(t, time.Minute, "the node is well again", unwell(false))
}
