package admin

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"redoubt/internal/acl"
	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/pubsub"
	"redoubt/internal/version"
)

// executable is the path of the program, as it was when it was first asked for.
var executable = sync.OnceValue(func() string {
	path, _ := os.Executable()
	return path
})

// section is one part of INFO.
type section struct {
	name, title string
	when        when
	write       func(a *Commands, b *strings.Builder)
}

// when says which requests show a section that they do not name.
type when int

const (
	ifNamed   when = iota // none
	ifAll                 // all and everything
	ifDefault             // default, and a request without a word, too
)

// sections are the parts of INFO in their order.
var sections = []section{
	{"server", "Server", ifDefault, (*Commands).infoServer},
	{"clients", "Clients", ifDefault, (*Commands).infoClients},
	{"memory", "Memory", ifDefault, (*Commands).infoMemory},
	{"persistence", "Persistence", ifDefault, (*Commands).infoPersistence},
	{"stats", "Stats", ifDefault, (*Commands).infoStats},
	{"replication", "Replication", ifDefault, (*Commands).infoReplication},
	{"cpu", "CPU", ifDefault, (*Commands).infoCPU},
	{"modules", "Modules", ifDefault, (*Commands).infoNothing},
	{"commandstats", "Commandstats", ifAll, (*Commands).infoCommandStats},
	{"errorstats", "Errorstats", ifDefault, (*Commands).infoErrorStats},
	{"latencystats", "Latencystats", ifAll, (*Commands).infoLatencyStats},
	{"cluster", "Cluster", ifDefault, (*Commands).infoCluster},
	{"keyspace", "Keyspace", ifDefault, (*Commands).infoKeyspace},
	{"debug", "Debug", ifNamed, (*Commands).infoDebug},
	{"sentinel", "Sentinel", ifDefault, func(a *Commands, b *strings.Builder) { b.WriteString(a.Sentinel.Info()) }},
}

// sentinelSections are those that a Sentinel has, by their names: sentinelInfoCommand.
var sentinelSections = []string{"server", "clients", "cpu", "stats", "sentinel"}

// has reports whether a section is one of this process.
func (a *Commands) has(c *section) bool {
	if a.Sentinel != nil {
		return slices.Contains(sentinelSections, c.name)
	}
	return c.name != "sentinel"
}

func (a *Commands) infoRow() *command.Row {
	return within(command.CatDangerous, serverRow("info", -1, command.Loading|command.Stale, "1.0.0", "Tells the state of the server in sections of lines.", a.info))
}

func timeRow() *command.Row {
	return serverRow("time", 1, command.Loading|command.Stale|command.Fast, "2.6.0", "Tells the time in seconds and microseconds.", func(x *command.Ctx) {
		now := time.Now()
		if s, ok := x.Caller.(command.Scripted); ok {
			now = s.Began()
		}
		x.Out.Array(2)
		x.Out.BulkInt(now.Unix())
		x.Out.BulkInt(int64(now.Nanosecond() / 1000))
	})
}

// info answers from counters that the loops and the other parts publish. It
// stops no loop and waits for nobody, since monitoring asks often.
func (a *Commands) info(x *command.Ctx) {
	words := make([]string, 0, len(x.Args)-1)
	for _, word := range x.Args[1:] {
		words = append(words, strings.ToLower(string(word)))
	}
	x.Out.Verbatim("txt", a.InfoText(words...))
}

