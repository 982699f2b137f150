package admin

import (
	"bytes"
	"fmt"
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"redoubt/storage"
)

// memoryUse is what INFO memory and MEMORY tell, from exact counts that stop
// nobody: those of the keyspace, whose memory the Go runtime does not see, and
// the runtime's own. All are bytes.
type memoryUse struct {
	keys storage.Memory

	heap GoMemory

	used    int64 // what maxmemory limits: usedMemory
	peak    int64 // the most of that so far
	startup int64 // what there was at the start
	rss     int64 // the process's memory
	clients int64 // connections with their buffers
	links   int64 // those of the cluster with theirs
	scripts ScriptCounts

	// Beside all that: what of the stream is in memory.
	backlog, unsynced int64
	replicas          int64 // … for slow replicas
}

// GoMemory is the memory of the Go heap, in bytes.
type GoMemory struct {
	Objects, Stacks int64
	Unused, Free    int64 // beside objects, and without any
}

// goMetrics is what is read of the runtime's metrics, in the order of the fields.
var goMetrics = []string{
	"/memory/classes/heap/objects:bytes",
	"/memory/classes/heap/stacks:bytes",
	"/memory/classes/heap/unused:bytes",
	"/memory/classes/heap/free:bytes",
}

// ReadGoMemory asks the Go runtime, without stopping anything.
func ReadGoMemory() (m GoMemory) {
	samples := make([]metrics.Sample, len(goMetrics))
	for i, name := range goMetrics {
		samples[i].Name = name
	}
	metrics.Read(samples)
	for i, to := range []*int64{&m.Objects, &m.Stacks, &m.Unused, &m.Free} {
		if v := samples[i].Value; v.Kind() == metrics.KindUint64 {
			*to = int64(v.Uint64())
		}
	}
	return m
}

// memoryUse takes stock, and notes the peak.
func (a *Commands) memoryUse() memoryUse {
	st := a.Server.Stats()
	m := memoryUse{keys: a.Keyspace.Memory(), heap: ReadGoMemory(), startup: a.StartMemory, rss: ResidentBytes(),
		used: st.UsedMemory, clients: st.ClientBytes, scripts: st.Scripts}
	m.peak = a.notePeak(m.used)
	if s, ok := a.Stream.(MeasuredStream); ok {
		m.backlog, m.replicas, m.unsynced = s.Memory()
	}
	if a.Cluster != nil {
		m.links = a.Cluster.LinkBytes() + st.BusBytes
	}
	return m
}

// notePeak keeps the most memory that was seen in use, and returns it.
func (a *Commands) notePeak(used int64) int64 {
	for {
		peak := a.peakMemory.Load()
		if used <= peak {
			return peak
		}
		if a.peakMemory.CompareAndSwap(peak, used) {
			return used
		}
	}
}

// dataset is what keys and values occupy, overhead the rest of what is in use.
func (m *memoryUse) dataset() int64  { return m.keys.Data }
func (m *memoryUse) overhead() int64 { return max(m.used-m.keys.Data, 0) }

// What follows is what Redis says of its allocator: the blocks that were asked
// for, the pages with blocks, and those that the system has not got back.
func (m *memoryUse) allocated() int64 { return m.keys.Data + m.keys.Tables + m.heap.Objects }
func (m *memoryUse) active() int64 {
	return m.keys.Committed - m.keys.Free + m.heap.Objects + m.heap.Unused
}
func (m *memoryUse) resident() int64 {
	return m.keys.Committed + m.heap.Objects + m.heap.Unused + m.heap.Free
}

// allocator names what the memory of keys comes from.
const allocator = "redoubt-slab"

