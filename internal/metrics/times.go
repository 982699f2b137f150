package metrics

import (
	"math/bits"
	"strconv"
	"sync"
	"time"
)

// Times are times by their length: how many fell between two bounds, of which each is
// twice the one before. One goroutine records them. A copy may be read elsewhere; see
// SharedTimes for the rest.
type Times struct {
	counts [buckets + 1]uint64 // the last one: longer than all bounds
	sum    time.Duration
}

const (
	buckets    = 26
	firstBound = time.Microsecond
)

// Record notes a time.
func (t *Times) Record(took time.Duration) {
	took = max(took, 0)
	t.sum += took
	t.counts[bucketOf(took)]++
}

// bucketOf is the place of the first bound that a time does not exceed.
func bucketOf(took time.Duration) int {
	if took <= firstBound {
		return 0
	}
	return min(bits.Len64(uint64((took-1)/firstBound)), buckets)
}

// Add adds those of o.
func (t *Times) Add(o *Times) {
	for i, n := range o.counts {
		t.counts[i] += n
	}
	t.sum += o.sum
}

// Count is how many there were.
func (t *Times) Count() (n uint64) {
	for _, c := range t.counts {
		n += c
	}
	return n
}

// Range is which bounds of Times a histogram shows: the power of two, in microseconds, of
// the first and of the last.
type Range struct{ First, Last int }

// Ranges of what is measured: work of a processor or a fast disk; of a disk, or another
// machine; and of whole files.
var (
	Short = Range{4, 23}  // 16 µs to 8.4 s
	Long  = Range{10, 25} // 1 ms to 33.6 s
)

// Times writes a histogram in seconds.
func (f *Family) Times(t *Times, r Range, values ...string) {
	var upTo [buckets]uint64
	var n uint64
	for i := range buckets {
		n += t.counts[i]
		upTo[i] = n
	}
	f.Spread(boundTexts[r.First:r.Last+1], upTo[r.First:r.Last+1], n+t.counts[buckets], seconds(t.sum), values...)
}

// boundTexts is the bounds in seconds.
var boundTexts = func() (texts [buckets]string) {
	for i := range texts {
		texts[i] = strconv.FormatFloat(seconds(firstBound<<i), 'g', -1, 64)
	}
	return texts
}()

// SharedTimes are Times that any goroutine may record and read.
type SharedTimes struct {
	mu    sync.Mutex
	times Times // guarded by mu
}

// Record notes a time.
func (s *SharedTimes) Record(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times.Record(took)
}

// Read returns what there is.
func (s *SharedTimes) Read() Times {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.times
}
