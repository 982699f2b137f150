package admin

import (
	"slices"
	"sync"
	"time"

	"redoubt/internal/command"
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
		serverRow("help", 2, command.Loading|command.Stale, "2.8.13", "Lists the sub-commands.", func(x *command.Ctx) {
			command.Help(x, "HISTORY <event>", "    The samples of an event, with their times.",
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

func (a *Commands) latencyReset(x *command.Ctx) {
	var names []string
	for _, a := range x.Args[2:] {
		names = append(names, string(a))
	}
	x.Out.Int(int64(a.Latency.reset(names...)))
}
