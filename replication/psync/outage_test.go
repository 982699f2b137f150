package psync

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestAnOutageIsToldOnce: a primary that is away for a day, and is tried every second,
// takes a few lines of the log.
func TestAnOutageIsToldOnce(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	o := outage{log: zap.New(core), addr: "10.0.0.1:6379"}
	refused := fmt.Errorf("%w: %w", errDial, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)})
	now := time.Unix(1e9, 0)
	o.failed(now, true, io.EOF)
	const attempts = 24 * 3600
	for range attempts {
		now = now.Add(time.Second)
		o.say("Connecting to MASTER %s", o.addr)
		o.failed(now, false, refused)
	}
	o.over(now)
	lines := logs.TakeAll()
	var text []string
	for _, l := range lines {
		text = append(text, l.Message)
	}
	all := strings.Join(text, "\n")
	// The summaries come after 1, 3, 7, 15, 31 minutes, 63, then every hour.
	if n := strings.Count(all, "could not be synchronized with"); n < 20 || n > 32 {
		t.Errorf("%d summaries of a day:\n%s", n, all)
	}
	for line, times := range map[string]int{
		"Connection with master lost: Connection closed by the peer":            1,
		"Connecting to MASTER 10.0.0.1:6379":                                    1,
		"\nError condition on socket for SYNC: Connection refused\n":            1,
		"for 1m0s (61 attempts). The last one: Error condition on socket":       1,
		"The link to MASTER 10.0.0.1:6379 is up after 24h0m0s without one (864": 1,
	} {
		if n := strings.Count(all, line); n != times {
			t.Errorf("%q is there %d times, want %d:\n%s", line, n, times, all)
		}
	}

	o.over(now) // a link that was there at once
	o.failed(now, true, os.ErrDeadlineExceeded)
	o.over(now)
	if logs.Len() != 1 {
		t.Errorf("a hiccup: %v", logs.All())
	}
}

// TestCausesAreBounded: a primary that says something else each time does not fill the log.
func TestCausesAreBounded(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	o := outage{log: zap.New(core), addr: "a"}
	for i := range 1000 {
		o.failed(time.Unix(1e9, 0), false, unexpected("answer %d", i))
	}
	if logs.Len() != mostCauses {
		t.Errorf("%d lines", logs.Len())
	}
}

func TestFailuresInWords(t *testing.T) {
	for _, c := range []struct {
		up   bool
		err  error
		want string
	}{
		{false, fmt.Errorf("%w: %w", errDial, &net.DNSError{IsNotFound: true}), "Error condition on socket for SYNC: Name or service not known"},
		{false, os.ErrDeadlineExceeded, "Timeout connecting to the MASTER..."},
		{true, &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "MASTER timeout: no data nor PING received..."},
		{false, fmt.Errorf("%w: %w", errReceive, os.ErrDeadlineExceeded), "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' parameter in redis.conf to a larger value."},
		{false, fmt.Errorf("%w: %w", errReceive, fmt.Errorf("%w: %w", errRefused, syscall.ENOSPC)), "What the master has sent cannot be used by this node: No space left on device"},
		{false, io.EOF, "Failed to read response from the server: Connection closed by the peer"},
		{true, fmt.Errorf("%w: apply the stream after 12: %w", errRefused, errors.New("no")), "What the master has sent cannot be used by this node: apply the stream after 12: no"},
	} {
		if got := failure(c.up, c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
