package psync

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"redoubt/internal/reason"
)

// outage is the time in which a Link is not up, as the log tells of it. A primary that
// is away is tried every second, and would fill the log: each cause is told once, then
// how long it has been and how often it was tried, at growing intervals, and in the end
// how long it took. It belongs to the Link's goroutine.
type outage struct {
	log  *zap.Logger
	addr string

	since    time.Time // zero: there is none, or it has seen no failure yet
	attempts int       // that failed
	told     map[string]bool
	next     time.Time // of the next summary
	interval time.Duration
}

const (
	firstSummary = time.Minute
	lastSummary  = time.Hour
	mostCauses   = 16 // that are told of one outage
)

// say tells of a step of an attempt, in the normal log if it is the first.
func (o *outage) say(format string, args ...any) {
	level := zapcore.InfoLevel
	if o.attempts > 1 {
		level = zapcore.DebugLevel
	}
	o.log.Log(level, fmt.Sprintf(format, args...))
}

// failed notes the end of an attempt, or of a link that was up.
func (o *outage) failed(now time.Time, up bool, err error) {
	if o.since.IsZero() {
		o.since, o.told = now, make(map[string]bool)
		o.interval = firstSummary
		o.next = now.Add(o.interval)
	}
	o.attempts++
	line := failure(up, err)
	switch {
	case !o.told[line] && len(o.told) < mostCauses:
		o.told[line] = true
		o.log.Warn(line)
	case !now.Before(o.next):
		o.interval = min(2*o.interval, lastSummary)
		o.next = now.Add(o.interval)
		o.log.Warn(fmt.Sprintf("MASTER %s could not be synchronized with for %v (%d attempts). The last one: %s",
			o.addr, now.Sub(o.since).Round(time.Second), o.attempts, line))
	default:
		o.log.Debug(line)
	}
}

// over notes that the link is up.
func (o *outage) over(now time.Time) {
	if o.attempts > 1 {
		o.log.Info(fmt.Sprintf("The link to MASTER %s is up after %v without one (%d attempts).",
			o.addr, now.Sub(o.since).Round(time.Millisecond), o.attempts))
	}
	*o = outage{log: o.log, addr: o.addr}
}

// errDial marks errors of a connection that was never there, errReceive those of one on
// which a snapshot was arriving.
var (
	errDial    = errors.New("psync: connect")
	errReceive = errors.New("psync: receive a snapshot")
)

// errRefused marks errors of this node's own: what the primary sent cannot be
// used here, and asking for it again soon would only cost both.
var errRefused = errors.New("What the master has sent cannot be used by this node")

// primaryError is an answer of the primary with which a connection is given up: the line
// of the log about it.
type primaryError string

func (e *primaryError) Error() string { return string(*e) }

func unexpected(format string, args ...any) error {
	e := primaryError(fmt.Sprintf(format, args...))
	return &e
}

// failure is a line of the log about the end of a session, in the words of Redis where
// it has some.
func failure(up bool, err error) string {
	late := errors.Is(err, os.ErrDeadlineExceeded)
	answer, answered := errors.AsType[*primaryError](err)
	switch {
	case errors.Is(err, errRefused):
		return strings.TrimPrefix(reason.Of(err), "receive a snapshot: ")
	case answered:
		return answer.Error()
	case late && up:
		return "MASTER timeout: no data nor PING received..."
	case late && errors.Is(err, errReceive):
		return "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' parameter in redis.conf to a larger value."
	case late:
		return "Timeout connecting to the MASTER..."
	case up:
		return "Connection with master lost: " + reason.Peer(err)
	case errors.Is(err, errDial):
		return "Error condition on socket for SYNC: " + reason.System(err)
	case errors.Is(err, errReceive):
		return "I/O error trying to sync with MASTER: " + reason.Peer(err)
	}
	return "Failed to read response from the server: " + reason.Peer(err)
}
