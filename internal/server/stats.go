package server

import (
	"sync/atomic"
	"time"

	"redoubt/internal/command"
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
	readsSeen   atomic.Int64 // these are what the plain counters below were
	writesSeen  atomic.Int64 // at the last housekeeping
	turnsSeen   atomic.Int64
	turnMicros  atomic.Int64

	rows    []rowStats
	errors  map[string]int64 // by code
	replies int64            // error replies

	reads, ran    int64 // in this period
	writes, turns int64
	expiring      time.Duration // spent in deleting expired keys
	expireCapped  int64         // slices of that which did not get done
}

// publish lets others see the counters of the period that ends; busy is the
// time spent in turns.
func (s *loopStats) publish(busy time.Duration) {
	s.readsSeen.Add(s.reads)
	s.writesSeen.Add(s.writes)
	s.turnsSeen.Add(s.turns)
	s.turnMicros.Add(busy.Microseconds())
	s.reads, s.ran, s.writes, s.turns = 0, 0, 0, 0
}

// rowStats are the counters of one command on one loop.
type rowStats struct {
	calls, rejected, failed int64
	took                    time.Duration
}

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
	s.readsSeen.Store(0)
	s.writesSeen.Store(0)
	s.turnsSeen.Store(0)
	s.turnMicros.Store(0)
	s.reads, s.ran, s.writes, s.turns, s.expiring, s.expireCapped = 0, 0, 0, 0, 0, 0
	clear(s.rows)
	clear(s.errors)
	s.replies = 0
}
