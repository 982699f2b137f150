package metrics

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// A field is a line of INFO, or of CLUSTER INFO, and the name that redis_exporter has for
// it.
type field struct {
	info string // as INFO has it
	name string // of the metric, without the prefix
	kind Kind
	help string
}

// prefix is that of all names of redis_exporter.
const prefix = "redis_"

// fields is the table from INFO to metrics, section by section. Names and kinds are
// those of redis_exporter, even where they break Prometheus's rules for names.
var fields = []field{
	// Server.
	{"uptime_in_seconds", "uptime_in_seconds", Gauge, "Seconds since the start."},
	{"process_id", "process_id", Gauge, "Id of the process."},
	{"hz", "hz", Gauge, "The directive hz."},
	{"configured_hz", "configured_hz", Gauge, "The directive hz."},
	{"io_threads_active", "io_threads_active", Gauge, "Always 0: event loops are no I/O threads."},

	// Clients.
	{"connected_clients", "connected_clients", Gauge, "Clients that are connected, without replicas."},
	{"blocked_clients", "blocked_clients", Gauge, "Clients that wait (BLPOP, WAIT …)."},
	{"maxclients", "max_clients", Gauge, "How many clients may be connected."},
	{"tracking_clients", "tracking_clients", Gauge, "Clients with client-side caching."},
	{"clients_in_timeout_table", "clients_in_timeout_table", Gauge, "Clients that wait no longer than for a time."},
	{"pubsub_clients", "pubsub_clients", Gauge, "Clients that have subscribed."},
	{"watching_clients", "watching_clients", Gauge, "Clients that watch keys."},
	{"total_watched_keys", "total_watched_keys", Gauge, "Keys that are watched."},
	{"total_blocking_keys", "total_blocking_keys", Gauge, "Keys that clients wait for."},
	{"total_blocking_keys_on_nokey", "total_blocking_keys_on_nokey", Gauge, "Keys whose end clients wait for, too."},
	{"client_recent_max_output_buffer", "client_recent_max_output_buffer_bytes", Gauge, "Longest output of a client that waits."},
	{"client_recent_max_input_buffer", "client_recent_max_input_buffer_bytes", Gauge, "Longest input of a client that waits."},

	// Memory.
	{"allocator_active", "allocator_active_bytes", Gauge, "Memory in pages with blocks of keys, and the Go heap."},
	{"allocator_allocated", "allocator_allocated_bytes", Gauge, "Memory of keys, their tables and Go's objects."},
	{"allocator_resident", "allocator_resident_bytes", Gauge, "Memory that the system has not got back."},
	{"allocator_frag_ratio", "allocator_frag_ratio", Gauge, "Active by allocated memory."},
	{"allocator_frag_bytes", "allocator_frag_bytes", Gauge, "Active less allocated memory."},
	{"allocator_rss_ratio", "allocator_rss_ratio", Gauge, "Resident by active memory."},
	{"allocator_rss_bytes", "allocator_rss_bytes", Gauge, "Resident less active memory."},
	{"used_memory", "memory_used_bytes", Gauge, "Memory in use, which maxmemory limits."},
	{"used_memory_rss", "memory_used_rss_bytes", Gauge, "Memory of the process that is in RAM."},
	{"used_memory_peak", "memory_used_peak_bytes", Gauge, "The most memory that was in use."},
	{"used_memory_lua", "memory_used_lua_bytes", Gauge, "Memory of the Lua states for EVAL."},
	{"used_memory_vm_eval", "memory_used_vm_eval_bytes", Gauge, "Memory of the Lua states for EVAL."},
	{"used_memory_scripts_eval", "memory_used_scripts_eval_bytes", Gauge, "Memory of the cached scripts."},
	{"used_memory_overhead", "memory_used_overhead_bytes", Gauge, "Memory in use that is not of keys and values."},
	{"used_memory_startup", "memory_used_startup_bytes", Gauge, "Memory in use after the start."},
	{"used_memory_dataset", "memory_used_dataset_bytes", Gauge, "Memory of keys and values."},
	{"number_of_cached_scripts", "number_of_cached_scripts", Gauge, "Scripts in the cache of EVAL."},
	{"number_of_functions", "number_of_functions", Gauge, "Functions of FUNCTION LOAD."},
	{"number_of_libraries", "number_of_libraries", Gauge, "Libraries of FUNCTION LOAD."},
	{"used_memory_vm_functions", "memory_used_vm_functions_bytes", Gauge, "Memory of the Lua state for functions."},
	{"used_memory_scripts", "memory_used_scripts_bytes", Gauge, "Memory of cached scripts and libraries."},
	{"used_memory_functions", "memory_used_functions_bytes", Gauge, "Memory of libraries and their Lua state."},
	{"used_memory_vm_total", "memory_used_vm_total", Gauge, "Memory of all Lua states."},
	{"maxmemory", "memory_max_bytes", Gauge, "The directive maxmemory; 0: no limit."},
	{"mem_fragmentation_ratio", "mem_fragmentation_ratio", Gauge, "Memory in RAM by memory in use."},
	{"mem_fragmentation_ratio", "memory_fragmentation_ratio", Gauge, "The same under the name that the alerts of redis-mixin ask for."},
	{"mem_fragmentation_bytes", "mem_fragmentation_bytes", Gauge, "Memory in RAM less memory in use."},
	{"total_system_memory", "total_system_memory_bytes", Gauge, "Memory of the machine."},
	{"mem_clients_slaves", "mem_clients_slaves", Gauge, "Memory for slow replicas."},
	{"mem_clients_normal", "mem_clients_normal", Gauge, "Memory of clients."},
	{"mem_cluster_links", "mem_cluster_links_bytes", Gauge, "Memory of the links of the cluster bus."},
	{"mem_aof_buffer", "mem_aof_buffer_bytes", Gauge, "What is appended to the stream and not on disk yet."},
	{"mem_replication_backlog", "mem_replication_backlog_bytes", Gauge, "Memory of the backlog; 0 with a journal, which is on disk."},
	{"mem_not_counted_for_evict", "mem_not_counted_for_eviction_bytes", Gauge, "Memory that maxmemory does not limit."},
	{"mem_total_replication_buffers", "mem_total_replication_buffers_bytes", Gauge, "Memory of the backlog and for slow replicas."},
	{"lazyfree_pending_objects", "lazyfree_pending_objects", Gauge, "Deleted keys whose memory is still to be freed."},
	{"lazyfreed_objects", "lazyfreed_objects", Gauge, "Keys whose memory was freed in the background."},
	{"active_defrag_running", "active_defrag_running", Gauge, "Whether memory is being compacted."},

	// Persistence.
	{"loading", "loading_dump_file", Gauge, "Whether the data are being loaded."},
	{"async_loading", "async_loading", Gauge, "Whether new data are on their way while the old ones are served."},
	{"rdb_changes_since_last_save", "rdb_changes_since_last_save", Gauge, "Changes since the last dump."},
	{"rdb_bgsave_in_progress", "rdb_bgsave_in_progress", Gauge, "Whether a dump is being written."},
	{"rdb_last_save_time", "rdb_last_save_timestamp_seconds", Gauge, "When the last dump was written, as Unix time."},
	{"rdb_last_bgsave_status", "rdb_last_bgsave_status", Gauge, "Whether the last dump succeeded."},
	{"rdb_last_bgsave_time_sec", "rdb_last_bgsave_duration_sec", Gauge, "Seconds that the last dump took; -1: there was none."},
	{"rdb_current_bgsave_time_sec", "rdb_current_bgsave_duration_sec", Gauge, "Seconds since the dump under way began; -1: none is."},
	{"rdb_saves", "rdb_saves_total", Gauge, "Dumps since the start."},
	{"rdb_last_cow_size", "rdb_last_cow_size_bytes", Gauge, "The most memory that the last dump held."},
	{"rdb_last_load_keys_expired", "rdb_last_load_expired_keys", Gauge, "Expired keys that the start left out."},
	{"rdb_last_load_keys_loaded", "rdb_last_load_loaded_keys", Gauge, "Keys that the start has loaded from a file."},
	{"aof_enabled", "aof_enabled", Gauge, "Whether there is a journal."},
	{"aof_rewrite_in_progress", "aof_rewrite_in_progress", Gauge, "Whether a base of the journal is being written."},
	{"aof_rewrite_scheduled", "aof_rewrite_scheduled", Gauge, "Whether a base of the journal waits to be written."},
	{"aof_last_rewrite_time_sec", "aof_last_rewrite_duration_sec", Gauge, "Seconds that the last base took; -1: there was none."},
	{"aof_current_rewrite_time_sec", "aof_current_rewrite_duration_sec", Gauge, "Seconds since the base under way began; -1: none is."},
	{"aof_last_cow_size", "aof_last_cow_size_bytes", Gauge, "The most memory that the last base held."},
	{"aof_current_size", "aof_current_size_bytes", Gauge, "Bytes of the base and of the journal after it."},
	{"aof_base_size", "aof_base_size_bytes", Gauge, "Bytes of the base of the journal."},
	{"aof_pending_rewrite", "aof_pending_rewrite", Gauge, "Whether a base of the journal waits to be written."},
	{"aof_buffer_length", "aof_buffer_length", Gauge, "What is appended to the stream and not on disk yet."},
	{"aof_pending_bio_fsync", "aof_pending_bio_fsync", Gauge, "Whether an fsync is under way."},
	{"aof_delayed_fsync", "aof_delayed_fsync", Gauge, "Always 0: writes do not wait for an fsync that is under way."},
	{"aof_last_bgrewrite_status", "aof_last_bgrewrite_status", Gauge, "Whether the last base succeeded."},
	{"aof_last_write_status", "aof_last_write_status", Gauge, "Whether the journal can be written."},
	{"module_fork_in_progress", "module_fork_in_progress", Gauge, "Always 0: there are no modules."},
	{"module_fork_last_cow_size", "module_fork_last_cow_size", Gauge, "Always 0: there are no modules."},

	// Stats.
	{"total_connections_received", "connections_received_total", Counter, "Connections of clients."},
	{"total_commands_processed", "commands_processed_total", Counter, "Commands that were executed."},
	{"rejected_connections", "rejected_connections_total", Counter, "Connections that maxclients or protected mode refused."},
	{"total_net_input_bytes", "net_input_bytes_total", Counter, "Bytes that clients and the primary have sent."},
	{"total_net_output_bytes", "net_output_bytes_total", Counter, "Bytes that were sent to clients and replicas."},
	{"total_net_repl_input_bytes", "net_repl_input_bytes_total", Counter, "Bytes that the primary has sent."},
	{"total_net_repl_output_bytes", "net_repl_output_bytes_total", Counter, "Bytes that were sent to replicas."},
	{"expired_keys", "expired_keys_total", Counter, "Keys that have expired."},
	{"expired_stale_perc", "expired_stale_percentage", Gauge, "Always 0: keys are not sampled, all that expire are found."},
	{"expired_time_cap_reached_count", "expired_time_cap_reached_total", Counter, "Slices of expiry that had more to do."},
	{"expire_cycle_cpu_milliseconds", "expire_cycle_cpu_time_ms_total", Counter, "Milliseconds spent in deleting expired keys."},
	{"evicted_keys", "evicted_keys_total", Counter, "Keys that maxmemory has cost."},
	{"evicted_clients", "evicted_clients_total", Counter, "Clients that maxmemory-clients has cost."},
	{"evicted_scripts", "evicted_scripts_total", Counter, "Scripts that the cache of EVAL had no room for."},
	{"total_eviction_exceeded_time", "eviction_exceeded_time_ms_total", Counter, "Milliseconds for which more than maxmemory was in use."},
	{"current_eviction_exceeded_time", "current_eviction_exceeded_time_ms", Gauge, "Milliseconds for which it has been so without a break."},
	{"keyspace_hits", "keyspace_hits_total", Counter, "Look-ups that found a key."},
	{"keyspace_misses", "keyspace_misses_total", Counter, "Look-ups that found none."},
	{"pubsub_channels", "pubsub_channels", Gauge, "Channels with subscribers."},
	{"pubsub_patterns", "pubsub_patterns", Gauge, "Patterns with subscribers."},
	{"pubsubshard_channels", "pubsubshard_channels", Gauge, "Shard channels with subscribers."},
	{"latest_fork_usec", "latest_fork_seconds", Gauge, "Always 0: this server does not fork."},
	{"migrate_cached_sockets", "migrate_cached_sockets_total", Gauge, "Connections kept for MIGRATE."},
	{"slave_expires_tracked_keys", "slave_expires_tracked_keys", Gauge, "Keys with an expiry that a writable replica has made."},
	{"active_defrag_hits", "defrag_hits", Gauge, "Values that compaction has moved."},
	{"active_defrag_misses", "defrag_misses", Gauge, "Values that compaction has left where they were."},
	{"active_defrag_key_hits", "defrag_key_hits", Gauge, "Keys of which compaction has moved something."},
	{"active_defrag_key_misses", "defrag_key_misses", Gauge, "Keys of which it has moved nothing."},
	{"tracking_total_keys", "tracking_total_keys", Gauge, "Keys that clients with caches have read."},
	{"tracking_total_items", "tracking_total_items", Gauge, "Marks of clients on such keys."},
	{"tracking_total_prefixes", "tracking_total_prefixes", Gauge, "Prefixes of clients with caches."},
	{"unexpected_error_replies", "unexpected_error_replies", Counter, "Errors that a replica would have been answered with."},
	{"total_error_replies", "total_error_replies", Counter, "Errors that clients were answered with."},
	{"dump_payload_sanitizations", "dump_payload_sanitizations", Counter, "Always 0: every payload is checked."},
	{"total_reads_processed", "total_reads_processed", Counter, "Reads from sockets of clients."},
	{"total_writes_processed", "total_writes_processed", Counter, "Writes to sockets of clients."},
	{"io_threaded_reads_processed", "io_threaded_reads_processed", Counter, "Always 0: event loops are no I/O threads."},
	{"io_threaded_writes_processed", "io_threaded_writes_processed", Counter, "Always 0: event loops are no I/O threads."},
	{"reply_buffer_shrinks", "reply_buffer_shrinks_total", Counter, "Always 0: output has no buffer of its own."},
	{"reply_buffer_expands", "reply_buffer_expands_total", Counter, "Always 0: output has no buffer of its own."},
	{"client_query_buffer_limit_disconnections", "client_query_buffer_limit_disconnections_total", Counter, "Clients closed for too much input."},
	{"client_output_buffer_limit_disconnections", "client_output_buffer_limit_disconnections_total", Counter, "Clients closed for too much output."},
	{"eventloop_cycles", "eventloop_cycles_total", Counter, "Turns of the event loops."},
	{"eventloop_duration_sum", "eventloop_duration_sum_usec_total", Counter, "Microseconds spent in turns of event loops."},
	{"eventloop_duration_cmd_sum", "eventloop_duration_cmd_sum_usec_total", Counter, "Microseconds spent in commands."},
	{"instantaneous_eventloop_cycles_per_sec", "instantaneous_eventloop_cycles_per_sec", Gauge, "Turns per second of late."},
	{"instantaneous_eventloop_duration_usec", "instantaneous_eventloop_duration_usec", Gauge, "Microseconds per turn of late."},
	{"acl_access_denied_auth", "acl_access_denied_auth_total", Counter, "Logins that were refused."},
	{"acl_access_denied_cmd", "acl_access_denied_cmd_total", Counter, "Commands that users may not call."},
	{"acl_access_denied_key", "acl_access_denied_key_total", Counter, "Calls with keys that users may not use."},
	{"acl_access_denied_channel", "acl_access_denied_channel_total", Counter, "Calls with channels that users may not use."},

	// Replication.
	{"connected_slaves", "connected_slaves", Gauge, "Replicas that are connected."},
	{"repl_backlog_size", "replication_backlog_bytes", Gauge, "The directive repl-backlog-size."},
	{"repl_backlog_active", "repl_backlog_is_active", Gauge, "Whether there is a backlog."},
	{"repl_backlog_first_byte_offset", "repl_backlog_first_byte_offset", Gauge, "Offset of the first byte that replicas can ask for."},
	{"repl_backlog_histlen", "repl_backlog_history_bytes", Gauge, "Bytes that replicas can ask for: the whole journal, if there is one."},
	{"master_repl_offset", "master_repl_offset", Gauge, "Offset of the end of the stream."},
	{"second_repl_offset", "second_repl_offset", Gauge, "Offset at which this history left the one before; -1: there is none."},
	{"slave_priority", "slave_priority", Gauge, "The directive replica-priority, of a replica."},
	{"sync_full", "replica_resyncs_full", Gauge, "Full resyncs that were served."},
	{"sync_partial_ok", "replica_partial_resync_accepted", Gauge, "Partial resyncs that were served."},
	{"sync_partial_err", "replica_partial_resync_denied", Gauge, "Partial resyncs that were not possible."},

	// CPU.
	{"used_cpu_sys", "cpu_sys_seconds_total", Counter, "Processor time that the kernel used for the process."},
	{"used_cpu_user", "cpu_user_seconds_total", Counter, "Processor time of the process itself."},
	{"used_cpu_sys_children", "cpu_sys_children_seconds_total", Counter, "… of the kernel for processes that it started and that have ended."},
	{"used_cpu_user_children", "cpu_user_children_seconds_total", Counter, "… of those processes themselves."},

	// Cluster, and CLUSTER INFO.
	{"cluster_enabled", "cluster_enabled", Gauge, "Whether the node is one of a cluster."},
	{"cluster_connections", "cluster_connections", Gauge, "Links to and from other nodes."},
	{"cluster_state", "cluster_state", Gauge, "Whether the cluster serves, as this node sees it."},
	{"cluster_slots_assigned", "cluster_slots_assigned", Gauge, "Slots with an owner."},
	{"cluster_slots_ok", "cluster_slots_ok", Gauge, "Slots whose owner works."},
	{"cluster_slots_pfail", "cluster_slots_pfail", Gauge, "Slots whose owner this node cannot reach."},
	{"cluster_slots_fail", "cluster_slots_fail", Gauge, "Slots whose owner has failed."},
	{"cluster_known_nodes", "cluster_known_nodes", Gauge, "Nodes that this one knows."},
	{"cluster_size", "cluster_size", Gauge, "Primaries with slots."},
	{"cluster_current_epoch", "cluster_current_epoch", Gauge, "The greatest epoch that was heard of."},
	{"cluster_my_epoch", "cluster_my_epoch", Gauge, "Epoch of the slots of this node, or of its primary."},
	{"cluster_stats_messages_sent", "cluster_messages_sent_total", Gauge, "Messages sent on the cluster bus."},
	{"cluster_stats_messages_received", "cluster_messages_received_total", Gauge, "Messages received on the cluster bus."},

	// Sentinel.
	{"sentinel_masters", "sentinel_masters", Gauge, "Masters that are monitored."},
	{"sentinel_tilt", "sentinel_tilt", Gauge, "Whether the Sentinel is in TILT."},
	{"sentinel_running_scripts", "sentinel_running_scripts", Gauge, "Scripts that run."},
	{"sentinel_scripts_queue_length", "sentinel_scripts_queue_length", Gauge, "Scripts that run or wait."},
	{"sentinel_simulate_failure_flags", "sentinel_simulate_failure_flags", Gauge, "What SENTINEL SIMULATE-FAILURE has asked for."},
}