// InfoText is the answer to INFO with these words, in lower case.
func (a *Commands) InfoText(words ...string) string {
	want := map[string]bool{}
	for _, word := range words {
		want[word] = true
	}
	shown := ifDefault + 1
	if len(want) == 0 || want["default"] {
		shown = ifDefault
	}
	if want["all"] || want["everything"] {
		shown = ifAll
	}
	var b strings.Builder
	b.Grow(infoBytes)
	for i := range sections {
		c := &sections[i]
		if !a.has(c) || c.when < shown && !want[c.name] {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString("# " + c.title + "\r\n")
		c.write(a, &b)
	}
	return b.String()
}

// infoBytes is about what INFO without arguments takes.
const infoBytes = 8 << 10

// infoNothing is a section that is empty here.
func (*Commands) infoNothing(*strings.Builder) {}

// zeros writes fields that count what there is not: keys that clients block
// on, forks, evictions and the like.
func zeros(b *strings.Builder, names ...string) {
	for _, name := range names {
		field(b, name, 0)
	}
}

// field writes a line; numbers and texts without the detour through fmt, as INFO has two
// hundred of them and is asked for often.
func field(b *strings.Builder, name string, value any) {
	var digits [20]byte
	b.WriteString(name)
	b.WriteByte(':')
	switch v := value.(type) {
	case string:
		b.WriteString(v)
	case int:
		b.Write(strconv.AppendInt(digits[:0], int64(v), 10))
	case int64:
		b.Write(strconv.AppendInt(digits[:0], v, 10))
	default:
		fmt.Fprint(b, v)
	}
	b.WriteString("\r\n")
}

func (a *Commands) infoServer(b *strings.Builder) {
	cfg := a.Settings.Current()
	mode := "standalone"
	if cfg.ClusterEnabled {
		mode = "cluster"
	}
	if a.Sentinel != nil {
		mode = "sentinel"
	}
	st, up := a.Server.Stats(), time.Since(a.Started)
	field(b, "redis_version", version.Redis)
	field(b, "redis_git_sha1", "00000000")
	field(b, "redis_git_dirty", 0)
	field(b, "redis_build_id", version.Build)
	field(b, "redoubt_version", version.Build)
	field(b, "redis_mode", mode)
	field(b, "os", system())
	field(b, "arch_bits", 64)
	field(b, "monotonic_clock", "POSIX clock_gettime")
	field(b, "multiplexing_api", "epoll")
	field(b, "atomicvar_api", "c11-builtin")
	field(b, "gcc_version", "0.0.0")
	field(b, "process_id", pid)
	field(b, "process_supervised", cmp.Or(a.Supervised, "no"))
	field(b, "run_id", a.RunID)
	field(b, "tcp_port", cfg.AnyPort())
	field(b, "server_time_usec", time.Now().UnixMicro())
	field(b, "uptime_in_seconds", int64(up/time.Second))
	field(b, "uptime_in_days", int64(up/(24*time.Hour)))
	field(b, "hz", cfg.HZ)
	field(b, "configured_hz", cfg.HZ)
	field(b, "lru_clock", lruClock(time.Now().Unix()))
	field(b, "executable", executable())
	field(b, "config_file", a.Settings.Path())
	field(b, "io_threads_active", 0)
	if st.EndsAt != 0 {
		field(b, "shutdown_in_milliseconds", st.EndsAt-time.Now().UnixMilli())
	}
	for i, line := range listenerLines(cfg) {
		field(b, fmt.Sprintf("listener%d", i), line)
	}
	field(b, "event_loops", st.Loops)
	field(b, "event_loops_active", st.ActiveLoops)
}

// listenerLines says where clients can connect.
func listenerLines(cfg *config.Settings) (lines []string) {
	network := func(name string, port int) {
		if port == 0 {
			return
		}
		line := "name=" + name
		for _, addr := range cfg.Bind {
			line += ",bind=" + addr
		}
		lines = append(lines, fmt.Sprintf("%s,port=%d", line, port))
	}
	network("tcp", cfg.Port)
	if cfg.UnixSocket != "" {
		lines = append(lines, "name=unix,bind="+cfg.UnixSocket)
	}
	network("tls", cfg.TLSPort)
	return lines
}

// system is the operating system as uname names it.
func system() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return runtime.GOOS
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
}

