package chaos

import (
	"os"
	"testing"

	"redoubt/internal/chaos/history"
)

// TestAgain judges a history of a folder once more.
func TestAgain(t *testing.T) {
	name := os.Getenv("CHAOS_HISTORY")
	if name == "" {
		t.Skip("CHAOS_HISTORY names no file; see docs/testing.md")
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h, err := history.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	v := history.Check(h, judging)
	for _, bad := range v.Violations {
		t.Error(bad)
	}
	t.Logf("%d operations, %d registers undecided", len(h), len(v.Undecided))
}
