package server

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/pubsub"
	"redoubt/internal/version"
)

// section is one part of INFO.
type section struct {
	name, title string
	isDefault   bool
	write       func(s *Server, b *strings.Builder)
}

// sections are the parts of INFO in their order.
var sections = []section{
	{"server", "Server", true, infoServer},
	{"clients", "Clients", true, infoClients},
	{"memory", "Memory", true, infoMemory},
	{"persistence", "Persistence", true, infoPersistence},
	{"stats", "Stats", true, infoStats},
	{"replication", "Replication", true, infoReplication},
	{"cpu", "CPU", true, infoCPU},
	{"modules", "Modules", true, func(*Server, *strings.Builder) {}},
	{"commandstats", "Commandstats", false, infoCommandStats},
	{"errorstats", "Errorstats", true, infoErrorStats},
	{"latencystats", "Latencystats", false, func(*Server, *strings.Builder) {}},
	{"cluster", "Cluster", true, infoCluster},
	{"keyspace", "Keyspace", true, infoKeyspace},
}

// infoCommand answers from counters that the loops and the other parts publish. It
// stops no loop and waits for nobody, since monitoring asks often.
func infoCommand(x *command.Ctx) {
	want := map[string]bool{}
	for _, a := range x.Args[1:] {
		want[strings.ToLower(string(a))] = true
	}
	all := want["all"] || want["everything"]
	standard := len(want) == 0 || want["default"]
	var b strings.Builder
	for i := range sections {
		c := &sections[i]
		if !all && !want[c.name] && !(standard && c.isDefault) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString("# " + c.title + "\r\n")
		c.write(serverOf(x), &b)
	}
	x.Out.Verbatim("txt", b.String())
}

// zeros writes fields that count what there is not: keys that clients block
// on, forks, evictions and the like.
func zeros(b *strings.Builder, names ...string) {
	for _, name := range names {
		field(b, name, 0)
	}
}

func field(b *strings.Builder, name string, value any) { fmt.Fprintf(b, "%s:%v\r\n", name, value) }

func infoServer(s *Server, b *strings.Builder) {
	cfg := s.config.Current()
	mode := "standalone"
	if cfg.ClusterEnabled {
		mode = "cluster"
	}
	up := time.Since(s.started)
	executable, _ := os.Executable()
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
	field(b, "process_supervised", "no")
	field(b, "run_id", s.runID)
	field(b, "tcp_port", cfg.Port)
	field(b, "server_time_usec", time.Now().UnixMicro())
	field(b, "uptime_in_seconds", int64(up/time.Second))
	field(b, "uptime_in_days", int64(up/(24*time.Hour)))
	field(b, "hz", cfg.HZ)
	field(b, "configured_hz", cfg.HZ)
	field(b, "lru_clock", lruClock(time.Now().Unix()))
	field(b, "executable", executable)
	field(b, "config_file", s.config.Path())
	field(b, "io_threads_active", 0)
	if until := s.ending.until.Load(); until != 0 {
		field(b, "shutdown_in_milliseconds", until-s.now())
	}
	for i, line := range listenerLines(cfg) {
		field(b, fmt.Sprintf("listener%d", i), line)
	}
	field(b, "event_loops", len(s.loops))
	field(b, "event_loops_active", s.active.Load())
}

