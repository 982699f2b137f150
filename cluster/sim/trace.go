package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"redoubt/cluster"
)

// traceLength is how many lines a World remembers.
const traceLength = 4000

// trace is what happened, for the report of a failure.
type trace struct {
	lines []line
	first int // where the oldest is, once the trace is full
}

type line struct {
	at     time.Duration
	member int // -1: the world
	text   string
}

func (w *World) log(m *Member, text string, args ...any) {
	l := line{at: w.Now(), member: -1, text: text}
	if m != nil {
		l.member = m.Index
	}
	if len(args) > 0 {
		l.text = text + " " + fmt.Sprint(args...)
	}
	t := &w.trace
	if len(t.lines) < traceLength {
		t.lines = append(t.lines, l)
		return
	}
	t.lines[t.first] = l
	t.first = (t.first + 1) % traceLength
}

// Trace tells the last things that happened, one a line: time, member, what.
// Node ids are shortened to their members.
func (w *World) Trace() string {
	var pairs []string
	for _, m := range w.Members {
		if m.node != nil {
			pairs = append(pairs, string(m.node.ID()), fmt.Sprintf("#%d", m.Index))
		}
	}
	short := strings.NewReplacer(pairs...)
	var b strings.Builder
	for i := range w.trace.lines {
		l := w.trace.lines[(w.trace.first+i)%len(w.trace.lines)]
		who := "world"
		if l.member >= 0 {
			who = fmt.Sprintf("#%d", l.member)
		}
		fmt.Fprintf(&b, "%10.4f %-6s %s\n", l.at.Seconds(), who, short.Replace(l.text))
	}
	return b.String()
}

// sortConns lists connections by their ends.
func sortConns(links map[end]*conn) []*conn {
	list := make([]*conn, 0, len(links)/2)
	for e, c := range links {
		if e == c.ends[0] {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *conn) int {
		return cmp.Or(
			cmp.Compare(a.ends[0].member.Index, b.ends[0].member.Index),
			cmp.Compare[cluster.LinkID](a.ends[0].link, b.ends[0].link),
			cmp.Compare(a.lives[0], b.lives[0]),
		)
	})
	return list
}
