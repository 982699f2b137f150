package virtual

import (
	"fmt"
	"strings"
	"time"
)

// traceLength is how many lines a World remembers.
const traceLength = 4000

// trace is what happened, for the report of a failure.
type trace struct {
	lines []line
	first int // where the oldest is, once the trace is full
}

type line struct {
	at   time.Duration
	host int // -1: the world
	text string
}

// Log notes that something happened to a host; nil stands for the world.
func (w *World) Log(h *Host, text string) {
	l := line{at: w.Elapsed(), host: -1, text: text}
	if h != nil {
		l.host = h.Index
	}
	t := &w.trace
	if len(t.lines) < traceLength {
		t.lines = append(t.lines, l)
		return
	}
	t.lines[t.first] = l
	t.first = (t.first + 1) % traceLength
}

// Trace tells the last things that happened, one a line: time, host, what.
// Names are pairs of what is to be replaced and by what, such as the id of a
// program by #3, its host.
func (w *World) Trace(names ...string) string {
	short := strings.NewReplacer(names...)
	var b strings.Builder
	for i := range w.trace.lines {
		l := w.trace.lines[(w.trace.first+i)%len(w.trace.lines)]
		who := "world"
		if l.host >= 0 {
			who = fmt.Sprintf("#%d", l.host)
		}
		fmt.Fprintf(&b, "%10.4f %-6s %s\n", l.at.Seconds(), who, short.Replace(l.text))
	}
	return b.String()
}