// listenerLines says where clients can connect.
func listenerLines(cfg *config.Settings) (lines []string) {
	if cfg.Port != 0 {
		line := "name=tcp"
		for _, addr := range cfg.Bind {
			line += ",bind=" + addr
		}
		lines = append(lines, fmt.Sprintf("%s,port=%d", line, cfg.Port))
	}
	if cfg.UnixSocket != "" {
		lines = append(lines, "name=unix,bind="+cfg.UnixSocket)
	}
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

func infoClients(s *Server, b *strings.Builder) {
	var in, out int64
	waiting := int64(s.parked.count())
	for _, l := range s.loops {
		waiting += l.stats.paused.Load()
		in = max(in, l.stats.longestIn.Load())
		out = max(out, l.stats.longestOut.Load())
	}
	field(b, "connected_clients", s.clients.Load())
	links := 0
	if s.cluster != nil {
		links = s.cluster.Connections()
	}
	field(b, "cluster_connections", links)
	field(b, "maxclients", s.config.Current().MaxClients)
	field(b, "client_recent_max_input_buffer", in)
	field(b, "client_recent_max_output_buffer", out)
	field(b, "blocked_clients", waiting)
	field(b, "tracking_clients", 0)
	field(b, "clients_in_timeout_table", s.parked.withDeadline())
	field(b, "total_blocking_keys", s.keyspace.Awaited())
	zeros(b, "total_blocking_keys_on_nokey") // those of streams
}

func infoPersistence(s *Server, b *strings.Builder) {
	loading := 0
	if s.isLoading() {
		loading = 1
	}
	field(b, "loading", loading)
	field(b, "async_loading", 0)
	if s.persistence != nil {
		b.WriteString(s.persistence.Info())
		return
	}
	field(b, "rdb_changes_since_last_save", s.keyspace.Stats().Dirty)
	field(b, "rdb_bgsave_in_progress", 0)
	field(b, "rdb_last_save_time", processStart.Unix())
	field(b, "rdb_last_bgsave_status", "ok")
	zeros(b, "aof_enabled", "aof_rewrite_in_progress")
}

func infoStats(s *Server, b *strings.Builder) {
	sum, ks := s.totals(), s.keyspace.Stats()
	repl := s.replicationCounts().less(*s.replBefore.Load())
	grown, seconds := s.rates.growth()
	kbps := func(n int64) string { return fmt.Sprintf("%.2f", perSecond(n, seconds)/1024) }
	var closed, evicted, errors, capped, reads, writes int64
	var ran, expiring time.Duration
	for _, l := range s.loops {
		c := l.stats.counts()
		closed += c.outputLimit
		evicted += c.evictedClients
		errors += c.errorReplies
		capped += c.expireCapped
		expiring += c.expiring
		reads += c.reads
		writes += c.writes
	}
	for i := range s.table.All() {
		ran += s.rowStats(i).Took
	}
	field(b, "total_connections_received", s.accepted.Load())
	field(b, "total_commands_processed", sum.commands)
	field(b, "instantaneous_ops_per_sec", int64(perSecond(grown.commands, seconds)))
	field(b, "total_net_input_bytes", sum.in+repl.in)
	field(b, "total_net_output_bytes", sum.out+repl.out)
	field(b, "total_net_repl_input_bytes", repl.in)
	field(b, "total_net_repl_output_bytes", repl.out)
	field(b, "instantaneous_input_kbps", kbps(grown.in))
	field(b, "instantaneous_output_kbps", kbps(grown.out))
	field(b, "instantaneous_input_repl_kbps", kbps(grown.replIn))
	field(b, "instantaneous_output_repl_kbps", kbps(grown.replOut))
	field(b, "rejected_connections", s.rejected.Load())
	field(b, "sync_full", repl.full)
	field(b, "sync_partial_ok", repl.partial)
	field(b, "sync_partial_err", repl.refused)
	field(b, "expired_keys", ks.Expired)
	field(b, "expired_fields", ks.Fields)
	field(b, "expired_stale_perc", "0.00") // keys are not sampled: all that have expired are found
	field(b, "expired_keys_with_volatile_items_stale_perc", "0.00")
	field(b, "expired_time_cap_reached_count", capped)
	field(b, "expire_cycle_cpu_milliseconds", expiring.Milliseconds())
	field(b, "evicted_keys", ks.Evicted)
	field(b, "evicted_clients", evicted)
	over, overNow := s.exceeded.times(time.Since(s.started))
	field(b, "total_eviction_exceeded_time", over.Milliseconds())
	field(b, "current_eviction_exceeded_time", overNow.Milliseconds())
	field(b, "keyspace_hits", ks.Hits)
	field(b, "keyspace_misses", ks.Misses)
	field(b, "pubsub_channels", s.pubsub.Len(pubsub.Channel))
	field(b, "pubsub_patterns", s.pubsub.Len(pubsub.Pattern))
	field(b, "pubsubshard_channels", s.pubsub.Len(pubsub.Shard))
	zeros(b, "latest_fork_usec", "total_forks")
	cached := 0
	if s.cachedTargets != nil {
		cached = s.cachedTargets()
	}
	field(b, "migrate_cached_sockets", cached)
	zeros(b, "slave_expires_tracked_keys")
	defrag := s.keyspace.Compaction()
	field(b, "active_defrag_hits", defrag.Hits)
	field(b, "active_defrag_misses", defrag.Misses)
	field(b, "active_defrag_key_hits", defrag.KeyHits)
	field(b, "active_defrag_key_misses", defrag.KeyMisses)
	field(b, "total_active_defrag_time", defrag.TotalMs)
	field(b, "current_active_defrag_time", defrag.CurrentMs)
	zeros(b, "tracking_total_keys", "tracking_total_items", "tracking_total_prefixes", "unexpected_error_replies")
	field(b, "total_error_replies", errors)
	zeros(b, "dump_payload_sanitizations")
	field(b, "total_reads_processed", reads)
	field(b, "total_writes_processed", writes)
	zeros(b, "io_threaded_reads_processed", "io_threaded_writes_processed", "reply_buffer_shrinks", "reply_buffer_expands")
	field(b, "client_output_buffer_limit_disconnections", closed)
	field(b, "eventloop_cycles", sum.turns)
	field(b, "eventloop_duration_sum", sum.turnMicros)
	field(b, "eventloop_duration_cmd_sum", ran.Microseconds())
	field(b, "instantaneous_eventloop_cycles_per_sec", int64(perSecond(grown.turns, seconds)))
	field(b, "instantaneous_eventloop_duration_usec", grown.turnMicros/max(grown.turns, 1))
	field(b, "acl_access_denied_auth", s.authDenied.Load())
	zeros(b, "acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel")
}

// replCounts are the counts of INFO stats that replication keeps.
type replCounts struct{ full, partial, refused, in, out int64 }

func (s *Server) replicationCounts() (c replCounts) {
	if r, ok := s.replication.(SyncCounter); ok {
		c.full, c.partial, c.refused = r.Syncs()
	}
	if r, ok := s.replication.(TrafficCounter); ok {
		c.in, c.out = r.Traffic()
	}
	return c
}

func (c replCounts) less(d replCounts) replCounts {
	return replCounts{c.full - d.full, c.partial - d.partial, c.refused - d.refused, c.in - d.in, c.out - d.out}
}

func infoReplication(s *Server, b *strings.Builder) {
	if s.replication != nil {
		b.WriteString(s.replication.Info())
		return
	}
	none := strings.Repeat("0", 40)
	field(b, "role", "master")
	field(b, "connected_slaves", 0)
	field(b, "master_failover_state", "no-failover")
	field(b, "master_replid", none)
	field(b, "master_replid2", none)
	field(b, "master_repl_offset", s.stream.End())
	field(b, "second_repl_offset", -1)
	field(b, "repl_backlog_active", 0)
	field(b, "repl_backlog_size", s.config.Current().ReplBacklogBytes)
	field(b, "repl_backlog_first_byte_offset", 0)
	field(b, "repl_backlog_histlen", 0)
}

func infoCPU(_ *Server, b *strings.Builder) {
	seconds := func(t unix.Timeval) string { return fmt.Sprintf("%d.%06d", t.Sec, t.Usec) }
	var self, children unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &self)
	_ = unix.Getrusage(unix.RUSAGE_CHILDREN, &children)
	field(b, "used_cpu_sys", seconds(self.Stime))
	field(b, "used_cpu_user", seconds(self.Utime))
	field(b, "used_cpu_sys_children", seconds(children.Stime))
	field(b, "used_cpu_user_children", seconds(children.Utime))
}

