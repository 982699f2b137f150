package logging

import (
	"errors"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
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
	l.Info("cannot be written.", zap.String("file", "x"), zap.Error(&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}))
	l.SetLevel(Verbose)
	l.Debug("verbose")
	l.Log(Debug, "not shown")
	l.SetLevel(Warning)
	l.Info("not shown")
	pid := strconv.Itoa(os.Getpid())
	want := []string{
		"^" + pid + `:M \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} \* Ready to accept connections$`,
		"^" + pid + `:S .* # lost: two\\nlines replica="a b" took=1\.5ms$`,
		`\* cannot be written: Connection refused file=x$`,
		"- verbose$",
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
