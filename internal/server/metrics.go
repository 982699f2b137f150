package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"redoubt/internal/acl"
	"redoubt/internal/admin"
	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/metrics"
)

// Program is what there is around the server, a node or a Sentinel, for those who
// monitor it. Any goroutine may call its methods.
type Program interface {
	// Measure adds to a page of metrics. May tells which commands the user who asks may
	// call.
	Measure(p *metrics.Page, may func(command ...string) bool)
	// CheckHealth adds why the process does not work, CheckReadiness why it does not
	// serve.
	CheckHealth(r *metrics.Report)
	CheckReadiness(r *metrics.Report)
}

// stallLimit is for how long nothing may move in a part of a process that works.
const stallLimit = 10 * time.Second

// errMetricsOpen is why metrics-bind is refused.
const errMetricsOpen = "metrics-port would be open to everybody: metrics-bind has an address beyond loopback, " +
	"and the user default needs no password. Set requirepass, or switch that user off"

// initMetrics makes the HTTP side, which listens nowhere yet. It refuses one that would
// be open to others.
func (s *Server) initMetrics(p Program) error {
	s.program = p
	s.metrics = metrics.New(metrics.Config{
		Enter: s.enterMetrics, Measure: s.measure, Healthy: s.healthy, Ready: s.ready, Secure: s.secureMetrics, Log: s.log,
	})
	s.metricsTLS.Store(s.config.Current().MetricsTLS)
	s.config.OnChange(func(_, next *config.Settings) error {
		if err := s.guardMetrics(next); err != nil || !s.listening {
			return err
		}
		if s.metricsTLS.Swap(next.MetricsTLS) != next.MetricsTLS {
			s.metrics.HangUp() // whoever is there speaks as it was before
		}
		return s.metrics.Listen(next.MetricsBind, next.MetricsPort)
	}, "metrics-port", "metrics-bind", "metrics-tls")
	return s.guardMetrics(s.config.Current())
}

// secureMetrics is what a new connection for metrics speaks. With metrics-tls nobody is
// served without TLS, whatever has become of the certificates.
func (s *Server) secureMetrics() (wanted bool, cfg *tls.Config) {
	if !s.metricsTLS.Load() {
		return false, nil
	}
	if set := s.tls.Set(); set != nil {
		cfg = set.Server
	}
	return true, cfg
}

// guardMetrics refuses settings by which everybody could read metrics.
func (s *Server) guardMetrics(cfg *config.Settings) error {
	if cfg.MetricsPort != 0 && !metrics.Loopback(cfg.MetricsBind) && s.users.fallback.open() {
		return errors.New(errMetricsOpen)
	}
	return nil
}

func (s *Server) listenMetrics() error {
	cfg := s.config.Current()
	if err := s.metrics.Listen(cfg.MetricsBind, cfg.MetricsPort); err != nil {
		return err
	}
	if at := s.metrics.Addrs(); len(at) > 0 {
		slices.Sort(at)
		s.log.Info("Metrics are served at " + strings.Join(at, ", "))
	}
	return nil
}

// MetricsAddrs is where metrics are served.
func (s *Server) MetricsAddrs() []string { return s.metrics.Addrs() }

// enterMetrics finds who asks for metrics, as AUTH and the gates do: without credentials
// it is the user default, if that needs no password. A user who needs none is let in
// from this machine only, whatever the configuration was when the server listened.
func (s *Server) enterMetrics(in metrics.Login) (metrics.Verdict, func(command ...string) bool) {
	a := s.users.fallback
	if in.Given && in.Name != "" {
		a = s.users.find(in.Name)
	}
	switch {
	case !in.Given && !a.open():
		return metrics.NoLogin, nil
	case in.Given && (a == nil || !a.rules.Load().Accepts([]byte(in.Password))):
		name := in.Name
		if name == "" {
			name = acl.DefaultName
		}
		s.noteDenied(acl.Entry{
			Reason: acl.DeniedAuth, Context: acl.TopLevel, Object: "metrics", User: name, Client: "addr=" + in.Remote + " cmd=metrics",
		})
		return metrics.NoLogin, nil
	case a.rules.Load().NoPass() && !in.Local:
		return metrics.Unguarded, nil
	}
	may := func(words ...string) bool { return s.mayCall(a, words...) }
	if !may("info") {
		s.noteDenied(acl.Entry{
			Reason: acl.DeniedCommand, Context: acl.TopLevel, Object: "info", User: a.name, Client: "addr=" + in.Remote + " cmd=metrics",
		})
		return metrics.NoRights, nil
	}
	return metrics.Granted, may
}