func infoCommandStats(s *Server, b *strings.Builder) {
	for i, r := range s.table.All() {
		sum := s.rowStats(i)
		if sum.Calls+sum.Rejected+sum.Failed == 0 {
			continue
		}
		usec := sum.Took.Microseconds()
		fmt.Fprintf(b, "cmdstat_%s:calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d\r\n",
			r.FullName(), sum.Calls, usec, float64(usec)/float64(max(sum.Calls, 1)), sum.Rejected, sum.Failed)
	}
}

func infoErrorStats(s *Server, b *strings.Builder) {
	sum := map[string]int64{}
	var codes []string
	for _, l := range s.loops {
		for code, n := range l.stats.errorCounts() {
			if sum[code] == 0 {
				codes = append(codes, code)
			}
			sum[code] += n
		}
	}
	slices.Sort(codes)
	for _, code := range codes {
		fmt.Fprintf(b, "errorstat_%s:count=%d\r\n", code, sum[code])
	}
}

func infoCluster(s *Server, b *strings.Builder) {
	enabled := 0
	if s.ClusterEnabled() {
		enabled = 1
	}
	field(b, "cluster_enabled", enabled)
}

func infoKeyspace(s *Server, b *strings.Builder) {
	now := s.now()
	for db := range s.keyspace.Databases() {
		if n := s.keyspace.Len(db); n > 0 {
			fmt.Fprintf(b, "db%d:keys=%d,expires=%d,avg_ttl=%d,keys_with_volatile_items=%d\r\n",
				db, n, s.keyspace.Volatile(db), s.keyspace.AvgTTL(db, now), s.keyspace.WithDue(db))
		}
	}
}
