package metrics

import (
	"runtime/metrics"
	"syscall"
	"time"
)

// processStart is when the process started, nearly.
var processStart = time.Now()

// Process writes what every program that Prometheus scrapes tells, by its usual names,
// and of Go's runtime what matters for latencies. It stops nobody: the runtime publishes
// these numbers. Resident is the memory of the process that is in RAM, in bytes.
func (p *Page) Process(resident int64) {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		p.Family("process_cpu_seconds_total", Counter, "Processor time of the process and of the kernel for it.").
			Set(seconds(time.Duration(used.Utime.Nano() + used.Stime.Nano())))
	}
	p.Family("process_start_time_seconds", Gauge, "When the process started, as Unix time.").
		Set(float64(processStart.UnixMilli()) / 1000)
	p.Family("process_resident_memory_bytes", Gauge, "Memory of the process that is in RAM.").Int(resident)
	samples := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/goal:bytes"}}
	metrics.Read(samples)
	for i, f := range []*Family{
		p.Family("go_goroutines", Gauge, "Goroutines."),
		p.Family("redoubt_go_collections_total", Counter, "Collections of Go's garbage collector. Keys and values are not its garbage."),
		p.Family("redoubt_go_heap_goal_bytes", Gauge, "Size of the Go heap at which the next collection ends."),
	} {
		if v := samples[i].Value; v.Kind() == metrics.KindUint64 {
			f.Int(int64(v.Uint64()))
		}
	}
}