// mayCall reports whether a user may call a command. One that rename-command has taken
// away is for users who may do everything.
func (s *Server) mayCall(a *account, words ...string) bool {
	args := make([][]byte, len(words))
	for i, word := range words {
		args[i] = []byte(word)
	}
	row, _ := s.table.Resolve(args)
	if row == nil {
		return a.rules.Load().Full()
	}
	why, _ := a.check(row, args)
	return why == acl.Allowed
}

// infoSections is what of INFO becomes metrics by its text. Commands, errors and
// latencies do without that detour.
var infoSections = []string{"server", "clients", "memory", "persistence", "stats", "replication", "cpu", "cluster", "keyspace", "sentinel"}

// measure writes the page of metrics. It waits for no loop: all of it is published.
func (s *Server) measure(p *metrics.Page, may func(command ...string) bool) {
	p.Family("redis_up", metrics.Gauge, "Always 1: the process answers.").Int(1)
	p.Info(s.admin.InfoText(infoSections...), s.keyspace.Databases(), time.Now())
	s.measureCommands(p, may("latency", "histogram"))
	if may("latency", "latest") {
		last := p.Family("redis_latency_spike_last", metrics.Gauge, "When an event took long last, as Unix time.", "event_name")
		took := p.Family("redis_latency_spike_duration_seconds", metrics.Gauge, "How long that event took.", "event_name")
		s.admin.Latency.EachLatest(func(event string, at time.Time, d time.Duration) {
			last.Int(at.Unix(), event)
			took.Set(d.Seconds(), event)
		})
	}
	if may("slowlog", "get") && s.admin.Sentinel == nil {
		entries, id, took := s.admin.SlowLog.Latest()
		p.Family("redis_slowlog_length", metrics.Gauge, "Entries in the slow log.").Int(int64(entries))
		p.Family("redis_slowlog_last_id", metrics.Gauge, "Id of the newest entry in the slow log.").Int(id)
		p.Family("redis_last_slow_execution_duration_seconds", metrics.Gauge, "How long the newest command in the slow log took.").Set(took.Seconds())
	}
	if may("config", "get") && s.admin.Sentinel == nil {
		p.Include(s.settingsPage())
	}
	resident := admin.ResidentBytes()
	s.measureLoops(p)
	if s.admin.Sentinel == nil {
		s.measureMemory(p, resident)
	}
	p.Process(resident)
	if s.program != nil {
		s.program.Measure(p, may)
	}
}

// latencyLevels are the bounds of redis_commands_latencies_usec: LATENCY HISTOGRAM's.
var latencyLevels = func() (texts []string) {
	for _, level := range command.LatencyLevels() {
		texts = append(texts, strconv.FormatInt(level.Microseconds(), 10))
	}
	return texts
}()

