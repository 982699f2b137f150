package config

import (
	"slices"
	"testing"
)

func TestGet(t *testing.T) {
	c := mustLoad(t, "hz 20\nkey-load-delay 5")
	for _, tc := range []struct {
		name     string
		patterns []string
		want     []Pair
	}{
		{"a name", []string{"hz"}, []Pair{{"hz", "20"}}},
		{"a name comes back as it was written", []string{"HZ"}, []Pair{{"HZ", "20"}}},
		{"an alias is a name", []string{"slaveof"}, []Pair{{"slaveof", ""}}},
		{"a pattern, in any case", []string{"*REPLICAOF"}, []Pair{{"replicaof", ""}}},
		{"a pattern finds names and aliases", []string{"*ve-read-*", "?eplica-read-only"}, []Pair{{"slave-read-only", "yes"}, {"replica-read-only", "yes"}}},
		{"nothing comes twice", []string{"hz", "Hz", "h[z]"}, []Pair{{"hz", "20"}}},
		{"an unknown name is nothing", []string{"nonsense", "no*sense"}, nil},
		{"a hidden directive needs its name", []string{"key-load*", "key-load-delay"}, []Pair{{"key-load-delay", "5"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := c.Get(tc.patterns...); !slices.Equal(got, tc.want) {
				t.Errorf("Get(%q) = %q, want %q", tc.patterns, got, tc.want)
			}
		})
	}
}
