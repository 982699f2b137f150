package node

import (
	"os"
	"path/filepath"
	"testing"
)

// A primary and a replica have scores of their own, which end with the directive.
func TestTheOOMScoreFollowsTheRole(t *testing.T) {
	n, c := startServing(t, t.TempDir())
	n.score.file = filepath.Join(t.TempDir(), "oom_score_adj")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(n.score.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("7\n")
	for _, step := range []struct {
		want string
		line []any
	}{
		{"7\n", []any{"CONFIG", "SET", "oom-score-adj-values", "10 20 30"}},
		{"17", []any{"CONFIG", "SET", "oom-score-adj", "yes"}},
		{"22", []any{"CONFIG", "SET", "oom-score-adj-values", "15 20 30"}},
		{"27", []any{"REPLICAOF", "127.0.0.1", "1"}},
		{"20", []any{"CONFIG", "SET", "oom-score-adj", "absolute"}},
		{"15", []any{"REPLICAOF", "NO", "ONE"}},
		{"22", []any{"CONFIG", "SET", "oom-score-adj", "relative"}},
		{"1000", []any{"CONFIG", "SET", "oom-score-adj-values", "1500 20 30"}},
		{"-1000", []any{"CONFIG", "SET", "oom-score-adj-values", "-1500 20 30"}},
		{"7", []any{"CONFIG", "SET", "oom-score-adj", "no"}},
	} {
		answers(t, c, "OK", step.line...)
		if got, err := os.ReadFile(n.score.file); err != nil || string(got) != step.want {
			t.Errorf("%v: the score is %q, %v, want %q", step.line, got, err, step.want)
		}
	}
	write("22")
	answers(t, c, "OK", "CONFIG", "SET", "oom-score-adj", "yes", "oom-score-adj-values", "9 9 9")
	if got, _ := os.ReadFile(n.score.file); string(got) != "31" {
		t.Errorf("a score that somebody else has set is not what it is added to: %s", got)
	}
}

// A score that the kernel refuses is an error, and the directive stays as it was.
func TestAnOOMScoreThatIsRefused(t *testing.T) {
	n, c := startServing(t, t.TempDir())
	n.score.file = filepath.Join(t.TempDir(), "missing", "oom_score_adj")
	answers(t, c, "Failed to set current oom_score_adj", "CONFIG", "SET", "oom-score-adj", "yes")
	answers(t, c, "[oom-score-adj no]", "CONFIG", "GET", "oom-score-adj")
}
