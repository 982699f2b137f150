package node

import (
	"testing"

	"redoubt/replication/psync"
)

// A primary takes its role back only if it knows that its replica has not: once an
// answer is lost, nothing but the replica itself tells.
func TestALostAnswerOfAFailoverStaysLost(t *testing.T) {
	const (
		taken = "the replica has taken over"
		asks  = "it asks"
		looks = "it asks without the word"
		back  = "it takes its role back"
	)
	for _, c := range []struct {
		name    string
		answers []psync.HandoverAnswer
		want    string
	}{
		{"agreed", []psync.HandoverAnswer{psync.Accepted}, taken},
		{"refused", []psync.HandoverAnswer{psync.Refused}, back},
		{"refused by a replica", []psync.HandoverAnswer{psync.Unlinked}, back},
		{"not asked", []psync.HandoverAnswer{psync.Unsent}, back},
		{"lost", []psync.HandoverAnswer{psync.Lost}, looks},
		{"lost, then out of reach", []psync.HandoverAnswer{psync.Lost, psync.Unsent}, looks},
		{"lost, then loading", []psync.HandoverAnswer{psync.Lost, psync.Refused}, looks},
		{"lost twice", []psync.HandoverAnswer{psync.Lost, psync.Lost}, looks},
		{"lost, then a primary", []psync.HandoverAnswer{psync.Lost, psync.Unsent, psync.Accepted}, taken},
		{"lost, then a replica", []psync.HandoverAnswer{psync.Lost, psync.Refused, psync.Unlinked}, asks},
		{"lost, then a replica that refuses", []psync.HandoverAnswer{psync.Lost, psync.Unlinked, psync.Refused}, back},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, why := &failover{asking: true}, ""
			for _, a := range c.answers {
				f, why = f.after(a)
			}
			got := asks
			switch {
			case why != "":
				got = back
			case f == nil:
				got = taken
			case f.lost:
				got = looks
			}
			if got != c.want {
				t.Errorf("after %s %s, not: %s", c.name, got, c.want)
			}
		})
	}
}
