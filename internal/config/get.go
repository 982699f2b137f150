package config

import (
	"strings"

	"redoubt/internal/glob"
)

// Pair is the name of a directive and its value.
type Pair struct{ Name, Value string }

// Get returns the directives that any of the patterns matches, each name
// once: as configGetCommand does, but in a stable order. Aliases are names of
// their own. A pattern without wildcards is a name, and comes back as it was
// written; hidden directives are found by name only.
func (c *Config) Get(patterns ...string) []Pair {
	s := c.Current()
	var pairs []Pair
	found := make(map[string]bool)
	add := func(name string, d *directive) {
		if key := strings.ToLower(name); !found[key] {
			found[key] = true
			pairs = append(pairs, Pair{name, s.text[d.index]})
		}
	}
	for _, pattern := range patterns {
		if glob.Plain(pattern) {
			if d := lookup(pattern); d != nil {
				add(pattern, d)
			}
			continue
		}
		for _, name := range names {
			if d := byName[name]; !d.has(hidden) && glob.MatchFold(pattern, name) {
				add(name, d)
			}
		}
	}
	return pairs
}
