package admin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
)

// Latency keeps, for each kind of event, the spikes above
// latency-monitor-threshold: the worst of a second, for the last 160 seconds
// that had one.
type Latency struct {
	mu     sync.Mutex
	events map[string]*latencySeries // guarded by mu
}

type latencySeries struct {
	samples []latencySample
	worst   int64 // milliseconds
}

type latencySample struct{ at, ms int64 } // at in Unix seconds

const latencySamples = 160

// LatencyEvent is the kind of event that a command is.
func LatencyEvent(r *command.Row) string {
	if r.Is(command.Fast) {
		return "fast-command"
	}
	return "command"
}

// Add notes a spike; now is in Unix seconds. Any goroutine may call it.
func (m *Latency) Add(event string, now int64, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.events == nil {
		m.events = map[string]*latencySeries{}
	}
	s := m.events[event]
	if s == nil {
		s = &latencySeries{}
		m.events[event] = s
	}
	ms := took.Milliseconds()
	s.worst = max(s.worst, ms)
	if n := len(s.samples); n > 0 && s.samples[n-1].at == now {
		s.samples[n-1].ms = max(s.samples[n-1].ms, ms)
		return
	}
	s.samples = append(s.samples, latencySample{now, ms})
	if len(s.samples) > latencySamples {
		s.samples = slices.Delete(s.samples, 0, 1)
	}
}

