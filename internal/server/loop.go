package server

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"redoubt/internal/config"
)

const (
	readBytes  = 64 << 10               // of one read; also the share of one connection in a turn
	cronPeriod = 100 * time.Millisecond // of a loop's housekeeping
	// announceAfter is for how long a loop that has more to do keeps what it
	// appended to itself. In the middle of a turn an announcement wakes the journal's
	// writer for a part of what the loop would commit as a whole at the turn's end, so
	// this is as long as a turn for a few hundred clients.
	announceAfter = 300 * time.Microsecond
	// spinPolls is how often a loop polls before it waits: a wait and its
	// wake-up cost more than the next request takes to arrive on a busy node.
	spinPolls = 50
	// keepBuffers bounds the free output buffers a loop keeps, and
	// keepBufferBytes the size of one.
	keepBuffers     = 256
	keepBufferBytes = 64 << 10
)

// loop is an event loop: one goroutine, one epoll set, one executor.
//
// turn guards everything below it and the connections of the loop. The loop
// holds it except while it waits for events; others take it through
// Server.stopLoops only.
type loop struct {
	srv  *Server
	id   int
	poll *poller

	mailMu   sync.Mutex
	mail     []func()  // guarded by mailMu
	arrivals []arrival // guarded by mailMu

	mailed  atomic.Bool // mail may be waiting
	asleep  atomic.Bool // the loop is about to wait, or waits
	holding atomic.Bool // output is held for an offset: a commit must wake the loop
	quit    atomic.Bool // the loop ends after its turn

	turn      sync.Mutex
	*desk                          // what commands are executed with at present
	first     *desk                // … always, but while a command takes long:
	second    atomic.Pointer[desk] // then it is this one, nil until there was such a command
	handovers int                  // how often that has begun or ended
	since     time.Duration        // of the first append that is not announced, as far as the clock was read; 0: none
	conns     []*conn              // by descriptor, nil where there is none
	other     map[*conn]struct{}
	count     int // connections, both kinds

	cfg  *config.Settings // of this turn
	unix int64            // wall clock in milliseconds; advances with the commands of a turn
	mono time.Duration    // time since the server's start, as of the last look

	ready     []*conn // have output to be written at the end of the turn
	held      []*conn // have output that waits for an offset
	postponed []*conn // have a request that waits for the end of a pause, or for room in the stream
	expiring  bool    // more keys have expired than one slice could delete
	evicting  bool    // more keys must go than one slice could evict
	compacts  bool    // memory is being compacted
	freeing   bool    // more deleted keys have memory to free than one slice could
	walking   bool    // a snapshot wants the loop back at once
	moving    bool    // connections that belong to other loops are still here
	asked     bool    // another goroutine has been asked to answer a connection
	placed    int32   // number of active loops by which the connections were placed
	nextCron  time.Duration
	resumeAt  time.Duration // when a pause for which one of postponed waits is over; 0: not known
	acksDue   time.Duration // when a reply has waited for replicas for too long; 0: none waits
	deadlines deadlines     // of parked connections
	busy      time.Duration // spent in turns since the last cron
	idle      int           // housekeepings in a row without a command before them
	before    loopCounts    // as they were at the last cron
	slept     int64         // … and how often the executor had waited for another loop

	buffers [][]byte // free output buffers
	// cipherBuf is what has been read of a connection with TLS, sealBuf what is about to
	// be written; empty between calls.
	cipherBuf, sealBuf []byte
	mailbox            []func() // the mail being read
	opened             int      // how much of mailbox has been read
	spare              []*conn

	delayed []func() // what waits for the end of a script that takes long

	resumable []*conn // connections that are about to be resumed

	last    lastFound
	missing func() int // countMissing, as a value made once
	ahead   [][]byte   // the keys of the next requests of a pipeline

	leaving []departure // connections that go to replication
	freezes uint64      // Cluster.Freezes as this loop knows it
	nap     sleep       // the newest DEBUG SLEEP

	memory clientMemory
	stats  loopStats

	overTracked int // times in a row that limitTracked was not enough
}