// fieldsOf finds the rows of a field: one, but for those with two names.
var fieldsOf = func() map[string][]*field {
	m := make(map[string][]*field, len(fields))
	for i := range fields {
		f := &fields[i]
		m[f.info] = append(m[f.info], f)
	}
	return m
}()

// A derived metric is one that Info makes of more than a number.
type derived struct {
	name   string
	from   string // what of INFO
	kind   Kind
	labels []string
	help   string
}

var (
	startTime    = derived{"start_time_seconds", "uptime_in_seconds", Gauge, nil, "When the process started, as Unix time."}
	instanceInfo = derived{"instance_info", "Server, Memory, Replication", Gauge,
		[]string{"role", "redis_version", "redis_build_id", "redis_mode", "os", "maxmemory_policy", "tcp_port", "run_id", "process_id", "master_replid"},
		"What the process is; always 1."}
	slaveInfo    = derived{"slave_info", "Replication", Gauge, []string{"master_host", "master_port", "read_only"}, "Whom a replica follows; always 1."}
	masterLinkUp = derived{"master_link_up", "master_link_status", Gauge, ofMaster, "Whether a replica is in step with its primary."}
	masterLastIO = derived{"master_last_io_seconds_ago", "master_last_io_seconds_ago", Gauge, ofMaster, "Seconds since the primary was heard of; -1: never."}
	masterSync   = derived{"master_sync_in_progress", "master_sync_in_progress", Gauge, ofMaster, "Whether a full resync is under way."}
	slaveOffset  = derived{"slave_repl_offset", "slave_repl_offset", Gauge, ofMaster, "Offset up to which a replica has the stream of its primary."}
	replicaAt    = derived{"connected_slave_offset_bytes", "slaveN: offset", Gauge, ofReplica, "Offset that a replica has acknowledged."}
	replicaLag   = derived{"connected_slave_lag_seconds", "slaveN: lag", Gauge, ofReplica, "Seconds since a replica has acknowledged something."}
	dbKeys       = derived{"db_keys", "dbN: keys", Gauge, ofDB, "Keys in a database."}
	dbExpiring   = derived{"db_keys_expiring", "dbN: expires", Gauge, ofDB, "Keys in a database that expire."}
	dbTTL        = derived{"db_avg_ttl_seconds", "dbN: avg_ttl", Gauge, ofDB, "Average time that keys which expire have left."}
	clusterSent  = derived{"cluster_stats_messages_TYPE_sent", "CLUSTER INFO", Gauge, nil, "Messages of a type sent on the cluster bus."}
	clusterGot   = derived{"cluster_stats_messages_TYPE_received", "CLUSTER INFO", Gauge, nil, "Messages of a type received on the cluster bus."}

	ofMaster  = []string{"master_host", "master_port"}
	ofReplica = []string{"slave_ip", "slave_port", "slave_state"}
	ofDB      = []string{"db"}
)

