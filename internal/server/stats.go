package server

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/internal/admin"
	"redoubt/internal/command"
	"redoubt/internal/metrics"
	"redoubt/internal/resp"
	"redoubt/slots"
)

// loopStats are one loop's counters since the start or the last RESETSTAT.
//
// Only the loop counts, in plain words: a locked instruction for each would cost
// more than all else that a small command does besides its look-up. Others read
// them through counts at any time, and may miss what the loop has counted
// last. The race detector is told to look away there.
type loopStats struct {
	loopCounts
	gate metrics.Times // for which replies waited for their offsets; as loopCounts

	errorsMu sync.Mutex
	errors   map[string]int64 // by code; guarded by errorsMu

	// What the last housekeeping saw: of the period before it.
	busy   atomic.Int64 // permille of the time that was spent in turns
	depth  atomic.Int64 // commands for each read
	queued atomic.Int64 // times that it slept until another loop gave a slot back, for a thousand reads

	// What the connections looked like at the last housekeeping.
	longestIn, longestOut atomic.Int64 // bytes of input and output that waited

	postponed atomic.Int64 // connections whose request waits
	beat      atomic.Int64 // when the last housekeeping began, as a time since the server's start
}

// loopCounts are the counters of a loop that are no more than numbers.
type loopCounts struct {
	commands          int64
	inBytes, outBytes int64
	reads, writes     int64
	turns             int64
	turning, cron     time.Duration // spent in turns, and of that in housekeeping
	longestTurn       time.Duration
	mostCommands      int64 // of a turn
	errorReplies      int64
	outputLimit       int64         // connections closed for their output
	inputLimit        int64         // … and for their requests
	evictedClients    int64         // connections closed for maxmemory-clients
	expiring          time.Duration // spent in deleting expired keys
	expireCapped      int64         // slices of that which did not get done
}

// counts returns the counters, for any goroutine.
//
//go:norace
func (s *loopStats) counts() loopCounts { return s.loopCounts }

// gateTimes is for how long replies waited, for any goroutine.
//
//go:norace
func (s *loopStats) gateTimes() metrics.Times { return s.gate }

// applied is what the node executes of a stream that another node made. It counts
// in INFO, beside what the loops execute.
type applied struct {
	runner atomic.Pointer[command.Runner]
	before atomic.Pointer[[]command.RowStats] // what RESETSTAT takes off
}

// CountApplied has INFO count what a runner executes that no loop owns.
func (s *Server) CountApplied(r *command.Runner) { s.applied.runner.Store(r) }

func (a *applied) stats(row int) (st command.RowStats) {
	r := a.runner.Load()
	if r == nil {
		return st
	}
	st = r.Stats(row)
	if before := a.before.Load(); before != nil {
		st = st.Less((*before)[row])
	}
	return st
}

// reset is CONFIG RESETSTAT. The runner's goroutine alone changes its counts.
func (a *applied) reset(rows int) {
	r := a.runner.Load()
	if r == nil {
		return
	}
	r.ForgetLatencies()
	before := make([]command.RowStats, rows)
	for i := range before {
		before[i] = r.Stats(i)
	}
	a.before.Store(&before)
}

// CommandStats are the counts of a row on all loops and of what is applied:
// admin.Statistics.
func (s *Server) CommandStats(row int) command.RowStats {
	sum := s.applied.stats(row)
	for _, l := range s.loops {
		l.eachDesk(func(d *desk) { sum = sum.Plus(d.runner.Stats(row)) })
	}
	return sum
}

// CommandLatencies adds how long the calls of a row took, on all loops and as applied:
// admin.Statistics.
func (s *Server) CommandLatencies(sum *command.Latencies, row int) {
	for _, l := range s.loops {
		l.eachDesk(func(d *desk) { d.runner.AddLatencies(sum, row) })
	}
	if r := s.applied.runner.Load(); r != nil {
		r.AddLatencies(sum, row)
	}
}

// NoteLatency notes an event for LATENCY if it took longer than it should. Any
// goroutine may call it.
func (s *Server) NoteLatency(event string, took time.Duration) {
	if limit := s.config.Current().LatencyMonitorThreshold; limit > 0 && took >= limit {
		s.admin.Latency.Add(event, s.now()/1000, took)
	}
}

