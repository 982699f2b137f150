package driver

import (
	"testing"
	"time"

	"redoubt/internal/config"
)

// A node timeout that no answer could keep is none: with one of a millisecond, which Redis's own
// tests have, no primary would ever be sure of a majority.
func TestNodeTimeoutIsNotShorterThanAnAnswerTakes(t *testing.T) {
	for set, want := range map[time.Duration]time.Duration{
		0: leastNodeTimeout, time.Millisecond: leastNodeTimeout, 500 * time.Millisecond: 500 * time.Millisecond,
	} {
		if got := clusterSettings(&config.Settings{ClusterNodeTimeout: set}, 1).NodeTimeout; got != want {
			t.Errorf("%v comes to %v, want %v", set, got, want)
		}
	}
}