// measureCommands writes what INFO tells of commands and errors, and LATENCY HISTOGRAM.
func (s *Server) measureCommands(p *metrics.Page, latencies bool) {
	calls := p.Family("redis_commands_total", metrics.Counter, "Calls of a command.", "cmd")
	took := p.Family("redis_commands_duration_seconds_total", metrics.Counter, "Time spent in a command.", "cmd")
	rejected := p.Family("redis_commands_rejected_calls_total", metrics.Counter, "Calls of a command that were refused before it ran.", "cmd")
	failed := p.Family("redis_commands_failed_calls_total", metrics.Counter, "Calls of a command that ended with an error.", "cmd")
	spread := p.Family("redis_commands_latencies_usec", metrics.Histogram, "How long calls of a command took, in microseconds.", "cmd")
	quantiles := p.Family("redis_latency_percentiles_usec", metrics.Summary, "How long calls of a command took, in microseconds.", "cmd")
	percentiles := s.config.Current().LatencyPercentiles
	upTo, of := make([]uint64, len(latencyLevels)), make([]float64, len(percentiles))
	var times command.Latencies
	for i, row := range s.table.All() {
		st := s.CommandStats(i)
		if st.Calls+st.Rejected+st.Failed == 0 {
			continue
		}
		name := row.FullName()
		calls.Int(st.Calls, name)
		took.Set(st.Took.Seconds(), name)
		rejected.Int(st.Rejected, name)
		failed.Int(st.Failed, name)
		if !latencies {
			continue
		}
		times = command.Latencies{}
		if s.CommandLatencies(&times, i); times.Calls() == 0 {
			continue
		}
		times.UpTo(upTo)
		spread.Spread(latencyLevels, upTo, times.Calls(), float64(st.Took.Microseconds()), name)
		for k, percent := range percentiles {
			of[k] = float64(times.Percentile(percent)) / 1000
		}
		quantiles.Quantiles(percentiles, of, times.Calls(), float64(st.Took.Microseconds()), name)
	}
	errorsTotal := p.Family("redis_errors_total", metrics.Counter, "Errors that clients were answered with, by their codes.", "err")
	counts := s.ErrorCounts()
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		errorsTotal.Int(counts[code], code)
	}
}

// settingsPage is what the settings in force make of a page: hundreds of lines that
// seldom change. One scrape at a time is under way.
func (s *Server) settingsPage() *metrics.Page {
	if cfg := s.config.Current(); s.settingsOf != cfg {
		s.settingsOf, s.settings = cfg, metrics.NewPage()
		s.measureSettings(s.settings, cfg)
	}
	return s.settings
}

// measureSettings writes what CONFIG GET tells, but for secrets.
func (s *Server) measureSettings(p *metrics.Page, cfg *config.Settings) {
	texts := p.Family("redis_config_key_value", metrics.Gauge, "The value of a directive as a label; always 1.", "key", "value")
	numbers := p.Family("redis_config_value", metrics.Gauge, "The value of a directive that is a number.", "key")
	for _, pair := range s.config.Get("*") {
		if config.Sensitive(pair.Name) {
			continue
		}
		texts.Int(1, pair.Name, pair.Value)
		if n, err := strconv.ParseFloat(pair.Value, 64); err == nil {
			numbers.Set(n, pair.Name)
		}
	}
	p.Family("redis_config_maxclients", metrics.Gauge, "The directive maxclients.").Int(cfg.MaxClients)
	p.Family("redis_config_maxmemory", metrics.Gauge, "The directive maxmemory.").Int(cfg.MaxMemory.Bytes)
	p.Family("redis_config_repl_backlog_size", metrics.Gauge, "The directive repl-backlog-size.").Int(cfg.ReplBacklogBytes)
	if n, err := strconv.ParseFloat(s.settingText("io-threads"), 64); err == nil {
		p.Family("redis_config_io_threads", metrics.Gauge, "The directive io-threads, which means nothing here.").Set(n)
	}
	bytes := p.Family("redis_config_client_output_buffer_limit_bytes", metrics.Gauge, "The directive client-output-buffer-limit.", "class", "limit")
	after := p.Family("redis_config_client_output_buffer_limit_overcome_seconds", metrics.Gauge, "… for how long output may be above the soft limit.", "class", "limit")
	for _, class := range []struct {
		name  string
		limit config.OutputLimit
	}{{"normal", cfg.NormalOutput}, {"slave", cfg.ReplicaOutput}, {"pubsub", cfg.PubSubOutput}} {
		bytes.Int(class.limit.HardBytes, class.name, "hard")
		bytes.Int(class.limit.SoftBytes, class.name, "soft")
		after.Set(class.limit.For.Seconds(), class.name, "soft")
	}
}