func (a *Commands) infoClients(b *strings.Builder) {
	st := a.Server.Stats()
	field(b, "connected_clients", st.Clients)
	links := 0
	if a.Cluster != nil {
		links = a.Cluster.Connections()
	}
	field(b, "cluster_connections", links)
	field(b, "maxclients", a.Settings.Current().MaxClients)
	field(b, "client_recent_max_input_buffer", st.LongestIn)
	field(b, "client_recent_max_output_buffer", st.LongestOut)
	field(b, "blocked_clients", st.Waiting)
	field(b, "tracking_clients", st.Tracking)
	field(b, "pubsub_clients", a.PubSub.Clients())
	field(b, "watching_clients", st.Watching)
	field(b, "clients_in_timeout_table", st.WithDeadline)
	field(b, "total_watched_keys", a.Keyspace.Watched())
	field(b, "total_blocking_keys", a.Keyspace.Awaited())
	field(b, "total_blocking_keys_on_nokey", a.Keyspace.AwaitedGone())
}

func (a *Commands) infoPersistence(b *strings.Builder) {
	loading := 0
	if a.Server.Loading() {
		loading = 1
	}
	field(b, "loading", loading)
	field(b, "async_loading", a.asyncLoading())
	if a.Persistence != nil {
		b.WriteString(a.Persistence.Info())
		if loading == 1 {
			infoLoading(b, a.Persistence.Load(), time.Now())
		}
		return
	}
	field(b, "rdb_changes_since_last_save", a.Keyspace.Stats().Dirty)
	field(b, "rdb_bgsave_in_progress", 0)
	field(b, "rdb_last_save_time", processStart.Unix())
	field(b, "rdb_last_bgsave_status", "ok")
	zeros(b, "aof_enabled", "aof_rewrite_in_progress")
}

// infoLoading is how far a load is; there are such lines only while data are loaded.
func infoLoading(b *strings.Builder, p LoadProgress, now time.Time) {
	field(b, "loading_start_time", p.Began.Unix())
	field(b, "loading_total_bytes", p.Total)
	field(b, "loading_loaded_bytes", p.Bytes)
	field(b, "loading_loaded_perc", fmt.Sprintf("%.2f", p.percent()))
	field(b, "loading_eta_seconds", p.seconds(now))
}

// asyncLoading is 1 while new data are on their way and the old ones are served, as an
// administrator asks for with repl-diskless-load swapdb. Here any replica serves its data
// during a full resync; the field tells it to those who have set that.
func (a *Commands) asyncLoading() int {
	if a.Replication == nil || a.Server.Loading() || a.Replication.LinkState() != "sync" {
		return 0
	}
	for _, p := range a.Settings.Get("repl-diskless-load") {
		if p.Value == "swapdb" {
			return 1
		}
	}
	return 0
}

