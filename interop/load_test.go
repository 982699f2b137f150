package interop

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"redoubt/internal/redistest"
	"redoubt/internal/tools/check"
	"redoubt/internal/tools/client"
)

// load is a run of the consistency check beside a test.
type load struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan struct{}
	report *check.Report // once done is closed
	err    error

	mu     sync.Mutex // guards writes
	writes int        // acknowledged, as of the last line of progress
}

// startLoad writes to and reads from all slots of a cluster until it is
// judged, at most, or the test ends.
func startLoad(t *testing.T, c *redistest.Cluster, rate int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{t: t, cancel: cancel, done: make(chan struct{})}
	cfg := check.Config{
		Client:   client.Options{Timeout: 5 * time.Second},
		Keys:     2048,
		Rate:     rate,
		Verify:   settle,
		Progress: l,
	}
	for _, s := range c.Nodes {
		cfg.Seeds = append(cfg.Seeds, s.Addr())
	}
	go func() {
		defer close(l.done)
		l.report, l.err = check.Run(ctx, cfg)
	}()
	t.Cleanup(func() {
		cancel()
		<-l.done
	})
	return l
}

var _ io.Writer = (*load)(nil)

// writesOf finds the writes in a line of progress.
var writesOf = regexp.MustCompile(`(\d+) W \(`)

// Write takes a line of progress.
func (l *load) Write(line []byte) (int, error) {
	if found := writesOf.FindSubmatch(line); found != nil {
		writes, _ := strconv.Atoi(string(found[1]))
		l.mu.Lock()
		l.writes = writes
		l.mu.Unlock()
	}
	return len(line), nil
}

func (l *load) written() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writes
}

// untilMore waits until n more writes have been acknowledged.
func (l *load) untilMore(n int) {
	l.t.Helper()
	want := l.written() + n
	redistest.Until(l.t, settle, fmt.Sprintf("%d more writes", n), func() error {
		select {
		case <-l.done:
			l.t.Fatalf("the load has ended: %v", l.err)
		default:
		}
		if w := l.written(); w < want {
			return fmt.Errorf("%d of %d", w, want)
		}
		return nil
	})
}

// end stops the load, has all keys read once more and returns the report.
func (l *load) end() *check.Report {
	l.t.Helper()
	l.cancel()
	<-l.done
	if l.err != nil {
		l.t.Fatalf("the load: %v", l.err)
	}
	return l.report
}

// nothingLost fails the test if an acknowledged write is gone or a key cannot
// be read.
func nothingLost(t *testing.T, r *check.Report) {
	t.Helper()
	if !r.Good() {
		t.Errorf("%d acknowledged writes are gone, %d keys unread, %d foreign values; errors %v", len(r.Lost), r.Unverified, r.Foreign, r.ErrorCodes)
		for i, l := range r.Lost {
			if i == 10 {
				break
			}
			t.Logf("lost: %v", l)
		}
	}
}
