package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"redoubt/internal/config"
)

func TestTheKernelIsToldTheOOMScore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "oom_score_adj")
	kernel := func(want string) {
		t.Helper()
		got, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("the kernel has %q, %v; want %q", got, err, want)
		}
	}
	if err := os.WriteFile(path, []byte("22\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(config.Source{Args: []string{"--port", "0"}})
	if err != nil {
		t.Fatal(err)
	}
	o, replica := &oomScore{path: path}, false
	settings.OnChange(func(_, next *config.Settings) error { return o.follow(next, replica) }, "oom-score-adj", "oom-score-adj-values")
	set := func(pairs ...config.Pair) {
		t.Helper()
		if err := settings.Set(config.Caller{}, pairs...); err != nil {
			t.Error(err)
		}
	}
	set(config.Pair{Name: "oom-score-adj-values", Value: "9 500 900"})
	kernel("22") // it is off
	set(config.Pair{Name: "oom-score-adj", Value: "yes"})
	kernel("31")
	set(config.Pair{Name: "oom-score-adj-values", Value: "10 990 0"})
	kernel("32")
	replica = true
	if err := o.follow(settings.Current(), replica); err != nil {
		t.Error(err)
	}
	kernel("1000") // the kernel takes no more
	set(config.Pair{Name: "oom-score-adj", Value: "absolute"})
	kernel("990")
	set(config.Pair{Name: "oom-score-adj", Value: "no"})
	kernel("22")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := settings.Set(config.Caller{}, config.Pair{Name: "oom-score-adj", Value: "yes"}); err == nil || settings.Current().OOMScoreAdj != config.OOMNo {
		t.Errorf("without such a file: %v, and it is on", err)
	}
}

// REPLICAOF changes the score at once, as unit/oom-score-adj wants it.
func TestTheOOMScoreFollowsTheRole(t *testing.T) {
	n, c := startServing(t, t.TempDir())
	path := filepath.Join(t.TempDir(), "oom_score_adj")
	if err := os.WriteFile(path, []byte("0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lead := func(path string) {
		n.oom.mu.Lock()
		defer n.oom.mu.Unlock()
		n.oom.path = path
	}
	lead(path)
	kernel := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("the kernel has %q, %v; want %q", got, err, want)
		}
	}
	answers(t, c, "OK", "CONFIG", "SET", "oom-score-adj-values", "15 20 30", "oom-score-adj", "yes")
	kernel("15")
	answers(t, c, "OK", "REPLICAOF", "127.0.0.1", "1")
	kernel("20")
	answers(t, c, "OK", "REPLICAOF", "NO", "ONE")
	kernel("15")
	// The kernel takes no lower score from who lacks the right, and the old one counts on.
	lead(filepath.Join(path, "denied"))
	answers(t, c, "Failed to set current oom_score_adj", "CONFIG", "SET", "oom-score-adj-values", "0 0 0")
	answers(t, c, "15 20 30", "CONFIG", "GET", "oom-score-adj-values")
	lead(path)
}
