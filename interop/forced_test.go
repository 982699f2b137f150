package interop

import (
	"fmt"
	"testing"

	"redoubt/internal/redistest"
)

// A failover that is forced needs the votes of the others, but nobody's opinion
// that the primary has failed; a takeover needs nobody. Both are understood
// between the kinds.
func TestForcedFailovers(t *testing.T) {
	t.Parallel()
	real, mine := redistest.Redis, ours()
	c := startCluster(t, patience, []redistest.Kind{real, mine, real, mine, mine, real})
	pair(t, c, 2, 3)
	pair(t, c, 1, 5)
	pair(t, c, 0, 4)
	agree(t, c)
	takes := func(heir *redistest.Server, how string) {
		t.Helper()
		if got := heir.Do("CLUSTER", "FAILOVER", how); got != "OK" {
			t.Fatalf("CLUSTER FAILOVER %s: %v", how, got)
		}
		redistest.Until(t, patience/2, how+" on port "+fmt.Sprint(heir.Port), func() error {
			if role := heir.Info("role"); role != "master" {
				return fmt.Errorf("role is %s", role)
			}
			return nil
		})
	}
	for _, kill := range []struct{ primary, heir *redistest.Server }{
		{c.Nodes[2], c.Nodes[3]}, // a real primary, a replica of ours
		{c.Nodes[1], c.Nodes[5]}, // the reverse
	} {
		kill.primary.Kill()
		redistest.Until(t, settle, "the replica has lost its primary", func() error {
			const want = "ERR Master is down or failed, please use CLUSTER FAILOVER FORCE"
			if _, err := kill.heir.Client().Do("CLUSTER", "FAILOVER"); err == nil || err.Error() != want {
				return fmt.Errorf("CLUSTER FAILOVER: %v", err)
			}
			return nil
		})
		takes(kill.heir, "FORCE")
		kill.primary.Restart()
		c.UntilStable(settle)
		agree(t, c)
	}
	// Two of three primaries are gone, so nobody can be elected.
	c.Nodes[3].Kill()
	c.Nodes[5].Kill()
	takes(c.Nodes[2], "TAKEOVER")
	takes(c.Nodes[1], "TAKEOVER")
	c.Nodes[3].Restart()
	c.Nodes[5].Restart()
	c.UntilStable(settle)
	agree(t, c)
	wantText(t, manage(t, "check", c.Nodes[0].Addr()), healthy...)
}