func (a *Commands) infoMemory(b *strings.Builder) {
	m := a.memoryUse()
	field(b, "used_memory", m.used)
	field(b, "used_memory_human", human(m.used))
	field(b, "used_memory_rss", m.rss)
	field(b, "used_memory_rss_human", human(m.rss))
	field(b, "used_memory_peak", m.peak)
	field(b, "used_memory_peak_human", human(m.peak))
	field(b, "used_memory_peak_perc", percent(m.used, m.peak))
	field(b, "used_memory_overhead", m.overhead())
	field(b, "used_memory_startup", m.startup)
	field(b, "used_memory_dataset", m.dataset())
	field(b, "used_memory_dataset_perc", percent(m.dataset(), m.used-m.startup))
	field(b, "allocator_allocated", m.allocated())
	field(b, "allocator_active", m.active())
	field(b, "allocator_resident", m.resident())
	total := totalMemory()
	field(b, "total_system_memory", total)
	field(b, "total_system_memory_human", human(total))
	x := m.scripts
	field(b, "used_memory_lua", x.EvalEngines)
	field(b, "used_memory_vm_eval", x.EvalEngines)
	field(b, "used_memory_lua_human", human(x.EvalEngines))
	field(b, "used_memory_scripts_eval", x.CachedBytes)
	field(b, "number_of_cached_scripts", x.Cached)
	field(b, "number_of_functions", x.Functions)
	field(b, "number_of_libraries", x.Libraries)
	field(b, "used_memory_vm_functions", x.FunctionEngines)
	field(b, "used_memory_vm_total", x.EvalEngines+x.FunctionEngines)
	field(b, "used_memory_vm_total_human", human(x.EvalEngines+x.FunctionEngines))
	field(b, "used_memory_functions", x.LibraryBytes)
	field(b, "used_memory_scripts", x.CachedBytes+x.LibraryBytes)
	field(b, "used_memory_scripts_human", human(x.CachedBytes+x.LibraryBytes))
	limit := a.Settings.Current().MaxMemory.Bytes
	field(b, "maxmemory", limit)
	field(b, "maxmemory_human", human(limit))
	for _, p := range a.Settings.Get("maxmemory-policy") {
		field(b, "maxmemory_policy", p.Value)
	}
	excess(b, "allocator_frag", m.active(), m.allocated())
	excess(b, "allocator_rss", m.resident(), m.active())
	excess(b, "rss_overhead", m.rss, m.resident())
	excess(b, "mem_fragmentation", m.rss, m.used)
	zeros(b, "mem_not_counted_for_evict") // used_memory has none of it
	field(b, "mem_replication_backlog", m.backlog)
	field(b, "mem_total_replication_buffers", m.backlog+m.replicas)
	field(b, "mem_clients_slaves", m.replicas)
	field(b, "mem_clients_normal", m.clients)
	field(b, "mem_cluster_links", m.links)
	field(b, "mem_aof_buffer", m.unsynced)
	field(b, "mem_allocator", allocator)
	running := 0
	if a.Keyspace.Compaction().Running {
		running = 1 // Redis shows its share of the processor
	}
	field(b, "active_defrag_running", running)
	field(b, "lazyfree_pending_objects", a.Keyspace.Unfreed())
	field(b, "lazyfreed_objects", a.Keyspace.Freed())
	// Redis has no words for these: what keys occupy of the pages in memory,
	// what of those is free, and what snapshots keep.
	field(b, "keys_committed", m.keys.Committed)
	field(b, "keys_free", m.keys.Free)
	field(b, "keys_kept_for_snapshots", m.keys.Kept)
}

// ratio is by how much one amount of memory is more than another.
func ratio(larger, smaller int64) float64 { return float64(larger) / float64(max(smaller, 1)) }

// excess writes a ratio and the difference in bytes.
func excess(b *strings.Builder, name string, larger, smaller int64) {
	field(b, name+"_ratio", fmt.Sprintf("%.2f", ratio(larger, smaller)))
	field(b, name+"_bytes", larger-smaller)
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

// statm has how much memory the process has. It stays open, because opening it takes
// longer than reading it.
var statm = sync.OnceValue(func() *os.File {
	f, _ := os.Open("/proc/self/statm") // a nil *os.File cannot be read, which is said then
	return f
})

// ResidentBytes is the memory of the process that is in RAM.
func ResidentBytes() int64 {
	var text [128]byte
	n, _ := statm().ReadAt(text[:], 0) // io.EOF
	fields := bytes.Fields(text[:n])
	if len(fields) < 2 {
		return 0
	}
	resident, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
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