// derivations is all of them, for the documentation.
var derivations = []*derived{&startTime, &instanceInfo, &slaveInfo, &masterLinkUp, &masterLastIO, &masterSync, &slaveOffset,
	&replicaAt, &replicaLag, &dbKeys, &dbExpiring, &dbTTL, &clusterSent, &clusterGot}

func (p *Page) derived(d *derived) *Family {
	return p.Family(prefix+d.name, d.kind, d.help, d.labels...)
}

// Info writes what the text of INFO, or of CLUSTER INFO, says. Databases is how many
// there are: INFO leaves out those that are empty. now is the wall clock.
func (p *Page) Info(text string, databases int, now time.Time) {
	values := make(map[string]string, 256)
	seen := make(map[string]bool) // replicas, since those behind one address can look alike
	for line := range strings.SplitSeq(text, "\r\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		values[name] = value
		rows := fieldsOf[name]
		for _, f := range rows {
			if n, ok := numberOf(value); ok {
				p.Family(prefix+f.name, f.kind, f.help).Set(n)
			}
		}
		switch {
		case rows != nil:
		case strings.HasPrefix(name, "cluster_stats_messages_"):
			p.messages(name, value)
		case isNumbered(name, "slave"):
			p.replica(pairs(value), seen)
		case isNumbered(name, "db"):
			p.database(name, pairs(value))
		}
	}
	if _, ok := values["cluster_enabled"]; ok {
		for db := range databases {
			if name := "db" + strconv.Itoa(db); values[name] == "" {
				p.database(name, map[string]string{"keys": "0", "expires": "0"})
			}
		}
	}
	p.instance(values, now)
}