func newLoop(s *Server, id int) (*loop, error) {
	p, err := openPoller()
	if err != nil {
		return nil, err
	}
	l := &loop{
		srv: s, id: id, poll: p,
		other: map[*conn]struct{}{},
		stats: newLoopStats(),
	}
	l.first = newDesk(l)
	l.desk = l.first
	l.missing = l.countMissing
	l.last.row = &noRow
	return l, nil
}

// run is the loop's goroutine.
func (l *loop) run() {
	l.takeTurns(l.poll, &l.quit)
	l.turn.Lock()
	l.announce()
	l.dropAll()
	l.poll.close()
	l.turn.Unlock()
}

// takeTurns is what a loop does, one turn after the other, until over is set.
func (l *loop) takeTurns(p *poller, over *atomic.Bool) {
	s := l.srv
	for !over.Load() {
		events := l.wait(p)
		l.turn.Lock()
		began, commands := l.beginTurn(), l.stats.commands
		l.serve(events)
		l.readMail()
		l.resumeAll()
		if len(l.deadlines) > 0 {
			l.expireParked()
		}
		if l.mono >= l.nextCron {
			l.timedCron()
		}
		if l.resumeAt > 0 && l.mono >= l.resumeAt {
			l.retry()
		}
		if l.expiring {
			l.expire()
		}
		if l.freeing {
			l.reclaim()
		}
		if l.compacts {
			l.compact()
		}
		if l.evicting {
			l.makeRoom()
		}
		l.announceDue()
		l.release()
		l.wantAcks()
		l.writeReady()
		l.limitClients()
		l.walking = s.persistence != nil && s.persistence.Step(l.exec, l.unix, snapshotSlice(l.mono-began, len(events) > 0))
		took := time.Since(s.started) - began
		l.busy += took
		l.stats.turn(took, l.stats.commands-commands)
		l.turn.Unlock()
	}
}

// A snapshot gets an eighth of a loop's time beside clients, so that it advances
// under any load and costs the clients no more than that; without clients all of
// it, in slices so short that a request that comes waits no longer than for another
// client's. Neither depends on how long a record takes, which the caches decide.
const (
	snapshotShare = 8
	leastSlice    = 50 * time.Microsecond
	mostSlice     = time.Millisecond
	idleSlice     = 100 * time.Microsecond
)

// snapshotSlice is how long snapshots may take in a turn in which clients, if there
// were any, took so long.
func snapshotSlice(clients time.Duration, any bool) time.Duration {
	if !any {
		return idleSlice
	}
	return min(max(clients/snapshotShare, leastSlice), mostSlice)
}

// wait returns what is ready, after a bounded spin and then a wait that ends
// with the next housekeeping, mail or commit at the latest.
func (l *loop) wait(p *poller) []unix.EpollEvent {
	if l.walking || l.expiring || l.freeing || l.compacts || l.evicting {
		return p.poll()
	}
	spins := spinPolls
	if len(l.held) > 0 {
		// The loop waits for the disk, which takes longer than all polls together,
		// and so does most of who would send requests.
		spins = 1
	}
	if l.asked {
		// Whoever was asked runs on this processor now, and often has the answer
		// ready when it comes back to the loop. If not, it waits for a disk.
		l.asked = false
		runtime.Gosched()
		spins = 1
	}
	for range spins {
		if ev := p.poll(); len(ev) > 0 || l.mailed.Load() {
			return ev
		}
	}
	if l.commit() {
		return nil
	}
	l.asleep.Store(true)
	defer l.asleep.Store(false)
	rest := l.beforeWait()
	return p.wait(int(max(0, rest+time.Millisecond-1) / time.Millisecond))
}

