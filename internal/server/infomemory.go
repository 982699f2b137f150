package server

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"

	"golang.org/x/sys/unix"
)

// memoryInUse is the memory of live and not yet collected objects and of
// stacks. Unlike runtime.ReadMemStats it stops nobody, so that the housekeeping
// can ask.
func memoryInUse() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	var n int64
	for _, x := range samples {
		if x.Value.Kind() == metrics.KindUint64 {
			n += int64(x.Value.Uint64())
		}
	}
	return n
}

// notePeak keeps the most memory that was seen in use, and returns what is now.
func (s *Server) notePeak() int64 {
	used := memoryInUse()
	for {
		peak := s.peakMemory.Load()
		if used <= peak || s.peakMemory.CompareAndSwap(peak, used) {
			return used
		}
	}
}

func infoMemory(s *Server, b *strings.Builder) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	used, rss := s.notePeak(), residentBytes()
	peak := s.peakMemory.Load()
	var data int64
	for db := range s.keyspace.Databases() {
		data += s.keyspace.Bytes(db)
	}
	active, resident := int64(m.HeapInuse), int64(m.HeapSys-m.HeapReleased)
	field(b, "used_memory", used)
	field(b, "used_memory_human", human(used))
	field(b, "used_memory_rss", rss)
	field(b, "used_memory_rss_human", human(rss))
	field(b, "used_memory_peak", peak)
	field(b, "used_memory_peak_human", human(peak))
	field(b, "used_memory_peak_perc", percent(used, peak))
	field(b, "used_memory_overhead", max(used-data, 0))
	field(b, "used_memory_startup", s.startMemory)
	field(b, "used_memory_dataset", data)
	field(b, "used_memory_dataset_perc", percent(data, used-s.startMemory))
	field(b, "allocator_allocated", m.HeapAlloc)
	field(b, "allocator_active", active)
	field(b, "allocator_resident", resident)
	total := totalMemory()
	field(b, "total_system_memory", total)
	field(b, "total_system_memory_human", human(total))
	zeros(b, "used_memory_lua", "used_memory_vm_eval")
	field(b, "used_memory_lua_human", human(0))
	zeros(b, "used_memory_scripts_eval", "number_of_cached_scripts", "number_of_functions", "number_of_libraries",
		"used_memory_vm_functions", "used_memory_vm_total")
	field(b, "used_memory_vm_total_human", human(0))
	zeros(b, "used_memory_functions", "used_memory_scripts")
	field(b, "used_memory_scripts_human", human(0))
	limit := s.config.Current().MaxMemoryBytes
	field(b, "maxmemory", limit)
	field(b, "maxmemory_human", human(limit))
	for _, p := range s.config.Get("maxmemory-policy") {
		field(b, "maxmemory_policy", p.Value)
	}
	excess(b, "allocator_frag", active, int64(m.HeapAlloc))
	excess(b, "allocator_rss", resident, active)
	excess(b, "rss_overhead", rss, resident)
	excess(b, "mem_fragmentation", rss, used)
	clients := int64(0)
	s.eachConn(func(c *conn) { clients += int64(cap(c.in)+cap(c.out.Bytes())) + connBytes })
	zeros(b, "mem_not_counted_for_evict", "mem_replication_backlog", "mem_total_replication_buffers", "mem_clients_slaves")
	field(b, "mem_clients_normal", clients)
	links := int64(0)
	if s.cluster != nil {
		links = s.cluster.LinkBytes() + s.forBus.Load()
	}
	field(b, "mem_cluster_links", links)
	zeros(b, "mem_aof_buffer")
	field(b, "mem_allocator", "go")
	zeros(b, "active_defrag_running", "lazyfree_pending_objects", "lazyfreed_objects")
}

// excess writes by how much one amount of memory is more than another, as a
// ratio and in bytes.
func excess(b *strings.Builder, name string, larger, smaller int64) {
	field(b, name+"_ratio", fmt.Sprintf("%.2f", float64(larger)/float64(max(smaller, 1))))
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
