package sim

import (
	"testing"

	"redoubt/cluster/sim/seedtest"
)

func TestSeed(t *testing.T) { seedtest.Run(t, NewChaos) }

func TestSameSeedGivesTheSameRun(t *testing.T) { seedtest.Same(t, NewChaos, 4242) }