// names is the events there are, sorted; the caller holds mu.
func (m *Latency) names() []string {
	var names []string
	for n := range m.events {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// EachLatest calls f with the newest spike of each kind of event: when it was, and for
// how long.
func (m *Latency) EachLatest(f func(event string, at time.Time, took time.Duration)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range m.names() {
		s := m.events[name].samples
		last := s[len(s)-1]
		f(name, time.Unix(last.at, 0), time.Duration(last.ms)*time.Millisecond)
	}
}

// reset forgets the named events, or all, and returns how many there were.
func (m *Latency) reset(names ...string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(names) == 0 {
		names = m.names()
	}
	n := 0
	for _, name := range names {
		if m.events[name] != nil {
			delete(m.events, name)
			n++
		}
	}
	return n
}

func (a *Commands) latencyRow() *command.Row {
	const flags = command.Admin | command.NoScript | command.Loading | command.Stale
	return &command.Row{Name: "latency", Arity: -2, Doc: command.Brief("2.8.13", "server", "Tells of events that took long."), Sub: []*command.Row{
		serverRow("latest", 2, flags, "2.8.13", "Shows the newest sample of every event.", a.latencyLatest),
		serverRow("history", 3, flags, "2.8.13", "Shows the samples of one event with their times.", a.latencyHistory),
		serverRow("reset", -2, flags, "2.8.13", "Forgets what was recorded of events.", a.latencyReset),
		serverRow("graph", 3, flags, "2.8.13", "Draws the samples of one event.", a.latencyGraph),
		serverRow("doctor", 2, flags, "2.8.13", "Says in words what took long, and what may help.", a.latencyDoctor),
		serverRow("histogram", -2, flags, "7.0.0", "Shows how often commands took how long.", a.latencyHistogram),
		serverRow("help", 2, command.Loading|command.Stale, "2.8.13", "Lists the sub-commands.", func(x *command.Ctx) {
			command.Help(x, "DOCTOR", "    What took long, and what may help.",
				"GRAPH <event>", "    The samples of an event, drawn.",
				"HISTOGRAM [COMMAND ...]", "    How often these commands, or all, took no longer than so many microseconds.",
				"HISTORY <event>", "    The samples of an event, with their times.",
				"LATEST", "    The newest sample of every event.",
				"RESET [<event> ...]", "    Forget what was recorded of events", "    (of all events, if none is named).")
		}),
	}}
}

func (a *Commands) latencyLatest(x *command.Ctx) {
	m := &a.Latency
	m.mu.Lock()
	defer m.mu.Unlock()
	names := m.names()
	x.Out.Array(len(names))
	for _, name := range names {
		s := m.events[name]
		last := s.samples[len(s.samples)-1]
		x.Out.Array(4)
		x.Out.BulkString(name)
		x.Out.Int(last.at)
		x.Out.Int(last.ms)
		x.Out.Int(s.worst)
	}
}

func (a *Commands) latencyHistory(x *command.Ctx) {
	m := &a.Latency
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.events[string(x.Args[2])]
	if s == nil {
		x.Out.Array(0)
		return
	}
	x.Out.Array(len(s.samples))
	for _, v := range s.samples {
		x.Out.Array(2)
		x.Out.Int(v.at)
		x.Out.Int(v.ms)
	}
}

func (a *Commands) latencyGraph(x *command.Ctx) {
	m := &a.Latency
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.events[string(x.Args[2])]
	if s == nil {
		x.Out.Error(resp.ErrNoSamples(x.Args[2]))
		return
	}
	x.Out.Verbatim("txt", s.graph(string(x.Args[2]), x.Host.Now()/1000))
}

func (a *Commands) latencyDoctor(x *command.Ctx) {
	m := &a.Latency
	m.mu.Lock()
	defer m.mu.Unlock()
	x.Out.Verbatim("txt", m.report(x.Host.Now()/1000, a.Settings.Current().LatencyMonitorThreshold.Milliseconds()))
}

// commandLatency is how long the calls of a row took.
type commandLatency struct {
	name string
	took command.Latencies
}

// eachLatency calls f for each command that was called, with what it may keep during
// the call only.
func (a *Commands) eachLatency(f func(l *commandLatency)) {
	var l commandLatency
	for i, r := range a.Server.Table().All() {
		l.name, l.took = r.FullName(), command.Latencies{}
		if a.Server.CommandLatencies(&l.took, i); l.took.Calls() > 0 {
			f(&l)
		}
	}
}

// latencyHistogram matches latencyAllCommandsFillCDF and
// latencySpecificCommandsFillCDF.
func (a *Commands) latencyHistogram(x *command.Ctx) {
	var chosen []commandLatency
	a.eachLatency(func(l *commandLatency) {
		if len(x.Args) == 2 || slices.ContainsFunc(x.Args[2:], l.isNamed) {
			chosen = append(chosen, *l)
		}
	})
	w := x.Out
	w.Map(len(chosen))
	for i := range chosen {
		l := &chosen[i]
		var pairs [][2]int64
		l.took.Cumulated(func(upTo time.Duration, calls uint64) {
			pairs = append(pairs, [2]int64{upTo.Microseconds(), int64(calls)})
		})
		w.BulkString(l.name)
		w.Map(2)
		w.BulkString("calls")
		w.Int(int64(l.took.Calls()))
		w.BulkString("histogram_usec")
		w.Map(len(pairs))
		for _, p := range pairs {
			w.Int(p[0])
			w.Int(p[1])
		}
	}
}

// isNamed reports whether a word means the command: its name, or that of the command
// it belongs to.
func (l *commandLatency) isNamed(word []byte) bool {
	container, _, _ := strings.Cut(l.name, "|")
	return resp.EqualFold(word, l.name) || resp.EqualFold(word, container)
}

// infoLatencyStats is percentiles of how long commands took, in microseconds.
func (a *Commands) infoLatencyStats(b *strings.Builder) {
	percentiles := a.Settings.Current().LatencyPercentiles
	a.eachLatency(func(l *commandLatency) {
		fmt.Fprintf(b, "latency_percentiles_usec_%s:", l.name)
		for i, p := range percentiles {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(b, "p%s=%.3f", strconv.FormatFloat(p, 'f', -1, 64), float64(l.took.Percentile(p))/1000)
		}
		b.WriteString("\r\n")
	})
}

func (a *Commands) latencyReset(x *command.Ctx) {
	var names []string
	for _, a := range x.Args[2:] {
		names = append(names, string(a))
	}
	x.Out.Int(int64(a.Latency.reset(names...)))
}
