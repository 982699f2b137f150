package logging

import (
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestLinesLookLikeRedis(t *testing.T) {
	var out strings.Builder
	l := New(&out)
	l.SetReplica(false)
	l.Info("Ready to accept connections")
	l.SetReplica(true)
	l.With(zap.String("replica", "a b")).Warn("lost", zap.Error(errors.New("two\nlines")), zap.Duration("took", 1500*time.Microsecond))
	l.Debug("not shown")
	pid := strconv.Itoa(os.Getpid())
	want := []string{
		"^" + pid + `:M \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} \* Ready to accept connections$`,
		"^" + pid + `:S .* # lost replica=a b error=two\\nlines took=1\.5ms$`,
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("lines: %q", lines)
	}
	for i, w := range want {
		if !regexp.MustCompile(w).MatchString(lines[i]) {
			t.Errorf("line %q, want %s", lines[i], w)
		}
	}
}