// numberOf is a value of INFO as a number: words for good and bad are 1 and 0, as in
// redis_exporter.
func numberOf(value string) (float64, bool) {
	switch value {
	case "ok":
		return 1, true
	case "err", "fail":
		return 0, true
	}
	n, err := strconv.ParseFloat(value, 64)
	return n, err == nil && !math.IsNaN(n)
}

// isNumbered reports whether a name is the word and a number.
func isNumbered(name, word string) bool {
	digits, ok := strings.CutPrefix(name, word)
	if !ok {
		return false
	}
	_, err := strconv.ParseUint(digits, 10, 32)
	return err == nil
}

// pairs splits a=1,b=2.
func pairs(value string) map[string]string {
	m := make(map[string]string, 8)
	for pair := range strings.SplitSeq(value, ",") {
		name, v, _ := strings.Cut(pair, "=")
		m[name] = v
	}
	return m
}

// messages is the count of a type of message on the cluster bus, of which there are as
// many as have been sent or received.
func (p *Page) messages(name, value string) {
	help := clusterGot.help
	if strings.HasSuffix(name, "_sent") {
		help = clusterSent.help
	}
	if n, ok := numberOf(value); ok {
		p.Family(prefix+strings.ReplaceAll(name, "-", "_"), Gauge, help).Set(n)
	}
}