func (a *Commands) infoStats(b *strings.Builder) {
	st, ks := a.Server.Stats(), a.Keyspace.Stats()
	repl := a.replicationCounts().less(*a.replBefore.Load())
	grown, seconds := a.rates.growth()
	kbps := func(n int64) string { return fmt.Sprintf("%.2f", perSecond(n, seconds)/1024) }
	var ran time.Duration
	for i := range a.Server.Table().All() {
		ran += a.Server.CommandStats(i).Took
	}
	field(b, "total_connections_received", st.Accepted)
	field(b, "total_commands_processed", st.Commands)
	field(b, "instantaneous_ops_per_sec", int64(perSecond(grown.commands, seconds)))
	field(b, "total_net_input_bytes", st.InBytes+repl.in)
	field(b, "total_net_output_bytes", st.OutBytes+repl.out)
	field(b, "total_net_repl_input_bytes", repl.in)
	field(b, "total_net_repl_output_bytes", repl.out)
	field(b, "instantaneous_input_kbps", kbps(grown.in))
	field(b, "instantaneous_output_kbps", kbps(grown.out))
	field(b, "instantaneous_input_repl_kbps", kbps(grown.replIn))
	field(b, "instantaneous_output_repl_kbps", kbps(grown.replOut))
	field(b, "rejected_connections", st.Rejected)
	field(b, "sync_full", repl.full)
	field(b, "sync_partial_ok", repl.partial)
	field(b, "sync_partial_err", repl.refused)
	field(b, "expired_keys", ks.Expired)
	field(b, "expired_fields", ks.Fields)
	field(b, "expired_stale_perc", "0.00") // keys are not sampled: all that have expired are found
	field(b, "expired_keys_with_volatile_items_stale_perc", "0.00")
	field(b, "expired_time_cap_reached_count", st.ExpireCapped)
	field(b, "expire_cycle_cpu_milliseconds", st.Expiring.Milliseconds())
	field(b, "evicted_keys", ks.Evicted)
	field(b, "evicted_clients", st.EvictedClients)
	field(b, "evicted_scripts", st.Scripts.Evicted)
	field(b, "total_eviction_exceeded_time", st.Exceeded.Milliseconds())
	field(b, "current_eviction_exceeded_time", st.ExceededNow.Milliseconds())
	field(b, "keyspace_hits", ks.Hits)
	field(b, "keyspace_misses", ks.Misses)
	field(b, "pubsub_channels", a.PubSub.Len(pubsub.Channel))
	field(b, "pubsub_patterns", a.PubSub.Len(pubsub.Pattern))
	field(b, "pubsubshard_channels", a.PubSub.Len(pubsub.Shard))
	zeros(b, "latest_fork_usec", "total_forks")
	cached := 0
	if a.CachedTargets != nil {
		cached = a.CachedTargets()
	}
	field(b, "migrate_cached_sockets", cached)
	field(b, "slave_expires_tracked_keys", a.Keyspace.LocalExpiries())
	defrag := a.Keyspace.Compaction()
	field(b, "active_defrag_hits", defrag.Hits)
	field(b, "active_defrag_misses", defrag.Misses)
	field(b, "active_defrag_key_hits", defrag.KeyHits)
	field(b, "active_defrag_key_misses", defrag.KeyMisses)
	field(b, "total_active_defrag_time", defrag.TotalMs)
	field(b, "current_active_defrag_time", defrag.CurrentMs)
	keys, marks := a.Keyspace.Tracked()
	field(b, "tracking_total_keys", keys)
	field(b, "tracking_total_items", marks)
	field(b, "tracking_total_prefixes", st.Prefixes)
	field(b, "unexpected_error_replies", st.UnexpectedErrors)
	field(b, "total_error_replies", st.ErrorReplies)
	zeros(b, "dump_payload_sanitizations")
	field(b, "total_reads_processed", st.Reads)
	field(b, "total_writes_processed", st.Writes)
	zeros(b, "io_threaded_reads_processed", "io_threaded_writes_processed", "reply_buffer_shrinks", "reply_buffer_expands")
	field(b, "client_query_buffer_limit_disconnections", st.InputLimit)
	field(b, "client_output_buffer_limit_disconnections", st.OutputLimit)
	field(b, "eventloop_cycles", st.Turns)
	field(b, "eventloop_duration_sum", st.Turning.Microseconds())
	field(b, "eventloop_duration_cmd_sum", ran.Microseconds())
	field(b, "instantaneous_eventloop_cycles_per_sec", int64(perSecond(grown.turns, seconds)))
	field(b, "instantaneous_eventloop_duration_usec", grown.turning.Microseconds()/max(grown.turns, 1))
	for _, reason := range []struct {
		name string
		why  acl.Reason
	}{{"auth", acl.DeniedAuth}, {"cmd", acl.DeniedCommand}, {"key", acl.DeniedKey}, {"channel", acl.DeniedChannel}} {
		field(b, "acl_access_denied_"+reason.name, a.Audit.Denied(reason.why))
	}
}

// infoDebug is how long the event loops have taken for what. The journal's writer is
// none of them, and what a loop writes to the commit log (appendfsync always) is not
// counted apart.
func (a *Commands) infoDebug(b *strings.Builder) {
	st := a.Server.Stats()
	zeros(b, "eventloop_duration_aof_sum")
	field(b, "eventloop_duration_cron_sum", st.Cron.Microseconds())
	field(b, "eventloop_duration_max", st.LongestTurn.Microseconds())
	field(b, "eventloop_cmd_per_cycle_max", st.MostCommands)
}

