package command

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Latencies are how often calls of a command took how long. Times are nanoseconds, to
// two digits: as those of the HdrHistogram that Redis has, so that LATENCY HISTOGRAM
// and INFO latencystats show the same for the same times. Up to 255 each value has a
// bucket of its own; from there on each power of two has 128.
//
// One goroutine records. Others may read at any time, as RowStats are read.
type Latencies struct {
	counts [latencyBuckets]uint64
	total  uint64 // of a sum; who records does not need it
}

const (
	longestLatency  = int64(time.Second) // longer ones count as that
	shortestLatency = 1
	halfBuckets     = 128
	latencyBuckets  = 24 * halfBuckets
)

// latencyBucket is where a time counts.
func latencyBucket(ns int64) int {
	power := bits.Len64(uint64(ns)|(2*halfBuckets-1)) - 8
	return power*halfBuckets + int(ns>>power)
}

// latencyRange is the shortest and the longest time of a bucket.
func latencyRange(i int) (lowest, highest int64) {
	if i < 2*halfBuckets {
		return int64(i), int64(i)
	}
	power := i/halfBuckets - 1
	lowest = int64(i-power*halfBuckets) << power
	return lowest, lowest + 1<<power - 1
}

func (l *Latencies) record(took time.Duration) {
	l.counts[latencyBucket(min(max(int64(took), shortestLatency), longestLatency))]++
}

// add adds what others may be recording meanwhile.
//
//go:norace
func (l *Latencies) add(o *Latencies) {
	for i, n := range o.counts {
		l.counts[i] += n
		l.total += n
	}
}

// Calls is how many there were.
func (l *Latencies) Calls() uint64 { return l.total }

// Percentile is the time that so many percent of the calls did not exceed. It matches
// hdr_value_at_percentile.
func (l *Latencies) Percentile(p float64) time.Duration {
	rank := max(uint64(p/100*float64(l.total)+0.5), 1)
	var sum uint64
	for i, n := range l.counts {
		if sum += n; sum >= rank {
			lowest, highest := latencyRange(i)
			if p == 0 {
				return time.Duration(lowest)
			}
			return time.Duration(highest)
		}
	}
	return 0
}

// Cumulated calls f with times, each about twice as long as the one before, and the
// number of calls that took no longer, where that grows. It matches fillCommandCDF.
func (l *Latencies) Cumulated(f func(upTo time.Duration, calls uint64)) {
	var sum uint64
	i := 0
	for level := int64(1024); sum < l.total; level *= 2 {
		last := min(latencyBucket(level), latencyBuckets-1)
		before := sum
		for ; i <= last; i++ {
			sum += l.counts[i]
		}
		if sum > before {
			_, highest := latencyRange(last)
			f(time.Duration(highest), sum)
		}
	}
}

// latencies are those of a runner by row; nil until the first call.
type latencies []atomic.Pointer[Latencies]

func (ls latencies) record(row int, took time.Duration) {
	l := ls[row].Load()
	if l == nil {
		l = new(Latencies)
		ls[row].Store(l)
	}
	l.record(took)
}

func (ls latencies) reset() {
	for i := range ls {
		ls[i].Store(nil)
	}
}

// AddLatencies adds those of the row with this index to sum. Any goroutine may ask.
func (r *Runner) AddLatencies(sum *Latencies, row int) {
	if l := r.latencies[row].Load(); l != nil {
		sum.add(l)
	}
}

// ForgetLatencies forgets those of all rows. Any goroutine may call it.
func (r *Runner) ForgetLatencies() { r.latencies.reset() }

// LatencyLevels are the times by which UpTo counts: those of Cumulated.
func LatencyLevels() (levels []time.Duration) {
	for level := int64(1024); ; level *= 2 {
		last := min(latencyBucket(level), latencyBuckets-1)
		_, highest := latencyRange(last)
		if levels = append(levels, time.Duration(highest)); highest >= longestLatency {
			return levels
		}
	}
}

// UpTo sets counts, as many as there are LatencyLevels, to the calls that took no longer
// than each.
func (l *Latencies) UpTo(counts []uint64) {
	var sum uint64
	i := 0
	for k := range counts {
		for last := min(latencyBucket(1024<<k), latencyBuckets-1); i <= last; i++ {
			sum += l.counts[i]
		}
		counts[k] = sum
	}
}
