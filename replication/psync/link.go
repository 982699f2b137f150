package psync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"redoubt/replication"
)

// Position is where a node's stream stands.
type Position struct {
	History replication.History
	End     replication.Offset // applied
	DB      int                // selected in the stream there
}

// Full is a snapshot that a Link received and found good, or one that is arriving.
type Full struct {
	Path string // of the RDB file, which is the Target's from then on
	// In: the snapshot is still arriving, and nobody has looked at it. What is read from
	// In is in the file, and at its end (io.EOF) the file is on disk. DB, Keys and
	// Databases are not known.
	In      io.Reader
	History replication.History
	At      replication.Offset
	DB      int // selected in the stream at At
	Keys    int64
	// Databases is one more than the highest database that has a key.
	Databases int
}

// Target is the node, as its Link needs it. Its methods are called by one
// goroutine of the Link, one at a time.
type Target interface {
	// Position is where the node could go on from. ok is false if it has
	// nothing that a primary could add to.
	Position() (p Position, ok bool)
	// Continue says that the primary adds to what the node has, under h: the
	// node's own history, or one that branched off it, of which sub-replicas
	// must then be told.
	Continue(h replication.History) error
	// Direct reports whether a snapshot that begins to arrive is to be loaded at once.
	Direct() bool
	// Replace puts a snapshot in the place of all data and of the stream. An
	// error leaves the node without a link, which will try again from what
	// Position then says. It gives up when ctx ends, if it still can. One that is
	// arriving it reads to its end.
	Replace(ctx context.Context, full Full) error
	// Apply appends the unit's bytes to the node's stream and executes its
	// commands. An error must have done neither.
	Apply(u *Unit) error
	// Committed is how far the node's stream is as durable as its own policy promises:
	// nothing beyond that is acknowledged.
	Committed() replication.Offset
	// Synced is how far the node's stream is on disk; ok is false if the node
	// keeps none there.
	Synced() (at replication.Offset, ok bool)
}

// Identity is what the node tells its primary of itself.
type Identity struct {
	User     string // masteruser; may be empty
	Password string // masterauth; empty: no AUTH is sent
	Port     int    // announced to the primary
	IP       string // announced, if not empty
	NodeID   string // in a cluster; announced, if not empty
	Member   bool   // of the primary's quorum, so that it gets what is not committed yet
}

// LinkConfig is what a Link works with.
type LinkConfig struct {
	Addr     string // host:port of the primary
	Dial     func(ctx context.Context, addr string) (net.Conn, error)
	Identity func() Identity // asked for at each attempt
	Dir      func() string   // where a snapshot is received, on the filesystem of the data
	Timeout  func() time.Duration
	Target   Target
	Handover Handover // nil: there never is one
	Rewinder Rewinder // nil: the node never goes back
	Log      *zap.Logger

	// MaxUnitBytes bounds an execution unit of the stream, and so the memory a
	// broken primary can take; 0 is 4 GiB.
	MaxUnitBytes int
}

// Rewinder is a node that can give up the end of its stream if the primary lacks it, so
// that a partial resync is possible. Its method is called by the Link's goroutine.
type Rewinder interface {
	// Rewind is told what the primary says of its stream, before PSYNC asks for what
	// Position says then. again asks it once more; ok is false if it does not answer. An
	// error ends the session. It gives up when ctx ends. settled is false if the primary
	// was asked too early: a full resync is not to be taken without another question.
	Rewind(ctx context.Context, u replication.Upstream, again func() (u replication.Upstream, ok bool)) (settled bool, err error)
}

// Handover is a failover that this node coordinates: it was the primary, and follows
// the replica that is to take its place. Its methods are called by the Link's
// goroutine.
type Handover interface {
	// Asks reports whether PSYNC is to ask the other node to take over (the word
	// FAILOVER).
	Asks() bool
	// Answered says what came of a PSYNC, with the word or without.
	Answered(HandoverAnswer)
}

// HandoverAnswer is what became of a PSYNC.
type HandoverAnswer uint8

// What may become of it.
const (
	Accepted HandoverAnswer = iota // it answered as a primary
	Refused                        // it did not, and why does not tell what it is
	Unlinked                       // it did not, as it is a replica and has no link
	Unsent                         // it cannot have read the question
	Lost                           // it may have, and its answer is not known
)

// LinkState is how far a Link is, by the names of ROLE.
type LinkState string

// The states of a Link.
const (
	Connect    LinkState = "connect"    // about to dial
	Connecting LinkState = "connecting" // dialling
	Greeting   LinkState = "handshake"
	Sync       LinkState = "sync" // receiving or loading a snapshot
	Connected  LinkState = "connected"
)

// Status is what INFO and ROLE tell of a Link.
type Status struct {
	State     LinkState
	Offset    replication.Offset // applied; -1 before the first synchronization
	Read      replication.Offset // received
	LastIO    time.Time          // of the current connection; zero if there is none
	DownSince time.Time          // since when the link is not connected; zero if it never was
	SyncTotal int64              // bytes of the snapshot being received; 0 if not known beforehand
	SyncRead  int64              // of which have arrived
}

