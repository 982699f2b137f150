package raftgroup

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"go.uber.org/zap"
)

// wire is the transport of the group over the connections of the node. It does more
// than carry messages.
//
// It keeps entries back until this node holds what they name, before Raft sees them:
// Raft would wait for that with everything else, elections among it. A node that
// nevertheless has entries without their data asks for no votes.
//
// And it falls silent when it is told to. A leader whose disk hangs does not notice, since
// its heartbeats go on (hashicorp/raft#503); without them the others elect another.
type wire struct {
	*raft.NetworkTransport
	g      *Group
	toRaft chan raft.RPC
	quit   chan struct{}
	once   sync.Once
	muted  atomic.Bool

	mu  sync.Mutex
	fed map[raft.ServerID]time.Time // when the last message was sent that a member took, other than a heartbeat
}

const (
	wireTimeout = 2 * time.Second
	// holdTime is how long entries wait for their data before the leader is told to send
	// them again.
	holdTime = 300 * time.Millisecond
	// inFlight is how many messages with entries are under way to a member: with more the
	// library has a pipeline. When it stops reading that, after a refusal, it may go on to
	// write another message, which waits for ever for the answer before to be read; so the
	// member would get no entries any more. Members refuse whatever they keep back for too
	// long. There is one mark at a time, for which a pipeline has no use.
	inFlight = 1
)

var (
	errMuted = errors.New("raftgroup: this node's disk hangs")
	errOwes  = errors.New("raftgroup: this node lacks data that its log names")
)

func newWire(g *Group, logger hclog.Logger) *wire {
	return &wire{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: streams{g}, MaxPool: 3, Timeout: wireTimeout, Logger: logger, MaxRPCsInFlight: inFlight,
		}),
		g: g, toRaft: make(chan raft.RPC), quit: make(chan struct{}), fed: map[raft.ServerID]time.Time{},
	}
}

// start begins to take messages.
func (w *wire) start() { w.g.running.Go(w.run) }

// Consumer implements raft.Transport.
func (w *wire) Consumer() <-chan raft.RPC { return w.toRaft }

func (w *wire) run() {
	for {
		select {
		case rpc := <-w.NetworkTransport.Consumer():
			// A connection is served one message after the other, so order is kept.
			switch a := rpc.Command.(type) {
			case *raft.AppendEntriesRequest:
				if len(a.Entries) > 0 {
					w.g.running.Go(func() { w.holdBack(rpc, a) })
					continue
				}
			case *raft.TimeoutNowRequest:
				if w.g.store.owes.Load() { // it would ask nobody for a vote
					rpc.Respond(nil, errOwes)
					continue
				}
			}
			w.pass(rpc)
		case <-w.quit:
			return
		}
	}
}

func (w *wire) pass(rpc raft.RPC) {
	select {
	case w.toRaft <- rpc:
	case <-w.quit:
		rpc.Respond(nil, ErrClosed)
	}
}

// holdBack gives entries to Raft when this node has what they name. If that takes too
// long it answers in Raft's place, as a node would that lacks entries before those.
func (w *wire) holdBack(rpc raft.RPC, a *raft.AppendEntriesRequest) {
	if m, term, ok := lastMark(a.Entries); ok && a.Term >= w.g.raft.CurrentTerm() {
		ctx, cancel := context.WithTimeout(w.g.ctx, holdTime)
		defer cancel()
		err := w.g.accept(ctx, m, term == a.Term)
		if err == nil && term == a.Term && a.Entries[0].Index <= w.g.raft.LastIndex() {
			// What is there is cut off before the entries are stored, and the library does not
			// bear that these are refused then.
			err = w.g.settled(ctx, m)
		}
		if err != nil {
			rpc.Respond(&raft.AppendEntriesResponse{
				RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(w.g.self), Addr: []byte(w.g.self)},
				Term:      a.Term, LastLog: w.g.raft.LastIndex(), NoRetryBackoff: true,
			}, nil)
			return
		}
	}
	w.pass(rpc)
}

// accept returns when entries up to a mark may be stored: if it is of the leader's own term
// (present) once this node has what it names, which the store then waits for to be on the disk,
// and with a debt if it is not. See the package's comment.
func (g *Group) accept(ctx context.Context, m Mark, present bool) error {
	if present {
		return g.await(ctx, m)
	}
	if g.cfg.Node.Holds(m) {
		return nil
	}
	return g.store.owe(true)
}