// Stats sums what the loops have published: admin.Statistics.
func (s *Server) Stats() admin.Stats {
	st := admin.Stats{
		Accepted: s.accepted.Load(), Rejected: s.rejected.Load(), UnexpectedErrors: s.strayErrors.Load(),
		Clients: s.clients.Load(), Watching: s.watching.Load(), Waiting: int64(s.parked.count()), WithDeadline: int64(s.parked.withDeadline()),
		UsedMemory: s.usedMemory(), ClientBytes: s.clientMemory(), BusBytes: s.forBus.Load(), Loops: len(s.loops), ActiveLoops: int(s.active.Load()), EndsAt: s.ending.until.Load(),
	}
	st.Scripts = s.scriptCounts()
	st.Tracking, st.Prefixes = s.tracking.counts()
	st.Exceeded, st.ExceededNow = s.exceeded.times(time.Since(s.started))
	for _, l := range s.loops {
		l.stats.addTo(&st)
	}
	for i := range s.table.All() {
		st.Commands += s.applied.stats(i).Calls
	}
	return st
}

func (s *Server) scriptCounts() (n admin.ScriptCounts) {
	n.Cached, n.CachedBytes, n.Evicted = s.scripts.count()
	set := s.functions.set.Load()
	n.Functions, n.Libraries, n.LibraryBytes = len(set.byName), len(set.libraries), set.bytes
	n.FunctionEngines = s.functions.memory.Load()
	for _, l := range s.loops {
		n.EvalEngines += l.first.host.memory.Load()
	}
	return n
}

// addTo adds what a loop has counted and seen, for any goroutine.
func (s *loopStats) addTo(st *admin.Stats) {
	c := s.counts()
	st.Commands += c.commands
	st.InBytes += c.inBytes
	st.OutBytes += c.outBytes
	st.Reads += c.reads
	st.Writes += c.writes
	st.Turns += c.turns
	st.Turning += c.turning
	st.Cron += c.cron
	st.LongestTurn = max(st.LongestTurn, c.longestTurn)
	st.MostCommands = max(st.MostCommands, c.mostCommands)
	st.ErrorReplies += c.errorReplies
	st.OutputLimit += c.outputLimit
	st.InputLimit += c.inputLimit
	st.EvictedClients += c.evictedClients
	st.Expiring += c.expiring
	st.ExpireCapped += c.expireCapped
	st.Waiting += s.postponed.Load()
	st.LongestIn = max(st.LongestIn, s.longestIn.Load())
	st.LongestOut = max(st.LongestOut, s.longestOut.Load())
}

// ErrorCounts are the errors of all loops by code: admin.Statistics.
func (s *Server) ErrorCounts() map[string]int64 {
	sum := map[string]int64{}
	for _, l := range s.loops {
		for code, n := range l.stats.errorCounts() {
			sum[code] += n
		}
	}
	return sum
}

// ResetStats is the loops' part of CONFIG RESETSTAT; all are stopped:
// admin.Statistics.
func (s *Server) ResetStats() {
	for _, l := range s.loops {
		l.stats.reset()
		l.eachDesk(func(d *desk) { d.runner.ResetStats() })
	}
	s.scripts.resetStats()
	s.applied.reset(len(s.table.All()))
	all := slots.All()
	s.ForgetSlotUse(&all)
	s.exceeded.reset(time.Since(s.started))
	s.accepted.Store(0)
	s.rejected.Store(0)
	s.strayErrors.Store(0)
}

// maxErrorCodes bounds the codes that are told apart, as a script could invent
// any number of them.
const maxErrorCodes = 128

// overflowCode stands for all that are not told apart.
const overflowCode = "ERRORSTATS_OVERFLOW"

func newLoopStats() loopStats { return loopStats{errors: map[string]int64{}} }

// turn counts a turn that took so long and executed so many commands.
func (c *loopCounts) turn(took time.Duration, commands int64) {
	c.turns++
	c.turning += took
	c.longestTurn = max(c.longestTurn, took)
	c.mostCommands = max(c.mostCommands, commands)
}

// errorReply counts an error that was written; own says that a script has made it.
func (s *loopStats) errorReply(err resp.Error, own bool) { s.countErrors(err.Code(), 1, own) }

// countErrors counts n errors of a code. Those of scripts that are too many go together
// under a name of their own, as in Valkey 8 (afterErrorReply); the server's own, of
// which there are some dozens, are told apart beside them.
func (s *loopStats) countErrors(code string, n int64, own bool) {
	s.errorReplies += n
	s.errorsMu.Lock()
	defer s.errorsMu.Unlock()
	limit := 2 * maxErrorCodes
	if own {
		limit = maxErrorCodes
	}
	if _, known := s.errors[code]; !known && len(s.errors) >= limit {
		code = overflowCode
	}
	s.errors[code] += n
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
	s.errorsMu.Lock()
	defer s.errorsMu.Unlock()
	clear(s.errors)
}
