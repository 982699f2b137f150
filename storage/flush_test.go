package storage

import (
	"fmt"
	"testing"

	"redoubt/slots"
)

// BenchmarkFlush is how long all clients wait for a FLUSHALL of two million keys in
// all slots, beside the snapshots that are open.
func BenchmarkFlush(b *testing.B) {
	for _, open := range []int{0, 1} {
		b.Run(fmt.Sprint(open, " snapshots"), func(b *testing.B) {
			ks := New(Config{Reserve: 2 << 30})
			e := ks.NewExecutor()
			for b.Loop() {
				b.StopTimer()
				for i := range 2_000_000 {
					key := fmt.Appendf(nil, "key:%d", i)
					e.Begin(1, []slots.Slot{slots.Of(key)}).SetString(key, key, 0, 0)
					e.End()
				}
				var captures []*Capture
				tx := e.BeginWorld(1)
				for range open {
					c, err := tx.BeginCapture(nil, func(int, Entry) {})
					if err != nil {
						b.Fatal(err)
					}
					captures = append(captures, c)
				}
				e.End()
				tx = e.BeginWorld(1)
				b.StartTimer()
				tx.FlushAll()
				b.StopTimer()
				e.End()
				tx = e.BeginWorld(1)
				for _, c := range captures {
					tx.Release(c)
				}
				e.End()
				for e.Reclaim(10_000) {
				}
				b.StartTimer()
			}
		})
	}
}