func (p *Page) replica(v map[string]string, seen map[string]bool) {
	who := []string{v["ip"], v["port"], v["state"]}
	key := strings.Join(who, " ")
	if seen[key] {
		return
	}
	seen[key] = true
	for _, x := range []struct {
		d     *derived
		value string
	}{{&replicaAt, v["offset"]}, {&replicaLag, v["lag"]}} {
		if n, ok := numberOf(x.value); ok {
			p.derived(x.d).Set(n, who...)
		}
	}
}

func (p *Page) database(name string, v map[string]string) {
	if n, ok := numberOf(v["keys"]); ok {
		p.derived(&dbKeys).Set(n, name)
	}
	if n, ok := numberOf(v["expires"]); ok {
		p.derived(&dbExpiring).Set(n, name)
	}
	if n, ok := numberOf(v["avg_ttl"]); ok {
		p.derived(&dbTTL).Set(n/1000, name)
	}
}

// instance is what takes several fields.
func (p *Page) instance(v map[string]string, now time.Time) {
	if v["redis_version"] == "" {
		return // not INFO, or without its section
	}
	values := make([]string, len(instanceInfo.labels))
	for i, label := range instanceInfo.labels {
		values[i] = v[label]
	}
	p.derived(&instanceInfo).Int(1, values...)
	if up, ok := numberOf(v["uptime_in_seconds"]); ok {
		p.derived(&startTime).Set(float64(now.Unix()) - up)
	}
	if v["role"] != "slave" {
		return
	}
	host, port := v["master_host"], v["master_port"]
	p.derived(&slaveInfo).Int(1, host, port, v["slave_read_only"])
	p.derived(&masterLinkUp).Bool(v["master_link_status"] == "up", host, port)
	for _, d := range []*derived{&masterLastIO, &masterSync, &slaveOffset} {
		if n, ok := numberOf(v[d.from]); ok {
			p.derived(d).Set(n, host, port)
		}
	}
}