// Up reports whether the link is up: the stream is flowing.
func (s Status) Up() bool { return s.State == Connected }

const (
	shortDelay  = 100 * time.Millisecond // the first, after a link that was up
	longDelay   = time.Second            // the longest if the primary is not to be had, the first if refused
	refuseDelay = 30 * time.Second       // the longest if this node could not use what it got
	defaultUnit = 4 << 30
)

// Link is this node's connection to its primary. A goroutine of its own keeps
// it up until Close.
type Link struct {
	cfg    LinkConfig
	cancel context.CancelFunc
	done   chan struct{}
	kick   chan struct{} // Target.Committed has moved; of one element

	offset   atomic.Int64 // applied
	received atomic.Int64
	began    time.Time    // when the link was made, on a clock that cannot be set
	lastIO   atomic.Int64 // nanoseconds since then, at least 1; 0 if there is no connection
	total    atomic.Int64
	arrived  atomic.Int64

	outage outage // the goroutine's
	doubts int    // likewise: full resyncs in a row that were not taken, see session.doubts

	mu        sync.Mutex // guards what follows
	state     LinkState
	downSince time.Time
}

// Start begins to follow the primary of cfg.
func Start(cfg LinkConfig) *Link {
	if cfg.MaxUnitBytes == 0 {
		cfg.MaxUnitBytes = defaultUnit
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &Link{
		cfg: cfg, cancel: cancel, done: make(chan struct{}), kick: make(chan struct{}, 1), began: time.Now(),
		state: Connect, outage: outage{log: cfg.Log, addr: cfg.Addr},
	}
	l.offset.Store(-1)
	go func() {
		defer close(l.done)
		l.run(ctx)
	}()
	return l
}

// Close ends the link and waits until its goroutines are gone, so a call of
// the Target that is under way must be able to end: do not hold what it needs.
func (l *Link) Close() {
	l.cancel()
	<-l.done
}

// Committed says that what Target.Committed answers has moved other than by Apply. Any
// goroutine may call it; it does not wait.
func (l *Link) Committed() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// Status returns how the link is doing.
func (l *Link) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Status{
		State:     l.state,
		Offset:    replication.Offset(l.offset.Load()),
		Read:      replication.Offset(l.received.Load()),
		DownSince: l.downSince,
		SyncTotal: l.total.Load(),
		SyncRead:  l.arrived.Load(),
	}
	if at := l.lastIO.Load(); at != 0 {
		s.LastIO = l.began.Add(time.Duration(at))
	}
	return s
}

func (l *Link) setState(s LinkState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == Connected && s != Connected {
		l.downSince = time.Now()
	}
	if s == Connected {
		l.downSince = time.Time{}
	}
	l.state = s
}

// run connects again and again until ctx ends, with a delay before each
// further attempt that doubles while none succeeds.
func (l *Link) run(ctx context.Context) {
	var delay time.Duration
	for {
		up, err := l.session(ctx)
		l.lastIO.Store(0)
		l.setState(Connect)
		if ctx.Err() != nil {
			return
		}
		delay = nextDelay(delay, up, errors.Is(err, errRefused))
		l.outage.failed(time.Now(), up, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
	}
}

// nextDelay returns how long to wait after a session, given the wait before it.
func nextDelay(last time.Duration, up, refused bool) time.Duration {
	switch {
	case refused:
		return min(max(2*last, longDelay), refuseDelay)
	case up:
		return shortDelay
	default:
		return min(max(2*last, shortDelay), longDelay)
	}
}

// session is one connection from its beginning to its end. up is whether the
// stream ever flowed.
func (l *Link) session(ctx context.Context) (up bool, err error) {
	l.setState(Connecting)
	l.outage.say("Connecting to MASTER %s", l.cfg.Addr)
	l.outage.say("MASTER <-> REPLICA sync started")
	dialling, stop := context.WithTimeout(ctx, l.cfg.Timeout())
	raw, err := l.cfg.Dial(dialling, l.cfg.Addr)
	stop()
	if err != nil {
		return false, fmt.Errorf("%w: %w", errDial, err)
	}
	conn := &timedConn{Conn: raw, timeout: l.cfg.Timeout, link: l}
	defer conn.Close()
	closed := context.AfterFunc(ctx, func() { conn.Close() })
	defer closed()

	s := newSession(l, conn)
	defer s.stop()
	return s.run(ctx)
}

// timedConn is a connection whose reads and writes end after a timeout, and
// which notes when something last arrived.
type timedConn struct {
	net.Conn
	timeout func() time.Duration
	link    *Link
}

func (c *timedConn) Read(p []byte) (int, error) {
	c.SetReadDeadline(time.Now().Add(c.timeout()))
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.link.lastIO.Store(int64(max(time.Since(c.link.began), 1)))
	}
	return n, err
}

func (c *timedConn) Write(p []byte) (int, error) {
	c.SetWriteDeadline(time.Now().Add(c.timeout()))
	return c.Conn.Write(p)
}