// settled waits until the node holds what a mark names.
func (g *Group) settled(ctx context.Context, m Mark) error {
	for !g.cfg.Node.Holds(m) {
		if err := g.cfg.Node.Sync(ctx, m.At); err != nil {
			return err
		}
		if g.cfg.Node.Holds(m) {
			break
		}
		select {
		case <-time.After(time.Millisecond): // the journal lacks what it begins with
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Without runs a change by which the node gives up data that it has: what its log names
// may not be there then. The node owes it until the change is made and for as long as it
// lacks it. The debt is on the disk when the change begins; if it cannot be noted that is the error.
func (g *Group) Without(change func() error) error { return g.store.without(change) }

// Owes reports whether the node lacks data that its log names: then it is not elected.
func (g *Group) Owes() bool { return g.store.owes.Load() }

// await waits until the node has what a mark names.
func (g *Group) await(ctx context.Context, m Mark) error {
	for pause := 100 * time.Microsecond; !g.cfg.Node.Has(m) && !g.cfg.Node.Holds(m); pause = min(2*pause, 5*time.Millisecond) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// RequestVote implements raft.Transport.
func (w *wire) RequestVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if w.g.store.owes.Load() {
		return errOwes
	}
	return w.NetworkTransport.RequestVote(id, to, args, resp)
}

// RequestPreVote implements raft.WithPreVote.
func (w *wire) RequestPreVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if w.g.store.owes.Load() {
		return errOwes
	}
	return w.NetworkTransport.RequestPreVote(id, to, args, resp)
}

// AppendEntries implements raft.Transport.
func (w *wire) AppendEntries(id raft.ServerID, to raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if w.muted.Load() {
		return errMuted
	}
	began := time.Now()
	err := w.NetworkTransport.AppendEntries(id, to, args, resp)
	if err == nil && resp.Success {
		if args.PrevLogEntry != 0 || args.LeaderCommitIndex != 0 || len(args.Entries) > 0 {
			w.mu.Lock()
			w.fed[id] = began
			w.mu.Unlock()
		}
	}
	return err
}

// lastFed is the one of some members that took entries, or the news of a commit, last, and when.
func (w *wire) lastFed(members []string) (member string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range members {
		if t := w.fed[raft.ServerID(m)]; t.After(at) {
			member, at = m, t
		}
	}
	return member, at
}

// Close implements raft.WithClose.
func (w *wire) Close() error {
	w.once.Do(func() { close(w.quit) })
	return w.NetworkTransport.Close()
}

// guard watches whether a leader can do what one is for, and pays debts.
func (g *Group) guard() {
	tick := time.NewTicker(g.cfg.Stall / 8)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			g.mute(g.cannotLead(now))
			if err := g.store.payIf(g.cfg.Node.Holds); err != nil {
				g.log.Warn("It is not known whether this node has the data that its log names", zap.Error(err))
			}
		case <-g.ctx.Done():
			return
		}
	}
}

// nobodyCopies is why a leader gives up that is heard, and can commit nothing.
const nobodyCopies = "nothing has been committed for seconds, and too few of the others copy this node's stream"

// cannotLead is why this node is no use as the leader at present, "" if it is, or is none. It
// may be heard by the others all the same, and keep its office by that.
func (g *Group) cannotLead(now time.Time) string {
	if passed(g.store.since.Load(), now, g.cfg.Stall) {
		return "a write of the group's log takes longer than " + g.cfg.Stall.String()
	}
	since := g.since.Load()
	if since != 0 && since == g.gaveUp {
		return nobodyCopies // until Raft has given up as well
	}
	// Whoever goes back, or loads, to follow this node copies nothing for a while. If nobody else
	// was elected the next time comes later.
	if !passed(since, now, deafAfter<<min(g.deaf.Load(), deafMost)) {
		return ""
	}
	if voters, _ := g.Voters(); g.cfg.Node.Attached()+1 <= len(voters)/2 {
		g.deaf.Add(1)
		g.gaveUp = since
		return nobodyCopies
	}
	return ""
}

// passed reports whether a time has passed since an instant in Unix nanoseconds; 0 is none.
func passed(since int64, now time.Time, d time.Duration) bool {
	return since != 0 && now.UnixNano()-since > int64(d)
}

// mute has a leader that cannot lead give up its office, unless there is nobody else: it
// falls silent for the others, and says so here, since Raft may wait for the disk with
// everything else. If it still leads afterwards it begins anew.
func (g *Group) mute(why string) {
	stalled := why != ""
	if stalled == g.wire.muted.Load() {
		return
	}
	g.wire.muted.Store(stalled)
	if !stalled {
		wake(g.again)
		return
	}
	if voters, _ := g.Voters(); g.rules() && len(voters) > 1 {
		g.log.Warn("This node does not lead its shard any longer: " + why)
		g.end()
	}
}

// streams is the connections of the group. Addresses are names of members.
type streams struct{ g *Group }

// Accept implements net.Listener.
func (s streams) Accept() (net.Conn, error) {
	select {
	case c, ok := <-s.g.cfg.Accept:
		if !ok {
			return nil, net.ErrClosed
		}
		return c, nil
	case <-s.g.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s streams) Close() error { return nil }

// Addr implements net.Listener.
func (s streams) Addr() net.Addr { return nodeAddr(s.g.self) }

// Dial implements raft.StreamLayer.
func (s streams) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return s.g.cfg.Dial(string(to), timeout)
}

// nodeAddr is a member's name as an address.
type nodeAddr string

// Network implements net.Addr.
func (nodeAddr) Network() string { return "redoubt" }

// String implements net.Addr.
func (a nodeAddr) String() string { return string(a) }
