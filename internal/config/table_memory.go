package config

import (
	"math"
	"strings"
)

// memoryRows is how much memory the data may take, and which keys go when they
// take more.
var memoryRows = []*directive{
	{name: "maxmemory", typ: anyBytes, def: "0",
		does:  "memory from which on keys are evicted and writes are refused; 0: no limit",
		store: toInt(func(s *Settings) *int64 { return &s.MaxMemory.Bytes })},
	{name: "maxmemory-clients", typ: memory{lo: 0, hi: math.MaxInt64, percent: true}, def: "0",
		does: "memory of all clients from which on the largest are closed; 0: no limit",
		store: func(s *Settings, text string) {
			s.MaxMemory.ClientsBytes, s.MaxMemory.ClientsPercent = 0, 0
			if percent, ok := strings.CutSuffix(text, "%"); ok {
				s.MaxMemory.ClientsPercent = int(number(percent))
			} else {
				s.MaxMemory.ClientsBytes = number(text)
			}
		}},
	{name: "maxmemory-policy", typ: oneOf("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
		"allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction"), def: "noeviction",
		does:  "which keys are evicted",
		store: toText(func(s *Settings) *string { return &s.MaxMemory.Policy })},
	{name: "maxmemory-samples", typ: ints(1, 64), def: "5",
		does:  "keys looked at for each that is evicted",
		store: toInt(func(s *Settings) *int { return &s.MaxMemory.Samples })},
	{name: "maxmemory-eviction-tenacity", typ: ints(0, 100), def: "10",
		does:  "how long evictions may delay a command, 100: until there is room",
		store: toInt(func(s *Settings) *int { return &s.MaxMemory.Tenacity })},
	{name: "replica-ignore-maxmemory", aliases: []string{"slave-ignore-maxmemory"}, typ: boolean{}, def: "yes",
		does:  "without effect: no replica evicts by itself",
		store: toBool(func(s *Settings) *bool { return &s.MaxMemory.ReplicaIgnores })},
	{name: "activedefrag", typ: boolean{}, def: "yes",
		does:  "move keys and values together when memory lies free between them",
		store: toBool(func(s *Settings) *bool { return &s.Defrag.Active })},
	{name: "active-defrag-threshold-lower", typ: ints(0, 1000), def: "10",
		does:  "percent of memory lost from which on that is done",
		store: toInt(func(s *Settings) *int { return &s.Defrag.LostPercent })},
	{name: "active-defrag-ignore-bytes", typ: bytesFrom(1, math.MaxInt64), def: "2097152",
		does:  "memory that may be lost at any rate",
		store: toInt(func(s *Settings) *int64 { return &s.Defrag.IgnoreBytes })},
	{name: "lfu-log-factor", typ: nonNegative, def: "10",
		does:  "accesses that saturate the counter of a key: about a million at 10",
		store: toInt(func(s *Settings) *int { return &s.MaxMemory.LFULogFactor })},
	{name: "lfu-decay-time", typ: nonNegative, def: "1",
		does:  "minutes without access that lower the counter by one; 0: none",
		store: toInt(func(s *Settings) *int { return &s.MaxMemory.LFUDecayMin })},
}