// commit has the stream commit what the loop's units have appended, for which
// replies wait, if it can do so at once. It reports whether they can leave.
func (l *loop) commit() bool {
	if len(l.held) == 0 || !l.exec.Unannounced() {
		return false
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	l.srv.stream.TryCommit()
	l.announce()
	return l.commitWaits()
}

// beforeWait announces what the loop has kept to itself, and returns how long it
// may wait then. It holds the turn, since whoever stops all loops may close a
// connection that waits or has a deadline.
//
// Mail and commits look at asleep after they have come; this looks at them after
// it was set. One of the two sees the other.
func (l *loop) beforeWait() time.Duration {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.announce()
	if l.mailed.Load() || (l.holding.Load() && l.commitWaits()) {
		return 0
	}
	due := l.nextCron
	if l.resumeAt > 0 {
		due = min(due, l.resumeAt)
	}
	if l.acksDue > 0 {
		due = min(due, l.acksDue)
	}
	if len(l.deadlines) > 0 {
		due = min(due, l.deadlines[0].until)
	}
	return due - time.Since(l.srv.started)
}

// announce wakes those who wait for what the loop's units have appended to the
// stream: the journal, whose fsync then covers all of it, and the feeders.
func (l *loop) announce() {
	l.since = 0
	l.exec.Announce()
}

// announceDue announces what has waited for long enough, since the loop may go
// on for long before it has nothing to do.
func (l *loop) announceDue() {
	switch {
	case !l.exec.Unannounced():
	case l.since == 0:
		l.since = l.mono
	case l.mono-l.since >= announceAfter:
		l.announce()
	}
}

func (l *loop) beginTurn() time.Duration {
	now := time.Now()
	l.unix = now.UnixMilli()
	l.mono = now.Sub(l.srv.started)
	l.cfg = l.srv.config.Current()
	l.afterFreeze(now)
	return l.mono
}

// readClock advances the clock and returns it. The wall clock moves with it, so that
// a long turn does not see keys live too long.
func (l *loop) readClock() time.Duration {
	t := time.Since(l.srv.started)
	l.unix += int64(t/time.Millisecond - l.mono/time.Millisecond)
	l.mono = t
	return t
}

func (l *loop) serve(events []unix.EpollEvent) {
	handovers := l.handovers
	for i := range events {
		if l.handovers != handovers {
			return // they are old now, and are reported again
		}
		fd, what := int(events[i].Fd), interest(events[i].Events)
		if fd == l.poll.wakefd {
			l.poll.drained()
			continue
		}
		if ln := l.srv.listenerOf(l, fd); ln != nil {
			l.accept(ln)
			continue
		}
		if fd >= len(l.conns) || l.conns[fd] == nil {
			continue // closed earlier in this turn
		}
		c := l.conns[fd]
		if c.is(stateShaking) {
			l.shakeHands(c, what)
			continue
		}
		if what&writable != 0 {
			l.wantWrite(c)
		}
		switch {
		case what&(broken|gone) != 0 && !c.runnable():
			l.drop(c) // it is not read, and would be reported for ever
		case what&(readable|broken|gone) != 0:
			l.read(c)
		}
	}
}

// post asks the loop to run f in its next turn. Any goroutine may call it; it
// never waits.
func (l *loop) post(f func()) {
	l.mailMu.Lock()
	l.mail = append(l.mail, f)
	l.mailMu.Unlock()
	l.mailed.Store(true)
	if l.asleep.Load() {
		l.poll.wake()
	}
}

// readMail runs what was posted. Mail that comes meanwhile waits for the next
// turn, so that two loops that answer each other's mail still serve sockets.
//
// What is left of the mailbox is read by whoever has the loop, if a command that a
// piece of mail has brought about takes long.
func (l *loop) readMail() {
	if l.opened == len(l.mailbox) {
		if !l.mailed.Load() {
			return
		}
		l.mailMu.Lock()
		l.mailbox, l.mail, l.opened = l.mail, l.mailbox[:0], 0
		l.mailed.Store(false)
		l.mailMu.Unlock()
	}
	for l.opened < len(l.mailbox) {
		f := l.mailbox[l.opened]
		l.mailbox[l.opened] = nil
		l.opened++
		f()
	}
}

// committed is called whenever the stream's committed offset has moved.
func (l *loop) committed() {
	if l.holding.Load() && l.asleep.Load() {
		l.poll.wake()
	}
}

// commitWaits reports whether held output could leave now. The turn is held.
func (l *loop) commitWaits() bool {
	now := l.commits()
	for _, c := range l.held {
		if len(c.marks) > 0 && (now.free(&c.marks[0]) || now.over(&c.marks[0])) {
			return true
		}
	}
	return false
}

// buffer returns an empty output buffer.
func (l *loop) buffer() []byte {
	if n := len(l.buffers); n > 0 {
		b := l.buffers[n-1]
		l.buffers = l.buffers[:n-1]
		return b
	}
	return make([]byte, 0, 1024)
}

// recycle takes back an output buffer.
func (l *loop) recycle(b []byte) {
	if cap(b) > 0 && cap(b) <= keepBufferBytes && len(l.buffers) < keepBuffers {
		l.buffers = append(l.buffers, b[:0])
	}
}

// stopLoops takes the turns of all loops, so that the caller may look at and
// change every connection. l is the loop on which the caller runs, nil for
// other goroutines; its turn is given up meanwhile, so its connections may
// have been closed when the call returns. The caller must not be in a unit.
func (s *Server) stopLoops(l *loop) {
	if l != nil {
		l.announce()
		l.turn.Unlock()
	}
	s.stopMu.Lock()
	for _, x := range s.loops {
		x.turn.Lock()
	}
}

// resumeLoops gives the turns back, except l's own.
func (s *Server) resumeLoops(l *loop) {
	for _, x := range s.loops {
		if x != l {
			x.turn.Unlock()
		}
	}
	s.stopMu.Unlock()
}

// eachConn calls f for every connection; all loops are stopped.
func (s *Server) eachConn(f func(*conn)) {
	for _, l := range s.loops {
		l.welcome()
		for _, c := range l.conns {
			if c != nil {
				f(c)
			}
		}
		for c := range l.other {
			f(c)
		}
	}
}

// timedCron is cron, and counts how long it takes.
func (l *loop) timedCron() {
	began := time.Now()
	l.cron()
	l.stats.cron += time.Since(began)
}

// cron is a loop's housekeeping, ten times a second.
func (l *loop) cron() {
	period := l.mono - (l.nextCron - cronPeriod)
	l.nextCron = l.mono + cronPeriod
	l.stats.beat.Store(int64(l.mono))
	if l.srv.cronPaused.Load() {
		return
	}
	l.measure(period)
	l.cronConns()
	l.expire()
	l.reclaim()
	l.compact()
	l.place()
	if l.id == 0 {
		if l.srv.keyspace.Tracks() {
			l.limitTracked()
		}
		l.srv.cron(l)
	}
}

// measure notes what the loop did in the period that ends.
func (l *loop) measure(period time.Duration) {
	st := &l.stats
	st.busy.Store(int64(l.busy * 1000 / max(period, 1)))
	reads := st.reads - l.before.reads
	st.depth.Store((st.commands - l.before.commands) / max(reads, 1))
	slept := l.exec.Slept()
	st.queued.Store((slept - l.slept) * 1000 / max(reads, 1))
	if st.commands != l.before.commands || l.freeing {
		l.idle = 0
	} else if l.idle++; l.idle == retireAfter {
		l.exec.Retire()
	}
	l.busy, l.before, l.slept = 0, st.loopCounts, slept
}

// retireAfter is for how many housekeepings in a row a loop has had nothing to
// do when it hands the memory that it keeps at hand to the others.
const retireAfter = 10

// reclaimBudget is of how many keys a loop frees the memory in a turn: some tens
// of microseconds.
const reclaimBudget = 500

// reclaim frees memory of what was flushed, a bounded slice.
func (l *loop) reclaim() { l.freeing = l.exec.Reclaim(reclaimBudget) }

// compactBudget is how many records a loop looks at in a turn for compaction: some
// tens of microseconds.
const compactBudget = 200

// compact moves blocks out of memory that is used little, a bounded slice.
func (l *loop) compact() {
	began := time.Now()
	l.compacts = l.exec.Compact(l.unix, compactBudget)
	if l.compacts {
		l.srv.NoteLatency("active-defrag-cycle", time.Since(began))
	}
}

// expireBudget is how many keys a loop looks at for expiry in a turn.
const expireBudget = 200

// expire deletes keys whose time is past, a bounded slice. The housekeeping
// begins it; while there is more, each turn goes on with it.
func (l *loop) expire() {
	l.expiring = false
	if !l.srv.activeExpire.Load() || l.srv.is(condKept) {
		return
	}
	began := time.Now()
	_, l.expiring = l.exec.ExpireCycle(l.unix, expireBudget)
	took := time.Since(began)
	l.stats.expiring += took
	l.srv.NoteLatency("expire-cycle", took)
	if l.expiring {
		l.stats.expireCapped++
	}
}
