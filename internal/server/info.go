package server

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"redoubt/internal/command"
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

func infoCommand(x *command.Ctx) {
	want := map[string]bool{}
	for _, a := range x.Args[1:] {
		want[strings.ToLower(string(a))] = true
	}
	all := want["all"] || want["everything"]
	standard := len(want) == 0 || want["default"]
	l := loopOf(x)
	var b strings.Builder
	l.allConns(func() {
		for i := range sections {
			c := &sections[i]
			if !all && !want[c.name] && !(standard && c.isDefault) {
				continue
			}
			if b.Len() > 0 {
				b.WriteString("\r\n")
			}
			b.WriteString("# " + c.title + "\r\n")
			c.write(l.srv, &b)
		}
	})
	x.Out.Verbatim("txt", b.String())
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
	field(b, "lru_clock", time.Now().Unix()&(1<<24-1))
	field(b, "executable", executable)
	field(b, "config_file", s.config.Path())
	field(b, "io_threads_active", 0)
	if until := s.ending.until.Load(); until != 0 {
		field(b, "shutdown_in_milliseconds", until-s.now())
	}
	field(b, "event_loops", len(s.loops))
	field(b, "event_loops_active", s.active.Load())
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
	var in, out int
	paused := int64(0)
	s.eachConn(func(c *conn) {
		in = max(in, len(c.in))
		out = max(out, c.out.Len()-c.sent)
	})
	for _, l := range s.loops {
		paused += l.stats.paused.Load()
	}
	field(b, "connected_clients", s.clients.Load())
	field(b, "cluster_connections", 0)
	field(b, "maxclients", s.config.Current().MaxClients)
	field(b, "client_recent_max_input_buffer", in)
	field(b, "client_recent_max_output_buffer", out)
	field(b, "blocked_clients", int64(s.waiters.count())+paused)
	field(b, "tracking_clients", 0)
	field(b, "clients_in_timeout_table", s.waiters.count())
}

// peakMemory is the most memory INFO has ever seen in use.
var peakMemory atomic.Int64

func infoMemory(s *Server, b *strings.Builder) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	used, rss := int64(m.HeapAlloc+m.StackInuse), residentBytes()
	for {
		peak := peakMemory.Load()
		if used <= peak || peakMemory.CompareAndSwap(peak, used) {
			break
		}
	}
	peak := peakMemory.Load()
	var data int64
	for db := range s.keyspace.Databases() {
		data += s.keyspace.Bytes(db)
	}
	overhead := max(used-data, 0)
	field(b, "used_memory", used)
	field(b, "used_memory_human", human(used))
	field(b, "used_memory_rss", rss)
	field(b, "used_memory_rss_human", human(rss))
	field(b, "used_memory_peak", peak)
	field(b, "used_memory_peak_human", human(peak))
	field(b, "used_memory_peak_perc", percent(used, peak))
	field(b, "used_memory_overhead", overhead)
	field(b, "used_memory_startup", 0)
	field(b, "used_memory_dataset", data)
	field(b, "used_memory_dataset_perc", percent(data, used))
	field(b, "allocator_allocated", m.HeapAlloc)
	field(b, "allocator_active", m.HeapInuse)
	field(b, "allocator_resident", m.HeapSys-m.HeapReleased)
	total := totalMemory()
	field(b, "total_system_memory", total)
	field(b, "total_system_memory_human", human(total))
	for _, name := range []string{"used_memory_lua", "used_memory_vm_eval", "used_memory_scripts_eval", "number_of_cached_scripts", "number_of_functions", "number_of_libraries", "used_memory_vm_functions", "used_memory_vm_total", "used_memory_functions", "used_memory_scripts"} {
		field(b, name, 0)
	}
	limit := s.config.Current().MaxMemoryBytes
	field(b, "maxmemory", limit)
	field(b, "maxmemory_human", human(limit))
	for _, p := range s.config.Get("maxmemory-policy") {
		field(b, "maxmemory_policy", p.Value)
	}
	field(b, "mem_fragmentation_ratio", fmt.Sprintf("%.2f", float64(rss)/float64(max(used, 1))))
	field(b, "mem_fragmentation_bytes", rss-used)
	clients := int64(0)
	s.eachConn(func(c *conn) { clients += int64(cap(c.in)+cap(c.out.Bytes())) + connBytes })
	for _, name := range []string{"mem_not_counted_for_evict", "mem_replication_backlog", "mem_total_replication_buffers", "mem_clients_slaves"} {
		field(b, name, 0)
	}
	field(b, "mem_clients_normal", clients)
	field(b, "mem_cluster_links", 0)
	field(b, "mem_aof_buffer", 0)
	field(b, "mem_allocator", "go")
	field(b, "active_defrag_running", 0)
	field(b, "lazyfree_pending_objects", 0)
	field(b, "lazyfreed_objects", 0)
}

