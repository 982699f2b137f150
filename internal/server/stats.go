package server

import (
	"sync/atomic"
	"time"

	"redoubt/internal/resp"
)

// loopStats are one loop's counters. The plain ones belong to who holds the
// loop's turn; the atomic ones can be read by anybody.
type loopStats struct {
	commands    atomic.Int64
	inBytes     atomic.Int64
	outBytes    atomic.Int64
	outputLimit atomic.Int64 // connections closed for their output
	paused      atomic.Int64 // connections whose request waits
	busy        atomic.Int64 // permille of the last period spent in turns
	depth       atomic.Int64 // commands for each read in the last period

	rows    []rowStats
	errors  map[string]int64 // by code
	replies int64            // error replies

	reads, ran int64 // in this period
}

// rowStats are the counters of one command on one loop.
type rowStats struct {
	calls, rejected, failed int64
	took                    time.Duration
}

// maxErrorCodes bounds the codes that are told apart, as a script could invent
// any number of them.
const maxErrorCodes = 128

func newLoopStats(rows int) loopStats {
	return loopStats{rows: make([]rowStats, rows), errors: map[string]int64{}}
}

// errorReply counts an error that was written.
func (s *loopStats) errorReply(err resp.Error) {
	s.replies++
	code := err.Code()
	if _, known := s.errors[code]; known || len(s.errors) < maxErrorCodes {
		s.errors[code]++
	}
}

// reset is CONFIG RESETSTAT for one loop; its turn is held.
func (s *loopStats) reset() {
	s.commands.Store(0)
	s.inBytes.Store(0)
	s.outBytes.Store(0)
	s.outputLimit.Store(0)
	clear(s.rows)
	clear(s.errors)
	s.replies = 0
}
