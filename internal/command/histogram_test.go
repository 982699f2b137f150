package command

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The figures are those of a redis-server 7.0 for the same times.
func TestLatenciesAreThoseOfAnHDRHistogram(t *testing.T) {
	var recorded, l Latencies
	for _, us := range []int{1, 2, 2, 3, 35, 36, 70, 900, 5_000_000} {
		recorded.record(time.Duration(us) * time.Microsecond)
	}
	recorded.record(0)
	l.add(&recorded)
	var cdf []string
	l.Cumulated(func(upTo time.Duration, calls uint64) {
		cdf = append(cdf, fmt.Sprintf("%d:%d", upTo.Microseconds(), calls))
	})
	if got, want := strings.Join(cdf, " "), "1:2 2:4 4:5 66:7 132:8 1056:9 1073741:10"; got != want {
		t.Errorf("cumulated: %s, want %s", got, want)
	}
	for p, want := range map[float64]time.Duration{0: 1, 50: 3007, 99: 1002438655, 100: 1002438655} {
		if got := l.Percentile(p); got != want {
			t.Errorf("p%v is %d, want %d", p, got, want)
		}
	}
}

// Every time has a bucket whose range holds it, and ranges do not overlap.
func TestBucketsOfLatencies(t *testing.T) {
	next := int64(0)
	for i := range latencyBuckets {
		lowest, highest := latencyRange(i)
		if lowest != next || latencyBucket(lowest) != i || latencyBucket(highest) != i {
			t.Fatalf("bucket %d is %d to %d, of %d and %d; want it to begin at %d", i, lowest, highest, latencyBucket(lowest), latencyBucket(highest), next)
		}
		next = highest + 1
	}
	if next <= longestLatency {
		t.Errorf("buckets end at %d", next)
	}
}

func BenchmarkCountLatency(b *testing.B) {
	n := newNode()
	r := NewRunner(n.table, n.exec, n)
	row := n.table.Lookup([]byte("get"))
	took := time.Duration(0)
	for b.Loop() {
		took = (took + 37) & 4095
		r.CountLatency(row, took)
	}
}