// human writes a size as INFO's _human fields do.
func human(n int64) string {
	f := float64(n)
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%dB", n)
	case n < 1<<20:
		return fmt.Sprintf("%.2fK", f/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.2fM", f/(1<<20))
	case n < 1<<40:
		return fmt.Sprintf("%.2fG", f/(1<<30))
	}
	return fmt.Sprintf("%.2fT", f/(1<<40))
}

func percent(part, whole int64) string {
	return fmt.Sprintf("%.2f%%", 100*float64(part)/float64(max(whole, 1)))
}

// residentBytes is the memory of the process that is in RAM.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}

func totalMemory() int64 {
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) != nil {
		return 0
	}
	return int64(si.Totalram) * int64(si.Unit)
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
	field(b, "aof_enabled", 0)
	field(b, "aof_rewrite_in_progress", 0)
}

func infoStats(s *Server, b *strings.Builder) {
	var in, out, closed, errors int64
	for _, l := range s.loops {
		in += l.stats.inBytes.Load()
		out += l.stats.outBytes.Load()
		closed += l.stats.outputLimit.Load()
		errors += l.stats.replies
	}
	ks := s.keyspace.Stats()
	field(b, "total_connections_received", s.accepted.Load())
	field(b, "total_commands_processed", s.commands())
	field(b, "instantaneous_ops_per_sec", s.rate.perSecond())
	field(b, "total_net_input_bytes", in)
	field(b, "total_net_output_bytes", out)
	field(b, "rejected_connections", s.rejected.Load())
	var full, partial, refused int64
	if r, ok := s.replication.(SyncCounter); ok {
		full, partial, refused = r.Syncs()
	}
	field(b, "sync_full", full)
	field(b, "sync_partial_ok", partial)
	field(b, "sync_partial_err", refused)
	field(b, "expired_keys", ks.Expired)
	field(b, "evicted_keys", 0)
	field(b, "evicted_clients", 0)
	field(b, "keyspace_hits", ks.Hits)
	field(b, "keyspace_misses", ks.Misses)
	field(b, "pubsub_channels", s.pubsub.Len(pubsub.Channel))
	field(b, "pubsub_patterns", s.pubsub.Len(pubsub.Pattern))
	field(b, "pubsubshard_channels", s.pubsub.Len(pubsub.Shard))
	field(b, "latest_fork_usec", 0)
	field(b, "total_forks", 0)
	field(b, "unexpected_error_replies", 0)
	field(b, "total_error_replies", errors)
	field(b, "client_output_buffer_limit_disconnections", closed)
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
	for i, r := range s.table.all {
		var sum rowStats
		for _, l := range s.loops {
			st := &l.stats.rows[i]
			sum.calls += st.calls
			sum.rejected += st.rejected
			sum.failed += st.failed
			sum.took += st.took
		}
		if sum.calls+sum.rejected+sum.failed == 0 {
			continue
		}
		usec := sum.took.Microseconds()
		fmt.Fprintf(b, "cmdstat_%s:calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d\r\n",
			r.FullName(), sum.calls, usec, float64(usec)/float64(max(sum.calls, 1)), sum.rejected, sum.failed)
	}
}

func infoErrorStats(s *Server, b *strings.Builder) {
	sum := map[string]int64{}
	var codes []string
	for _, l := range s.loops {
		for code, n := range l.stats.errors {
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
	if s.cluster != nil {
		b.WriteString(s.cluster.Info())
	}
}

func infoKeyspace(s *Server, b *strings.Builder) {
	now := s.now()
	for db := range s.keyspace.Databases() {
		if n := s.keyspace.Len(db); n > 0 {
			fmt.Fprintf(b, "db%d:keys=%d,expires=%d,avg_ttl=%d\r\n", db, n, s.keyspace.Volatile(db), s.keyspace.AvgTTL(db, now))
		}
	}
}