func (s *Server) settingText(name string) string {
	for _, pair := range s.config.Get(name) {
		return pair.Value
	}
	return ""
}

// measureLoops writes what only this server has: its loops and the reply gate.
func (s *Server) measureLoops(p *metrics.Page) {
	ratio := p.Family("redoubt_loop_busy_ratio", metrics.Gauge, "Share of a tenth of a second that an event loop was busy.", "loop")
	busy := p.Family("redoubt_loop_busy_seconds_total", metrics.Counter, "Time that an event loop was busy.", "loop")
	commands := p.Family("redoubt_loop_commands_total", metrics.Counter, "Commands that an event loop has executed.", "loop")
	var gate metrics.Times
	for _, l := range s.loops {
		c, id := l.stats.counts(), strconv.Itoa(l.id)
		ratio.Set(float64(l.stats.busy.Load())/1000, id)
		busy.Set(c.turning.Seconds(), id)
		commands.Int(c.commands, id)
		held := l.stats.gateTimes()
		gate.Add(&held)
	}
	p.Family("redoubt_loops_active", metrics.Gauge, "Event loops over which connections are spread.").Int(int64(s.active.Load()))
	if s.admin.Sentinel == nil {
		p.Family("redoubt_reply_gate_seconds", metrics.Histogram,
			"For how long replies were held until their writes were as durable as appendfsync promises. Replies that need not wait do not count.").
			Times(&gate, metrics.Short)
	}
}

// measureMemory writes what memory is for.
func (s *Server) measureMemory(p *metrics.Page, resident int64) {
	kinds := p.Family("redoubt_memory_bytes", metrics.Gauge, "Memory by what it is for: see the documentation.", "kind")
	m, heap := s.keyspace.Memory(), admin.ReadGoMemory()
	for _, kind := range []struct {
		name  string
		bytes int64
	}{
		{"allocated", m.Data + m.Tables}, {"committed", m.Committed}, {"free", m.Free}, {"kept", m.Kept},
		{"resident", resident}, {"clients", s.clientMemory()},
		{"go_objects", heap.Objects}, {"go_stacks", heap.Stacks}, {"go_unused", heap.Unused + heap.Free},
	} {
		kinds.Int(kind.bytes, kind.name)
	}
}

// healthy says whether the process works. A loop that has only just come back, after a
// stop of the whole process, gets a moment.
func (s *Server) healthy() (r metrics.Report) {
	if slow := s.standing(); slow >= 0 {
		time.Sleep(3 * cronPeriod)
		if slow = s.standing(); slow >= 0 {
			r.Fault(fmt.Sprintf("event loop %d has not taken a turn for more than %v: a command takes that long, or the process gets no processor", slow, stallLimit))
		}
	}
	if s.program != nil {
		s.program.CheckHealth(&r)
	}
	return r
}

// standing is the number of a loop that stands still; -1: all turn.
func (s *Server) standing() int {
	now := time.Since(s.started)
	for i, l := range s.loops {
		if now-time.Duration(l.stats.beat.Load()) > stallLimit {
			return i
		}
	}
	return -1
}

// ready says whether clients are served.
func (s *Server) ready() metrics.Report {
	r := s.healthy()
	if s.Loading() {
		r.Fault("the data are being loaded")
	}
	if s.is(condStale) {
		r.Fault("this replica is not in step with its primary, and replica-serve-stale-data is no (MASTERDOWN)")
	}
	if s.Busy() != "" {
		r.Fault("a script has been running for longer than busy-reply-threshold (BUSY)")
	}
	if s.Ending() || s.ending.until.Load() != 0 {
		r.Fault("the process is shutting down")
	}
	if err := s.diskError(); err != "" {
		r.Note("writes are refused: " + err.Error())
	}
	if s.is(condUnconfirmed) {
		r.Note("writes are refused until the Sentinels have said that this is the primary still")
	}
	if s.program != nil {
		s.program.CheckReadiness(&r)
	}
	return r
}
