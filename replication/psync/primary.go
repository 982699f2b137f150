package psync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"redoubt/replication"
)

// Reasons for which a replica is disconnected from this side.
var (
	ErrClosed       = errors.New("psync: the server shuts down")
	ErrDisconnected = errors.New("psync: disconnected, the replica has to ask again")
	ErrTimeout      = errors.New("psync: the replica has timed out")
	ErrLag          = errors.New("psync: the replica is too far behind")
)

// Settings are what an administrator can change while replicas are attached.
type Settings struct {
	Timeout  time.Duration // repl-timeout
	Diskless bool          // repl-diskless-sync: transfers end with a mark if the replica can take it
	Limit    Limit
}

// PrimaryConfig is what a Primary works with; all fields are needed.
type PrimaryConfig struct {
	Stream    Stream
	Snapshots Snapshots
	// Committed is Stream up to where it cannot be lost any more, for replicas that are no
	// members of this node's quorum. Nil: there is none, and all get all of Stream.
	Committed Stream
	History   func() replication.History // the current one
	Settings  func() Settings
	// Later reports whether a replica that cannot go on is told to ask again,
	// instead of throwing its data away now. Nil: never.
	Later func(replication.Verdict, replication.Request) bool
	OnAck func() // an acknowledgement came in, or a replica came or went; called from its goroutine
	Log   *zap.Logger
}

// Primary serves the replicas of this node.
type Primary struct {
	cfg PrimaryConfig

	mu      sync.Mutex // guards what follows
	feeders map[replication.ReplicaID]*feeder
	acks    *replication.Acks
	left    map[string]replication.Offset // what replicas had that are gone, by address; see Confirmed
	barred  chan struct{}                 // closed when replicas may come again; nil if they may
	bars    int                           // of Bar, that have not been lifted
	closed  bool
	// round is the replicas that have been sent a snapshot since last nobody was, of
	// which sending are at it.
	round   map[replication.ReplicaID]struct{}
	sending int
	running sync.WaitGroup

	done chan struct{} // closed by Close

	direct atomic.Pointer[[]*feeder] // for which Push sends; replaced with mu held
	late   atomic.Bool               // Push sends nothing
	came   atomic.Int64              // how often a replica began to get the stream
	many   atomic.Int32              // how many feeders there are; changed with mu held

	full, partial, refused atomic.Int64 // see Syncs
}

// NewPrimary returns a Primary without replicas.
func NewPrimary(cfg PrimaryConfig) *Primary {
	return &Primary{
		cfg:     cfg,
		feeders: map[replication.ReplicaID]*feeder{},
		round:   map[replication.ReplicaID]struct{}{},
		acks:    replication.NewAcks(),
		left:    map[string]replication.Offset{},
		done:    make(chan struct{}),
	}
}

// State is how far a replica is, by the names of INFO.
type State string

// The states of a replica.
const (
	WaitBGSave State = "wait_bgsave" // no snapshot yet, or one that is still being made
	SendBulk   State = "send_bulk"   // the snapshot is being sent, or loaded
	Online     State = "online"
)

// Replica is one attached replica, as INFO and ROLE show it.
type Replica struct {
	ID    replication.ReplicaID
	IP    string // announced, or that of the connection
	Port  int    // announced
	Node  string // its id in a cluster; empty if it has told none
	State State
	Ack   replication.Ack
	Sent  replication.Offset // handed to its socket; of one that is online
}

// Serve feeds the replica at the other end of conn until one side ends it, and
// closes conn. id is the connection's number. The server has made sure before
// that this node can serve (it is a primary, or its own link is up) and that
// no reply is pending. Serve returns why it ended, nil if the replica left or
// has all it asked for.
func (p *Primary) Serve(ctx context.Context, conn net.Conn, id replication.ReplicaID, h Handshake) error {
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := &feeder{primary: p, id: id, conn: conn, handshake: h, from: p.cfg.Stream, cancel: cancel, acked: make(chan struct{})}
	if p.cfg.Committed != nil && !h.Member {
		f.from = p.cfg.Committed
	}
	f.log = p.cfg.Log
	if err := p.attach(ctx, f); err != nil {
		return err
	}
	defer p.detach(f)
	err := f.serve(ctx)
	if err != nil {
		f.log.Warn(f.ending(err))
	}
	return err
}

