package admin

import (
	"strings"
	"testing"

	"redoubt/storage"
)

func TestTheDoctorFindsWasteOnly(t *testing.T) {
	calm := memoryUse{keys: storage.Memory{Data: 900 << 20, Tables: 50 << 20, Committed: 1000 << 20}, used: 1100 << 20, peak: 1100 << 20}
	for _, c := range []struct {
		name, finds string
		change      func(m *memoryUse)
	}{
		{"nothing", "No problem", func(*memoryUse) {}},
		{"an empty server", "too little", func(m *memoryUse) { m.keys.Data = 1 << 20 }},
		{"a past peak", "At its peak", func(m *memoryUse) { m.peak *= 2 }},
		{"sparse pages", "are empty", func(m *memoryUse) { m.keys.Committed *= 2 }},
		{"free pages", "No problem", func(m *memoryUse) { m.keys.Committed *= 2; m.keys.Free = 1000 << 20 }},
		{"what a snapshot keeps", "for a snapshot", func(m *memoryUse) { m.keys.Kept = 500 << 20 }},
		{"output that nobody reads", "CLIENT LIST", func(m *memoryUse) { m.clients = 500 << 20 }},
		{"a large server", "itself", func(m *memoryUse) { m.heap.Objects = 2000 << 20 }},
	} {
		m := calm
		c.change(&m)
		if got := diagnosis(m); !strings.Contains(got, c.finds) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}
