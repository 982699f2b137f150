package storage

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"testing"

	"redoubt/slots"
)

// BenchmarkCollector is a whole garbage collection beside so many keys. cpu-ms is
// the processor time of one.
func BenchmarkCollector(b *testing.B) {
	for _, keys := range []int{0, 1_000_000, 10_000_000} {
		b.Run(fmt.Sprint(keys, " keys"), func(b *testing.B) {
			ks := New(Config{Reserve: 8 << 30})
			e := ks.NewExecutor()
			value := make([]byte, 64)
			for i := range keys {
				key := fmt.Appendf(nil, "key:%012d", i)
				e.Begin(1, []slots.Slot{slots.Of(key)}).SetString(key, value, 0, 0)
				e.End()
			}
			spent := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
			runtime.GC()
			metrics.Read(spent)
			before := spent[0].Value.Float64()
			for b.Loop() {
				runtime.GC()
			}
			metrics.Read(spent)
			b.ReportMetric((spent[0].Value.Float64()-before)*1000/float64(b.N), "cpu-ms/op")
			runtime.KeepAlive(ks)
		})
	}
}