// sends says that a snapshot of unknown length is being sent to f. The function it
// returns says that this is over, maybe with an error; the last one that is sending logs
// how many have got theirs and are still there, as Redis does when its pipe is empty.
func (p *Primary) sends(f *feeder) (over func(error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sending++
	p.round[f.id] = struct{}{}
	return func(err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sending--
		if err != nil {
			delete(p.round, f.id)
		}
		if p.sending > 0 {
			return
		}
		up := 0
		for id := range p.round {
			if p.feeders[id] != nil {
				up++
			}
		}
		clear(p.round)
		if up == 0 {
			p.cfg.Log.Warn("Diskless rdb transfer, last replica dropped")
			return
		}
		p.cfg.Log.Info(fmt.Sprintf("Diskless rdb transfer, done reading from pipe, %d replicas still up", up))
	}
}

// attach enters f among the replicas, once nobody bars them. It reads
// nothing of the node's state before: see Bar.
func (p *Primary) attach(ctx context.Context, f *feeder) error {
	for {
		p.mu.Lock()
		barred := p.barred
		if p.closed || barred == nil {
			break
		}
		p.mu.Unlock()
		select {
		case <-barred:
		case <-p.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	p.feeders[f.id] = f
	p.many.Store(int32(len(p.feeders)))
	p.acks.Attach(f.id)
	f.state = WaitBGSave
	p.running.Add(1)
	return nil
}

func (p *Primary) detach(f *feeder) {
	p.mu.Lock()
	if ack, ok := p.acks.Get(f.id); ok && ack.Offset > 0 && !f.barred && f.handshake.ListeningPort != 0 {
		if len(p.left) == maxLeft {
			clear(p.left)
		}
		p.left[f.name()] = ack.Offset
	}
	delete(p.feeders, f.id)
	p.many.Store(int32(len(p.feeders)))
	p.acks.Detach(f.id)
	p.mu.Unlock()
	p.cfg.OnAck()
	p.running.Done()
}

// maxLeft bounds the replicas that are remembered when they are gone.
const maxLeft = 256

// Confirmed returns up to where a replica has acknowledged the stream, by the address
// that it has announced: one that is attached, or the last that was, since the last Bar.
// If no replica has had that address, it is the least of all that were heard of; ok is
// false if there were none.
func (p *Primary) Confirmed(addr string) (at replication.Offset, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := maps.Clone(p.left)
	for _, f := range p.feeders {
		if ack, _ := p.acks.Get(f.id); ack.Offset > 0 {
			all[f.name()] = ack.Offset
		}
	}
	if at, ok = all[addr]; ok {
		return at, true
	}
	for _, other := range all {
		if !ok || other < at {
			at, ok = other, true
		}
	}
	return at, ok
}

// Bar disconnects all replicas, so that they ask again, and keeps new ones
// waiting until lift is called. It does not wait for their goroutines, but
// once it has returned they send nothing that they had not read before.
// A change of history is made between the two: bar, change, lift.
func (p *Primary) Bar() (lift func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bars++
	if p.barred == nil {
		p.barred = make(chan struct{})
	}
	clear(p.left)
	for _, f := range p.feeders {
		f.barred = true
		p.acks.Detach(f.id) // what it acknowledges from now on may be of another history
		f.cancel(ErrDisconnected)
	}
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.bars--
		if p.bars == 0 {
			close(p.barred)
			p.barred = nil
		}
	})
}

// Drain waits until the replicas have been sent the stream as it is, or most has
// passed. Before a demotion it makes up for the moment in which a feeder lets bytes
// come together: Redis writes to its replicas before it takes the next command.
func (p *Primary) Drain(most time.Duration) {
	end := p.cfg.Stream.End()
	p.Push()
	for deadline := time.Now().Add(most); p.behind(end) && time.Now().Before(deadline); {
		time.Sleep(drainStep)
	}
}

// drainStep is how long Drain waits between two looks.
const drainStep = 200 * time.Microsecond

// behind reports whether a replica that gets the stream has not been sent all of it
// up to end.
func (p *Primary) behind(end replication.Offset) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.feeders {
		if sent := f.sent.Load(); sent != unsent && sent < int64(end) {
			return true
		}
	}
	return false
}

// Close disconnects all replicas and waits until every Serve is about to
// return. Later calls of Serve are refused. It is called once.
func (p *Primary) Close() {
	p.mu.Lock()
	p.closed = true
	close(p.done)
	for _, f := range p.feeders {
		f.cancel(ErrClosed)
	}
	p.mu.Unlock()
	p.running.Wait()
}

// Replicas returns the attached replicas in the order of their ids.
func (p *Primary) Replicas() []Replica {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Replica, 0, len(p.feeders))
	for _, f := range p.feeders {
		ack, _ := p.acks.Get(f.id)
		list = append(list, Replica{ID: f.id, IP: f.ip(), Port: f.handshake.ListeningPort, Node: f.handshake.NodeID, State: f.state, Ack: ack, Sent: replication.Offset(f.sent.Load())})
	}
	slices.SortFunc(list, func(a, b Replica) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// Applied returns how many replicas have applied the stream up to at.
func (p *Primary) Applied(at replication.Offset) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acks.Applied(at)
}

// Synced returns how many replicas have the stream up to at on their disks.
func (p *Primary) Synced(at replication.Offset) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acks.Synced(at)
}

// Enough returns the greatest offset that at least n replicas have applied, 0 if there
// are not so many.
func (p *Primary) Enough(n int) replication.Offset {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acks.Enough(n)
}

// CountOnline counts the replicas that receive the stream, and those of them that
// acknowledge by themselves what they have applied if they are asked to (Unit.Prompt).
func (p *Primary) CountOnline() (all, prompt int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.feeders {
		if f.state == Online && !f.barred {
			all++
			if f.handshake.Prompt {
				prompt++
			}
		}
	}
	return all, prompt
}

// Attached counts the replicas, whatever their state.
func (p *Primary) Attached() int { return int(p.many.Load()) }

// Came counts how often a replica began to receive the stream.
func (p *Primary) Came() int64 { return p.came.Load() }

// Good returns how many replicas acknowledged something within maxLag.
func (p *Primary) Good(now time.Time, maxLag time.Duration) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acks.Good(now, maxLag)
}

// Syncs counts the resyncs that were begun, full and partial, and the requests
// for a partial one that had to be refused: sync_full, sync_partial_ok and
// sync_partial_err of INFO.
func (p *Primary) Syncs() (full, partial, refused int64) {
	return p.full.Load(), p.partial.Load(), p.refused.Load()
}
