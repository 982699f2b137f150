package sim

import (
	"testing"

	"redoubt/cluster/sim/seedtest"
)

func TestSeed(t *testing.T) { seedtest.Run(t, NewChaos) }

func TestNight(t *testing.T) { seedtest.Night(t, NewChaos) }

func TestSameSeedGivesTheSameRun(t *testing.T) { seedtest.Same(t, NewChaos, 4242) }
