package server

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
)

// loopStats are one loop's counters since the start or the last RESETSTAT.
//
// Only the loop counts, in plain words: a locked instruction for each would cost
// more than all else that a small command does besides its look-up. Others read
// them through counts and row at any time, and may miss what the loop has counted
// last. The race detector is told to look away there.
type loopStats struct {
	loopCounts
	rows []rowStats // by a row's index

	errorsMu sync.Mutex
	errors   map[string]int64 // by code; guarded by errorsMu

	// What the last housekeeping saw: of the period before it.
	busy  atomic.Int64 // permille of the time that was spent in turns
	depth atomic.Int64 // commands for each read

	// What the connections looked like at the last housekeeping.
	longestIn, longestOut atomic.Int64 // bytes of input and output that waited
	bytes                 atomic.Int64 // of memory that they occupied

	paused atomic.Int64 // connections whose request waits
}

// loopCounts are the counters of a loop that are no more than numbers.
type loopCounts struct {
	commands          int64
	inBytes, outBytes int64
	reads, writes     int64
	turns, turnMicros int64
	errorReplies      int64
	outputLimit       int64         // connections closed for their output
	expiring          time.Duration // spent in deleting expired keys
	expireCapped      int64         // slices of that which did not get done
}

// rowStats are the counters of one command on one loop.
type rowStats struct {
	calls, rejected, failed int64
	took                    time.Duration
}

// counts returns the counters, for any goroutine.
//
//go:norace
func (s *loopStats) counts() loopCounts { return s.loopCounts }

// row returns the counters of a row, for any goroutine.
//
//go:norace
func (s *loopStats) row(i int) rowStats { return s.rows[i] }

// appliedStats count, beside the loops, what the node executed of a stream that
// another node made. Any goroutine may use them.
type appliedStats struct {
	commands atomic.Int64
	rows     []appliedRow // by a row's index
}

type appliedRow struct{ calls, failed, took atomic.Int64 }

// Applied counts a command of the primary's stream, for INFO.
func (s *Server) Applied(row *command.Row, took time.Duration, failed bool) {
	info := s.table.info[row]
	if info == nil {
		return
	}
	s.applied.commands.Add(1)
	st := &s.applied.rows[info.index]
	st.calls.Add(1)
	st.took.Add(int64(took))
	if failed {
		st.failed.Add(1)
	}
}

func (s *appliedStats) reset() {
	s.commands.Store(0)
	for i := range s.rows {
		r := &s.rows[i]
		r.calls.Store(0)
		r.failed.Store(0)
		r.took.Store(0)
	}
}

// maxErrorCodes bounds the codes that are told apart, as a script could invent
// any number of them.
const maxErrorCodes = 128

func newLoopStats(rows int) loopStats {
	return loopStats{rows: make([]rowStats, rows), errors: map[string]int64{}}
}

// errorReply counts an error that was written.
func (s *loopStats) errorReply(err resp.Error) {
	s.errorReplies++
	code := err.Code()
	s.errorsMu.Lock()
	defer s.errorsMu.Unlock()
	if _, known := s.errors[code]; known || len(s.errors) < maxErrorCodes {
		s.errors[code]++
	}
}

// errorCounts returns the errors by code, for any goroutine.
func (s *loopStats) errorCounts() map[string]int64 {
	s.errorsMu.Lock()
	defer s.errorsMu.Unlock()
	return maps.Clone(s.errors)
}

// reset is CONFIG RESETSTAT for one loop; its turn is held.
func (s *loopStats) reset() {
	s.loopCounts = loopCounts{}
	clear(s.rows)
	s.errorsMu.Lock()
	defer s.errorsMu.Unlock()
	clear(s.errors)
}