// replCounts are the counts of INFO stats that replication keeps.
type replCounts struct{ full, partial, refused, in, out int64 }

func (a *Commands) replicationCounts() (c replCounts) {
	if r, ok := a.Replication.(SyncCounter); ok {
		c.full, c.partial, c.refused = r.Syncs()
	}
	if r, ok := a.Replication.(TrafficCounter); ok {
		c.in, c.out = r.Traffic()
	}
	return c
}

func (c replCounts) less(d replCounts) replCounts {
	return replCounts{c.full - d.full, c.partial - d.partial, c.refused - d.refused, c.in - d.in, c.out - d.out}
}

func (a *Commands) infoReplication(b *strings.Builder) {
	if a.Replication != nil {
		b.WriteString(a.Replication.Info())
		return
	}
	none := strings.Repeat("0", 40)
	field(b, "role", "master")
	field(b, "connected_slaves", 0)
	field(b, "master_failover_state", "no-failover")
	field(b, "master_replid", none)
	field(b, "master_replid2", none)
	field(b, "master_repl_offset", a.Stream.End())
	field(b, "second_repl_offset", -1)
	field(b, "repl_backlog_active", 0)
	field(b, "repl_backlog_size", a.Settings.Current().ReplBacklogBytes)
	field(b, "repl_backlog_first_byte_offset", 0)
	field(b, "repl_backlog_histlen", 0)
}

func (*Commands) infoCPU(b *strings.Builder) {
	seconds := func(t unix.Timeval) string { return fmt.Sprintf("%d.%06d", t.Sec, t.Usec) }
	var self, children unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &self)
	_ = unix.Getrusage(unix.RUSAGE_CHILDREN, &children)
	field(b, "used_cpu_sys", seconds(self.Stime))
	field(b, "used_cpu_user", seconds(self.Utime))
	field(b, "used_cpu_sys_children", seconds(children.Stime))
	field(b, "used_cpu_user_children", seconds(children.Utime))
}

func (a *Commands) infoCommandStats(b *strings.Builder) {
	for i, r := range a.Server.Table().All() {
		sum := a.Server.CommandStats(i)
		if sum.Calls+sum.Rejected+sum.Failed == 0 {
			continue
		}
		usec := sum.Took.Microseconds()
		fmt.Fprintf(b, "cmdstat_%s:calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d\r\n",
			r.FullName(), sum.Calls, usec, float64(usec)/float64(max(sum.Calls, 1)), sum.Rejected, sum.Failed)
	}
}

func (a *Commands) infoErrorStats(b *strings.Builder) {
	sum := a.Server.ErrorCounts()
	for _, code := range slices.Sorted(maps.Keys(sum)) {
		fmt.Fprintf(b, "errorstat_%s:count=%d\r\n", code, sum[code])
	}
}

func (a *Commands) infoCluster(b *strings.Builder) {
	enabled := 0
	if a.Settings.Current().ClusterEnabled {
		enabled = 1
	}
	field(b, "cluster_enabled", enabled)
}

func (a *Commands) infoKeyspace(b *strings.Builder) {
	now := time.Now().UnixMilli()
	for db := range a.Keyspace.Databases() {
		n := a.Keyspace.Len(db)
		if n == 0 {
			continue
		}
		fmt.Fprintf(b, "db%d:keys=%d,expires=%d,avg_ttl=%d", db, n, a.Keyspace.Volatile(db), a.Keyspace.AvgTTL(db, now))
		// Redis 7.2 does not have this one: whoever expects its line gets it.
		if n := a.Keyspace.WithDue(db); n > 0 {
			fmt.Fprintf(b, ",keys_with_volatile_items=%d", n)
		}
		b.WriteString("\r\n")
	}
}

// lruClock is a time in Unix seconds as Redis keeps it with each key.
func lruClock(at int64) int64 { return at & (1<<24 - 1) }

// processStart is the time before which nothing can have been saved by this
// process.
var processStart = time.Now()

// pid is the process's id, for INFO and messages.
var pid = os.Getpid()
